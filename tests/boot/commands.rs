//! `run --vm … -- COMMAND`: a machine whose services do not start, since a command runs in their place.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::microvm::{SERVICES, Toy};
use crate::support::{skip, tool};
use crate::world::{Done, World};

const BOOTS: &str = "kernel \"linux-image-real\"\n    output \"microvm\"";

/// Somebody before a terminal of 117 columns and 31 rows.
struct Typist {
    script: Child,
    keys: ChildStdin,
    screen: ChildStdout,
    seen: String,
}

impl Typist {
    fn start(world: &World, args: &[&str]) -> Self {
        let inner = world.command(args);
        let words = std::iter::once(inner.get_program()).chain(inner.get_args());
        let words: Vec<String> =
            words.map(|word| format!("'{}'", word.to_str().unwrap().replace('\'', r"'\''"))).collect();
        let line = format!("stty rows 31 cols 117; exec {}", words.join(" "));
        let mut command = world.dressed(Command::new("script"), &["-qec", &line, "/dev/null"]);
        let mut script = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (keys, screen) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
        Self { script, keys, screen, seen: String::new() }
    }

    /// Reads the screen until these words stand there.
    #[track_caller]
    fn wait_for(&mut self, words: &str) {
        let mut chunk = [0; 1024];
        while !self.seen.contains(words) {
            let count = self.screen.read(&mut chunk).unwrap();
            assert!(count > 0, "{words:?} never came: {}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&chunk[..count]));
        }
    }

    fn press(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).unwrap();
        self.keys.flush().unwrap();
    }

    /// The exit code, and all that stood on the screen.
    fn end(mut self) -> (Option<i32>, String) {
        self.screen.read_to_string(&mut self.seen).unwrap();
        (self.script.wait().unwrap().code(), self.seen)
    }
}

#[test]
fn a_command_runs_in_place_of_the_services_of_a_machine() {
    let test = "a_command_runs_in_place_of_the_services_of_a_machine";
    let spec = SERVICES.replace("output \"ext4\"", BOOTS);
    let Some(toy) = Toy::new(test, &spec) else { return };
    let run = ["run", "--vm", "out", "--"];
    // Its streams and its exit code are its own; no service runs, nothing else is said.
    let script = "tr a-z A-Z; echo err >&2; id -u; pwd; echo $HOME; ps | grep -c '[h]ttpd'; head -c 300000 /dev/zero | wc -c; exit 7";
    let done = toy.world.run_with("loud\n", &[&run[..], &["/bin/sh", "-c", script]].concat());
    assert_eq!(
        (done.code, done.stdout.as_str(), done.stderr.as_str()),
        (Some(7), "LOUD\n0\n/\n/root\n0\n300000\n", "err\n")
    );
    let missing = toy.world.run(&[&run[..], &["/bin/no-such-program"]].concat());
    missing.fails(127, &["appliance: failed to start the command", "/bin/no-such-program"]);
    // Where nobody reads any more it ends as one that writes to the pipe itself.
    let mut endless = toy.world.command(&[&run[..], &["/bin/sh", "-c", "while :; do echo more; done"]].concat());
    let mut child = endless.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0; 5]).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(141));
    let stranger = toy.world.run(&["run", "--vm", "--user", "nobody-here", "out", "--", "/bin/true"]);
    stranger.fails(125, &["appliance: failed to start the command", "nobody-here"]);
    let as_user = toy.world.run(&["run", "--vm", "--user", "web", "out", "--", "/bin/sh", "-c", "id -un; pwd"]);
    assert_eq!(as_user.succeeds().stdout, "web\n/srv/www\n");
    toy.is_clean();
}

#[test]
fn a_command_in_a_machine_has_a_terminal_and_is_stopped_with_it() {
    let test = "a_command_in_a_machine_has_a_terminal_and_is_stopped_with_it";
    let spec = SERVICES.replace("output \"ext4\"", BOOTS);
    if tool("script").is_none() {
        return skip(test, "there is no script(1) to make a terminal with");
    }
    let Some(toy) = Toy::new(test, &spec) else { return };
    // Ctrl-C is a byte for the terminal inside, whose program has the last word.
    let script = "trap 'echo heard; exit 9' INT; stty size; echo at $((40 + 2)); while :; do sleep 0.1; done";
    let mut typist = Typist::start(&toy.world, &["run", "--vm", "out", "--", "/bin/sh", "-c", script]);
    typist.wait_for("at 42");
    typist.press(&[3]);
    let (code, seen) = typist.end();
    assert_eq!(code, Some(9), "{seen}");
    assert!(seen.contains("31 117\r\n") && seen.contains("heard\r\n"), "{seen}");
    // Without one, a request to stop goes to the command, which is killed when its time is over.
    for (script, code, words) in [
        ("trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.1; done", 5, "bye\n"),
        ("trap '' TERM; echo up; while :; do sleep 0.1; done", 137, "the command did not stop"),
    ] {
        let mut command = toy.world.command(&["run", "--vm", "out", "--", "/bin/sh", "-c", script]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 3];
        child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        let done = Done::of(child.wait_with_output().unwrap());
        assert_eq!(done.code, Some(code), "{}", done.text());
        assert!(done.text().contains(words), "{}", done.text());
    }
    toy.is_clean();
}
