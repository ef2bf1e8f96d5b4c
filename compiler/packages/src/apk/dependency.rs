//! Dependencies (apk-world(5)): `name`, `name>=1.2`, `name~1.2`, `!name`, `name@tag`, of packages and of what they
//! provide: `so:libz.so.1`, `cmd:sh`, `pc:zlib`, `/bin/sh`. Not copied.

use spec::appliance::{Relation, VersionRule};

use crate::apk::version::is_version;
use crate::rules::Constraint;

/// One dependency, or one provided name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dependency<'a> {
    /// Whether it must not be there.
    pub is_conflict: bool,
    /// Its name, with the kind before it where it is no package's own (`so:`, `cmd:`, `pc:`).
    pub name: &'a str,
    /// The tag of the repository that it must come from.
    pub tag: Option<&'a str>,
    /// Version rule.
    pub rule: Option<Rule<'a>>,
}

/// A version rule of a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule<'a> {
    /// The relation; [`Relation::Equal`] where only the start is compared.
    pub relation: Relation,
    /// Whether it is enough that a version begins like this one (`~`).
    pub begins_like: bool,
    /// The version.
    pub version: &'a str,
}

/// A dependency that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read the dependency `{text}`: {problem}")]
pub struct DependencyError {
    /// The dependency.
    pub text: String,
    /// What is wrong, in words.
    pub problem: &'static str,
}

/// Reads a list of dependencies with space between them.
///
/// # Errors
/// On the first that cannot be read.
pub fn parse_dependencies(text: &str) -> Result<Vec<Dependency<'_>>, DependencyError> {
    text.split_ascii_whitespace().map(parse_dependency).collect()
}

/// Reads one dependency.
///
/// # Errors
/// When it has no name, or a rule that is none.
pub fn parse_dependency(text: &str) -> Result<Dependency<'_>, DependencyError> {
    let wrong = |problem| DependencyError { text: text.chars().take(80).collect(), problem };
    let (is_conflict, rest) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
    let (full_name, rule) = rest.split_at(rest.find(['<', '>', '=', '~']).unwrap_or(rest.len()));
    let (name, tag) = match full_name.split_once('@') {
        Some((name, tag)) => (name, Some(tag)),
        None => (full_name, None),
    };
    if !is_name(name) || tag.is_some_and(|tag| !is_name(tag)) {
        return Err(wrong("that is no name"));
    }
    let rule =
        if rule.is_empty() { None } else { Some(parse_rule(rule).ok_or_else(|| wrong("that is no version rule"))?) };
    Ok(Dependency { is_conflict, name, tag, rule })
}

fn parse_rule(text: &str) -> Option<Rule<'_>> {
    let (sign, version) = text.split_at(text.find(|c| !matches!(c, '<' | '>' | '=' | '~')).unwrap_or(text.len()));
    let begins_like = sign.contains('~');
    let relation = match sign {
        "=" | "~" | "=~" | "~=" => Relation::Equal,
        "<" => Relation::Less,
        "<=" | "<~" | "<=~" => Relation::LessOrEqual,
        ">" => Relation::Greater,
        ">=" | ">~" | ">=~" => Relation::GreaterOrEqual,
        // `><` pins the checksum of a package that was installed from a file.
        _ => return None,
    };
    is_version(version).then_some(Rule { relation, begins_like, version })
}

/// Whether the text can be a name: no space, and none of the signs that end one.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |c: u8| c.is_ascii_graphic() && !matches!(c, b'<' | b'>' | b'=' | b'~' | b'@' | b'"' | b'\\');
    !text.is_empty() && text.len() <= 512 && text.bytes().all(plain) && !text.starts_with('!')
}

impl Dependency<'_> {
    /// The same in the solver's words; what only has to begin like a version has a `~` before it.
    pub(crate) fn constraint(&self) -> Constraint {
        let rule = self.rule.map(|rule| {
            let mark = if rule.begins_like { "~" } else { "" };
            VersionRule { relation: rule.relation, version: format!("{mark}{}", rule.version) }
        });
        Constraint { name: self.name.to_owned(), rule }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let read = match parse_dependency(text) {
            Ok(d) => {
                let not = if d.is_conflict { "not " } else { "" };
                let tag = d.tag.map(|tag| format!(" from {tag}")).unwrap_or_default();
                format!("{not}{}{tag}", d.constraint())
            }
            Err(error) => error.problem.to_owned(),
        };
        assert_eq!(read, expected, "{text:?}");
    }

    #[test]
    fn dependencies() {
        check("musl", "musl");
        check("musl>=1.2.3_git20230424", "musl >= 1.2.3_git20230424");
        check("python3~3.12", "python3 ~3.12");
        check("python3=~3.12", "python3 ~3.12");
        check("python3>~3.12", "python3 >= ~3.12");
        check("!libressl<3", "not libressl < 3");
        check("so:libc.musl-x86_64.so.1", "so:libc.musl-x86_64.so.1");
        check("cmd:[=1.36.1-r29", "cmd:[ = 1.36.1-r29");
        check("/bin/sh", "/bin/sh");
        check("nginx@edge>1", "nginx > 1 from edge");
        check("", "that is no name");
        check("!", "that is no name");
        check("a@", "that is no name");
        check("=1", "that is no name");
        check("a=", "that is no version rule");
        check("a><Q1abc", "that is no version rule");
        check("a=1:2", "that is no version rule");
    }
}
