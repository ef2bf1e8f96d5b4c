//! A host with a network of its own, and an internet behind it: namespaces with servers that note who came.
//!
//! The host has 10.77.0.1, the internet has 10.77.0.2 and the public addresses of [`SERVERS`]. Nothing of the real host is
//! touched: what runs inside sees its own `/etc/hosts`, and a `/dev/net/tun` that every user may open.

#![allow(dead_code, clippy::allow_attributes, reason = "every kind of test uses its own part of this")]

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::support::{is_root, skip, tool};

/// The servers, each by its address: those of the internet, then those of the host.
const SERVERS: [&str; 6] = ["93.184.215.14", "93.184.215.15", "93.184.215.16", "10.77.0.2", "10.77.0.1", "127.0.0.1"];

/// What the host's own resolver says.
const HOSTS: &str = "127.0.0.1 localhost\n93.184.215.14 listed.example\n93.184.215.15 unlisted.example\n\
    127.0.0.1 loop.example\n10.77.0.1 near.example\n";

/// Makes it all, says `ready`, and stays until its input ends.
const SCRIPT: &str = r#"
set -e
cd "$1"
trap 'trap - EXIT; kill 0' EXIT
serve() { for at in "$@"; do busybox httpd -f -v -p "$at:80" -h "www/$at" 2>>"hits/$at" & done; }
there() { until busybox wget -q -O /dev/null "http://$1/"; do sleep 0.1; done; }
ip link set lo up
ip link add h0 type veth peer name w0
unshare --net sh -c '
    until ip link show w0 >/dev/null 2>&1; do sleep 0.05; done
    ip link set lo up; ip link set w0 up; ip addr add 10.77.0.2/24 dev w0
    for at in 93.184.215.14 93.184.215.15 93.184.215.16; do ip addr add "$at/32" dev lo; done
    for at in 93.184.215.14 93.184.215.15 93.184.215.16 10.77.0.2; do
        busybox httpd -f -v -p "$at:80" -h "www/$at" 2>>"hits/$at" &
    done
    exec sleep infinity' &
until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link set w0 netns $!
ip addr add 10.77.0.1/24 dev h0; ip link set h0 up; ip route add default via 10.77.0.2
serve 10.77.0.1 127.0.0.1
for at in 93.184.215.14 93.184.215.15 93.184.215.16 10.77.0.2 10.77.0.1 127.0.0.1; do there "$at"; : > "hits/$at"; done
mount --bind hosts /etc/hosts
mknod tun c 10 200; chmod 666 tun; mount --bind tun /dev/net/tun
echo ready
cat >/dev/null
"#;

/// The host and its internet, as long as this is kept.
pub struct Internet {
    folder: TempDir,
    process: Child,
}

impl Internet {
    /// Makes them; none, with the reason said, where that is not possible.
    pub fn new(test: &str) -> Option<Self> {
        let no = |reason: &str| {
            skip(test, reason);
            None
        };
        if !is_root() {
            return no("it needs root, for a host of its own");
        }
        if let Some(missing) = ["ip", "unshare", "nsenter", "busybox"].into_iter().find(|name| tool(name).is_none()) {
            return no(&format!("there is no {missing}"));
        }
        if fs::File::options().read(true).write(true).open("/dev/net/tun").is_err() {
            return no("/dev/net/tun cannot be opened");
        }
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("hits")).unwrap();
        for server in SERVERS {
            fs::create_dir_all(folder.path().join("www").join(server)).unwrap();
            fs::write(folder.path().join("www").join(server).join("index.html"), format!("page of {server}\n"))
                .unwrap();
        }
        fs::write(folder.path().join("hosts"), HOSTS).unwrap();
        let errors = fs::File::create(folder.path().join("errors")).unwrap();
        let mut command = Command::new("setsid");
        command.args(["unshare", "--net", "--mount", "sh", "-c", SCRIPT, "sh"]).arg(folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let mut process = command.spawn().unwrap();
        let mut said = [0; 6];
        if process.stdout.as_mut().unwrap().read_exact(&mut said).is_err() {
            let _ = process.wait();
            return no(&fs::read_to_string(folder.path().join("errors")).unwrap_or_default());
        }
        Some(Self { folder, process })
    }

    /// The same command on this host.
    pub fn on_host(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(["--net", "--mount", "-t", &self.process.id().to_string(), "sh", "-c"]);
        inside.args(["cd \"$0\" && exec \"$@\""]).arg(command.get_current_dir().unwrap_or(Path::new("/")));
        inside.arg(command.get_program()).args(command.get_args()).env_clear();
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
        inside
    }

    /// How often somebody came to the server of this address.
    pub fn visits(&self, server: &str) -> usize {
        fs::read_to_string(self.folder.path().join("hits").join(server)).unwrap().lines().count()
    }

    /// No server but those of the internet that may be reached was seen.
    #[track_caller]
    pub fn nobody_came_to(&self, servers: &[&str]) {
        for server in servers {
            assert_eq!(self.visits(server), 0, "{server}");
        }
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Reaches for each of these and says what came of it.
pub fn reach(hosts: &[&str]) -> String {
    format!(
        "for host in {}; do echo \"$host: $(wget -q -O - \"http://$host/\" 2>/dev/null || echo refused)\"; done",
        hosts.join(" ")
    )
}
