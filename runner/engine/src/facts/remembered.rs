//! A success of the user-namespace probe, kept in the state folder so that the next run need not try again.
//!
//! Only success is kept: what a user changes after a failure counts at once. The file names everything that
//! the answer hangs on; when one thing differs it is ignored, and what a run then finds is the kernel's own word.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::Probe;

/// The file in the state folder.
const FILE_NAME: &str = "user-namespaces";

/// Settings of the kernel that decide about user namespaces, and what names this boot.
const DECIDING: [&str; 6] = [
    "/proc/sys/kernel/random/boot_id",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/user/max_user_namespaces",
    "/proc/sys/kernel/unprivileged_userns_clone",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    "/proc/self/attr/current",
];

/// The remembered success, or what `probe` finds, which is remembered when it is one.
pub fn or_probe(helper: &Path, state_folder: &Path, probe: impl FnOnce() -> Probe) -> Probe {
    let (file, key) = (state_folder.join(FILE_NAME), key(helper));
    if std::fs::read(&file).is_ok_and(|known| known == key.as_bytes()) {
        return Probe::Works;
    }
    let found = probe();
    if found == Probe::Works {
        // Without it the next run tries again.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(state_folder);
        let _ = made.and_then(|()| std::fs::write(&file, key));
    }
    found
}

/// Boot, kernel, settings, namespaces, user and program.
fn key(helper: &Path) -> String {
    let settings = DECIDING.map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let link = |path: &Path| std::fs::read_link(path).unwrap_or_else(|_| PathBuf::from(path));
    let links = [Path::new("/proc/self/ns/user"), Path::new("/proc/self/ns/mnt"), helper].map(link);
    format!("{}:{} {settings:?} {links:?}\n", host::effective_uid(), host::effective_gid())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers in turn; how often the host was really tried.
    fn check(answers: &[Probe], between: impl Fn(&Path), expected: usize) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let state = folder.path().join("state");
        let mut tried = 0;
        for answer in answers {
            let probe = || {
                tried += 1;
                answer.clone()
            };
            assert_eq!(or_probe(Path::new("/proc/self/exe"), &state, probe), *answer);
            between(&state.join(FILE_NAME));
        }
        assert_eq!(tried, expected);
    }

    #[test]
    fn success_is_found_again() {
        check(&[Probe::Works, Probe::Works, Probe::Works], |_| {}, 1);
    }

    #[test]
    fn failure_is_tried_again() {
        let fails = || Probe::Fails("no".to_owned());
        check(&[fails(), fails(), Probe::Works, Probe::Works], |_| {}, 3);
    }

    #[test]
    fn what_was_true_of_another_boot_is_tried_again() {
        check(&[Probe::Works, Probe::Works], |file| std::fs::write(file, "other").expect("it can be written"), 2);
    }
}
