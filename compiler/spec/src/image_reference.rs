//! References to OCI images as a spec writes them: in a registry, in an image layout, or in a `docker-archive`.
//!
//! Registry references follow the grammar of the distribution project's `reference` package, with the registry always
//! written out: which registry a short name means differs from tool to tool.

use std::fmt;

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageReference {
    /// In a registry.
    Registry(RegistryReference),
    /// In a folder that is an OCI image layout: `oci:PATH[:NAME]`.
    Layout(LocalImage),
    /// In a tar file that holds an OCI image layout: `oci-archive:PATH[:NAME]`.
    OciArchive(LocalImage),
    /// In a tar file as `docker save` and `podman save` write it: `docker-archive:PATH[:NAME:TAG]`.
    Archive(LocalImage),
}

/// An image in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryReference {
    /// Host, with a port where one was written (`docker.io`, `localhost:5000`).
    pub registry: String,
    /// Repository (`library/debian`).
    pub repository: String,
    /// Tag; `latest` where neither a tag nor a digest was written. Ignored where there is a digest.
    pub tag: Option<String>,
    /// Digest, `sha256:` with 64 hexadecimal digits.
    pub digest: Option<String>,
    /// How to speak to the registry, where `http://` or `https://` stands in front.
    pub scheme: Option<Scheme>,
}

/// How a reference says that its registry is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS, also on this machine.
    Https,
}

impl Scheme {
    /// As it stands in front: `https://`.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Http => "http://",
            Self::Https => "https://",
        }
    }
}

/// An image in a file or folder beside the spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalImage {
    /// Its path, seen from the spec's folder.
    pub path: String,
    /// Which of several images.
    pub name: Option<String>,
}

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceProblem {
    /// What is wrong; reads after "the reference".
    pub message: String,
    /// What to write instead.
    pub help: String,
}

const FORMS: &str = "write \"registry.example.org/name:tag\", \"registry.example.org/name@sha256:…\", \
                     \"oci:FOLDER\", \"oci-archive:FILE\" or \"docker-archive:FILE\"";

/// Where other tools keep images too (containers-transports(5)).
const STRANGE: &[&str] = &["dir", "containers-storage", "docker-daemon", "ostree", "sif"];

impl ImageReference {
    /// Reads a reference.
    ///
    /// # Errors
    /// What is wrong with it, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, ReferenceProblem> {
        if let Some(local) = text.strip_prefix("oci:") {
            return local_image(local).map(Self::Layout);
        }
        if let Some(local) = text.strip_prefix("oci-archive:") {
            return local_image(local).map(Self::OciArchive);
        }
        if let Some(local) = text.strip_prefix("docker-archive:") {
            return local_image(local).map(Self::Archive);
        }
        let strange = STRANGE.iter().find(|scheme| text.strip_prefix(**scheme).is_some_and(is_rest_of_scheme));
        if let Some(scheme) = strange {
            let help = format!("copy the image with `skopeo copy {text} oci:image`, and write \"oci:image\"");
            return Err(problem(format!("is of a kind that cannot be read: `{scheme}:`"), help));
        }
        if text.starts_with(['.', '/']) {
            let help = format!(
                "write \"oci:{text}\" for a folder that is an image layout, \"oci-archive:{text}\" or \"docker-archive:{text}\" for a tar file"
            );
            return Err(problem("looks like a path", help));
        }
        registry(text).map(Self::Registry)
    }

    /// The path beside the spec, where it is a local image.
    pub fn local_path(&self) -> Option<&str> {
        match self {
            Self::Registry(_) => None,
            Self::Layout(local) | Self::OciArchive(local) | Self::Archive(local) => Some(&local.path),
        }
    }

    /// The same with another local path.
    pub(crate) fn with_local_path(self, path: &str) -> Self {
        let at = |local: LocalImage| LocalImage { path: path.to_owned(), ..local };
        match self {
            Self::Registry(_) => self,
            Self::Layout(local) => Self::Layout(at(local)),
            Self::OciArchive(local) => Self::OciArchive(at(local)),
            Self::Archive(local) => Self::Archive(at(local)),
        }
    }
}

/// Whether what follows a word makes it a scheme, and not a host with its port.
fn is_rest_of_scheme(rest: &str) -> bool {
    rest.strip_prefix(':').is_some_and(|path| !path.starts_with(|c: char| c.is_ascii_digit()))
}

fn registry(text: &str) -> Result<RegistryReference, ReferenceProblem> {
    let said = |scheme: Scheme| text.strip_prefix(scheme.prefix()).map(|rest| (Some(scheme), rest));
    let (scheme, rest) = said(Scheme::Http)
        .or_else(|| said(Scheme::Https))
        .unwrap_or_else(|| (None, text.strip_prefix("docker://").unwrap_or(text)));
    let (rest, digest) = match rest.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (rest, None),
    };
    if let Some(digest) = digest.filter(|digest| !is_digest(digest)) {
        return Err(problem(
            format!("has a digest that is none: `{digest}`"),
            "a digest is sha256: and 64 digits".into(),
        ));
    }
    let Some((host, path)) = rest.split_once('/').filter(|(host, _)| is_host(host)) else {
        let name = if rest.contains('/') { rest.to_owned() } else { format!("library/{rest}") };
        return Err(problem("names no registry", format!("for Docker Hub write \"docker.io/{name}\"; else {FORMS}")));
    };
    let (repository, tag) = match path.rsplit_once(':') {
        Some((repository, tag)) => (repository, Some(tag)),
        None => (path, None),
    };
    if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
        return Err(problem(format!("has a tag that is none: `{tag}`"), FORMS.to_owned()));
    }
    if !is_repository(repository) {
        let help = "repositories are lower-case letters and digits, with `.`, `_`, `-` and `/` between them";
        return Err(problem(format!("has a repository that is none: `{repository}`"), help.to_owned()));
    }
    let latest = digest.is_none().then_some("latest");
    Ok(RegistryReference {
        registry: host.to_owned(),
        repository: repository.to_owned(),
        tag: tag.or(latest).map(str::to_owned),
        digest: digest.map(str::to_owned),
        scheme,
    })
}

fn local_image(text: &str) -> Result<LocalImage, ReferenceProblem> {
    let (path, name) = match text.split_once(':') {
        Some((path, name)) => (path, Some(name)),
        None => (text, None),
    };
    if path.is_empty() || name == Some("") {
        return Err(problem("lacks a path or a name", FORMS.to_owned()));
    }
    Ok(LocalImage { path: path.to_owned(), name: name.map(str::to_owned) })
}

fn problem(message: impl Into<String>, help: String) -> ReferenceProblem {
    ReferenceProblem { message: message.into(), help }
}

/// Whether this is a digest of the one kind that every registry has.
fn is_digest(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Whether the part before the first slash is a registry: it has a dot or a port, or is this machine.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            let inside =
                !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.');
            return inside && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !label.starts_with('-')
    };
    let named = host.contains('.') || port.is_some() || host == "localhost";
    named && host.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port != 0) && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn is_repository(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let part = |part: &str| {
        part.bytes().next().is_some_and(plain)
            && part.bytes().next_back().is_some_and(plain)
            && part.bytes().all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'))
            && !part.contains("..")
    };
    text.len() <= 255 && text.split('/').all(part)
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(registry) => registry.fmt(f),
            Self::Layout(local) => write!(f, "oci:{local}"),
            Self::OciArchive(local) => write!(f, "oci-archive:{local}"),
            Self::Archive(local) => write!(f, "docker-archive:{local}"),
        }
    }
}

impl fmt::Display for RegistryReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.scheme.map_or("", Scheme::prefix);
        write!(f, "{scheme}{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for LocalImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}:{name}", self.path),
            None => f.write_str(&self.path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: Result<&str, &str>) {
        let got = ImageReference::parse(text);
        match (&got, want) {
            (Ok(reference), Ok(want)) => {
                assert_eq!(reference.to_string(), want);
                assert_eq!(ImageReference::parse(want).as_ref(), Ok(reference), "{want}");
            }
            (Err(problem), Err(want)) => {
                assert!(format!("{} / {}", problem.message, problem.help).contains(want), "{text}: {problem:?}");
            }
            _ => panic!("{text}: {got:?}, not {want:?}"),
        }
    }

    #[test]
    fn references_are_read_and_written_back() {
        let digest = format!("sha256:{}", "a".repeat(64));
        check("docker.io/library/debian:12", Ok("docker.io/library/debian:12"));
        check("docker://quay.io/a/b", Ok("quay.io/a/b:latest"));
        check("localhost:5000/app", Ok("localhost:5000/app:latest"));
        check("localhost/app:v1", Ok("localhost/app:v1"));
        check("[::1]:5000/app:v1", Ok("[::1]:5000/app:v1"));
        check("http://10.0.0.1/app:v1", Ok("http://10.0.0.1/app:v1"));
        check("https://127.0.0.1:5471/app:v1", Ok("https://127.0.0.1:5471/app:v1"));
        check(&format!("ghcr.io/a/b@{digest}"), Ok(&format!("ghcr.io/a/b@{digest}")));
        check(&format!("ghcr.io/a/b:1@{digest}"), Ok(&format!("ghcr.io/a/b:1@{digest}")));
        check("oci:images/base", Ok("oci:images/base"));
        check("oci:images/base:app:1.0", Ok("oci:images/base:app:1.0"));
        check("oci-archive:base.tar:v1", Ok("oci-archive:base.tar:v1"));
        check("docker-archive:base.tar:app:1", Ok("docker-archive:base.tar:app:1"));
    }

    #[test]
    fn what_is_no_reference_is_refused_with_a_proposal() {
        check("debian:12", Err("docker.io/library/debian:12"));
        check("bitnami/redis", Err("docker.io/bitnami/redis"));
        check("./layout", Err("oci:./layout"));
        check("quay.io/Name:1", Err("lower-case"));
        check("quay.io/a:", Err("tag"));
        check("quay.io/a:b c", Err("tag"));
        check("quay.io/a/../b", Err("repository"));
        check("quay.io/a@sha256:12", Err("digest"));
        check("quay.io:99999/a", Err("names no registry"));
        check("", Err("names no registry"));
        check("oci:", Err("lacks a path"));
        check("oci-archive:", Err("lacks a path"));
        check("dir:image", Err("skopeo copy dir:image oci:image"));
        check("docker-daemon:app:1", Err("cannot be read: `docker-daemon:`"));
        check("oci:x:", Err("lacks a path"));
    }
}
