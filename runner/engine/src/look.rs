//! A look at the host after a run: is anything of the instance still there? It asks the host, not the steps that were to undo it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::bind::Bound;
use crate::steps::Step;

/// Everything of the instance that is still on the host; `init` is the container's first process, by number and start time.
///
/// Its folder with the journal, mounts in it, control groups, and that process. Volumes and unpacked layers are to stay.
pub fn remains(bound: &Bound, init: Option<(i32, u64)>) -> Vec<String> {
    let folder = bound.state_folder.join(&bound.instance);
    let mut found = remains_beside_folder(bound, init);
    if is_there(&folder) {
        found.push(format!("folder {}", folder.display()));
    }
    found
}

/// The same without the folder, for whoever is about to remove that.
pub fn remains_beside_folder(bound: &Bound, init: Option<(i32, u64)>) -> Vec<String> {
    let folder = bound.state_folder.join(&bound.instance);
    let mountinfo = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let mut found: Vec<String> =
        mounts_below(&folder, &mountinfo).iter().map(|at| format!("mount {}", at.display())).collect();
    let groups = bound.steps.iter().filter_map(Step::group).filter(|folder| is_there(folder));
    found.extend(groups.map(|folder| format!("control group {}", folder.display())));
    let folders = bound.steps.iter().filter_map(Step::folder).filter(|folder| is_there(folder));
    found.extend(folders.map(|folder| format!("folder {}", folder.display())));
    let process = init.filter(|(pid, start_time)| host::process_exists(*pid, *start_time));
    found.extend(process.map(|(pid, _)| format!("process {pid}")));
    found
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Mount points in the folder (the fifth field of a line, `proc_pid_mountinfo(5)`).
fn mounts_below(folder: &Path, mountinfo: &[u8]) -> Vec<PathBuf> {
    // A state folder behind a symbolic link is listed by its real name.
    let real = folder.parent().and_then(|parent| parent.canonicalize().ok());
    let real = real.zip(folder.file_name()).map_or_else(|| folder.to_owned(), |(parent, name)| parent.join(name));
    let points = mountinfo.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    points.map(unescape).filter(|point| point.starts_with(&real)).collect()
}

/// Blanks and backslashes are written as a backslash and three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut text = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                text.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                text.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_an_instance_are_found_by_their_real_names() {
        let text = b"30 23 0:26 / /run/a\\040b/toy-1/stage rw - tmpfs tmpfs rw\n\
                     31 23 0:26 / /run/a\\040b/toy-12/stage rw - tmpfs tmpfs rw\n";
        assert_eq!(mounts_below(Path::new("/run/a b/toy-1"), text), [Path::new("/run/a b/toy-1/stage")]);
        assert_eq!(mounts_below(Path::new("/run/a b/toy-3"), text), Vec::<PathBuf>::new());
    }

    #[test]
    fn only_whole_escapes_are_read() {
        assert_eq!(unescape(b"/a\\134b\\04"), Path::new("/a\\b\\04"));
    }
}
