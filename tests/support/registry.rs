//! A real registry on the loopback address, from Debian's package, that skopeo fills.

#![allow(dead_code, clippy::allow_attributes, reason = "every kind of test uses its own part of this")]

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::support::{skip, tool};
use super::world::World;

/// What a hang costs a test before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// `skopeo copy` with these arguments; what it said, where it failed.
pub fn copy(args: &[&str]) -> Result<(), String> {
    let mut command = Command::new(tool("skopeo").ok_or("there is no skopeo")?);
    // Not this user's own passwords, which may lie where only root can read.
    let nobody = tempfile::NamedTempFile::new().unwrap();
    fs::write(nobody.path(), "{}").unwrap();
    command.env("REGISTRY_AUTH_FILE", nobody.path()).args(["--insecure-policy", "copy", "--quiet"]);
    let output = command.args(args).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

/// The registry of the distribution project, from Debian's package.
pub struct Registry {
    pub address: String,
    child: Child,
}

impl Registry {
    /// Starts it; none, with the reason said, where it is not installed.
    pub fn start(test: &str, world: &World, with_password: bool) -> Option<Self> {
        let (Some(program), Some(_)) = (tool("docker-registry"), tool("skopeo")) else {
            skip(test, "there is no docker-registry or no skopeo");
            return None;
        };
        let (config, users) = (world.path("registry.yml"), world.path("htpasswd"));
        // `me` with `secret`, hashed by bcrypt.
        fs::write(&users, "me:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n").unwrap();
        let auth = format!("auth: {{ htpasswd: {{ realm: toy, path: {} }} }}\n", users.display());
        // Another process may take the port in between; then it is tried again.
        for _ in 0..5 {
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
            let storage = world.path("registry").display().to_string();
            let text = format!(
                "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {storage} }} }}\nhttp: {{ addr: \"{address}\" }}\n{}",
                if with_password { &auth } else { "" }
            );
            fs::write(&config, text).unwrap();
            let mut command = Command::new(&program);
            command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
            let mut registry = Self { address, child: command.spawn().unwrap() };
            if registry.is_up() {
                return Some(registry);
            }
        }
        panic!("the registry does not start")
    }

    fn is_up(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if std::net::TcpStream::connect(&self.address).is_ok() {
                return true;
            }
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// Copies a layout of the spec's folder into the registry.
    #[track_caller]
    pub fn fill(&self, world: &World, layout: &str, name: &str, more: &[&str]) {
        let from = format!("oci:{}", world.path("spec").join(layout).display());
        let to = format!("docker://{}/{name}", self.address);
        copy(&[&["--dest-tls-verify=false"], more, &[from.as_str(), to.as_str()]].concat()).unwrap();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
