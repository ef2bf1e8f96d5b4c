//! `add-shell`, `remove-shell` and `update-shells` (update-shells(8)): the list of login shells.

use std::collections::BTreeSet;

use super::{Call, Unknown};

const SHELLS: &str = "/etc/shells";
const STATE: &str = "/var/lib/shells.state";
const TEMPLATE: &str = "/usr/share/debianutils/shells";

/// What only newer versions of the script have (since Debian 13): they remember a shell once, however many files name it.
const ONCE: &str = "if ! hashset_contains \"$PKG_SHELLS\" \"$line\"";

pub(super) fn add(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let mut text = call.files.read_text(SHELLS)?;
    for shell in call.args {
        if !text.lines().any(|line| line == shell) {
            text.push_str(&format!("{shell}\n"));
        }
    }
    call.files.write(SHELLS, 0o644, text)?;
    Ok(0)
}

pub(super) fn remove(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let text = call.files.read_text(SHELLS)?;
    let kept: String = text
        .lines()
        .filter(|line| !call.args.iter().any(|shell| shell == line))
        .map(|line| format!("{line}\n"))
        .collect();
    call.files.write(SHELLS, 0o644, kept)?;
    Ok(0)
}

/// Adds the shells that packages declare, each also by its path through linked folders, and remembers them.
pub(super) fn update(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    if let Some(option) = call.args.iter().find(|arg| *arg != "--verbose") {
        return call.unknown_option(option);
    }
    let declared = declared(call)?;
    let before: BTreeSet<String> = shells_of(&call.files.read_text(STATE)?).collect();
    let source = if call.files.exists(SHELLS) { SHELLS } else { TEMPLATE };
    let old = call.files.read_text(source)?;
    let mut text = String::new();
    let mut have = BTreeSet::new();
    for line in old.lines() {
        let shell = line.split('#').next().unwrap_or_default();
        // A shell that a package once declared and none does now goes away; the administrator's stay.
        let kept = shell.is_empty()
            || (declared.iter().any(|one| one == shell) || !before.contains(shell)) && have.insert(shell.to_owned());
        if kept {
            text.push_str(&format!("{line}\n"));
        }
    }
    for shell in &declared {
        if !before.contains(shell) && have.insert(shell.clone()) {
            text.push_str(&format!("{shell}\n"));
        }
    }
    call.files.write(SHELLS, 0o644, text)?;
    call.files.write(STATE, 0o644, declared.iter().map(|shell| format!("{shell}\n")).collect::<String>())?;
    Ok(0)
}

/// The shells of the template and of every package's file, in order, each followed by its real path.
fn declared(call: &Call<'_, '_>) -> Result<Vec<String>, Unknown> {
    let folder = "/usr/share/debianutils/shells.d";
    let once = call.files.read_text("/usr/sbin/update-shells")?.contains(ONCE);
    let sources = std::iter::once(TEMPLATE.to_owned())
        .chain(call.files.names_in(folder).into_iter().map(|name| format!("{folder}/{name}")));
    let mut all = Vec::new();
    for source in sources {
        for shell in shells_of(&call.files.read_text(&source)?) {
            let (parent, name) = shell.rsplit_once('/').unwrap_or(("", &shell));
            let real = call
                .files
                .resolve(parent, true)
                .map(|parent| format!("{}/{name}", parent.display().trim_end_matches('/')));
            let real = real.ok().filter(|real| *real != shell);
            for one in [shell].into_iter().chain(real) {
                if !once || !all.contains(&one) {
                    all.push(one);
                }
            }
        }
    }
    Ok(all)
}

fn shells_of(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter_map(|line| line.split('#').next()).filter(|shell| !shell.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{listing, run};

    #[test]
    fn declared_shells_are_added_with_their_real_path() {
        let prepare = |files: &mut crate::Files<'_>| {
            files.make_dir("/usr/bin", 0o755).unwrap();
            files.link("/bin", "usr/bin").unwrap();
            files.write("/usr/share/debianutils/shells", 0o644, "# valid\n/bin/sh\n").unwrap();
            files.write("/usr/share/debianutils/shells.d/dash", 0o644, "/bin/dash\n").unwrap();
        };
        let (tree, said) =
            run(prepare, &["update-shells", "update-shells", "add-shell /bin/x", "remove-shell /bin/dash"]);
        assert_eq!(said, ["0", "0", "0", "0"]);
        let want = "/etc/shells # valid\n/bin/sh\n/usr/bin/sh\n/usr/bin/dash\n/bin/x\n";
        assert!(listing(&tree).contains(&want.to_owned()), "{:?}", listing(&tree));
    }

    #[test]
    fn newer_versions_remember_a_shell_once() {
        let check = |script: &str, want: &str| {
            let prepare = |files: &mut crate::Files<'_>| {
                files.make_dir("/usr/bin", 0o755).unwrap();
                files.link("/bin", "usr/bin").unwrap();
                files.write("/usr/sbin/update-shells", 0o755, script).unwrap();
                files.write("/usr/share/debianutils/shells.d/bash", 0o644, "/bin/bash\n/usr/bin/bash\n").unwrap();
            };
            let (tree, said) = run(prepare, &["update-shells"]);
            assert_eq!(said, ["0"]);
            let want = format!("/var/lib/shells.state {want}");
            assert!(listing(&tree).contains(&want), "{:?}", listing(&tree));
        };
        check("#!/bin/sh\n", "/bin/bash\n/usr/bin/bash\n/usr/bin/bash\n");
        check(&format!("#!/bin/sh\n\t\t{}; then\n", super::ONCE), "/bin/bash\n/usr/bin/bash\n");
    }
}
