//! The example specs on live Debian, where the host's own package manager names a mirror and that answers. One cache
//! for all runs of the tests, so that packages are fetched once.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::archive::{Archive, Release};
use crate::conformance::layers;
pub use crate::live_world::{copy, live_command, no_guest, unreachable};
use crate::package::Package;
use crate::support::{is_root, skip, tool};
use crate::world::Done;

/// A copy of an example in a folder of its own, built; none where packages cannot be had, with the reason said.
struct Example {
    folder: tempfile::TempDir,
}

impl Example {
    fn built(test: &str, name: &str) -> Option<Self> {
        if let Some(why) = unreachable() {
            skip(test, why);
            return None;
        }
        let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        if let Some(why) = no_guest(arch) {
            skip(test, &why);
            return None;
        }
        let folder = copy(name);
        let done = Done::of(live_command(folder.path(), &["build", "--scripts", "emulate-only"]).output().unwrap());
        assert_eq!(done.code, Some(0), "{}", done.text());
        Some(Self { folder })
    }

    fn run(&self, args: &[&str]) -> Done {
        Done::of(live_command(self.folder.path(), &[&["run", "out"], args].concat()).output().unwrap())
    }

    /// What the disk and the image are for other tools.
    fn check_outputs(&self) {
        let out = self.folder.path().join("spec/out");
        if let Some(e2fsck) = tool("e2fsck") {
            let checked = Command::new(e2fsck).arg("-fn").arg(out.join("root.ext4")).output().unwrap();
            assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
        }
        if let Some(skopeo) = tool("skopeo") {
            let image = format!("oci:{}", out.join("oci").display());
            let inspected = Command::new(skopeo).args(["--insecure-policy", "inspect", &image]).output().unwrap();
            assert!(inspected.status.success(), "{}", String::from_utf8_lossy(&inspected.stderr));
        }
    }
}

/// The start of a run's output up to this word, within a time that only a hang takes.
fn wait_for(log: &Path, word: &str) -> String {
    let begun = Instant::now();
    loop {
        let text = fs::read_to_string(log).unwrap_or_default();
        if text.contains(word) {
            return text;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{word:?} does not come: {text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs an example's services and fetches a path until it says this.
fn check_page(example: &Example, path: &str, expected: &str) {
    let log = example.folder.path().join("log");
    let file = fs::File::create(&log).unwrap();
    let mut command = live_command(example.folder.path(), &["run", "out"]);
    let mut child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
    let text = wait_for(&log, "http://127.0.0.1:");
    let address = text.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let begun = Instant::now();
    loop {
        let page = get(&address, path).unwrap_or_default();
        if page.contains(expected) {
            break;
        }
        let log = fs::read_to_string(&log).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none(), "{page:?}: {log}");
        std::thread::sleep(Duration::from_millis(50));
    }
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child.id().try_into().unwrap()),
        nix::sys::signal::Signal::SIGINT,
    )
    .unwrap();
    child.wait().unwrap();
    let left = fs::read_dir(example.folder.path().join("state")).unwrap().flatten();
    assert_eq!(left.filter(|entry| entry.file_type().unwrap().is_dir()).count(), 0);
}

fn get(address: &str, path: &str) -> std::io::Result<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: example\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    Ok(page)
}

#[test]
fn hello_is_built_runs_and_shows_its_page() {
    let Some(example) = Example::built("hello_is_built_runs_and_shows_its_page", "hello") else { return };
    example.check_outputs();
    check_page(&example, "/", "Hello from an appliance");
}

#[test]
fn agent_is_built_and_runs_python_without_a_network() {
    let Some(example) = Example::built("agent_is_built_and_runs_python_without_a_network", "agent") else { return };
    example.check_outputs();
    let done = example.run(&["--", "python3", "-c", "import os; print(sorted(os.listdir('/sys/class/net')))"]);
    assert!(done.code == Some(0) && done.stdout.contains("lo"), "{}", done.text());
    let git = example.run(&["--", "git", "--version"]);
    assert!(git.stdout.starts_with("git version"), "{}", git.text());
    check_page(&example, "/health", "200");
}

#[test]
fn inference_is_built_and_answers() {
    let Some(example) = Example::built("inference_is_built_and_answers", "inference") else { return };
    example.check_outputs();
    check_page(&example, "/health", "200");
}

#[test]
fn dpkg_finds_nothing_wrong_inside() {
    let test = "dpkg_finds_nothing_wrong_inside";
    let Some(example) = Example::built(test, "hello") else { return };
    if !is_root() {
        return skip(test, "files of other users are only right as root or with subordinate ids");
    }
    let verified = example.run(&["-q", "--", "dpkg", "--verify"]);
    assert_eq!((verified.code, verified.stdout.as_str()), (Some(0), ""), "{}", verified.text());
    let audited = example.run(&["-q", "--", "dpkg", "--audit"]);
    assert_eq!((audited.code, audited.stdout.as_str()), (Some(0), ""), "{}", audited.text());
    let listed = example.run(&["-q", "--", "sh", "-c", "dpkg -l | grep -c ^ii; dpkg -l | tail -n +6 | grep -v ^ii"]);
    assert!(listed.stdout.lines().count() == 1, "{}", listed.text());
}

/// Runs a command inside a root; it must succeed. Gives what it said.
#[track_caller]
pub fn inside(root: &Path, words: &[&str]) -> String {
    let mut command = Command::new("chroot");
    command.arg(root).args(words).env_clear().stdin(Stdio::null());
    command
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .env("DEBIAN_FRONTEND", "noninteractive");
    let done = Done::of(command.output().unwrap());
    assert_eq!(done.code, Some(0), "{words:?}: {}", done.text());
    done.text()
}

#[test]
fn one_more_package_can_be_installed_inside() {
    let test = "one_more_package_can_be_installed_inside";
    if !is_root() || !Command::new("chroot").args(["/", "true"]).status().is_ok_and(|status| status.success()) {
        return skip(test, "only root can unpack a root and enter it");
    }
    if tool("zstd").is_none() {
        return skip(test, "there is no zstd to unpack layers with");
    }
    let Some(example) = Example::built(test, "hello") else { return };
    let root = example.folder.path().join("root");
    fs::create_dir(&root).unwrap();
    for layer in layers(&example.folder.path().join("spec/out/oci")) {
        let tar = ["--zstd", "--numeric-owner", "--same-owner", "-xpf"];
        let unpacked = Command::new("tar").args(tar).arg(&layer).arg("-C").arg(&root).status().unwrap();
        assert!(unpacked.success());
    }
    // What a running system has there; the image has no devices.
    let null =
        Command::new("mknod").args(["-m", "666"]).arg(root.join("dev/null")).args(["c", "1", "3"]).output().unwrap();
    if !null.status.success() {
        return skip(test, String::from_utf8_lossy(&null.stderr).trim());
    }

    // An archive inside, so that nothing is asked of the network; its toy signature is none that gpgv accepts.
    let more = Package::new("toy-more", "1.0")
        .needs("libc6, debconf (>= 1.5) | debconf-2.0")
        .file("usr/share/toy-more", 0o644, "more\n")
        .script("postinst", "adduser --system --quiet --group toymore\nchown toymore: /usr/share/toy-more");
    Archive::below(&root.join("srv")).publish(&[more], &Release::default());
    fs::write(root.join("srv/toy.list"), "deb [trusted=yes] file:/srv/toy one main\n").unwrap();
    let apt = ["apt-get", "-q", "-y", "-o", "Dir::Etc::SourceList=/srv/toy.list", "-o", "Dir::Etc::SourceParts=-"];
    let before = inside(&root, &["dpkg-query", "-W"]);
    inside(&root, &[&apt[..], &["update"]].concat());
    inside(&root, &[&apt[..], &["install", "toy-more"]].concat());

    let after = inside(&root, &["dpkg-query", "-W"]);
    let new: Vec<&str> = after.lines().filter(|line| !before.lines().any(|old| old == *line)).collect();
    assert_eq!((new, before.lines().count() + 1), (vec!["toy-more\t1.0"], after.lines().count()));
    assert_eq!(inside(&root, &["stat", "-c", "%U:%G", "/usr/share/toy-more"]), "toymore:toymore\n");
    assert_eq!(inside(&root, &["dpkg", "--audit"]), "");
    inside(&root, &[&apt[..], &["check"]].concat());
    inside(&root, &[&apt[..], &["purge", "toy-more"]].concat());
    assert_eq!(inside(&root, &["dpkg-query", "-W"]), before);
}
