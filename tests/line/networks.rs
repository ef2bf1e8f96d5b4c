//! `network "outbound"` in a container: what is listed is reached, by name and by address, and nothing else; the host itself
//! never.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::internet::{Internet, reach};
use crate::run::{Toy, WEB};
use crate::support::{skip, tool};
use crate::world::Done;

const NONE: &str = "network \"none\" { port 8080 name=\"page\"; }";

/// What the spec of these tests lists: a name, an address with its port, the host's own network, and two names that lead to
/// the host.
const LISTED: &str = r#"network "outbound" {
        port 8080 name="page"
        allow "listed.example" "93.184.215.16:80" "10.77.0.0/24" "loop.example" "near.example"
    }"#;

/// The toy with another network.
fn with_network(toy: &Toy, network: &str) {
    let path = toy.world.path("spec/appliance.kdl");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(NONE), "{text}");
    toy.world.spec_text(text.replace(NONE, network));
    toy.world.build();
    toy.world.open_to_all();
}

fn shell(internet: &Internet, toy: &Toy, script: &str) -> Done {
    let command: Command = toy.run(&["--", "sh", "-c", script]);
    Done::of(internet.on_host(&command).output().unwrap())
}

/// Does this with a toy of each user, with this network.
fn check(test: &str, network: &str, verify: impl Fn(&Internet, &Toy)) {
    for as_root in [true, false] {
        let Some(toy) = Toy::new(test, as_root, WEB) else { continue };
        let Some(internet) = Internet::new(test) else { return };
        with_network(&toy, network);
        verify(&internet, &toy);
        assert_eq!(toy.left_in_the_end(), [""; 0], "as root: {as_root}");
    }
}

#[test]
fn what_is_listed_is_reached_and_nothing_else() {
    check("what_is_listed_is_reached_and_nothing_else", LISTED, |internet, toy| {
        let good = ["listed.example", "93.184.215.14", "93.184.215.16", "10.77.0.2"];
        let done = shell(internet, toy, &format!("cat /proc/net/dev /etc/resolv.conf; {}", reach(&good)));
        for line in [
            "eth0:",
            "nameserver 198.18.0.1",
            "listed.example: page of 93.184.215.14",
            "93.184.215.14: page of",
            "93.184.215.16: page of 93.184.215.16",
            "10.77.0.2: page of 10.77.0.2",
        ] {
            assert!(done.stdout.contains(line), "{line} is not in {}", done.text());
        }
        assert_eq!(
            done.stdout.lines().filter(|line| line.contains(':') && line.contains("  ")).count(),
            2,
            "{}",
            done.text()
        );

        let bad = [
            "unlisted.example",
            "93.184.215.15",
            "10.77.0.1",
            "near.example",
            "loop.example",
            "198.18.0.1",
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0.0.0.0",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:10.77.0.1]",
        ];
        let done = shell(internet, toy, &reach(&bad));
        for host in bad {
            assert!(done.stdout.contains(&format!("{host}: refused\n")), "{host}: {}", done.text());
        }
        for words in [
            "may not ask for unlisted.example",
            "may not reach 93.184.215.15:80 (TCP): no `allow` lists it",
            "may not reach 10.77.0.1:80 (TCP): an address of the host itself is never reached",
        ] {
            assert_eq!(done.stderr.matches(words).count(), 1, "{words}: {}", done.stderr);
        }
        internet.nobody_came_to(&["93.184.215.15", "10.77.0.1", "127.0.0.1"]);
        assert!(internet.visits("93.184.215.14") > 0);
    });
}

#[test]
fn without_the_device_for_networks_a_run_says_what_helps() {
    let test = "without_the_device_for_networks_a_run_says_what_helps";
    let Some(toy) = Toy::new(test, true, WEB) else { return };
    if tool("unshare").is_none() || !Path::new("/dev/net").is_dir() {
        return skip(test, "there is no unshare, or no /dev/net to hide");
    }
    with_network(&toy, LISTED);
    let run = toy.run(&["--", "true"]);
    let hidden = "mount -t tmpfs none /dev/net && exec \"$@\"";
    let mut without = Command::new("unshare");
    without.args(["--mount", "sh", "-c", hidden, "sh"]).arg(run.get_program());
    let args: Vec<&str> = run.get_args().filter_map(|arg| arg.to_str()).collect();
    let done = Done::of(toy.world.dressed(without, &args).output().unwrap());
    done.fails(125, &["network \"outbound\"", "/dev/net/tun is not there", "modprobe tun", "--vm"]);
}
