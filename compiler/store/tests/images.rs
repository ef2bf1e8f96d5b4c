//! Images from a small registry on the loopback address: tokens, passwords, mirrors, resuming, and every way to lie.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use formats::tar::Writer;
use packages::Sha256;
use spec::ImageReference;
use spec::appliance::Arch;
use store::{Image, ImageError, ImageRequest, Patience, Silent, Store};
use tree::{Node, TreePath};

/// An answer: status, headers, body, and how much of the body is sent before the connection closes.
#[derive(Clone, Default)]
struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    cut: Option<usize>,
}

/// What is done to a request before the registry sees it.
type Before = dyn Fn(&str, &BTreeMap<String, String>) -> Option<Reply> + Send + Sync;

/// A registry; it ends with the test process.
struct Registry {
    address: String,
    blobs: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Registry {
    fn new(before: impl Fn(&str, &BTreeMap<String, String>) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let registry = Self { address, blobs: Arc::default(), log: Arc::default() };
        let (blobs, log) = (registry.blobs.clone(), registry.log.clone());
        let before: Arc<Before> = Arc::new(before);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (blobs, log, before) = (blobs.clone(), log.clone(), before.clone());
                std::thread::spawn(move || drop(serve(stream, &blobs, &log, before.as_ref())));
            }
        });
        registry
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        self.blobs.lock().unwrap().insert(path.to_owned(), bytes.to_vec());
    }

    /// Puts an image under a tag, for these architectures; gives the digest that the tag stands for.
    fn publish(&self, tag: &str, layers: &[Vec<u8>], arches: &[&str]) -> String {
        let manifests: Vec<String> = arches.iter().map(|arch| self.manifest(layers, arch)).collect();
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, manifests.join(","));
        self.put(&format!("/v2/team/app/manifests/{tag}"), index.as_bytes());
        let digest = format!("sha256:{}", Sha256::of(index.as_bytes()));
        self.put(&format!("/v2/team/app/manifests/{digest}"), index.as_bytes());
        digest
    }

    fn manifest(&self, layers: &[Vec<u8>], arch: &str) -> String {
        let diff_ids: Vec<String> = layers.iter().map(|layer| format!("\"sha256:{}\"", Sha256::of(layer))).collect();
        let config = format!(
            r#"{{"os":"linux","architecture":"{arch}","created":"2024-05-06T07:08:09Z","config":{{"Env":["A=b"]}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            diff_ids.join(",")
        );
        let packed: Vec<Vec<u8>> = layers.iter().map(|layer| gzip(layer)).collect();
        let blob = |kind: &str, bytes: &[u8]| {
            let digest = format!("sha256:{}", Sha256::of(bytes));
            self.put(&format!("/v2/team/app/blobs/{digest}"), bytes);
            format!(r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{digest}","size":{}}}"#, bytes.len())
        };
        let layers: Vec<String> = packed.iter().map(|bytes| blob("layer.v1.tar+gzip", bytes)).collect();
        let config = blob("config.v1+json", config.as_bytes());
        let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{}]}}"#, layers.join(","));
        let digest = format!("sha256:{}", Sha256::of(manifest.as_bytes()));
        self.put(&format!("/v2/team/app/manifests/{digest}"), manifest.as_bytes());
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":{},"platform":{{"os":"linux","architecture":"{arch}"}}}}"#,
            manifest.len()
        )
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    blobs: &Mutex<BTreeMap<String, Vec<u8>>>,
    log: &Mutex<Vec<String>>,
    before: &Before,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let range = headers.get("range").cloned().unwrap_or_default();
    log.lock().unwrap().push(format!("{path} {range}").trim().to_owned());
    let found = blobs.lock().unwrap().get(&path).cloned();
    let reply = before(&path, &headers).unwrap_or_else(|| match found {
        Some(body) => {
            let start = range.strip_prefix("bytes=").and_then(|text| text.split('-').next()?.parse::<usize>().ok());
            match start.filter(|start| *start > 0 && *start < body.len()) {
                Some(start) => Reply {
                    status: 206,
                    headers: vec![("Content-Range", format!("bytes {start}-{}/{}", body.len() - 1, body.len()))],
                    body: body[start..].to_vec(),
                    cut: None,
                },
                None => Reply { status: 200, body, ..Reply::default() },
            }
        }
        None => Reply { status: 404, ..Reply::default() },
    });
    write!(stream, "HTTP/1.1 {} So\r\nConnection: close\r\nContent-Length: {}\r\n", reply.status, reply.body.len())?;
    for (name, value) in &reply.headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    stream.write_all(b"\r\n")?;
    stream.write_all(&reply.body[..reply.cut.unwrap_or(reply.body.len())])
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn layer(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (name, bytes) in files {
        writer.entry(&TreePath::new(name).unwrap(), &Node::file(0o644, *bytes), &mut &bytes[..]).unwrap();
    }
    writer.finish().unwrap()
}

/// Two layers, one of them large enough to be cut.
fn layers() -> Vec<Vec<u8>> {
    let noise: Vec<u8> = (0..400_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    vec![layer(&[("etc/a", b"lower"), ("big", &noise)]), layer(&[("etc/a", b"upper"), ("etc/b", b"new")])]
}

/// A store of its own, and what is asked of it.
struct Client {
    store: Store,
    folder: tempfile::TempDir,
    reference: ImageReference,
    mirrors: BTreeMap<String, Vec<String>>,
    auth_files: Vec<PathBuf>,
    offline: bool,
}

impl Client {
    fn of(reference: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let patience = Patience {
            connect: Duration::from_secs(20),
            stall: Duration::from_secs(20),
            tries: 3,
            backoff: Duration::from_millis(1),
        };
        let store = Store::open_with(&folder.path().join("store"), patience).unwrap();
        let reference = ImageReference::parse(reference).unwrap();
        Self { store, folder, reference, mirrors: BTreeMap::new(), auth_files: Vec::new(), offline: false }
    }

    fn with_auth_file(mut self, text: &str) -> Self {
        let path = self.folder.path().join("auth.json");
        fs::write(&path, text).unwrap();
        self.auth_files = vec![self.folder.path().join("none.json"), path];
        self
    }

    fn request(&self) -> ImageRequest<'_> {
        let Self { reference, mirrors, auth_files, offline, .. } = self;
        ImageRequest {
            reference,
            folder: self.folder.path(),
            offline: *offline,
            mirrors,
            auth_files,
            certificates: &[],
        }
    }

    fn pull(&self) -> Result<(Sha256, Image), ImageError> {
        let root = self.store.resolve_image(&self.request())?;
        let images = self.store.images(&self.request(), root, &[Arch::Amd64])?;
        self.store.fetch_layers(&self.request(), &images, &Silent)?;
        Ok((root, images.into_iter().next().unwrap()))
    }

    /// The files of the image.
    fn files(&self, image: &Image) -> Vec<String> {
        let tree = self.store.image_tree(image, &Silent).unwrap();
        let line = |(path, _, node): (&TreePath, _, &Node)| match &node.kind {
            tree::Kind::File(content) if content.size_bytes() < 100 => {
                let bytes = tree::Blobs::bytes(&self.store, content, 100).unwrap();
                format!("{path}={}", String::from_utf8_lossy(&bytes))
            }
            _ => path.to_string(),
        };
        tree.iter().map(line).collect()
    }

    #[track_caller]
    fn fails(&self, words: &[&str]) {
        let error = self.pull().expect_err("it must fail");
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(next) = cause {
            text = format!("{text}: {next}");
            cause = next.source();
        }
        // What to do about it is said by who was asked last.
        if let ImageError::Pull { tried, .. } = &error {
            text += &tried.last().map(|(_, error)| format!("\nhelp: {}", error.help())).unwrap_or_default();
        }
        for word in words {
            assert!(text.contains(word), "{text}\ndoes not say {word:?}");
        }
    }
}

const FILES: [&str; 5] = ["/", "/big", "/etc", "/etc/a=upper", "/etc/b=new"];

#[test]
fn a_tag_is_resolved_and_everything_below_it_is_fetched_once() {
    let registry = Registry::new(|_, _| None);
    let digest = registry.publish("v1", &layers(), &["arm64", "amd64"]);
    let mut client = Client::of(&format!("{}/team/app:v1", registry.address));
    let (root, image) = client.pull().unwrap();
    assert_eq!(format!("sha256:{root}"), digest);
    assert_eq!((image.config.created_secs, image.config.env["A"].as_str()), (Some(1_714_979_289), "b"));
    assert_eq!(client.files(&image), FILES);
    let asked = registry.log().len();
    // By digest nothing is asked again, also without a network.
    client.reference = ImageReference::parse(&format!("{}/team/app@{digest}", registry.address)).unwrap();
    client.offline = true;
    let (_, again) = client.pull().unwrap();
    assert_eq!(client.files(&again), FILES);
    assert_eq!(registry.log().len(), asked);
    client.reference = ImageReference::parse(&format!("{}/team/app:v1", registry.address)).unwrap();
    client.fails(&["without `--offline`"]);
    // What the store lost is fetched again, and damage is found.
    client.reference = ImageReference::parse(&format!("{}/team/app@{digest}", registry.address)).unwrap();
    client.offline = false;
    fs::remove_file(client.store.image_blob(image.layers[0].sha256).unwrap()).unwrap();
    fs::write(client.store.image_blob(image.manifest).unwrap(), "other bytes").unwrap();
    let (_, again) = client.pull().unwrap();
    assert_eq!(client.files(&again), FILES);
    assert!(client.store.verify(&Silent).unwrap().is_empty());
    fs::write(client.store.image_blob(image.layers[1].sha256).unwrap(), "other bytes").unwrap();
    assert_eq!(client.store.verify(&Silent).unwrap().len(), 1);
}

#[test]
fn a_cut_download_goes_on_where_it_ended() {
    let cuts = Arc::new(Mutex::new(2));
    let counted = cuts.clone();
    let big = gzip(&layers()[0]);
    let path = format!("/v2/team/app/blobs/sha256:{}", Sha256::of(&big));
    let blob = (path.clone(), big.clone());
    let registry = Registry::new(move |asked, headers| {
        let mut left = counted.lock().unwrap();
        let first = asked == blob.0 && !headers.contains_key("range") && *left > 0;
        first.then(|| {
            *left -= 1;
            Reply { status: 200, body: blob.1.clone(), cut: Some(10_000), ..Reply::default() }
        })
    });
    registry.publish("v1", &layers(), &["amd64"]);
    let client = Client::of(&format!("{}/team/app:v1", registry.address));
    let (_, image) = client.pull().unwrap();
    assert_eq!(client.files(&image), FILES);
    assert!(registry.log().contains(&format!("{path} bytes=10000-")), "{:?}", registry.log());
}

/// A registry that wants a token, and a place that gives one to whom it knows.
fn with_tokens(anonymous: bool) -> Registry {
    let realm: Arc<Mutex<String>> = Arc::default();
    let known = realm.clone();
    let registry = Registry::new(move |path, headers| {
        let authorization = headers.get("authorization").map(String::as_str);
        if let Some(query) = path.strip_prefix("/token?") {
            assert!(query.contains("scope=repository:team/app:pull") && query.contains("service=toy"), "{query}");
            let allowed = anonymous && authorization.is_none() || authorization == Some("Basic bWU6c2VjcmV0");
            let (status, body) = if allowed { (200, r#"{"access_token":"good"}"#) } else { (401, "{}") };
            return Some(Reply { status, body: body.into(), ..Reply::default() });
        }
        let challenge = format!(r#"Bearer realm="http://{}/token",service="toy""#, known.lock().unwrap());
        (authorization != Some("Bearer good")).then(|| Reply {
            status: 401,
            headers: vec![("WWW-Authenticate", challenge)],
            ..Reply::default()
        })
    });
    realm.lock().unwrap().clone_from(&registry.address);
    registry.publish("v1", &layers(), &["amd64"]);
    registry
}

#[test]
fn a_token_is_asked_for_with_and_without_a_password() {
    let registry = with_tokens(true);
    let client = Client::of(&format!("{}/team/app:v1", registry.address));
    let (_, image) = client.pull().unwrap();
    assert_eq!(client.files(&image), FILES);

    let registry = with_tokens(false);
    let reference = format!("{}/team/app:v1", registry.address);
    let auths = |auth: &str| format!(r#"{{"auths": {{"{}": {{"auth": "{auth}"}}}}}}"#, registry.address);
    assert!(Client::of(&reference).with_auth_file(&auths("bWU6c2VjcmV0")).pull().is_ok());
    Client::of(&reference).fails(&["refuses access", "podman login"]);
    Client::of(&reference).with_auth_file(&auths("bWU6d3Jvbmc=")).fails(&["refuses access with the credentials"]);
    Client::of(&reference).with_auth_file("[").fails(&["credentials", "auth.json is not JSON"]);
}

#[test]
fn a_place_for_tokens_with_bad_manners_is_told() {
    let check = |reply: Reply, words: &[&str]| {
        let realm: Arc<Mutex<String>> = Arc::default();
        let known = realm.clone();
        let registry = Registry::new(move |path, _| {
            let challenge = format!(r#"Bearer realm="http://{}/token",service="toy""#, known.lock().unwrap());
            let headers = vec![("WWW-Authenticate", challenge)];
            let asks = Reply { status: 401, headers, ..Reply::default() };
            Some(if path.starts_with("/token") { reply.clone() } else { asks })
        });
        realm.lock().unwrap().clone_from(&registry.address);
        Client::of(&format!("{}/team/app:v1", registry.address)).fails(words);
    };
    let answer = |status: u16, name: &'static str, value: &str, body: &[u8]| Reply {
        status,
        headers: vec![(name, value.to_owned())],
        body: body.to_vec(),
        cut: None,
    };
    let wants = "wants a token from http://127.0.0.1:";
    check(answer(200, "Content-Type", "text/html", b"<html>log in</html>"), &[wants, "answered with a web page"]);
    check(answer(200, "Content-Type", "application/json", b"{}"), &[wants, "answered with no token"]);
    check(answer(200, "X", "x", b"{\"token\": \"two\\nlines\"}"), &[wants, "answered with no token"]);
    check(answer(200, "X", "x", &vec![b' '; 2 << 20]), &["sends more than 1048576 bytes"]);
    check(answer(302, "Location", "/token", b""), &["redirects too often"]);
    check(answer(429, "Retry-After", "7200", b""), &["answered 429 and asks to wait 7200 seconds"]);
    check(answer(500, "X", "x", b""), &["answered 500", "it is in trouble"]);
    check(answer(403, "X", "x", b""), &["refuses access"]);
}

#[test]
fn indexes_do_not_nest_without_end() {
    let nested = |depth: usize| {
        let registry = Registry::new(|_, _| None);
        let mut entry = registry.manifest(&layers(), "amd64");
        for _ in 0..depth {
            let index = format!(r#"{{"schemaVersion":2,"manifests":[{entry}]}}"#);
            let digest = format!("sha256:{}", Sha256::of(index.as_bytes()));
            [digest.as_str(), "v1"]
                .iter()
                .for_each(|name| registry.put(&format!("/v2/team/app/manifests/{name}"), index.as_bytes()));
            entry = format!(
                r#"{{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"{digest}","size":{}}}"#,
                index.len()
            );
        }
        registry
    };
    let registry = nested(3);
    assert!(Client::of(&format!("{}/team/app:v1", registry.address)).pull().is_ok());
    let registry = nested(4);
    Client::of(&format!("{}/team/app:v1", registry.address)).fails(&["its indexes nest too deep"]);
}

#[test]
fn a_password_is_sent_where_it_is_asked_for() {
    let registry = Registry::new(|_, headers| {
        let known = headers.get("authorization").is_some_and(|value| value == "Basic bWU6c2VjcmV0");
        let challenge = vec![("WWW-Authenticate", "Basic realm=\"toy\"".to_owned())];
        (!known).then(|| Reply { status: 401, headers: challenge, ..Reply::default() })
    });
    registry.publish("v1", &layers(), &["amd64"]);
    let reference = format!("{}/team/app:v1", registry.address);
    let auths = format!(r#"{{"auths": {{"{}/team": {{"auth": "bWU6c2VjcmV0"}}}}}}"#, registry.address);
    let client = Client::of(&reference).with_auth_file(&auths);
    let (_, image) = client.pull().unwrap();
    assert_eq!(client.files(&image), FILES);
    Client::of(&reference).fails(&["refuses access", "podman login"]);
}

#[test]
fn mirrors_are_asked_first_and_the_registry_where_they_fail() {
    let (registry, mirror) = (Registry::new(|_, _| None), Registry::new(|_, _| None));
    registry.publish("v1", &layers(), &["amd64"]);
    let mut client = Client::of(&format!("{}/team/app:v1", registry.address));
    client.mirrors = [(registry.address.clone(), vec![format!("http://{}/v2/", mirror.address)])].into();
    assert!(client.pull().is_ok());
    assert!(mirror.log().iter().any(|line| line == "/v2/team/app/manifests/v1"), "{:?}", mirror.log());
    // One that has it is enough.
    mirror.publish("v1", &layers(), &["amd64"]);
    let mut client = Client::of("registry.invalid/team/app:v1");
    client.mirrors = [("registry.invalid".to_owned(), vec![format!("http://{}", mirror.address)])].into();
    assert!(client.pull().is_ok());
}

#[test]
fn what_is_not_there_is_told() {
    let registry = Registry::new(|_, _| None);
    registry.publish("v1", &layers(), &["arm64", "s390x"]);
    let at = |name: &str| Client::of(&format!("{}/{name}", registry.address));
    at("team/app:v2").fails(&["team/app:v2", "has no", "check the name and the tag"]);
    at("other/app:v1").fails(&["other/app:v1", "has no"]);
    at("team/app:v1").fails(&["linux/amd64", "linux/arm64, linux/s390x"]);
    // Where nothing listens on this machine nobody waits: another try would come after an hour.
    let mut client = Client::of("localhost:1/team/app:v1");
    let patience = Patience { backoff: Duration::from_secs(3600), ..Patience::default() };
    client.store = Store::open_with(&client.folder.path().join("hurried"), patience).unwrap();
    client.fails(&["talk to localhost:1: nothing listens there", "start the registry"]);
}

#[test]
fn tags_are_listed_to_who_may_see_them() {
    let registry = with_tokens(true);
    let at = |name: &str| Client::of(&format!("{}/{name}", registry.address));
    let list = |body: &str| {
        registry.put("/v2/team/app/tags/list?n=1000", body.as_bytes());
    };
    list(r#"{"name":"team/app","tags":["v1","2\u001b[31m","latest"]}"#);
    at("team/app:v2").fails(&["team/app:v2: the repository is there, its tags are v1, latest", "did you mean `v1`?"]);
    list(r#"{"name":"team/app","tags":null}"#);
    at("team/app:v2").fails(&["the repository is there, without any tag", "name another image"]);
    list("<html>");
    at("team/app:v2").fails(&["has no image team/app:v2, or does not show it", "check the name and the tag"]);
}

/// A registry that answers like this wherever a path contains a text.
fn bad(part: &'static str, reply: Reply) -> Client {
    let registry = Registry::new(move |path, _| path.contains(part).then(|| reply.clone()));
    registry.publish("v1", &layers(), &["amd64"]);
    Client::of(&format!("{}/team/app:v1", registry.address))
}

#[test]
fn what_lies_is_refused() {
    let html = || vec![("Content-Type", "text/html; charset=utf-8".to_owned())];
    let ok = |body: &[u8]| Reply { status: 200, body: body.to_vec(), ..Reply::default() };
    let page = Reply { headers: html(), ..ok(b"<html>log in</html>") };
    bad("manifests/v1", page.clone()).fails(&["web page"]);
    bad("blobs/", page).fails(&["web page"]);
    bad("manifests/v1", ok(&vec![b' '; 5 << 20])).fails(&["sends more than"]);
    bad("manifests/v1", ok(b"{}")).fails(&["names no layers"]);
    bad("manifests/v1", ok(b"not json")).fails(&["read the manifest"]);
    bad("manifests/sha256", ok(b"{\"schemaVersion\":2}")).fails(&["other bytes than the digest says"]);
    bad("blobs/", ok(b"{\"rootfs\":{}}")).fails(&["blob", "where the manifest says"]);
    bad("manifests/v1", Reply { status: 500, ..Reply::default() }).fails(&["answered 500"]);
    bad("manifests/v1", Reply { status: 429, ..Reply::default() }).fails(&["answered 429"]);
    bad("manifests/v1", Reply { cut: Some(3), ..ok(b"{\"a\":1}") }).fails(&["talk to 127.0.0.1"]);
    let around = vec![("Location", "/v2/team/app/manifests/v1".to_owned())];
    bad("manifests/v1", Reply { status: 302, headers: around, ..Reply::default() }).fails(&["redirects too often"]);
    let kerberos = vec![("WWW-Authenticate", "Negotiate".to_owned())];
    bad("manifests/v1", Reply { status: 401, headers: kerberos, ..Reply::default() }).fails(&["Negotiate", "Bearer"]);
    let unsafe_realm = vec![("WWW-Authenticate", "Bearer realm=\"ftp://x\"".to_owned())];
    bad("manifests/v1", Reply { status: 401, headers: unsafe_realm, ..Reply::default() }).fails(&["ftp://x"]);
    let both = br#"{"schemaVersion":2,"manifests":[],"layers":[],"config":{"digest":"","size":1}}"#;
    bad("manifests/v1", ok(both)).fails(&["one image and that it is several"]);
    let old = br#"{"schemaVersion":1,"fsLayers":[]}"#;
    bad("manifests/v1", ok(old)).fails(&["schema version 1"]);
}

#[test]
fn an_index_that_lies_about_the_size_of_a_manifest_is_refused() {
    let registry = Registry::new(|_, _| None);
    let entry = registry.manifest(&layers(), "amd64").replacen("\"size\":", "\"size\":1", 1);
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{entry}]}}"#);
    registry.put("/v2/team/app/manifests/v1", index.as_bytes());
    Client::of(&format!("{}/team/app:v1", registry.address)).fails(&["its index says that the manifest sha256:"]);
}

#[test]
fn a_registry_that_limits_how_much_it_gives_is_asked_again_when_it_says_so() {
    let limited = |after: &'static str, answers: usize| {
        let left = Mutex::new(answers);
        let registry = Registry::new(move |path, _| {
            let mut left = left.lock().unwrap();
            *left = left.saturating_sub(usize::from(path.contains("blobs/")));
            let headers = vec![("Retry-After", after.to_owned())];
            (path.contains("blobs/") && *left > 0).then(|| Reply { status: 429, headers, ..Reply::default() })
        });
        registry.publish("v1", &layers(), &["amd64"]);
        (Client::of(&format!("{}/team/app:v1", registry.address)), registry)
    };
    let (client, registry) = limited("1", 3);
    let (_, image) = client.pull().unwrap();
    assert_eq!(client.files(&image), FILES);
    drop(registry);
    // What would take hours is told at once; what names no number is tried as always.
    let (client, registry) = limited("7200", 1000);
    client.fails(&["answered 429 and asks to wait 7200 seconds", "podman login", "--mirror"]);
    assert_eq!(registry.log().iter().filter(|line| line.contains("blobs/")).count(), 1, "{:?}", registry.log());
    let (client, registry) = limited("Fri, 31 Dec 1999 23:59:59 GMT", 1000);
    client.fails(&["answered 429: it limits"]);
    assert!(registry.log().iter().filter(|line| line.contains("blobs/")).count() > 1, "{:?}", registry.log());
}

#[test]
fn a_layer_that_is_not_what_the_configuration_says_is_refused() {
    let registry = Registry::new(|_, _| None);
    let good = layers();
    registry.publish("v1", &good, &["amd64"]);
    let client = Client::of(&format!("{}/team/app:v1", registry.address));
    let (_, mut image) = client.pull().unwrap();
    image.layers[1].diff_id = "0".repeat(64);
    let error = client.store.image_tree(&image, &Silent).unwrap_err().to_string();
    assert!(error.contains("as plain tar its SHA-256 is"), "{error}");
    // A layer that leads out is named.
    registry.publish("v2", &[b"no tar at all, and too short".repeat(40)], &["amd64"]);
    let client = Client::of(&format!("{}/team/app:v2", registry.address));
    let (_, image) = client.pull().unwrap();
    let error = client.store.image_tree(&image, &Silent).unwrap_err().to_string();
    assert!(error.contains("unpack the layer sha256:"), "{error}");
}

#[test]
fn what_a_lock_needs_of_an_image_stays() {
    let registry = Registry::new(|_, _| None);
    registry.publish("v1", &layers(), &["amd64", "arm64"]);
    let client = Client::of(&format!("{}/team/app:v1", registry.address));
    let (root, _) = client.pull().unwrap();
    registry.publish("v2", &[layer(&[("other", b"x")])], &["amd64"]);
    let other =
        Client { reference: ImageReference::parse(&format!("{}/team/app:v2", registry.address)).unwrap(), ..client };
    let (_, gone) = other.pull().unwrap();
    let store = other.folder.path().join("store");
    let Client { store: open, folder: _folder, .. } = other;
    drop(open);
    // A store that nobody else has open gives up what is not kept.
    let store = Store::open(&store).unwrap();
    let garbage =
        store::Garbage { keep: [root.to_string()].into(), unused_for: Some(Duration::ZERO), limit_bytes: None };
    assert!(store.collect_garbage(&garbage).unwrap().entries > 0);
    assert!(store.image_blob(gone.manifest).is_none());
    let again = Client {
        store,
        folder: tempfile::tempdir().unwrap(),
        reference: ImageReference::parse(&format!("localhost:1/team/app@sha256:{root}")).unwrap(),
        mirrors: BTreeMap::new(),
        auth_files: Vec::new(),
        offline: true,
    };
    let (_, image) = again.pull().unwrap();
    assert_eq!(again.files(&image), FILES);
}

fn write_layout(folder: &Path, names: &[&str]) {
    let registry = Registry::new(|_, _| None);
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let mut entries = Vec::new();
    for name in names {
        let entry = registry.manifest(&[layer(&[("name", name.as_bytes())])], "amd64");
        let named = format!(r#","annotations":{{"org.opencontainers.image.ref.name":"{name}"}}}}"#);
        entries.push(format!("{}{named}", entry.strip_suffix('}').unwrap()));
    }
    for (path, bytes) in registry.blobs.lock().unwrap().iter() {
        fs::write(blobs.join(path.rsplit(':').next().unwrap()), bytes).unwrap();
    }
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    fs::write(folder.join("index.json"), format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(",")))
        .unwrap();
}

#[test]
fn a_layout_gives_the_image_of_a_name() {
    let client = Client::of("oci:layout:two");
    write_layout(&client.folder.path().join("layout"), &["one", "two"]);
    let (_, image) = client.pull().unwrap();
    assert_eq!(client.files(&image), ["/", "/name=two"]);
    let at = |reference: &str| Client { reference: ImageReference::parse(reference).unwrap(), ..Client::of("oci:x") };
    let lost = at("oci:layout:three");
    write_layout(&lost.folder.path().join("layout"), &["one", "two"]);
    lost.fails(&["no image of the name \"three\"; it has \"one\", \"two\""]);
    at("oci:nowhere").fails(&["oci:nowhere", "there is no such folder"]);
    // A blob that lies.
    let client = Client::of("oci:layout");
    let layout = client.folder.path().join("layout");
    write_layout(&layout, &["one"]);
    for blob in fs::read_dir(layout.join("blobs/sha256")).unwrap() {
        let path = blob.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, vec![b'#'; bytes.len()]).unwrap();
    }
    client.fails(&["other bytes than the digest says"]);
}

fn write_archive(path: &Path, list: &str, members: &[(&str, &[u8])]) {
    let mut writer = Writer::new(Vec::new());
    for (name, bytes) in members.iter().chain([&("manifest.json", list.as_bytes())]) {
        writer.entry(&TreePath::new(name).unwrap(), &Node::file(0o644, *bytes), &mut &bytes[..]).unwrap();
    }
    let link = Node::symlink("../one/layer.tar");
    writer.entry(&TreePath::new("two/layer.tar").unwrap(), &link, &mut std::io::empty()).unwrap();
    fs::write(path, writer.finish().unwrap()).unwrap();
}

#[test]
fn an_archive_gives_the_same_image_each_time() {
    let bytes = layer(&[("name", b"one")]);
    let diff_id = Sha256::of(&bytes);
    let config = format!(
        r#"{{"os":"linux","architecture":"amd64","rootfs":{{"diff_ids":["sha256:{diff_id}"]}},"config":{{"Env":null}}}}"#
    );
    let list = r#"[{"Config":"c.json","RepoTags":["docker.io/library/app:1"],"Layers":["two/layer.tar"]}]"#;
    let members: &[(&str, &[u8])] = &[("c.json", config.as_bytes()), ("one/layer.tar", &bytes)];
    let digests = ["docker-archive:a.tar", "docker-archive:a.tar:app:1"].map(|reference| {
        let client = Client::of(reference);
        write_archive(&client.folder.path().join("a.tar"), list, members);
        let (root, image) = client.pull().unwrap();
        assert_eq!(client.files(&image), ["/", "/name=one"]);
        root
    });
    assert_eq!(digests[0], digests[1]);
    let client = Client::of("docker-archive:a.tar:app:2");
    write_archive(&client.folder.path().join("a.tar"), list, members);
    client.fails(&["no image of the name \"app:2\"; it has \"docker.io/library/app:1\""]);
    write_archive(&client.folder.path().join("b.tar"), list, &members[..1]);
    Client { reference: ImageReference::parse("docker-archive:b.tar").unwrap(), ..client }.fails(&["is not there"]);
    let client = Client::of("docker-archive:c.tar");
    fs::write(client.folder.path().join("c.tar"), layer(&[("x", b"")])).unwrap();
    client.fails(&["no docker-archive"]);
}
