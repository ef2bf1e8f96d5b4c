//! Which mirrors serve an archive, in the order in which they are asked. No host is built in.
//!
//! Trust never comes from a mirror: what it sends is verified against signed indexes.

mod apt;
mod host;

pub use apt::{AptSource, parse_deb822, parse_one_line};
pub use host::host_sources;

/// An archive that mirrors are wanted for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Its name (`debian-security`): the last part, or parts, of the path of every mirror of it.
    pub archive: &'a str,
    /// The suites that are read.
    pub suites: &'a [&'a str],
    /// The URL that the spec gives for it; nothing else is asked then.
    pub repository_url: Option<&'a str>,
    /// The mirrors that the base image lists.
    pub listed: &'a [String],
}

/// What was said about mirrors outside the spec and the base image.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// By the command line or `APPLIANCE_MIRROR`: `URL`, or `ARCHIVE=URL` for one archive only.
    pub given: Vec<String>,
    /// By the user's configuration file, in the same form.
    pub configured: Vec<String>,
    /// By the host's own package manager, from [`host_sources`].
    pub host: Vec<AptSource>,
}

/// The root URLs of an archive's mirrors, without a slash at the end, in the order to ask; each once.
///
/// The spec's own URL stands alone. Else those that were given come first, then the user's configuration, the host's own
/// and those of the base image: one that fails is no reason to give up, since none is trusted.
pub fn find(wanted: Wanted, known: &Known) -> Vec<String> {
    if let Some(url) = wanted.repository_url {
        return vec![url.trim_end_matches('/').to_owned()];
    }
    let serves = |source: &&AptSource| source.is_usable() && ends_with_parts(&source.uri, wanted.archive);
    let (with, without): (Vec<_>, Vec<_>) = known
        .host
        .iter()
        .filter(serves)
        .partition(|source| source.suites.iter().any(|suite| wanted.suites.contains(&suite.as_str())));
    let host = with.into_iter().chain(without).map(|source| source.uri.clone());
    let named = known.given.iter().chain(&known.configured).flat_map(|text| applied(text, wanted.archive));
    let mut out: Vec<String> = Vec::new();
    for url in named.chain(host).chain(wanted.listed.iter().cloned()) {
        let url = url.trim_end_matches('/').to_owned();
        if !out.contains(&url) {
            out.push(url);
        }
    }
    out
}

/// What a mirror that a user names means for an archive.
fn applied(text: &str, archive: &str) -> Vec<String> {
    // A registry of images, which no package is in, may come with its port.
    let is_name = |name: &str| !name.is_empty() && !name.contains(['/', '?']);
    match text.split_once('=').filter(|(name, _)| is_name(name)) {
        Some((name, url)) if name == archive => vec![url.to_owned()],
        Some(_) => Vec::new(),
        None if ends_with_parts(text, archive) => vec![text.to_owned()],
        // A mirror of many archives has each in a folder of its name; a mirror of one may be named in any way.
        None => vec![format!("{}/{archive}", text.trim_end_matches('/')), text.to_owned()],
    }
}

fn ends_with_parts(url: &str, archive: &str) -> bool {
    let url = url.trim_end_matches('/');
    url.strip_suffix(archive).is_some_and(|rest| rest.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(uri: &str, suites: &[&str]) -> AptSource {
        AptSource { uri: uri.to_owned(), suites: suites.iter().map(|&suite| suite.to_owned()).collect() }
    }

    fn check(repository_url: Option<&str>, known: &Known, archive: &str, expected: &[&str]) {
        let listed = ["http://base.example.org/debian/".to_owned()];
        let wanted = Wanted { archive, suites: &["bookworm"], repository_url, listed: &listed };
        assert_eq!(find(wanted, known), expected);
    }

    #[test]
    fn what_was_named_is_asked_first_and_then_what_was_found() {
        let mut known = Known {
            given: vec!["http://given.example.org/debian/".into()],
            configured: vec!["debian=http://configured.example.org/x".into(), "other=http://other.example.org".into()],
            host: vec![
                source("http://trixie.example.org/debian", &["trixie"]),
                source("http://host.example.org/debian/", &["bookworm", "bookworm-updates"]),
                source("http://host.example.org/debian-security", &["bookworm"]),
                source("cdrom:/debian", &["bookworm"]),
            ],
        };
        check(Some("https://repo.example.com/x/"), &known, "debian", &["https://repo.example.com/x"]);
        let order = [
            "http://given.example.org/debian",
            "http://configured.example.org/x",
            "http://host.example.org/debian",
            "http://trixie.example.org/debian",
            "http://base.example.org/debian",
        ];
        check(None, &known, "debian", &order);
        known.given.clear();
        check(None, &known, "debian", &order[1..]);
        known.configured.clear();
        check(None, &known, "debian", &order[2..]);
        // One that is named twice is asked once.
        known.given = vec!["http://base.example.org/debian".into()];
        check(None, &known, "debian", &[&order[4..], &order[2..4]].concat());
    }

    #[test]
    fn a_mirror_of_many_archives_has_folders() {
        let known = Known { given: vec!["/srv/mirror".into()], ..Known::default() };
        let images = Known { given: vec!["localhost:5000=http://m.example.org".into()], ..Known::default() };
        check(None, &images, "debian-security", &["http://base.example.org/debian"]);
        let own = ["/srv/mirror/debian-security", "/srv/mirror", "http://base.example.org/debian"];
        check(None, &known, "debian-security", &own);
    }
}
