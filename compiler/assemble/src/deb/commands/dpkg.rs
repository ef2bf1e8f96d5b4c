//! `dpkg` as scripts ask it: versions, architectures, lists and states (dpkg(1)).

use std::cmp::Ordering;

use packages::deb::{compare_versions, is_version};

use super::{Call, Unknown, query};

pub(super) fn call(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let words: Vec<&str> = call.args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--compare-versions", "--", a, relation, b] | ["--compare-versions", a, relation, b] => {
            compare(call, a, relation, b)
        }
        ["--print-architecture"] => {
            let arch = call.system.arch.name();
            call.say(arch);
            Ok(0)
        }
        ["--print-foreign-architectures"] => Ok(0),
        ["--validate-version", version] => Ok(i32::from(!is_version(version))),
        [assert] if assert.starts_with("--assert-") => Ok(0),
        ["-L" | "--listfiles", names @ ..] => query::list_files(call, names),
        ["-s" | "--status", names @ ..] => query::status(call, names),
        ["-S" | "--search", paths @ ..] => query::search(call, paths),
        ["-l" | "--list", names @ ..] => query::list(call, names),
        _ => call.unknown("this use is not understood"),
    }
}

/// An empty version is earlier than any for `lt`, later than any for `lt-nl`.
fn compare(call: &mut Call<'_, '_>, a: &str, relation: &str, b: &str) -> Result<i32, Unknown> {
    let (verb, empty_is_late) = relation.strip_suffix("-nl").map_or((relation, false), |verb| (verb, true));
    let order = match (a.is_empty(), b.is_empty()) {
        (false, false) => compare_versions(a, b),
        (true, true) => Ordering::Equal,
        (a_empty, _) => {
            if a_empty != empty_is_late {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
    };
    let holds = match verb {
        "lt" | "<<" => order.is_lt(),
        "le" | "<=" | "<" => order.is_le(),
        "eq" | "=" => order.is_eq(),
        "ne" => order.is_ne(),
        "ge" | ">=" | ">" => order.is_ge(),
        "gt" | ">>" => order.is_gt(),
        _ => return call.fail(2, "error: --compare-versions bad relation"),
    };
    Ok(i32::from(!holds))
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;

    fn check(a: &str, relation: &str, b: &str, want: &str) {
        let line = format!("dpkg --compare-versions {a} {relation} {b}");
        assert_eq!(run(|_| (), &[&line]).1, [want], "{line}");
    }

    #[test]
    fn versions_compare_as_in_dpkg() {
        check("1.0~", "lt", "1.0", "0");
        check("1:1", "le", "2", "1");
        check("", "lt", "1", "0");
        check("", "lt-nl", "1", "1");
        check("", "gt-nl", "1", "0");
        check("1", "is", "1", "dpkg: error: --compare-versions bad relation\n2");
    }
}
