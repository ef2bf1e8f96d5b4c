//! The two forms of apt's source lists, sources.list(5): one line an entry, and deb822 stanzas. Text in, values out.

/// One source of binary packages that apt is configured to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AptSource {
    /// Its URI as written.
    pub uri: String,
    /// Its suites.
    pub suites: Vec<String>,
}

impl AptSource {
    /// Whether its URI is one that this program can fetch from.
    pub fn is_usable(&self) -> bool {
        ["http://", "https://", "file:"].iter().any(|scheme| self.uri.starts_with(scheme))
    }
}

/// Reads a `.list` file: `deb [options] URI SUITE [COMPONENT…]`. Lines of any other shape are passed over,
/// as a host's configuration is not ours to judge.
pub fn parse_one_line(text: &str) -> Vec<AptSource> {
    let source = |line: &str| {
        let line = line.split('#').next()?.trim();
        let rest = line.strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t', '[']))?.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => rest,
        };
        let mut words = rest.split_whitespace();
        Some(AptSource { uri: words.next()?.to_owned(), suites: vec![words.next()?.to_owned()] })
    };
    text.lines().filter_map(source).collect()
}

/// Reads a `.sources` file: stanzas with `Types`, `URIs`, `Suites` and perhaps `Enabled`.
pub fn parse_deb822(text: &str) -> Vec<AptSource> {
    let mut stanzas: Vec<Vec<(String, String)>> = vec![Vec::new()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.trim().is_empty() {
            stanzas.push(Vec::new());
        } else if let Some(stanza) = stanzas.last_mut() {
            match (line.starts_with([' ', '\t']), stanza.last_mut(), line.split_once(':')) {
                (true, Some((_, value)), _) => {
                    value.push(' ');
                    value.push_str(line.trim());
                }
                (false, _, Some((name, value))) => {
                    stanza.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
                }
                _ => {}
            }
        }
    }
    stanzas.iter().flat_map(|stanza| sources(stanza)).collect()
}

fn sources(stanza: &[(String, String)]) -> Vec<AptSource> {
    let words = |field: &str| -> Vec<String> {
        let value = stanza.iter().find(|(name, _)| name == field).map_or("", |(_, value)| value);
        value.split_whitespace().map(str::to_owned).collect()
    };
    let disabled = words("enabled").first().is_some_and(|word| {
        matches!(word.to_ascii_lowercase().as_str(), "no" | "false" | "0" | "off" | "without" | "disable")
    });
    if disabled || !words("types").contains(&"deb".to_owned()) {
        return Vec::new();
    }
    let suites = words("suites");
    words("uris").into_iter().map(|uri| AptSource { uri, suites: suites.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sources: &[AptSource], expected: &[(&str, &[&str])]) {
        let found: Vec<_> =
            sources.iter().map(|s| (s.uri.as_str(), s.suites.iter().map(String::as_str).collect::<Vec<_>>())).collect();
        let expected: Vec<_> = expected.iter().map(|(uri, suites)| (*uri, suites.to_vec())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn lines_are_read() {
        let text = "# comment\ndeb http://a.example.org/debian bookworm main # more\n\
            deb-src http://b.example.org/debian bookworm main\n\
            deb [ arch=amd64 signed-by=/k.gpg ] https://c.example.org/debian/ bookworm-updates main contrib\n\
            deb\ndebx y z\n";
        check(
            &parse_one_line(text),
            &[("http://a.example.org/debian", &["bookworm"]), ("https://c.example.org/debian/", &["bookworm-updates"])],
        );
    }

    #[test]
    fn stanzas_are_read() {
        let text = "# comment\nTypes: deb deb-src\nURIs: http://a.example.org/debian\n http://b.example.org/debian\n\
            # within\nSuites: bookworm\n bookworm-updates\nComponents: main\nSigned-By:\n -----BEGIN PGP\n .\n\n\n\
            Types: deb\nEnabled: no\nURIs: http://c.example.org\nSuites: x\n\nTypes: deb-src\nURIs: http://d.example.org\nSuites: x\n\n\
            types: deb\nuris: http://e.example.org/ubuntu\nsuites: noble";
        check(
            &parse_deb822(text),
            &[
                ("http://a.example.org/debian", &["bookworm", "bookworm-updates"]),
                ("http://b.example.org/debian", &["bookworm", "bookworm-updates"]),
                ("http://e.example.org/ubuntu", &["noble"]),
            ],
        );
        assert_eq!(parse_deb822(" : \n:\n\tx\n"), []);
    }
}
