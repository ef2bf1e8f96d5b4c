//! What the verbs on instances say, of one and of several: which was done, which failed, and why.

use std::fs::{self, File};
use std::io::Seek;
use std::process::Stdio;

use serde_json::Value;

use super::TALKER;
use crate::run::{WEB, check};
use crate::world::Done;

#[test]
fn of_several_instances_each_is_done_and_what_failed_is_told() {
    check("of_several_instances_each_is_done", WEB, |toy| {
        toy.detach("one");
        toy.detach("two");
        toy.verb(&["kill", "-s", "USR1", "no", "one"]).fails(1, &["find the instance \"no\""]);
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
        // Of its appliance only one runs now.
        toy.verb(&["rm", "--force", &toy.name]).succeeds();
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
