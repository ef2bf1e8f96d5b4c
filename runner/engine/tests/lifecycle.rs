//! How runs begin and end: exit statuses, signals, and nothing left, also after the hardest kills.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::io::Read;
use std::process::{Command, Stdio};

use support::{Toy, User, What, is_root, signal, skip, tar};

/// The exit status of a script, as root and as an ordinary user.
fn check(test: &str, script: &str, expected: i32) {
    for as_root in [true, false] {
        let Some(toy) = Toy::new(test, as_root, |_| {}) else { continue };
        let (text, status) = toy.shell(script);
        assert_eq!(status, expected, "as root: {as_root}: {text}");
        assert_eq!(toy.leftovers("no-such-marker"), Vec::<String>::new());
    }
}

/// Starts a script, sends signals with some time between, and looks at the exit status.
fn check_signals(test: &str, options: &[&str], script: &str, signals: &[&str], expected: i32) {
    for as_root in [true, false] {
        let Some(toy) = Toy::new(test, as_root, |_| {}) else { continue };
        let mut child = toy.start(options, script);
        for one in signals {
            signal(&child, one);
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        assert_eq!(child.wait().unwrap().code(), Some(expected), "as root: {as_root}");
        assert_eq!(toy.leftovers("no-such-marker"), Vec::<String>::new());
    }
}

#[test]
fn the_exit_status_is_the_commands() {
    check("the_exit_status_is_the_commands", "exit 7", 7);
    check("the_exit_status_is_the_commands", "sh -c 'kill -9 $$'; exit $?", 137);
}

#[test]
fn the_plans_own_process_runs_without_a_command() {
    let Some(toy) = Toy::new("the_plans_own_process_runs_without_a_command", support::is_root(), |_| {}) else {
        return;
    };
    assert_eq!(String::from_utf8_lossy(&toy.run(&[], &[]).stdout), "services\n");
}

#[test]
fn a_missing_program_is_an_error_and_leaves_nothing() {
    let Some(toy) = Toy::new("a_missing_program_is_an_error", support::is_root(), |_| {}) else { return };
    let output = toy.run(&[], &["no-such-program"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&output.stderr).contains("start no-such-program"), "{output:?}");
    assert_eq!(toy.leftovers("no-such-program"), Vec::<String>::new());
}

#[test]
fn a_signal_without_a_handler_ends_it() {
    check_signals("a_signal_without_a_handler_ends_it", &[], "echo up; exec sleep 1000", &["-INT"], 130);
    check_signals("a_signal_without_a_handler_ends_it", &[], "echo up; exec sleep 1000", &["-TERM"], 143);
}

#[test]
fn a_handler_is_heard() {
    let script = "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done";
    check_signals("a_handler_is_heard", &[], script, &["-TERM"], 5);
}

#[test]
fn who_does_not_listen_is_killed_after_the_grace_time() {
    let script = "trap ':' INT; echo up; while :; do sleep 0.05; done";
    check_signals("who_does_not_listen_is_killed", &["--grace=200"], script, &["-INT"], 137);
}

#[test]
fn the_second_signal_kills() {
    let script = "trap ':' INT; echo up; while :; do sleep 0.05; done";
    // The same again could come together with the first, and be one with it.
    check_signals("the_second_signal_kills", &["--grace=100000"], script, &["-INT", "-TERM"], 137);
}

#[test]
fn volumes_outlive_runs_and_writable_paths_do_not() {
    for as_root in [true, false] {
        let Some(toy) = Toy::new("volumes_outlive_runs", as_root, |_| {}) else { continue };
        toy.shell("echo kept >/data/file; echo lost >/tmp/file");
        assert_eq!(toy.shell("cat /data/file; ls /tmp"), ("kept\n".to_owned(), 0));
    }
}

/// Starts twice with a volume where an upper layer has a folder of user 1000, then once more when the volume is root's of the
/// container. Gives what the last start says.
fn check_owner(test: &str, user: Option<User>, root: u32) -> Option<String> {
    let top = tar(&[("data", 0o755, 1000, What::Folder)]);
    let toy = Toy::with_layers(test, user, &[top], |_| {})?;
    let start = || {
        let output = toy.run(&["--verbose"], &["sh", "-c", "ls /data"]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let folders: Vec<_> = std::fs::read_dir(toy.work().join("volumes")).unwrap().flatten().collect();
    let volume = folders[0].path().join("data");
    assert!(!start().contains("ForeignVolume"));
    std::fs::write(volume.join("file"), "").unwrap();
    let second = start();
    assert!(!second.contains("ForeignVolume"), "{test}: {second}");
    std::os::unix::fs::chown(&volume, Some(root), Some(root)).unwrap();
    Some(start())
}

#[test]
fn a_volume_belongs_to_who_has_the_folder_in_the_root() {
    let test = "a_volume_belongs_to_who_has_the_folder";
    if !is_root() {
        return skip(test, "only root gives files away").unwrap_or_default();
    }
    let told = check_owner(test, None, 0).unwrap_or_default();
    assert!(told.is_empty() || told.contains("uid: 0, wanted_uid: 1000, wanted_gid: 1000"), "{told}");
    // With a single id everything is of one user, so what is root's of the host is a stranger's.
    let told = check_owner(test, Some(User::nobody()), 0).unwrap_or_default();
    assert!(told.is_empty() || told.contains("uid: 0, wanted_uid: 65534"), "{told}");
    let Some(user) = User::with_subordinate_ids() else {
        return skip(test, "no user of this host has subordinate ids").unwrap_or_default();
    };
    let (own, wanted) = (user.own_uid(), user.uid_on_host(1000));
    let told = check_owner(test, Some(user), own).unwrap_or_default();
    assert!(told.is_empty() || told.contains(&format!("uid: {own}, wanted_uid: {wanted}")), "{told}");
}

#[test]
fn two_runs_at_once_do_not_meet() {
    for as_root in [true, false] {
        let Some(toy) = Toy::new("two_runs_at_once_do_not_meet", as_root, |_| {}) else { continue };
        let _ = std::fs::remove_dir_all(toy.work().join("cache"));
        let runs: Vec<_> = (0..4)
            .map(|_| {
                toy.command(&[], &["sh", "-c", "echo one >>/tmp/x; exec wc -l /tmp/x"])
                    .stdout(std::process::Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for run in runs {
            assert_eq!(String::from_utf8_lossy(&run.wait_with_output().unwrap().stdout), "1 /tmp/x\n");
        }
        assert_eq!(toy.leftovers("no-such-marker"), Vec::<String>::new());
    }
}

/// Kills, from among the processes of a run, those that `choose` picks.
fn check_kill(test: &str, moments_ms: &[u64], choose: fn(&[i32]) -> Vec<i32>) {
    for as_root in [true, false] {
        let Some(toy) = Toy::new(test, as_root, |_| {}) else { continue };
        for (round, moment) in moments_ms.iter().enumerate() {
            let marker = format!("{}{}{round}", test.len() + 100, std::process::id());
            let mut command =
                toy.command(&[], &["sleep", &marker]).stderr(std::process::Stdio::null()).spawn().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(*moment));
            let own = i32::try_from(command.id()).unwrap();
            // Again and again: a helper may not be born yet, and a short-lived one may just have ended by itself.
            while command.try_wait().unwrap().is_none() {
                for pid in choose(&[vec![own], children(own)].concat()) {
                    let _ = Command::new("kill")
                        .args(["-9", &pid.to_string()])
                        .stderr(std::process::Stdio::null())
                        .status();
                }
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            // The next command repairs what nobody was left to undo; it waits for what is still on its way.
            for _ in 0..300 {
                toy.run(&[], &["true"]);
                if toy.leftovers(&marker).is_empty() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            assert_eq!(toy.leftovers(&marker), Vec::<String>::new(), "as root: {as_root}, after {moment} ms");
        }
    }
}

fn children(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()
}

const MOMENTS_MS: [u64; 9] = [1, 3, 5, 8, 12, 18, 25, 60, 150];

#[test]
fn a_killed_command_leaves_nothing() {
    check_kill("a_killed_command_leaves_nothing", &MOMENTS_MS, |all| all[..1].to_vec());
}

#[test]
fn a_killed_helper_leaves_nothing() {
    check_kill("a_killed_helper_leaves_nothing", &MOMENTS_MS, |all| all[1..].to_vec());
}

#[test]
fn both_killed_leave_nothing() {
    check_kill("both_killed_leave_nothing", &MOMENTS_MS, |all| all.to_vec());
}

/// Without any other command: the helper alone cleans up when the command is killed.
#[test]
fn the_helper_cleans_up_by_itself() {
    for as_root in [true, false] {
        let Some(toy) = Toy::new("the_helper_cleans_up_by_itself", as_root, |_| {}) else { continue };
        let marker = format!("77{}", std::process::id());
        let mut child = toy.start(&[], &format!("echo up; exec sleep {marker}"));
        signal(&child, "-KILL");
        child.wait().unwrap();
        assert_eq!(toy.leftovers_in_the_end(&marker), Vec::<String>::new(), "as root: {as_root}");
    }
}

/// What somebody else put into the instance's folder is told, although no step of the run knows of it.
#[test]
fn what_is_left_is_found_by_looking() {
    let Some(toy) = Toy::new("what_is_left_is_found_by_looking", true, |_| {}) else { return };
    let child = toy.command(&[], &["sh", "-c", "echo up; exec sleep 1000"]);
    let mut child = { child }.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0u8; 3]).unwrap();
    let mut instances = std::fs::read_dir(toy.work().join("state")).unwrap().flatten().map(|entry| entry.path());
    let extra = instances.find(|path| path.is_dir()).unwrap().join("an extra");
    std::fs::create_dir(&extra).unwrap();
    host::mount_fs("tmpfs", "extra", &extra, host::MountFlags::default(), "").unwrap();
    signal(&child, "-TERM");
    let mut said = String::new();
    child.stderr.as_mut().unwrap().read_to_string(&mut said).unwrap();
    let status = child.wait().unwrap();
    host::detach(&extra).unwrap();
    assert_eq!(status.code(), Some(125), "{said}");
    assert!(said.contains(&format!("mount {}", extra.display())), "{said}");
    toy.run(&[], &["true"]);
    assert_eq!(toy.leftovers("no-such-marker"), Vec::<String>::new());
}
