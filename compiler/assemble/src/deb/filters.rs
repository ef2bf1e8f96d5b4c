//! dpkg's path filters: what slim images leave out of packages (`path-exclude`, `path-include` in dpkg(1), "OPTIONS").
//! Input: the configuration of dpkg in the tree. A path that is left out stays in the package's list, as dpkg has it.

use tree::{Kind, Node, TreePath};

use crate::files::{Files, PathProblem};

/// dpkg's configuration: the files of the folder come first (dpkg.cfg(5), "FILES").
const FOLDER: &str = "/etc/dpkg/dpkg.cfg.d";
const FILE: &str = "/etc/dpkg/dpkg.cfg";

/// The filters in the order in which they are read; of those that name a path the last one counts.
#[derive(Debug, Default)]
pub(crate) struct Filters(Vec<Filter>);

#[derive(Debug)]
struct Filter {
    pattern: Vec<u8>,
    includes: bool,
}

impl Filters {
    /// Reads the filters of the tree; none where dpkg is not configured.
    pub fn load(files: &Files<'_>) -> Result<Self, PathProblem> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let names = files.names_in(FOLDER).into_iter().filter(|name| name.chars().all(plain));
        let paths = names.map(|name| format!("{FOLDER}/{name}")).chain([FILE.to_owned()]);
        let mut filters = Vec::new();
        for path in paths.filter(|path| files.exists(path)) {
            filters.extend(files.read_text(path)?.lines().filter_map(filter));
        }
        Ok(Self(filters))
    }

    /// Whether a package's entry at this path is left out. A folder, or a link that may lead to one, stays where something
    /// below it may be included again.
    pub fn leaves_out(&self, path: &TreePath, node: &Node) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let name = [b"/", path.as_bytes()].concat();
        let last = self.0.iter().rev().find(|filter| shell::matches(&filter.pattern, &name));
        if last.is_none_or(|filter| filter.includes) {
            return false;
        }
        let leads_on = matches!(node.kind, Kind::Dir | Kind::Symlink(_));
        let is_needed = |filter: &Filter| filter.includes && name.starts_with(fixed_part(&filter.pattern));
        !(leads_on && self.0.iter().any(is_needed))
    }
}

/// A line `path-exclude=PATTERN`, with a space or a `=` between, the pattern perhaps in quotes.
fn filter(line: &str) -> Option<Filter> {
    let line = line.trim();
    let (name, value) = line.split_at(line.find(['=', ' ', '\t'])?);
    let value = value.trim_start_matches(['=', ' ', '\t']);
    let quoted = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    let pattern = quoted('"').or_else(|| quoted('\'')).unwrap_or(value).as_bytes().to_vec();
    match name {
        "path-exclude" => Some(Filter { pattern, includes: false }),
        "path-include" => Some(Filter { pattern, includes: true }),
        _ => None,
    }
}

/// What stands before the first wildcard, without slashes at its end.
fn fixed_part(pattern: &[u8]) -> &[u8] {
    let end = pattern.iter().position(|byte| b"*?[\\".contains(byte)).unwrap_or(pattern.len());
    let fixed = pattern.get(..end).unwrap_or_default();
    let kept = fixed.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
    fixed.get(..kept).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_filter_counts_and_folders_on_the_way_stay() {
        let text = "# slim\npath-exclude=/usr/share/doc/*\npath-include /usr/share/doc/*/copyright\n\
            path-exclude=\"/usr/share/man/*\"\nforce-unsafe-io\n";
        let filters = Filters(text.lines().filter_map(filter).collect());
        let out = |path: &str, node: Node| filters.leaves_out(&TreePath::new(path).unwrap(), &node);
        assert!(out("usr/share/doc/a/README", Node::file(0o644, "")));
        assert!(!out("usr/share/doc/a/copyright", Node::file(0o644, "")));
        assert!(!out("usr/share/doc/a", Node::dir(0o755)));
        assert!(!out("usr/share/doc/b", Node::symlink("a")));
        assert!(out("usr/share/man/man1", Node::dir(0o755)));
        assert!(out("usr/share/man/man1/x.1.gz", Node::symlink("y")));
        assert!(!out("usr/share/man", Node::dir(0o755)));
        assert!(!out("usr/bin/x", Node::file(0o755, "")));
    }
}
