//! Did you mean: the known name that is nearest to a mistyped one.

use crate::Catalog;

/// The nearest of `names`, when at most two edits (one for short names) lie between: among tens of thousands of
/// packages, a third edit or a common beginning finds strangers.
pub(crate) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let most = if wrong.len() < 5 { 1 } else { 2 };
    spec::nearest_within(wrong, names, most).map(str::to_owned)
}

/// The excluded names that are no package in any of these catalogues, so that nothing comes of excluding them, each with a
/// package of a name like it.
pub fn unknown_excluded<'a>(excluded: &'a [String], catalogs: &[Catalog]) -> Vec<(&'a str, Option<String>)> {
    let is_known = |name: &str| catalogs.iter().any(|catalog| catalog.named(name).next().is_some());
    let names = || catalogs.iter().flat_map(|catalog| catalog.packages().map(|(_, package)| package.name()));
    let unknown = excluded.iter().filter(|name| !is_known(name));
    unknown.map(|name| (name.as_str(), nearest(name, names()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names() {
        let check = |wrong, expected: Option<&str>| {
            let names = ["curl", "nginx", "nodejs", "python3", "python3-pip"];
            assert_eq!(nearest(wrong, names.into_iter()).as_deref(), expected, "{wrong}");
        };
        check("ngnix", Some("nginx"));
        check("node-js", Some("nodejs"));
        check("pyton3", Some("python3"));
        check("crul", Some("curl"));
        check("wget", None);
        check("", None);
    }
}
