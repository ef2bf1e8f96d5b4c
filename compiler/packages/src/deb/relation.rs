//! Relations between packages (Debian Policy 7.1): `a (>= 1) | b, c:any` as lists of alternatives, not copied.

use spec::appliance::Relation;

use crate::deb::version::is_version;

/// One package of a relation field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dependency<'a> {
    /// Its name.
    pub name: &'a str,
    /// What stands after a `:` (`any`, `native`, an architecture).
    pub arch: Option<&'a str>,
    /// Version rule.
    pub rule: Option<(Relation, &'a str)>,
}

/// A relation that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read the relation `{text}`: {problem}")]
pub struct RelationError {
    /// The part that cannot be read.
    pub text: String,
    /// What is wrong, in words.
    pub problem: &'static str,
}

/// Reads a relation field into its clauses, all of which must hold; of a clause one alternative must.
///
/// Architecture lists and build profiles, which binary packages do not have, are skipped.
///
/// # Errors
/// On the first alternative that is no `name[:arch] [(op version)]`.
pub fn parse_relations(text: &str) -> Result<Vec<Vec<Dependency<'_>>>, RelationError> {
    let clauses = text.split(',').map(str::trim).filter(|clause| !clause.is_empty());
    clauses.map(|clause| clause.split('|').map(|one| parse_one(one.trim())).collect()).collect()
}

fn parse_one(text: &str) -> Result<Dependency<'_>, RelationError> {
    let wrong = |problem| RelationError { text: text.chars().take(80).collect(), problem };
    let name_len = text.find([' ', '\t', '\n', '\r', '(', '[', '<']).unwrap_or(text.len());
    let (full_name, rest) = text.split_at(name_len);
    let (name, arch) = match full_name.split_once(':') {
        Some((name, arch)) => (name, Some(arch)),
        None => (full_name, None),
    };
    if !is_name(name) || arch.is_some_and(|arch| !is_name(arch)) {
        return Err(wrong("that is no package name"));
    }
    let rest = rest.trim_start();
    let (rule, rest) = match rest.strip_prefix('(') {
        Some(inner) => {
            let (rule, rest) = inner.split_once(')').ok_or_else(|| wrong("the bracket is not closed"))?;
            (Some(parse_rule(rule.trim()).ok_or_else(|| wrong("that is no version rule"))?), rest.trim_start())
        }
        None => (None, rest),
    };
    if !rest.is_empty() && !rest.starts_with(['[', '<']) {
        return Err(wrong("there is text after it"));
    }
    Ok(Dependency { name, arch, rule })
}

fn parse_rule(text: &str) -> Option<(Relation, &str)> {
    let operators = [
        ("<<", Relation::Less),
        ("<=", Relation::LessOrEqual),
        (">=", Relation::GreaterOrEqual),
        (">>", Relation::Greater),
        ("=", Relation::Equal),
        // Obsolete spellings that meant "or equal" (Debian Policy 7.1).
        ("<", Relation::LessOrEqual),
        (">", Relation::GreaterOrEqual),
    ];
    let (relation, version) = operators.iter().find_map(|(sign, r)| text.strip_prefix(sign).map(|v| (*r, v.trim())))?;
    is_version(version).then_some((relation, version))
}

/// Whether the text can be a package's name: letters, digits and `+ - . _`, a letter or digit first.
pub(crate) fn is_name(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.' | b'_'))
        && text.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let show = |d: &Dependency| format!("{}{:?}{:?}", d.name, d.arch.unwrap_or(""), d.rule);
        let read = match parse_relations(text) {
            Ok(clauses) => {
                clauses.iter().map(|c| c.iter().map(show).collect::<Vec<_>>().join("|")).collect::<Vec<_>>().join(",")
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(read, expected, "{text:?}");
    }

    #[test]
    fn relations() {
        check("", "");
        check("a", "a\"\"None");
        check("a, b | c,", "a\"\"None,b\"\"None|c\"\"None");
        check("python3:any (>= 3.9~)", r#"python3"any"Some((GreaterOrEqual, "3.9~"))"#);
        check("a(<<1:2-3)", r#"a""Some((Less, "1:2-3"))"#);
        check("a (> 1)", r#"a""Some((GreaterOrEqual, "1"))"#);
        check("a [amd64] <!nocheck>,\n b (= 1) [i386]", r#"a""None,b""Some((Equal, "1"))"#);
        check("a b", "read the relation `a b`: there is text after it");
        check("a (1)", "read the relation `a (1)`: that is no version rule");
        check("a (>= 1", "read the relation `a (>= 1`: the bracket is not closed");
        check("a | ", "read the relation ``: that is no package name");
        check("../x", "read the relation `../x`: that is no package name");
    }
}
