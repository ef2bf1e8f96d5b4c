//! Triggers: a package is told of the folders that changed and that its patterns name. A package that is
//! new is told of all folders, one that was there before of those that new ones brought.

use std::collections::BTreeSet;

use super::package::Package;
use super::scripts::Scripts;
use super::unpack::Shipped;
use crate::error::AssembleError;
use crate::files::Files;

/// Runs the trigger of every package with a pattern for a folder that it is told of, in package order.
pub(crate) fn answer(
    files: &mut Files<'_>,
    packages: &[Package],
    shipped: &Shipped,
    scripts: &mut Scripts<'_>,
) -> Result<(), AssembleError> {
    let all: BTreeSet<String> = shipped.folders().map(|path| path.display()).collect();
    let changed: BTreeSet<String> = shipped.changed().map(|path| path.display()).collect();
    for package in packages {
        let folders = if package.installed.is_some() { &changed } else { &all };
        let is_named = |folder: &&String| package.triggers.iter().any(|pattern| matches(pattern, folder));
        let named: Vec<&str> = folders.iter().filter(is_named).map(String::as_str).collect();
        if !named.is_empty() {
            scripts.run(files, package, "trigger", &named)?;
        }
    }
    Ok(())
}

/// Whether a folder is one that a pattern names: as fnmatch(3) with `FNM_PATHNAME`.
fn matches(pattern: &str, folder: &str) -> bool {
    let (pattern, folder): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), folder.split('/').collect());
    pattern.len() == folder.len()
        && pattern.iter().zip(&folder).all(|(one, part)| shell::matches(one.as_bytes(), part.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_folders() {
        for (pattern, folder, want) in [
            ("/bin", "/bin", true),
            ("/bin", "/bin/x", false),
            ("/lib/modules/*", "/lib/modules/6.6-virt", true),
            ("/lib/modules/*", "/lib/modules/6.6/kernel", false),
            ("/usr/*/f?o*s", "/usr/share/fooXfos", true),
            ("/usr/*/f?o*s", "/usr/share/fooXfo", false),
            ("/usr/share/icons/*", "/usr/share/icons", false),
        ] {
            assert_eq!(matches(pattern, folder), want, "{pattern} {folder}");
        }
    }
}
