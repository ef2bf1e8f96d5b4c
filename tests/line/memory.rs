//! What is said when memory runs out: by the guest, by the run, and by the verbs that look at instances.

use serde_json::Value;

use crate::run::{Toy, WEB};
use crate::support::skip;

const LIMIT: &str = "    resources { memory \"48MiB\"; }\n";

/// What takes memory until there is none.
const HOG: &str = "tail /dev/zero";

/// A toy whose memory this host limits; none where it cannot, with the reason said.
fn limited(test: &str, services: &str) -> Option<Toy> {
    let toy = Toy::new(test, true, &format!("{services}\n{LIMIT}"))?;
    let planned = toy.verb(&["plan", "out", "--json"]).succeeds();
    let planned: Value = serde_json::from_str(&planned.stdout).unwrap();
    if planned.to_string().contains(r#""held":"enforced","how":"a control group with 48 MiB","item":"memory""#) {
        return Some(toy);
    }
    skip(test, "no control group can limit memory here");
    None
}

#[test]
fn a_service_that_the_kernel_killed_for_want_of_memory_says_so() {
    let hog = format!(r#"service "hog" {{ run "/bin/sh" "-c" "exec {HOG}"; restart "never"; }}"#);
    let Some(toy) = limited("a_service_that_the_kernel_killed", &hog) else { return };
    // Nobody watches a detached one: its output tells, and how it ended.
    let ends = |done: &crate::world::Done| done.code == Some(137);
    let started = toy.verb(&["run", "out", "-d", "--name", "one"]);
    let is_kept = started.code == Some(0);
    assert!(is_kept || ends(&started), "{}", started.text());
    if is_kept {
        let waited = toy.verb(&["wait", "one"]);
        assert!(ends(&waited) && waited.stderr.contains("memory ran out in one"), "{}", waited.text());
        let logs = toy.verb(&["logs", "one"]).succeeds();
        assert!(logs.stderr.contains("service \"hog\" was killed because memory ran out"), "{}", logs.text());
        assert!(toy.verb(&["ps", "--all"]).succeeds().stdout.contains("ended with 137, memory ran out"));
        toy.verb(&["rm", "one"]).succeeds();
    }
    let done = toy.verb(&["run", "out"]);
    assert_eq!(done.code, Some(137), "{}", done.text());
    let guest =
        "appliance: service \"hog\" was killed because memory ran out, of which there may be 48 MiB (status 137)";
    for words in [guest, "service \"hog\" was killed because memory ran out (status 137)", "give it more with `memory`"]
    {
        assert!(done.stderr.contains(words), "{words}: {}", done.text());
    }
    assert_eq!(toy.left_in_the_end(), [""; 0]);
}

#[test]
fn an_instance_outlives_what_was_killed_in_it_and_tells_of_it() {
    let Some(toy) = limited("an_instance_outlives_what_was_killed_in_it", WEB) else { return };
    toy.verb(&["run", "out", "-d", "--name", "one"]).succeeds();
    let instance = |args: &[&str]| -> Value {
        let listed = toy.verb(args).succeeds();
        serde_json::from_str::<Value>(&listed.stdout).unwrap()["instances"][0].clone()
    };
    let limit = Some(48 << 20);
    assert_eq!(instance(&["stats", "one", "--json"])["metrics"]["memory_limit_bytes"].as_u64(), limit);
    assert_eq!(instance(&["ps", "--json"])["out_of_memory"], Value::Null);
    assert_eq!(toy.verb(&["exec", "one", "--", "sh", "-c", &format!("exec {HOG}")]).code, Some(137));
    let found = instance(&["ps", "--json"])["out_of_memory"].clone();
    assert_eq!((found["kills"].as_u64(), found["limit_bytes"].as_u64()), (Some(1), limit), "{found:#}");
    assert!(toy.verb(&["ps"]).succeeds().stdout.contains("memory ran out"));
    let stats = toy.verb(&["stats", "one"]).succeeds().stdout;
    assert!(stats.contains(" of 48"), "{stats}");
    assert_eq!(toy.verb(&["exec", "one", "--", "echo", "yes"]).succeeds().stdout, "yes\n", "PID 1 lives");
    toy.verb(&["stop", "one"]).succeeds();
    assert!(toy.verb(&["ps", "--all"]).succeeds().stdout.contains("memory ran out"));
    let waited = toy.verb(&["wait", "one"]);
    assert!(waited.stderr.contains("memory ran out in one: the kernel killed a process"), "{}", waited.text());
    toy.verb(&["rm", "one"]).succeeds();
    assert_eq!(toy.left_in_the_end(), [""; 0]);
}
