//! Toy bundles made of a static busybox, runs of them, and a look at what they leave on the host.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// An entry of a toy layer: path, mode, owner, and what it is.
pub type Entry<'a> = (&'a str, u32, u32, What<'a>);

/// What an entry is.
#[derive(Clone)]
pub enum What<'a> {
    Folder,
    File(&'a [u8]),
    Symlink(&'a str),
    HardLink(&'a str),
}

/// A bundle in a temporary folder, with the folders of its runs beside it.
pub struct Toy {
    pub folder: tempfile::TempDir,
    user: Option<User>,
}

const APPLETS: &str = "sh true false ls cat touch mkdir sleep id mount umount unshare ps grep nc echo kill dd head hostname stat tee env rm mknod chroot find wc yes ln test ip";

/// The user that tests change to when they are run by root.
pub struct User {
    /// Name or number.
    name: String,
    uid: u32,
    gid: u32,
}

impl User {
    pub fn nobody() -> Self {
        Self { name: "65534".to_owned(), uid: 65534, gid: 65534 }
    }

    pub fn own_uid(&self) -> u32 {
        self.uid
    }

    /// The number on the host of a user inside: 1 is the first of the range.
    pub fn uid_on_host(&self, inside: u32) -> u32 {
        let text = std::fs::read_to_string("/etc/subuid").unwrap();
        let start = text.lines().find_map(|line| line.strip_prefix(&self.name)?.strip_prefix(':')?.split(':').next());
        start.unwrap().parse::<u32>().unwrap() + inside - 1
    }

    /// A user of this machine with subordinate ids and the right to use them.
    pub fn with_subordinate_ids() -> Option<Self> {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let (passwd, groups) = (text("/etc/passwd"), text("/etc/subgid"));
        let user = |name: &str| {
            let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
            let number = |at: usize| line.split(':').nth(at)?.parse().ok();
            Some(Self { name: name.to_owned(), uid: number(2)?, gid: number(3)? })
        };
        let mapped = text("/etc/subuid");
        let mut names = mapped.lines().filter_map(|line| line.split(':').next());
        names.find_map(|name| groups.contains(&format!("{name}:")).then(|| user(name))?)
    }
}

pub fn busybox() -> Option<Vec<u8>> {
    let found = ["/bin/busybox", "/usr/bin/busybox"].iter().find_map(|path| std::fs::read(path).ok())?;
    // A dynamic one would need the host's libraries inside.
    let interpreter = found.windows(8).take(4096).any(|window| window == b"/ld-linu" || window == b"/ld-musl");
    (!interpreter).then_some(found)
}

/// The reason on standard error, and nothing to do.
pub fn skip<T>(test: &str, reason: &str) -> Option<T> {
    eprintln!("SKIP {test}: {reason}");
    None
}

pub fn is_root() -> bool {
    host::effective_uid() == 0
}

impl Toy {
    /// A toy for this test, run as root or as nobody; none where that is not possible, with the reason said.
    pub fn new(test: &str, as_root: bool, change: impl FnOnce(&mut Value)) -> Option<Self> {
        if as_root && !is_root() {
            return skip(test, "it needs root");
        }
        Self::as_user(test, (is_root() && !as_root).then(User::nobody), change)
    }

    /// A toy for this test, run as this user; without one, as the one that runs the test.
    pub fn as_user(test: &str, user: Option<User>, change: impl FnOnce(&mut Value)) -> Option<Self> {
        Self::with_layers(test, user, &[], change)
    }

    /// The same with further layers on top.
    pub fn with_layers(
        test: &str,
        user: Option<User>,
        more: &[Vec<u8>],
        change: impl FnOnce(&mut Value),
    ) -> Option<Self> {
        let Some(busybox) = busybox() else { return skip(test, "there is no static busybox (package busybox-static)") };
        let mut entries: Vec<Entry<'_>> = ["bin", "etc", "proc", "sys", "dev", "tmp", "var", "var/lib", "run"]
            .iter()
            .map(|path| (*path, 0o755, 0, What::Folder))
            .collect();
        entries.push(("var/lib/luna", 0o777, 1000, What::Folder));
        entries.push(("var/lib/luna/seed", 0o644, 1000, What::File(b"seed\n")));
        entries.push(("var/lib/closed", 0o700, 1000, What::Folder));
        entries.push(("var/lib/closed/file", 0o600, 1000, What::File(b"closed\n")));
        entries.push(("bin/busybox", 0o755, 0, What::File(&busybox)));
        let links: Vec<String> = APPLETS.split(' ').map(|name| format!("bin/{name}")).collect();
        entries.extend(links.iter().map(|link| (link.as_str(), 0o777, 0, What::Symlink("busybox"))));
        let toy = Self::of_user(&[&[tar(&entries)], more].concat(), change, user);
        let probe = toy.run(&[], &["true"]);
        if !probe.status.success() {
            return skip(test, String::from_utf8_lossy(&probe.stderr).trim());
        }
        Some(toy)
    }

    /// A toy of these layers.
    pub fn of(layers: &[Vec<u8>], change: impl FnOnce(&mut Value), as_root: bool) -> Self {
        Self::of_user(layers, change, (is_root() && !as_root).then(User::nobody))
    }

    fn of_user(layers: &[Vec<u8>], change: impl FnOnce(&mut Value), user: Option<User>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut plan = plan();
        change(&mut plan);
        write_bundle(folder.path(), layers, &plan);
        let work = folder.path().join("work");
        std::fs::create_dir(&work).unwrap();
        if let Some(user) = &user {
            std::os::unix::fs::chown(&work, Some(user.uid), Some(user.gid)).unwrap();
            open_to_all(folder.path());
        }
        Self { folder, user }
    }

    /// The engine's command on this bundle.
    pub fn command(&self, options: &[&str], command: &[&str]) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_engine-run"));
        let mut run = match &self.user {
            None => Command::new(program),
            Some(user) => {
                // Nobody may not be able to enter the folder that the program was built in.
                let copy = self.folder.path().join("engine-run");
                if !copy.exists() {
                    // By a process of its own: what another test starts would inherit a file that is open for writing,
                    // and such a file cannot be run.
                    assert!(Command::new("cp").args([program, &copy]).status().unwrap().success());
                }
                let mut run = Command::new("setpriv");
                run.args(["--reuid", &user.name, "--regid", &user.gid.to_string(), "--clear-groups"]).arg(copy);
                run
            }
        };
        run.arg(self.folder.path().join("bundle")).arg(self.folder.path().join("work")).args(options);
        if !command.is_empty() {
            run.arg("--").args(command);
        }
        run.stdin(Stdio::null());
        run
    }

    pub fn run(&self, options: &[&str], command: &[&str]) -> Output {
        self.command(options, command).output().unwrap()
    }

    /// Runs a shell script; gives its output and the exit status.
    pub fn shell(&self, script: &str) -> (String, i32) {
        let output = self.run(&[], &["sh", "-c", script]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (text, output.status.code().unwrap_or(-1))
    }

    /// Starts a script and waits until it printed `up`.
    pub fn start(&self, options: &[&str], script: &str) -> Child {
        let mut child = self.command(options, &["sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = [0u8; 3];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        assert_eq!(&line, b"up\n");
        child
    }

    pub fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Everything that runs have left on the host; `marker` is a word of their command lines.
    pub fn leftovers(&self, marker: &str) -> Vec<String> {
        let mut left = Vec::new();
        let state = self.work().join("state");
        let entries = std::fs::read_dir(&state).into_iter().flatten().flatten();
        left.extend(entries.filter(|entry| entry.path().is_dir()).map(|entry| format!("state {:?}", entry.path())));
        let here = self.folder.path().display().to_string();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        left.extend(mounts.lines().filter(|line| line.contains(&here)).map(|line| format!("mount {line}")));
        groups(Path::new("/sys/fs/cgroup"), &format!("appliance-{}-", self.name()), &mut left);
        left.extend(processes(marker));
        left
    }

    /// Waits until nothing is left, at most some seconds; what is left then.
    pub fn leftovers_in_the_end(&self, marker: &str) -> Vec<String> {
        for _ in 0..3000 {
            if self.leftovers(marker).is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        self.leftovers(marker)
    }

    fn name(&self) -> String {
        let plan: Value =
            serde_json::from_slice(&std::fs::read(self.folder.path().join("bundle/plan.json")).unwrap()).unwrap();
        plan["name"].as_str().unwrap().to_owned()
    }
}

impl Drop for Toy {
    fn drop(&mut self) {
        // Layers unpacked as another user may have folders that only that user may empty; root may always.
        let _ = std::fs::remove_dir_all(self.work());
    }
}

pub fn signal(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

/// Processes with this word in their command line, zombies and this test left out.
pub fn processes(marker: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(marker) && entry.file_name() != *std::process::id().to_string() {
            found.push(format!("process {:?} {line}", entry.file_name()));
        }
    }
    found
}

fn groups(folder: &Path, prefix: &str, left: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            left.push(format!("control group {:?}", entry.path()));
        }
        groups(&entry.path(), prefix, left);
    }
}

fn open_to_all(folder: &Path) {
    assert!(Command::new("chmod").args(["-R", "a+rX"]).arg(folder).status().unwrap().success());
}

/// A plan with something of everything; the name is this process's and test's own.
fn plan() -> Value {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    json!({
        "schema": 1, "name": format!("toy{}x{number}", std::process::id()), "version": "1", "hostname": "toy",
        "process": { "args": ["sh", "-c", "echo services"], "env": { "FROM_PLAN": "yes" }, "stop_grace_ms": 3000 },
        "root": {
            "read_only": true, "writable": ["/var/lib/luna", "/tmp"],
            "scratch": [{ "path": "/workspace", "size_bytes": 1 << 20 }],
        },
        "isolation": { "at_least": "container", "capabilities": [], "seccomp": "default" },
        "network": { "mode": "none", "allow": [], "ports": [] },
        "resources": { "pids": 64, "memory": { "bytes": 64 << 20, "min_bytes": 1 << 20, "max_bytes": 64 << 20 } },
        "volumes": [{ "name": "data", "at": "/data" }],
        "open": [], "gpu": { "need": "none", "vendors": [] },
    })
}

fn write_bundle(folder: &Path, layers: &[Vec<u8>], plan: &Value) {
    let bundle = folder.join("bundle");
    let blobs = bundle.join("oci/blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = sha256(bytes);
        std::fs::write(blobs.join(&digest), bytes).unwrap();
        json!({ "digest": format!("sha256:{digest}"), "size": bytes.len() })
    };
    let mut descriptors = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        // Both kinds of compression take part.
        let (bytes, kind) =
            if index % 2 == 0 { (zstd::encode_all(&layer[..], 1).unwrap(), "zstd") } else { (gzip(layer), "gzip") };
        let mut descriptor = put(&bytes);
        descriptor["mediaType"] = json!(format!("application/vnd.oci.image.layer.v1.tar+{kind}"));
        descriptors.push(descriptor);
    }
    let diff_ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", sha256(layer))).collect();
    let config = put(json!({ "rootfs": { "type": "layers", "diff_ids": diff_ids } }).to_string().as_bytes());
    let manifest = put(json!({ "schemaVersion": 2, "config": config, "layers": descriptors }).to_string().as_bytes());
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] }).to_string();
    std::fs::write(bundle.join("oci/index.json"), &index).unwrap();
    let plan = plan.to_string();
    std::fs::write(bundle.join("plan.json"), &plan).unwrap();
    let artifact = |kind: &str, path: &str, text: &str| json!({ "kind": kind, "path": path, "size_bytes": text.len(), "blake3": "", "sha256": sha256(text.as_bytes()) });
    let manifest = json!({
        "schema": 1, "name": "toy", "version": "1", "arch": ["amd64"], "lock_blake3": "", "tool_version": "0",
        "artifacts": [artifact("oci-layout", "oci", &index), artifact("plan", "plan.json", &plan)],
    });
    std::fs::write(bundle.join("bundle.json"), manifest.to_string()).unwrap();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A ustar archive of these entries (POSIX.1-1988 `ustar`).
pub fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (path, mode, owner, what) in entries {
        let (flag, link, content): (u8, &str, &[u8]) = match what {
            What::Folder => (b'5', "", b""),
            What::File(content) => (b'0', "", content),
            What::Symlink(target) => (b'2', target, b""),
            What::HardLink(target) => (b'1', target, b""),
        };
        let mut block = [0u8; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, path.as_bytes());
        put(
            100,
            format!("{mode:07o}\0{owner:07o}\0{owner:07o}\0{:011o}\0{:011o}\0        ", content.len(), 0).as_bytes(),
        );
        put(156, &[flag]);
        put(157, link.as_bytes());
        put(257, b"ustar\x0000");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend(block);
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}
