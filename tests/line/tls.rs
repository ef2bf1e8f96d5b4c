//! TLS to mirrors and registries, with an authority of one's own: it counts where SSL_CERT_FILE names it and nowhere else, and
//! what to do is said where it is unknown.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

use crate::layout::Image;
use crate::server::Server;
use crate::support::{skip, tool};
use crate::world::{Done, World};

/// Makes an authority and a certificate of it for 127.0.0.1.
const AUTHORITY: &str = "
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj '/CN=toy authority' -days 30
openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj '/CN=127.0.0.1'
printf 'subjectAltName=IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > extensions
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -set_serial 2 -days 30 -extfile extensions -out server.pem
";

/// A world with an authority, and the TLS of a server that it vouches for.
fn world(test: &str) -> Option<(World, rustls::ServerConfig)> {
    if tool("openssl").is_none() {
        skip(test, "there is no openssl");
        return None;
    }
    let world = World::new();
    let made = Command::new("sh").args(["-e", "-c", AUTHORITY]).current_dir(world.path("")).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let tls = tls(&world, "server", false);
    Some((world, tls))
}

/// The TLS of a server with this certificate, which may ask for one that the authority vouches for.
fn tls(world: &World, name: &str, asks: bool) -> rustls::ServerConfig {
    let file = |name: &str, kind: &str| world.path(&format!("{name}.{kind}"));
    let certificate = |name: &str| CertificateDer::from_pem_file(file(name, "pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file(name, "key")).unwrap();
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(ring.clone()).with_safe_default_protocol_versions();
    let config = match asks {
        true => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(certificate("ca")).unwrap();
            let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), ring).build().unwrap();
            config.unwrap().with_client_cert_verifier(clients)
        }
        false => config.unwrap().with_no_client_auth(),
    };
    config.with_single_cert(vec![certificate(name)], key).unwrap()
}

/// A registry with a good image, `team/app:v1`, and a spec that stands on it; the folder of its certificates is made.
fn registry(world: &World, tls: rustls::ServerConfig) -> (Server, PathBuf) {
    Image::good().publish(&world.path("registry"), "team/app", "v1");
    let server = Server::with_tls(world.path("registry"), tls);
    for old in ["cache", "spec/out"] {
        let _ = fs::remove_dir_all(world.path(old));
    }
    let _ = fs::remove_file(world.path("spec/appliance.lock"));
    world.spec_text(format!(
        "appliance \"above\" version=\"1\" {{\n    base \"oci\" \"{}/team/app:v1\"\n    arch \"amd64\"\n    output \"oci\"\n}}\n",
        server.address
    ));
    let folder = world.path("home/.config/containers/certs.d").join(&server.address);
    fs::create_dir_all(&folder).unwrap();
    (server, folder)
}

/// A build with these authorities; nobody is hurried.
fn build(world: &World, authorities: PathBuf) -> Done {
    let mut command = world.command(&["build"]);
    command.env("APPLIANCE_PATIENCE_MS", "20000").env("SSL_CERT_FILE", authorities);
    // A proxy that is not there: this machine itself is spoken to without one.
    command.env("http_proxy", "http://127.0.0.1:9").env("https_proxy", "http://127.0.0.1:9");
    Done::of(command.output().unwrap())
}

/// Without the authority this fails with what to do, with it all goes well.
#[track_caller]
fn check(world: &World, words: &[&str]) {
    let other = world.path("other.pem");
    let made = "openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -subj /CN=other -days 30";
    assert!(Command::new("sh").args(["-c", made]).current_dir(world.path("")).output().unwrap().status.success());
    let unknown = [words, &["invalid peer certificate", "help: is the address right?", "SSL_CERT_FILE=FILE"]].concat();
    build(world, other).fails(5, &unknown);
    let none = [words, &["this machine has no certificate authorities", "SSL_CERT_FILE"]].concat();
    build(world, world.path("not-there.pem")).fails(5, &none);
    assert_eq!(world.traces(), [""; 0]);
    build(world, world.path("ca.pem")).succeeds();
}

#[test]
fn a_mirror_is_spoken_to_over_tls_where_its_authority_is_known() {
    let Some((mut world, tls)) = world("a_mirror_is_spoken_to_over_tls_where_its_authority_is_known") else { return };
    let server = Server::with_tls(world.archive.folder.clone(), tls);
    world.set_mirror(&server.url);
    world.spec("    packages \"toy-conf\"\n    output \"oci\"");
    check(&world, &["the release of toy one", &server.address]);
    assert!(server.log().iter().any(|path| path.ends_with(".deb")), "{:?}", server.log());
}

#[test]
fn a_registry_has_authorities_of_its_own_where_podman_looks() {
    let test = "a_registry_has_authorities_of_its_own_where_podman_looks";
    let Some((world, tls)) = world(test) else { return };
    let (server, folder) = registry(&world, tls);
    let nobody = world.path("not-there.pem");
    // What stands there for others counts for nothing, and neither do other files.
    let others = folder.with_file_name("127.0.0.1:1");
    for (folder, name) in [(&others, "ca.crt"), (&folder, "ca.pem")] {
        fs::create_dir_all(folder).unwrap();
        fs::copy(world.path("ca.pem"), folder.join(name)).unwrap();
    }
    build(&world, nobody.clone()).fails(5, &["appliance.kdl:2:", "this machine has no certificate authorities"]);
    let file = folder.join("ca.crt");
    for broken in ["", "no certificate\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        fs::write(&file, broken).unwrap();
        let words = ["appliance.kdl:2:", "trust 127.0.0.1:", "help: correct the file", &folder.display().to_string()];
        build(&world, nobody.clone()).fails(5, &words);
    }
    fs::remove_file(&file).unwrap();
    fs::copy(world.path("ca.pem"), &file).unwrap();
    build(&world, nobody).succeeds();
    assert!(server.log().iter().any(|path| path.contains("/blobs/")), "{:?}", server.log());
}

#[test]
fn a_certificate_that_signs_itself_is_taken_where_it_stands_in_the_folder() {
    let Some((world, _)) = world("a_certificate_that_signs_itself_is_taken_where_it_stands_in_the_folder") else {
        return;
    };
    for (name, at) in [("own", "127.0.0.1"), ("twin", "127.0.0.1"), ("elsewhere", "127.0.0.2")] {
        let made = format!(
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.pem -subj /CN=registry -days 30 \
             -addext subjectAltName=IP:{at}"
        );
        let made = Command::new("sh").args(["-c", &made]).current_dir(world.path("")).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    let check = |shown: &str, known: &str| {
        let (_server, folder) = registry(&world, tls(&world, shown, false));
        fs::copy(world.path(&format!("{known}.pem")), folder.join("ca.crt")).unwrap();
        build(&world, world.path("ca.pem"))
    };
    check("own", "own").succeeds();
    check("own", "twin").fails(5, &["invalid peer certificate", "help: is the address right?", "certs.d/127.0.0.1:"]);
    check("elsewhere", "elsewhere").fails(5, &["not valid for name"]);
}

#[test]
fn a_registry_that_asks_who_speaks_is_shown_what_stands_in_the_folder() {
    let Some((world, _)) = world("a_registry_that_asks_who_speaks_is_shown_what_stands_in_the_folder") else { return };
    let (server, folder) = registry(&world, tls(&world, "server", true));
    fs::copy(world.path("ca.pem"), folder.join("ca.crt")).unwrap();
    let authorities = || world.path("ca.pem");
    let told = build(&world, authorities()).fails(5, &["appliance.kdl:2:", "pull the image", &server.address]);
    // Where the connection was gone before its last word was read, nothing tells why.
    let is_told = told.stderr.contains("client.cert with its key as client.key");
    assert_eq!(told.stderr.contains("fatal alert"), is_told, "{}", told.stderr);
    fs::copy(world.path("server.pem"), folder.join("client.cert")).unwrap();
    let key = folder.join("client.key");
    build(&world, authorities()).fails(5, &[&key.display().to_string(), "help: correct the file"]);
    fs::copy(world.path("server.key"), &key).unwrap();
    build(&world, authorities()).succeeds();
}

#[test]
fn a_registry_is_spoken_to_over_tls_where_its_authority_is_known() {
    let Some((world, tls)) = world("a_registry_is_spoken_to_over_tls_where_its_authority_is_known") else { return };
    Image::good().publish(&world.path("registry"), "team/app", "v1");
    let server = Server::with_tls(world.path("registry"), tls);
    for scheme in ["", "https://"] {
        world.spec_text(format!(
            "appliance \"above\" version=\"1\" {{\n    base \"oci\" \"{scheme}{}/team/app:v1\"\n    arch \"amd64\"\n    output \"oci\"\n}}\n",
            server.address
        ));
        for old in ["cache", "spec/out"] {
            let _ = fs::remove_dir_all(world.path(old));
        }
        let _ = fs::remove_file(world.path("spec/appliance.lock"));
        check(&world, &["appliance.kdl:2:", "pull the image", &server.address]);
    }
}
