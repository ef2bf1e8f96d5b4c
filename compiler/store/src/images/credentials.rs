//! Who asks: credentials from the files that container tools share, and from the helpers that these name.
//!
//! Formats: containers-auth.json(5), and Docker's `config.json`, which has the same fields. Helpers: the protocol of
//! docker-credential-helpers, `get` with the server's name on standard input and JSON on standard output.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::RegistryError;

/// Files of credentials and answers of helpers are small.
const LIMIT_BYTES: u64 = 1 << 20;

/// Under which name Docker Hub stands in such files.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credential {
    /// A name and a password.
    Password { user: String, secret: String },
    /// A token that other tokens are given for.
    Identity(String),
}

/// Never shows a secret.
impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential")
    }
}

/// What a file of credentials says. Secrets stay as the file has them until they are used.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AuthFile {
    /// By registry or part of one: the encoded pair, and an identity token.
    auths: BTreeMap<String, (String, String)>,
    /// Helpers by registry.
    helpers: BTreeMap<String, String>,
    /// The helper for all others.
    store: Option<String>,
}

/// Reads a file of credentials; `None` when it is none.
pub fn read_auth_file(bytes: &[u8]) -> Option<AuthFile> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let members = |name: &str| value.get(name).and_then(Value::as_object).into_iter().flatten();
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let auths = members("auths").map(|(key, entry)| (key.clone(), (text(entry, "auth"), text(entry, "identitytoken"))));
    let helpers =
        members("credHelpers").filter_map(|(key, helper)| Some((key.clone(), helper.as_str()?.to_owned()))).collect();
    let store = text(&value, "credsStore");
    value.is_object().then(|| AuthFile {
        auths: auths.collect(),
        helpers,
        store: Some(store).filter(|name| !name.is_empty()),
    })
}

impl Credential {
    /// The value of an `Authorization` header; `None` for what is no password.
    pub(super) fn basic(&self) -> Option<String> {
        match self {
            Self::Password { user, secret } => Some(format!("Basic {}", encode(format!("{user}:{secret}").as_bytes()))),
            Self::Identity(_) => None,
        }
    }
}

/// The credential of the first file that has one for this repository.
///
/// # Errors
/// When a file or a helper that should have one cannot be used.
pub(super) fn find(files: &[PathBuf], registry: &str, repository: &str) -> Result<Option<Credential>, RegistryError> {
    let wrong = |what: String| RegistryError::Credentials { host: registry.to_owned(), what };
    for path in files {
        let read = read(path).map_err(|error| wrong(format!("{}: {error}", path.display())))?;
        let Some(bytes) = read else {
            if let [only] = files {
                let what = "is not there, and no other file counts where REGISTRY_AUTH_FILE names one";
                return Err(wrong(format!("{} {what}", only.display())));
            }
            continue;
        };
        let file =
            read_auth_file(&bytes).ok_or_else(|| wrong(format!("{} is not JSON as it should be", path.display())))?;
        let found = of_file(&file, registry, repository);
        if let Some(found) = found.map_err(|what| wrong(format!("{}: {what}", path.display())))? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn of_file(file: &AuthFile, registry: &str, repository: &str) -> Result<Option<Credential>, String> {
    let server = if registry == "docker.io" { HUB_KEY } else { registry };
    if let Some(helper) = file.helpers.get(server).or_else(|| file.helpers.get(registry)) {
        return ask(helper, server);
    }
    // The most exact name first: containers-auth.json(5) allows namespaces and repositories.
    let exact = format!("{registry}/{repository}");
    let names = std::iter::successors(Some(exact.as_str()), |name| name.rsplit_once('/').map(|(above, _)| above));
    for name in names.chain([server]) {
        let entry = file.auths.iter().find(|(key, _)| key.as_str() == name || bare(key) == name);
        if let Some((key, (auth, identity))) = entry {
            let found = credential(auth, identity);
            let found = found.map_err(|what| format!("`auth` of \"{}\" {what}", key.escape_debug()))?;
            if found.is_some() {
                return Ok(found);
            }
        }
    }
    match &file.store {
        Some(helper) => ask(helper, server),
        None => Ok(None),
    }
}

/// Docker writes some registries as URLs.
fn bare(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    key.split_once("/v").map_or(key, |(host, _)| host).trim_end_matches('/')
}

/// What an entry of a file says; an empty one leaves it to a helper.
fn credential(auth: &str, identity: &str) -> Result<Option<Credential>, &'static str> {
    if !identity.is_empty() {
        return Ok(Some(Credential::Identity(identity.to_owned())));
    }
    if auth.is_empty() {
        return Ok(None);
    }
    let pair = decode(auth).and_then(|bytes| String::from_utf8(bytes).ok()).ok_or("is no text in base 64")?;
    let (user, secret) = pair.trim_end_matches('\0').split_once(':').ok_or("is no NAME:PASSWORD in base 64")?;
    Ok(Some(Credential::Password { user: user.to_owned(), secret: secret.to_owned() }))
}

/// Asks a helper; one that knows nothing of the server is no error.
fn ask(helper: &str, server: &str) -> Result<Option<Credential>, String> {
    if helper.is_empty() || !helper.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        return Err(format!("`{}` is no name of a credential helper", helper.escape_debug()));
    }
    let program = format!("docker-credential-{helper}");
    let told = |error: std::io::Error| format!("run {program}: {error}");
    let mut command = Command::new(&program);
    let mut child =
        command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(told)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read is judged by what it answers.
        let _ = stdin.write_all(server.as_bytes());
    }
    let mut out = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(LIMIT_BYTES).read_to_end(&mut out).map_err(told)?;
    }
    let status = child.wait().map_err(told)?;
    if !status.success() {
        let said = String::from_utf8_lossy(&out).to_lowercase();
        let unknown = said.contains("not found") || said.contains("no credentials");
        return if unknown { Ok(None) } else { Err(format!("{program} failed ({status})")) };
    }
    let value: Value = serde_json::from_slice(&out).map_err(|_| format!("{program} answered no JSON"))?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let (user, secret) =
        text("Username").zip(text("Secret")).ok_or_else(|| format!("{program} answered no credentials"))?;
    // The name that helpers give to an identity token.
    Ok(Some(if user == "<token>" { Credential::Identity(secret) } else { Credential::Password { user, secret } }))
}

fn read(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    if !fs::exists(path)? {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LIMIT_BYTES).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base 64 (RFC 4648, section 4).
fn encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().enumerate().fold(0u32, |word, (at, byte)| word | u32::from(*byte) << (16 - 8 * at));
        for at in 0..4 {
            let letter = ALPHABET[(word >> (18 - 6 * at)) as usize & 63];
            out.push(if at <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let (mut word, mut bits, mut out) = (0u32, 0, Vec::new());
    for letter in text.trim().trim_end_matches('=').bytes() {
        let value = ALPHABET.iter().position(|known| *known == letter)?;
        word = word << 6 | value as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_64_goes_both_ways() {
        for (plain, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(encode(plain.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(plain.as_bytes()));
        }
        assert_eq!(decode("Z!"), None);
    }

    fn check(file: &str, registry: &str, repository: &str, want: Result<Option<&str>, &str>) {
        let file = read_auth_file(file.as_bytes()).unwrap();
        let got = of_file(&file, registry, repository).map(|found| {
            found.map(|found| match found {
                Credential::Password { user, secret } => format!("{user}:{secret}"),
                Credential::Identity(token) => format!("token {token}"),
            })
        });
        match want {
            Ok(want) => assert_eq!(got, Ok(want.map(str::to_owned))),
            Err(want) => assert!(got.as_ref().is_err_and(|error| error.contains(want)), "{got:?}"),
        }
    }

    #[test]
    fn the_most_exact_entry_counts() {
        let file = r#"{"auths": {
            "reg.example.org": {"auth": "YTox"}, "reg.example.org/team/app": {"auth": "YToy"},
            "https://index.docker.io/v1/": {"auth": "aHViOjM="}, "https://old.example.org/v2/": {"auth": "YTo0"},
            "id.example.org": {"identitytoken": "xyz"}, "empty.example.org": {},
            "broken.example.org": {"auth": "me:secret"}, "lone.example.org": {"auth": "bWU="}}}"#;
        check(file, "reg.example.org", "team/app", Ok(Some("a:2")));
        check(file, "reg.example.org", "team/other", Ok(Some("a:1")));
        check(file, "docker.io", "library/debian", Ok(Some("hub:3")));
        check(file, "old.example.org", "x", Ok(Some("a:4")));
        check(file, "id.example.org", "x", Ok(Some("token xyz")));
        check(file, "empty.example.org", "x", Ok(None));
        check(file, "other.example.org", "x", Ok(None));
        check(file, "broken.example.org", "x", Err("`auth` of \"broken.example.org\" is no text in base 64"));
        check(file, "lone.example.org", "x", Err("`auth` of \"lone.example.org\" is no NAME:PASSWORD"));
        check(r#"{"credsStore": "no/such"}"#, "reg.example.org", "x", Err("no name of a credential helper"));
        check(
            r#"{"credHelpers": {"a.example.org": "none-here-x"}}"#,
            "a.example.org",
            "x",
            Err("docker-credential-none-here-x"),
        );
        check(r#"{"credHelpers": {"a.example.org": "none-here-x"}}"#, "b.example.org", "x", Ok(None));
        assert!(read_auth_file(b"[]").is_none() && read_auth_file(b"{").is_none());
    }
}
