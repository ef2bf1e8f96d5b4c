//! Machines whose guests lie, flood, hang and die. QEMU's part is played by a shell, which says on the sockets whatever is
//! wanted: the supervisor must tell what happened and leave nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bundle::channel::Exec;
use engine::{
    About, Ask, Body, Bound, Machine, MachineLost, Outcome, Probe, Proof, Report, RunError, Step, live_instances,
};
use tempfile::TempDir;

/// What a hang costs a test.
const PATIENCE: Duration = Duration::from_secs(60);

/// A guest's first words on the channel, and what it says of itself (`docs/formats/channel.md`).
const HELLO: &str = r"printf '\022\0\0\0\0\0\0\0\001APPLCHAN\002\0\0\0\0\0\0\0\0\0' >&3";
const READY: &str = r#"printf '\021\0\0\0\0\0\0\0\040{"event":"ready"}' >&3"#;
const EXITED: &str = r#"printf '\035\0\0\0\0\0\0\0\040{"event":"exited","status":7}' >&3"#;

/// A machine that this script plays.
struct Played {
    folder: TempDir,
    bound: Bound,
}

/// How it ended, and what it printed.
struct Ended {
    result: Result<Outcome, RunError>,
    lost: Option<MachineLost>,
    printed: [String; 2],
    folder: TempDir,
}

fn play(script: &str, boot_ms: u64) -> Played {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        board: "played".into(),
        acceleration: "none".into(),
        why: "it is a test".into(),
        proofs: Vec::new(),
        memory_mib: 1,
        balloon_mib: None,
        cpus: 1,
        boot_ms,
        command: None,
        wire: false,
    };
    let about =
        About { appliance: "toy".into(), version: "1".into(), detached: false, command: Vec::new(), open: Vec::new() };
    let bound = Bound {
        instance: "toy".into(),
        about,
        body: Body::Machine(Box::new(machine)),
        state_folder: folder.path().join("state"),
        steps: vec![Step::Start],
        verdicts: Vec::new(),
        reach: None,
        ports: Vec::new(),
        guest: true,
        terminal: false,
        grace_ms: 300,
    };
    Played { folder, bound }
}

impl Played {
    fn run(self, mut on_report: impl FnMut(&Report, &Path)) -> Ended {
        let (mut output, output_end) = std::io::pipe().unwrap();
        let (mut errors, errors_end) = std::io::pipe().unwrap();
        let stdio: [OwnedFd; 3] =
            [std::fs::File::open("/dev/null").unwrap().into(), output_end.into(), errors_end.into()];
        let helper = PathBuf::from(env!("CARGO_BIN_EXE_engine-run"));
        let state = self.bound.state_folder.clone();
        let mut lost = None;
        let result = engine::run(&self.bound, &stdio, &helper, &mut |report| {
            if let Report::MachineLost(how) = report {
                lost = Some(how.clone());
            }
            on_report(report, &state);
        });
        drop(stdio);
        let mut printed = [String::new(), String::new()];
        output.read_to_string(&mut printed[0]).unwrap();
        errors.read_to_string(&mut printed[1]).unwrap();
        Ended { result, lost, printed, folder: self.folder }
    }
}

impl Ended {
    /// It failed, with all of these words, and nothing is left of it.
    #[track_caller]
    fn failed(&self, words: &[&str]) {
        let Err(RunError::Failed { reason, .. }) = &self.result else { panic!("{:?}", self.result) };
        words.iter().for_each(|word| assert!(reason.contains(word), "{word:?} is not in: {reason}"));
        self.is_clean();
    }

    /// It came up and was lost, as these words say, which is an end like others, and nothing is left of it.
    #[track_caller]
    fn lost(&self, status: i32, words: &[&str]) {
        assert_eq!(self.result.as_ref().map(|outcome| outcome.exit_status).ok(), Some(status), "{:?}", self.result);
        let MachineLost { why, console } = self.lost.as_ref().unwrap();
        let text = format!("{why}\n{}", console.join("\n"));
        words.iter().for_each(|word| assert!(text.contains(word), "{word:?} is not in: {text}"));
        self.is_clean();
    }

    #[track_caller]
    fn is_clean(&self) {
        assert!(live_instances(&self.folder.path().join("state")).unwrap().is_empty());
        assert!(!self.folder.path().join("state/toy").exists());
    }
}

#[test]
fn a_guest_that_says_nothing_is_given_up_with_its_console() {
    let mut told = 0;
    let ended = play("echo 'Kernel panic: a toy' >&6; exec sleep 1000", 500)
        .run(|report, _| told += usize::from(matches!(report, Report::Booting { .. })));
    assert_eq!(told, 1, "that it takes long is said once");
    ended.failed(&["bring the machine up", "its guest said nothing for 0 s", "Kernel panic: a toy"]);
}

#[test]
fn a_guest_that_dribbles_is_given_up_too() {
    let script = "printf 'AP' >&3; while :; do printf '\\022' >&6; sleep 0.05; done";
    play(script, 500).run(|_, _| {}).failed(&["bring the machine up", "its guest said nothing"]);
    // A hello that never ends, byte by byte.
    let script = "printf '\\022\\0\\0\\0' >&3; exec sleep 1000";
    play(script, 500).run(|_, _| {}).failed(&["its guest said nothing"]);
}

#[test]
fn a_guest_that_starts_services_in_place_of_the_command_is_too_old() {
    let service = r#"printf '\063\0\0\0\0\0\0\0\040{"event":"service","name":"web","state":"starting"}' >&3"#;
    let mut played = play(&format!("{HELLO}; {service}; exec sleep 1000"), 1_000_000);
    if let Body::Machine(machine) = &mut played.bound.body {
        let args = vec!["true".to_owned()];
        machine.command = Some(Exec { args, env: Default::default(), cwd: None, user: None, terminal: None });
    }
    played.run(|_, _| {}).failed(&["starts the services in place of the command", "build the appliance again"]);
}

#[test]
fn a_guest_that_talks_nonsense_is_given_up_at_once() {
    let patient = 1_000_000;
    let ended = play("head -c 100000 /dev/zero | tr '\\0' 'x' >&3; exec sleep 1000", patient).run(|_, _| {});
    ended.failed(&["bring the machine up", "its guest was lost"]);
    let huge = format!("{HELLO}; printf '\\377\\377\\377\\377\\0\\0\\0\\0\\040' >&3; exec sleep 1000");
    play(&huge, patient).run(|_, _| {}).failed(&["its guest was lost"]);
    let unknown = format!("{HELLO}; printf '\\002\\0\\0\\0\\0\\0\\0\\0\\040{{}}' >&3; exec sleep 1000");
    play(&unknown, patient).run(|_, _| {}).failed(&["its guest was lost"]);
}

#[test]
fn a_machine_that_ends_without_a_word_says_so_and_one_that_ends_well_gives_its_status() {
    let patient = 1_000_000;
    let ended = play(&format!("{HELLO}; {READY}; echo last >&6; exit 3"), patient).run(|_, _| {});
    ended.lost(137, &["QEMU ended with status 3", "last"]);
    let ended = play(&format!("{HELLO}; {READY}; kill -SEGV $$"), patient).run(|_, _| {});
    ended.lost(139, &["QEMU was ended by signal 11"]);
    let ended = play("echo 'qemu: no such device' >&2; exit 1", patient).run(|_, _| {});
    ended.failed(&["bring the machine up", "QEMU ended with status 1", "qemu: no such device"]);

    let script = format!("{HELLO}; {READY}; yes >&6 & echo out >&4; echo err >&5; {EXITED}; kill $!");
    let ended = play(&script, patient).run(|_, _| {});
    assert_eq!(ended.result.as_ref().map(|outcome| outcome.exit_status).ok(), Some(7), "{:?}", ended.result);
    assert_eq!(ended.printed, ["out\n", "err\n"]);
    ended.is_clean();
}

/// The parent of a process: the fourth field of proc_pid_stat(5), after a name in parentheses.
fn parent(pid: i32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

fn kill(pid: i32) {
    assert!(Command::new("/bin/kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
}

#[test]
fn a_supervisor_that_is_killed_takes_its_machine_along_in_every_state() {
    let ready = format!("{HELLO}; {READY}; exec sleep 1000");
    let stopping = format!("trap '' TERM; {HELLO}; {READY}; while :; do sleep 0.05; done");
    type When = fn(&Report) -> bool;
    let is_started: When = |report| matches!(report, Report::Started { .. });
    let is_ready: When = |report| matches!(report, Report::Guest(bundle::channel::Event::Ready));
    for (script, when, is_stopped) in
        [("exec sleep 1000", is_started, false), (&ready, is_ready, false), (&stopping, is_ready, true)]
    {
        let (mut machine, mut supervisor) = ((0, 0), 0);
        let ended = play(script, 1_000_000).run(|report, state| {
            if let Report::Started { pid, start_time } = report {
                (machine, supervisor) = ((*pid, *start_time), parent(*pid));
            }
            if when(report) {
                if is_stopped {
                    let found = live_instances(state).unwrap().pop().unwrap();
                    let ask = Ask::Stop { within_ms: Some(1_000_000) };
                    let _: serde_json::Value = found.connect().unwrap().ask(&ask).unwrap();
                }
                kill(supervisor);
            }
        });
        let Err(RunError::Lost { left }) = &ended.result else { panic!("{script}: {:?}", ended.result) };
        assert!(left.is_empty(), "{left:?}");
        ended.is_clean();
        let started = Instant::now();
        while host::process_exists(machine.0, machine.1) {
            assert!(started.elapsed() < PATIENCE, "{script}: the machine goes on");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What comes of trying the hardware's help with a machine that this script plays.
fn tried(script: &str, by_kernel: bool, boot_ms: u64) -> Probe {
    let Body::Machine(mut machine) = play(script, boot_ms).bound.body else { panic!() };
    let empty = tempfile::NamedTempFile::new().unwrap();
    if by_kernel {
        let sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".to_owned();
        machine.proofs.push(Proof { path: empty.path().to_owned(), sha256 });
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_engine-run"));
    command.args([engine::HELPER_ARG, "probe-machine"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    serde_json::to_writer(child.stdin.take().unwrap(), &machine).unwrap();
    serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn hardware_help_is_believed_only_where_a_machine_comes_up() {
    let patient = 60_000;
    let came_up = "echo 'appliance: failed to read the command line' >&6; exec sleep 1000";
    assert_eq!(tried(came_up, true, patient), Probe::Works);
    assert_eq!(tried("echo BdsDxe >&6; exec sleep 1000", false, patient), Probe::Works);
    let fails = |script: &str, by_kernel, boot_ms, words: &str| match tried(script, by_kernel, boot_ms) {
        Probe::Fails(reason) => assert!(reason.contains(words), "{reason}"),
        other => panic!("{script}: {other:?}"),
    };
    fails(
        "echo 'failed to set MSR 0x10a' >&2; kill -ABRT $$",
        false,
        patient,
        "ended at once; it said at last: failed to set",
    );
    fails("echo Booting >&6; exec sleep 1000", true, 300, "did not come up within 0 s; it said at last: Booting");
    fails("exec sleep 1000", false, 300, "did not come up within 0 s");
}

#[test]
fn a_machine_that_does_not_stop_is_asked_to_quit_and_then_killed() {
    let stop = |report: &Report, state: &Path| {
        if matches!(report, Report::Guest(bundle::channel::Event::Ready)) {
            let state = state.to_owned();
            thread::spawn(move || {
                let found = live_instances(&state).unwrap().pop().unwrap();
                let _: serde_json::Value = found.connect().unwrap().ask(&Ask::Stop { within_ms: Some(100) }).unwrap();
            });
        }
    };
    let started = Instant::now();
    let polite = format!("trap 'exit 0' TERM; {HELLO}; {READY}; while :; do sleep 0.05; done");
    let ended = play(&polite, 1_000_000).run(stop);
    assert_eq!(ended.result.as_ref().map(|outcome| outcome.signal).ok(), Some(Some(15)), "{:?}", ended.result);
    ended.is_clean();
    let deaf = format!("trap '' TERM; {HELLO}; {READY}; while :; do sleep 0.05; done");
    let ended = play(&deaf, 1_000_000).run(stop);
    assert_eq!(ended.result.as_ref().map(|outcome| outcome.signal).ok(), Some(Some(9)), "{:?}", ended.result);
    ended.is_clean();
    assert!(started.elapsed() < PATIENCE, "they were stopped");
}
