//! `network "outbound"` in a machine: the card leads to the supervisor, which dials what is listed and nothing else.

use std::process::Command;

use crate::internet::{Internet, reach};
use crate::microvm::Toy;
use crate::world::Done;

const SPEC: &str = r#"
    packages "toy-shell"
    service "wait" {
        run "/bin/sh" "-c" "exec sleep 100000"
    }
    network "outbound" {
        allow "listed.example" "93.184.215.16:80" "10.77.0.0/24" "near.example"
    }
    resources { memory "256MiB"; }
    kernel "linux-image-real"
    output "microvm"
"#;

fn run(internet: &Internet, toy: &Toy, args: &[&str]) -> Done {
    let command: Command = toy.world.command(args);
    Done::of(internet.on_host(&command).output().unwrap())
}

#[test]
fn a_machine_reaches_what_is_listed_and_nothing_else() {
    let test = "a_machine_reaches_what_is_listed_and_nothing_else";
    let Some(toy) = Toy::new(test, SPEC) else { return };
    let Some(internet) = Internet::new(test) else { return };
    let plan = toy.world.run(&["plan", "--vm", "out"]).succeeds().stdout;
    assert!(plan.contains("virtio-net-device,netdev=wire") && !plan.contains("-nic none"), "{plan}");
    run(&internet, &toy, &["run", "-d", "--vm", "--name", "box", "out"]).succeeds();
    let good = ["listed.example", "93.184.215.14", "93.184.215.16", "10.77.0.2"];
    let bad = ["unlisted.example", "93.184.215.15", "10.77.0.1", "near.example", "198.18.0.1", "127.0.0.1"];
    let script = format!("cat /proc/net/dev /etc/resolv.conf; {}; {}", reach(&good), reach(&bad));
    let done = run(&internet, &toy, &["exec", "box", "--", "/bin/sh", "-c", &script]);
    let logs = run(&internet, &toy, &["logs", "box"]).text();
    for line in [
        "eth0:",
        "nameserver 198.18.0.1",
        "listed.example: page of 93.184.215.14",
        "93.184.215.14: page of 93.184.215.14",
        "93.184.215.16: page of 93.184.215.16",
        "10.77.0.2: page of 10.77.0.2",
    ] {
        assert!(done.stdout.contains(line), "{line} is not in {}{logs}", done.text());
    }
    for host in bad {
        assert!(done.stdout.contains(&format!("{host}: refused\n")), "{host}: {}{logs}", done.text());
    }
    internet.nobody_came_to(&["93.184.215.15", "10.77.0.1", "127.0.0.1"]);
    for words in ["may not ask for unlisted.example", "may not reach 10.77.0.1:80 (TCP): an address of the host"] {
        assert_eq!(logs.matches(words).count(), 1, "{words}: {logs}");
    }
    let stopped = run(&internet, &toy, &["stop", "box", "--json"]).succeeds().stdout;
    assert!(stopped.contains("\"left\":[]") || stopped.contains("\"left\": []"), "{stopped}");
    run(&internet, &toy, &["rm", "box"]).succeeds();
}
