//! `add-shell`, `remove-shell` and `update-shells` (update-shells(8)): the list of login shells.

use std::collections::BTreeSet;

use super::{Call, Unknown};

const SHELLS: &str = "/etc/shells";
const STATE: &str = "/var/lib/shells.state";
const TEMPLATE: &str = "/usr/share/debianutils/shells";

/// What only newer versions of the script have (since Debian 13): they remember a shell once, however many files name it.
const ONCE: &str = "if ! hashset_contains \"$PKG_SHELLS\" \"$line\"";

/// What only older versions have (Ubuntu 22.04): they follow a shell to its end, know no template of shells that are
/// declared, and look for none that stands twice.
const WHOLE: &str = "realshell=$(dpkg-realpath --root \"$ROOT\" \"$line\")";

pub(super) fn add(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let mut text = call.files.read_text(SHELLS)?;
    let also_real = call.files.read_text("/usr/sbin/add-shell")?.contains("REALDIR");
    for shell in call.args {
        let real = real_folder_of(call, shell).filter(|_| also_real);
        for one in [shell.clone()].into_iter().chain(real) {
            if !text.lines().any(|line| line == one) {
                text.push_str(&format!("{one}\n"));
            }
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
    let args: Vec<&str> = call.args.iter().map(String::as_str).collect();
    match args.as_slice() {
        // An empty root is this one.
        [] | ["--verbose"] | ["--root", ""] => {}
        [option, ..] => return call.unknown_option(option),
    }
    let script = call.files.read_text("/usr/sbin/update-shells")?;
    let declared = declared(call, &script)?;
    let before: BTreeSet<String> = shells_of(&call.files.read_text(STATE)?).collect();
    let source = if call.files.exists(SHELLS) { SHELLS } else { TEMPLATE };
    let old = call.files.read_text(source)?;
    let mut text = String::new();
    let mut have = BTreeSet::new();
    for line in old.lines() {
        let shell = line.split('#').next().unwrap_or_default();
        // A shell that a package once declared and none does now goes away; the administrator's stay.
        let kept = shell.is_empty()
            || (declared.iter().any(|one| one == shell) || !before.contains(shell))
                && (have.insert(shell.to_owned()) || script.contains(WHOLE));
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
fn declared(call: &Call<'_, '_>, script: &str) -> Result<Vec<String>, Unknown> {
    let folder = "/usr/share/debianutils/shells.d";
    let (once, whole) = (script.contains(ONCE), script.contains(WHOLE));
    let sources = Some(TEMPLATE.to_owned())
        .filter(|_| !whole)
        .into_iter()
        .chain(call.files.names_in(folder).into_iter().map(|name| format!("{folder}/{name}")));
    let mut all = Vec::new();
    for source in sources {
        for shell in shells_of(&call.files.read_text(&source)?) {
            let real = if whole {
                call.files.resolve(&shell, true).map(|real| real.display())
            } else {
                let (parent, name) = shell.rsplit_once('/').unwrap_or(("", &shell));
                let parent = call.files.resolve(parent, true);
                parent.map(|parent| format!("{}/{name}", parent.display().trim_end_matches('/')))
            };
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

/// The shell by the folder that it is really in, its own name kept.
fn real_folder_of(call: &Call<'_, '_>, shell: &str) -> Option<String> {
    let (parent, name) = shell.rsplit_once('/')?;
    let real = call.files.resolve(shell, true).ok().and_then(|real| real.parent());
    let folder = real.or_else(|| call.files.resolve(parent, true).ok())?;
    Some(format!("{}/{name}", folder.display().trim_end_matches('/')))
}

/// usrmerge's `convert-etc-shells`: of each shell in `/bin` and `/sbin` the path below `/usr` is one too.
pub(super) fn convert(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let text = call.files.read_text(SHELLS)?;
    let is_old = |line: &&str| line.starts_with("/bin/") || line.starts_with("/sbin/");
    let is_there = |line: &str| text.lines().any(|one| one == format!("/usr{line}"));
    let new: String =
        text.lines().filter(is_old).filter(|line| !is_there(line)).map(|line| format!("/usr{line}\n")).collect();
    if !new.is_empty() {
        call.files.write(SHELLS, 0o644, format!("{text}{new}"))?;
    }
    Ok(0)
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
    fn a_shell_is_added_with_its_real_folder() {
        let prepare = |files: &mut crate::Files<'_>| {
            files.write("/usr/bin/bash", 0o755, "").unwrap();
            files.link("/usr/bin/rbash", "bash").unwrap();
            files.link("/bin", "usr/bin").unwrap();
            files.write("/usr/sbin/add-shell", 0o755, "#!/bin/sh\nREALDIR=\n").unwrap();
        };
        let (tree, said) = run(prepare, &["add-shell /bin/rbash /bin/new /usr/bin/bash"]);
        assert_eq!(said, ["0"]);
        let want = "/etc/shells /bin/rbash\n/usr/bin/rbash\n/bin/new\n/usr/bin/new\n/usr/bin/bash\n";
        assert!(listing(&tree).contains(&want.to_owned()), "{:?}", listing(&tree));
    }

    #[test]
    fn the_versions_of_ubuntu_22_follow_a_shell_to_its_end() {
        let prepare = |files: &mut crate::Files<'_>| {
            files.write("/usr/bin/bash", 0o755, "").unwrap();
            files.link("/usr/bin/rbash", "bash").unwrap();
            files.link("/bin", "usr/bin").unwrap();
            files.write("/usr/sbin/update-shells", 0o755, format!("#!/bin/sh\n{}\n", super::WHOLE)).unwrap();
            files.write("/usr/lib/usrmerge/convert-etc-shells", 0o755, "#!/usr/bin/perl\n").unwrap();
            files.write("/usr/share/debianutils/shells", 0o644, "# valid\n/bin/sh\n").unwrap();
            files.write("/usr/share/debianutils/shells.d/bash", 0o644, "/bin/rbash\n").unwrap();
        };
        let (tree, said) = run(prepare, &["update-shells --root ", "/usr/lib/usrmerge/convert-etc-shells"]);
        assert_eq!(said, ["0", "0"]);
        let want = "/etc/shells # valid\n/bin/sh\n/bin/rbash\n/usr/bin/bash\n/usr/bin/sh\n/usr/bin/rbash\n";
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
