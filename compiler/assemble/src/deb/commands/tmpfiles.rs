//! `systemd-tmpfiles --create` (tmpfiles.d(5)): the static entries that packages ship; what lies below `/run` and other
//! mounts of a running system is left out, since it is made at each start.

use tree::{Node, TreePath};

use super::sysusers::words;
use super::{Call, Unknown, acl};
use crate::accounts::Accounts;

const FOLDERS: [&str; 2] = ["/etc/tmpfiles.d", "/usr/lib/tmpfiles.d"];

pub(super) fn call(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let mut names = Vec::new();
    for arg in call.args {
        match arg.as_str() {
            "--create" | "--graceful" => {}
            option if option.starts_with('-') => return call.unknown_option(option),
            name => names.push(name.to_owned()),
        }
    }
    for name in names {
        let path = FOLDERS
            .iter()
            .map(|folder| format!("{folder}/{name}"))
            .chain([name.clone()])
            .find(|path| path.starts_with('/') && call.files.exists(path));
        let Some(path) = path else { return call.fail(1, &format!("no file {name}")) };
        for line in call.files.read_text(&path)?.lines() {
            apply(call, line)?;
        }
    }
    Ok(0)
}

fn apply(call: &mut Call<'_, '_>, line: &str) -> Result<(), Unknown> {
    let words = words(line);
    let (Some(kind), Some(path)) = (words.first(), words.get(1)) else { return Ok(()) };
    // `!` lines are for boot alone.
    if kind.starts_with('#')
        || kind.contains('!')
        || ["/run/", "/var/run/", "/dev/", "/proc/", "/sys/", "/tmp/"].iter().any(|top| path.starts_with(top))
    {
        return Ok(());
    }
    // What is to come from a credential: a build is given none.
    if kind.contains('^') {
        return Ok(());
    }
    if path.contains('%') {
        // A machine that has no id yet, and has never booted, has nothing that is called by them.
        return if changes_what_is_there(kind) { Ok(()) } else { call.unknown("a specifier is not understood") };
    }
    let field = |at: usize| words.get(at).map(String::as_str).filter(|word| *word != "-");
    let mode = |default| {
        field(2).and_then(|mode| u16::from_str_radix(mode.trim_start_matches(['~', ':']), 8).ok()).unwrap_or(default)
    };
    let owner = owner(call, field(3), field(4))?;
    let text = words.get(6..).unwrap_or_default().join(" ");
    match kind.trim_end_matches(['-', '=', '~', '^', '$']) {
        "d" | "D" | "q" | "Q" | "v" => {
            let place = call.files.make_dir(path, mode(0o755))?;
            set(call, &place, owner, field(2).map(|_| mode(0o755)));
        }
        "f" | "F" | "f+" => {
            if !call.files.exists(path) {
                call.files.write(path, mode(0o644), text)?;
                let place = call.files.resolve(path, true)?;
                set(call, &place, owner, None);
            }
        }
        "L" | "L+" | "L?" => {
            if call.files.lstat(path).is_none() {
                let target = if text.is_empty() { format!("/usr/share/factory{path}") } else { text };
                call.files.link(path, target)?;
            }
        }
        "z" | "Z" | "m" if !path.contains(['*', '?', '[']) => {
            if let Ok(place) = call.files.resolve(path, true) {
                set(call, &place, owner, field(2).map(|_| mode(0o755)));
            }
        }
        "a" | "a+" if !path.contains(['*', '?', '[']) => add_access(call, path, &text)?,
        // Attributes such as "no copy on write", of file systems that are not made here.
        "h" | "H" => {}
        "x" | "X" | "r" | "R" | "e" => {}
        _ => return call.unknown("a line's type is not understood"),
    }
    Ok(())
}

/// Whether lines of this type make nothing.
fn changes_what_is_there(kind: &str) -> bool {
    ["x", "X", "r", "R", "e", "z", "Z", "m", "t", "T", "h", "H", "a", "A"]
        .contains(&kind.trim_end_matches(['-', '=', '~', '+']))
}

fn add_access(call: &mut Call<'_, '_>, path: &str, text: &str) -> Result<(), Unknown> {
    let accounts = Accounts::load(call.files)?;
    let Ok(place) = call.files.resolve(path, true) else { return Ok(()) };
    let mut is_understood = true;
    call.files.root.change(&place, &mut |node: &mut Node| is_understood = acl::add(node, text, &accounts).is_some());
    if is_understood { Ok(()) } else { call.unknown("an access list is not understood") }
}

fn owner(call: &Call<'_, '_>, user: Option<&str>, group: Option<&str>) -> Result<(Option<u32>, Option<u32>), Unknown> {
    let accounts = Accounts::load(call.files)?;
    let clean = |name: &str| name.trim_start_matches(':').to_owned();
    let uid = user.map(clean).map(|name| name.parse().ok().or_else(|| accounts.uid(&name)));
    let gid = group.map(clean).map(|name| name.parse().ok().or_else(|| accounts.gid(&name)));
    match (uid, gid) {
        (Some(None), _) | (_, Some(None)) => call.unknown("an owner does not exist"),
        (uid, gid) => Ok((uid.flatten(), gid.flatten())),
    }
}

fn set(call: &mut Call<'_, '_>, place: &TreePath, owner: (Option<u32>, Option<u32>), mode: Option<u16>) {
    call.files.root.change(place, &mut |node: &mut Node| {
        node.meta.uid = owner.0.unwrap_or(node.meta.uid);
        node.meta.gid = owner.1.unwrap_or(node.meta.gid);
        node.meta.mode = mode.unwrap_or(node.meta.mode);
    });
}

#[cfg(test)]
mod tests {
    use super::super::testing::{listing, run};

    #[test]
    fn static_entries_are_made_and_those_of_boot_are_not() {
        let lines = "d /var/lib/a 0750 root root -\nL /etc/l - - - - ../x\nf /etc/f 0600 - - - hello\nd /run/a\nd! /var/lib/boot\n";
        let prepare = |files: &mut crate::Files<'_>| {
            files.write("/etc/passwd", 0o644, "root:x:0:0::/:/bin/sh\n").unwrap();
            files.write("/etc/group", 0o644, "root:x:0:\n").unwrap();
            files.write("/usr/lib/tmpfiles.d/a.conf", 0o644, lines).unwrap();
        };
        let (tree, said) = run(prepare, &["systemd-tmpfiles --create a.conf"]);
        assert_eq!(said, ["0"]);
        assert_eq!(listing(&tree)[..1], ["/etc/f hello"]);
        let names: Vec<_> = tree.iter().map(|(path, _, node)| format!("{path} {:o}", node.meta.mode)).collect();
        assert!(
            names.contains(&"/var/lib/a 750".to_owned())
                && !names.iter().any(|name| name.contains("/run") || name.contains("boot")),
            "{names:?}"
        );
    }

    #[test]
    fn access_lists_are_added_and_what_is_not_there_is_left() {
        let lines = "d /var/log/j 2755 root root\na+ /var/log/j - - - - d:group:adm:r-x,group::r-x,group:adm:rwx\n\
                     a+ /var/log/j/%m - - - - group:adm:r--\nz /var/log/j/%m 2755\nh /var/log/j - - - - +C\n\
                     f^ /etc/motd - - - - motd\n";
        let prepare = |files: &mut crate::Files<'_>| {
            files.write("/etc/passwd", 0o644, "root:x:0:0::/:/bin/sh\n").unwrap();
            files.write("/etc/group", 0o644, "root:x:0:\nadm:x:4:\n").unwrap();
            files.write("/usr/lib/tmpfiles.d/a.conf", 0o644, lines).unwrap();
            files.write("/usr/lib/tmpfiles.d/b.conf", 0o644, "d /var/lib/%m\n").unwrap();
        };
        let (tree, said) = run(prepare, &["systemd-tmpfiles --create a.conf", "systemd-tmpfiles --create b.conf"]);
        assert_eq!(said, ["0", "`systemd-tmpfiles --create b.conf`: a specifier is not understood"]);
        let node = tree.get(&tree::TreePath::new("var/log/j").unwrap()).unwrap();
        assert_eq!(node.meta.mode, 0o2775, "the mode shows the mask");
        let hex = |name: &str| {
            let value = node.meta.xattrs.get(name.as_bytes()).unwrap();
            value
                .chunks(4)
                .map(|word| word.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let nobody = "ffffffff";
        assert_eq!(
            hex("system.posix_acl_access"),
            format!(
                "02000000 01000700 {nobody} 04000500 {nobody} 08000700 04000000 10000700 {nobody} 20000500 {nobody}"
            )
        );
        assert_eq!(
            hex("system.posix_acl_default"),
            format!(
                "02000000 01000700 {nobody} 04000500 {nobody} 08000500 04000000 10000500 {nobody} 20000500 {nobody}"
            )
        );
        assert!(tree.get(&tree::TreePath::new("etc/motd").unwrap()).is_none());
    }
}
