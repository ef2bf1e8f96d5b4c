//! What the verbs on instances say, of one and of several: which was done, which failed, and why.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::process::Stdio;

use bundle::channel::{Exec, Request};
use engine::Connection;
use serde_json::Value;

use super::TALKER;
use crate::run::{WEB, check};
use crate::run_words::DEAF;
use crate::world::Done;

#[test]
fn of_several_instances_each_is_done_and_what_failed_is_told() {
    check("of_several_instances_each_is_done", WEB, |toy| {
        toy.detach("one");
        toy.detach("two");
        toy.verb(&["kill", "-s", "WINCH", "no", "one"]).fails(1, &["find the instance \"no\""]);
        // Which of both is meant is not known, and neither is removed.
        let done = toy.verb(&["rm", "--force", &toy.name]).fails(1, &["2 run", "one, two"]);
        assert!(!done.text().contains("there is no instance"), "{}", done.text());
        let done = toy.verb(&["stop", "no", "one", "--json"]).fails(1, &[]);
        let told: Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!(
            (&told["ok"], &told["ended"][0]["name"], &told["failed"][0]["name"]),
            (&Value::Bool(false), &"one".into(), &"no".into()),
            "{told:#}"
        );
        toy.verb(&["rm", "two", "one"]).fails(1, &["removed one", "remove two: it is running"]);
        assert_eq!(toy.verb(&["ps", "--all", "--names"]).succeeds().stdout, "two\n");
        // What has ended and has the very name is meant before what runs of an appliance of that name.
        let first = toy.verb(&["run", "-d", "out"]).succeeds().stdout;
        assert_eq!(first.trim(), &*toy.name);
        toy.verb(&["stop", &toy.name]).succeeds();
        toy.verb(&["wait", &toy.name]).fails(143, &[]);
        toy.verb(&["rm", "--force", &toy.name]).succeeds();
        assert_eq!(toy.verb(&["ps", "--names"]).succeeds().stdout, "two\n");
        // Of its appliance only one runs now, which is not the one that was removed.
        toy.verb(&["rm", "--force", &toy.name]).fails(1, &["no instance has this name", "appliance rm --force two"]);
        // One that has ended is meant by its name, and what runs is named.
        toy.verb(&["run", "-d", "out"]).succeeds();
        toy.verb(&["stop", &toy.name]).succeeds();
        toy.verb(&["exec", &toy.name, "--", "true"]).fails(125, &["it has ended", "of the same appliance runs two"]);
        toy.verb(&["stop", &toy.name]).fails(0, &["of the same appliance runs two"]);
        toy.verb(&["rm", &toy.name]).succeeds();
        toy.verb(&["exec", &toy.name, "--", "true"]).succeeds();
        toy.verb(&["rm", "--force", "two"]).succeeds();
    });
}

#[test]
fn standard_input_is_read_only_for_a_command_that_gets_it() {
    check("standard_input_is_read_only_for", WEB, |toy| {
        toy.detach("one");
        let path = toy.world.path("work-input");
        fs::write(&path, "a line\n").unwrap();
        let cat = |options: &[&str]| {
            let mut input = File::open(&path).unwrap();
            let mut command = toy.command(&[&["exec"], options, &["one", "--", "cat"]].concat());
            let done = Done::of(command.stdin(input.try_clone().unwrap()).output().unwrap()).succeeds();
            (done.stdout, input.stream_position().unwrap())
        };
        assert_eq!(cat(&[]), (String::new(), 0));
        assert_eq!(cat(&["-i"]), ("a line\n".to_owned(), 7));
        toy.away("one");
    });
}

#[test]
fn a_refused_command_is_told_with_the_reason() {
    check("a_refused_command_is_told", WEB, |toy| {
        toy.detach("one");
        let run = |args: &[&str]| toy.verb(&[&["exec"], args].concat());
        run(&["one", "--", "nothing"]).fails(127, &["failed to run nothing in one", "exec one -- ls /bin"]);
        let done =
            run(&["-w", "/no", "one", "--", "true"]).fails(126, &["failed to run true in one", "the folder /no"]);
        assert!(!done.text().contains("ls /bin"), "{}", done.text());
        toy.away("one");
    });
}

#[test]
fn a_command_under_which_the_instance_ends_is_told_so() {
    check("a_command_under_which_the_instance_ends", WEB, |toy| {
        toy.detach("one");
        let mut command = toy.command(&["exec", "one", "--", "sh", "-c", "echo up; exec sleep 1000"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 3]).unwrap();
        // The first process alone: what the guest stops in order ends by its own signal.
        toy.verb(&["kill", "one"]).succeeds();
        Done::of(child.wait_with_output().unwrap()).fails(137, &["one ended, and the command with it"]);
        toy.away("one");
    });
}

#[test]
fn what_was_printed_is_told_as_json_too() {
    check("what_was_printed_is_told_as_json_too", TALKER, |toy| {
        toy.detach("one");
        let follower = toy.command(&["logs", "-f", "one", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
        let printed = |text: &str| {
            let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            lines.sort_by_key(|line| line["stream"].to_string());
            lines
        };
        let expected = [
            serde_json::json!({ "stream": "stderr", "line": "to stderr" }),
            serde_json::json!({ "stream": "stdout", "line": "to stdout" }),
        ];
        assert_eq!(printed(&toy.verb(&["logs", "one", "--json"]).succeeds().stdout), expected);
        toy.verb(&["stop", "one", "--within", "1.x"]).fails(2, &["it is not a time", "1.5"]);
        toy.verb(&["stop", "one", "--within", "20.5"]).succeeds();
        let followed = follower.wait_with_output().unwrap().stdout;
        assert_eq!(printed(&String::from_utf8_lossy(&followed)), expected);
        assert_eq!(printed(&toy.verb(&["logs", "one", "--json"]).succeeds().stdout), expected);
        toy.away("one");
    });
}

#[test]
fn two_at_once_of_one_name_are_one() {
    check("two_at_once_of_one_name_are_one", WEB, |toy| {
        let both = |args: &[&str]| {
            let spawn = || toy.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let children: Vec<_> = (0..2).map(|_| spawn()).collect();
            let mut done: Vec<Done> =
                children.into_iter().map(|child| Done::of(child.wait_with_output().unwrap())).collect();
            done.sort_by_key(|done| done.code);
            done
        };
        let done = both(&["run", "-d", "out", "--name", "one"]);
        assert_eq!((done[0].code, done[0].stdout.as_str()), (Some(0), "one\n"), "{}", done[0].text());
        assert_eq!(done[1].code, Some(125), "{}", done[1].text());
        let words = done[1].text();
        assert!(words.contains("one of this name is running") && words.contains("another --name"), "{words}");
        assert!(!words.contains("left"), "{words}");
        // Where nobody chose a name there is one for each.
        let mut names: Vec<String> =
            both(&["run", "-d", "out"]).into_iter().map(|done| done.succeeds().stdout).collect();
        names.sort();
        assert_eq!(names, [format!("{}\n", toy.name), format!("{}-2\n", toy.name)]);
        toy.verb(&["rm", "--force", "one", names[0].trim(), names[1].trim()]).succeeds();
    });
}

#[test]
fn more_commands_than_fit_are_told_so() {
    check("more_commands_than_fit_are_told_so", WEB, |toy| {
        toy.detach("one");
        let folder = toy.world.path("state/one");
        let args = ["sleep", "1000"].map(str::to_owned).to_vec();
        let wanted = Exec { args, env: BTreeMap::new(), cwd: None, user: None, terminal: None };
        let start = || {
            let mut connection = Connection::open(&folder).unwrap();
            let (_, said) = connection.begin(&Request::Exec(wanted.clone())).unwrap();
            assert!(said.open, "{said:?}");
            connection
        };
        let all: Vec<Connection> = (0..128).map(|_| start()).collect();
        let done = toy
            .exec("one", "true")
            .fails(125, &["failed to run sh in one", "128 commands and copies run in the instance"]);
        assert!(!done.text().contains("kill"), "{}", done.text());
        // It is not full for those who look at it, or end it.
        toy.verb(&["ps"]).fails(0, &["ready"]);
        drop(all);
        toy.away("one");
    });
}

#[test]
fn a_service_that_is_deaf_is_told_of_when_it_is_stopped() {
    check("a_service_that_is_deaf_is_told_of", &DEAF.replace("WITHIN", "600s"), |toy| {
        toy.detach("one");
        let mut command = toy.command(&["stop", "one"]);
        let mut stop = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(stop.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert_eq!(line, "waiting for deaf to stop, for 600 s at most\n");
        let done = toy.verb(&["stop", "one", "--within", "200ms"]).succeeds();
        let words = "service \"deaf\" of one did not stop within ";
        assert!(done.stderr.contains(words) && done.stderr.contains("and was killed"), "{}", done.stderr);
        said.read_to_string(&mut line).unwrap();
        assert!(stop.wait().unwrap().success() && line.contains(words), "{line}");
        toy.detach("one");
        let told = toy.json(&["stop", "one", "--within", "0.2"]);
        let killed = &told["ended"][0]["killed"];
        assert_eq!((&killed[0]["service"], &killed[0]["within_ms"]), (&"deaf".into(), &200.into()), "{told:#}");
        toy.detach("one");
        toy.verb(&["kill", "-s", "TERM", "one"]).succeeds();
        assert_eq!(toy.json(&["ps"])["instances"][0]["state"], "stopping");
        toy.away("one");
    });
}

#[test]
fn a_supervisor_has_the_name_of_its_instance() {
    check("a_supervisor_has_the_name_of_its_instance", WEB, |toy| {
        toy.detach("one");
        let read = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", toy.supervisor("one"))).unwrap();
        assert_eq!(read("comm"), "appliance: one\n");
        assert!(read("cmdline").starts_with("appliance: one\0"), "{}", read("cmdline"));
        toy.away("one");
    });
}

#[test]
fn the_end_of_standard_input_ends_a_terminal_too() {
    check("the_end_of_standard_input_ends_a_terminal_too", WEB, |toy| {
        toy.detach("one");
        for input in ["abc\n", "abc", ""] {
            let mut command = toy.command(&["exec", "-t", "one", "--", "cat"]);
            let mut child =
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            let done = Done::of(child.wait_with_output().unwrap()).succeeds();
            // Once as the terminal's echo and once as cat's own.
            let expected = input.trim().len() / 3 * 2;
            assert_eq!(done.stdout.matches("abc").count(), expected, "{input:?}: {:?}", done.stdout);
        }
        toy.away("one");
    });
}

#[test]
fn the_end_of_standard_input_ends_a_shell_with_a_line_editor_too() {
    check("the_end_of_standard_input_ends_a_shell", WEB, |toy| {
        toy.detach("one");
        for (input, printed) in [("", ""), ("echo a; echo b\n", "a\r\nb\r\n"), ("sleep 0.3; expr 40 + 2", "\r\n42\r\n")]
        {
            let mut command = toy.command(&["exec", "-t", "one", "--", "sh", "-i"]);
            let mut child =
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            let done = Done::of(child.wait_with_output().unwrap()).succeeds();
            assert!(done.stdout.contains(printed), "{input:?}: {:?}", done.stdout);
        }
        toy.away("one");
    });
}

#[test]
fn a_port_that_an_instance_has_is_told_with_the_instance() {
    check("a_port_that_an_instance_has", WEB, |toy| {
        toy.detach("one");
        let address = toy.verb(&["port", "one", "8080"]).succeeds().stdout;
        let port = address.trim().rsplit_once(':').unwrap().1;
        let wish = format!("8080={port}");
        let words = [&*format!("the instance one has port {port}"), "appliance stop one", "--port 8080=HOSTPORT"];
        toy.verb(&["run", "out", "-d", "--port", &wish]).fails(125, &words);
        toy.away("one");
    });
}

#[test]
fn what_is_no_file_is_left_out_of_a_copy_and_told() {
    check("what_is_no_file_is_left_out", WEB, |toy| {
        toy.detach("one");
        let script = "mkdir /tmp/a; mkfifo /tmp/a/pipe; echo 1 > /tmp/a/1; echo z > /tmp/a/z";
        toy.exec("one", script).succeeds();
        let here = toy.world.path("copied");
        fs::create_dir(&here).unwrap();
        toy.world.open_to_all();
        let to = here.display().to_string();
        toy.verb(&["cp", "one:/tmp/a", &to]).fails(1, &["left out /tmp/a/pipe: a device, a socket or a pipe"]);
        assert_eq!(fs::read_to_string(here.join("a/z")).unwrap(), "z\n");
        toy.verb(&["cp", "one:/tmp/a/pipe", &to]).fails(1, &["/tmp/a/pipe is a device, a socket or a pipe"]);
        // Whoever may not give files away keeps them; whom a container does not know owns nothing there.
        toy.exec("one", "rm /tmp/a/pipe; mkdir /tmp/b").succeeds();
        let done = toy.verb(&["cp", "-a", "one:/tmp/a", &to]).succeeds();
        assert_eq!(done.text().contains("only root gives files to others"), toy.user.is_some(), "{}", done.text());
        toy.verb(&["cp", "-a", &here.join("a").display().to_string(), "one:/tmp/b"]).succeeds();
        assert_eq!(toy.exec("one", "cat /tmp/b/a/z").succeeds().stdout, "z\n");
        let full = here.join("no/such").display().to_string();
        let done = toy.verb(&["cp", "one:/tmp/a/z", &full]).fails(1, &["no/such"]);
        assert!(!done.text().contains("unfinished"), "{}", done.text());
        toy.away("one");
    });
}
