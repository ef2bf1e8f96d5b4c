//! Looking at files of an instance: what is there, and what happens there.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, ChildStdout, Stdio};

use serde_json::Value;

use crate::run::{Toy, WEB, check};

/// The verb at work.
struct Watch {
    child: Child,
    lines: BufReader<ChildStdout>,
    /// Kept open for what it says at last.
    _words: BufReader<ChildStderr>,
}

impl Watch {
    /// Returns once it has begun.
    fn begin(toy: &Toy, args: &[&str]) -> Self {
        let mut command = toy.command(&[&["-v", "watch"], args].concat());
        let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let (lines, mut said) = (BufReader::new(child.stdout.take().unwrap()), String::new());
        let mut words = BufReader::new(child.stderr.take().unwrap());
        words.read_line(&mut said).unwrap();
        assert!(said.starts_with("watching "), "{said}");
        Self { child, lines, _words: words }
    }

    fn next(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The exit code, and what it said at last.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

#[test]
fn what_happens_in_a_folder_and_below_it_is_told() {
    check("what_happens_in_a_folder_and_below_it_is_told", WEB, |toy| {
        toy.detach("one");
        toy.verb(&["watch", "one", "/tmp/no"]).fails(1, &["watch /tmp/no in one", "No such file"]);
        toy.exec("one", "mkdir -p /tmp/top/old").succeeds();
        let mut watch = Watch::begin(toy, &["one", "/tmp/top"]);
        toy.exec("one", "mkdir /tmp/top/new").succeeds();
        assert_eq!(watch.next(), "created   /tmp/top/new");
        toy.exec("one", "echo x > /tmp/top/old/a; mv /tmp/top/old /tmp/top/new/is").succeeds();
        let told: Vec<String> = (0..3).map(|_| watch.next()).collect();
        let expected =
            ["created   /tmp/top/old/a", "modified  /tmp/top/old/a", "moved     /tmp/top/new/is from /tmp/top/old"];
        assert_eq!(told, expected);
        toy.exec("one", "echo more >> /tmp/top/new/is/a").succeeds();
        assert_eq!(watch.next(), "modified  /tmp/top/new/is/a");
        toy.exec("one", "rm -r /tmp/top").succeeds();
        let (code, rest) = watch.end();
        assert_eq!((code, rest.lines().last()), (Some(0), Some("gone      /tmp/top")), "{rest}");
        // It ends with the instance too.
        let watch = Watch::begin(toy, &["one", "/tmp"]);
        toy.away("one");
        assert_eq!(watch.end().0, Some(0));
    });
}

#[test]
fn what_stands_in_an_instance_is_listed() {
    check("what_stands_in_an_instance_is_listed", WEB, |toy| {
        toy.detach("one");
        let script =
            "cd /tmp; mkdir list; echo hello > list/a; chmod 640 list/a; ln -s ../x list/b; mkdir -m 1777 list/c";
        toy.exec("one", script).succeeds();
        let listed = toy.verb(&["ls", "one", "/tmp/list"]).succeeds().stdout;
        let ends = |line: Option<&str>| line.map(|line| (line[..10].to_owned(), line[line.len() - 10..].to_owned()));
        let mut lines = listed.lines();
        let check = |line, mode: &str, name: &str| {
            let (start, end) = ends(line).unwrap();
            assert!(start == mode && end.ends_with(name), "{listed}");
        };
        check(lines.next(), "-rw-r-----", " a");
        check(lines.next(), "lrwxrwxrwx", " b -> ../x");
        check(lines.next(), "drwxrwxrwt", " c");
        let itself = toy.json(&["ls", "-d", "one", "tmp/list/a"]);
        assert_eq!((&itself["entry"]["size_bytes"], &itself["entries"]), (&6.into(), &Value::Null), "{itself:#}");
        assert_eq!(toy.json(&["ls", "one", "/tmp/list"])["entries"][1]["target"], "../x");
        toy.verb(&["ls", "one", "/nowhere"]).fails(1, &["list /nowhere in one", "No such file"]);
        toy.verb(&["ls", "two"]).fails(1, &["find the instance \"two\""]);
        toy.away("one");
    });
}
