//! A world of its own for a test: a spec folder, a toy archive, and the folders that the command keeps things in.

#![allow(dead_code, clippy::allow_attributes, reason = "every kind of test uses its own part of this")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use super::archive::{Archive, Release, write_base_image, write_kernel_base};
use super::package::Package;
use super::toys;

/// The folders of one test.
pub struct World {
    folder: TempDir,
    /// Its archive, which several tests share unless they bring packages.
    pub archive: Archive,
    mirror: String,
}

/// How a command ended.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl World {
    /// A world with all good toys.
    pub fn new() -> Self {
        static SHARED: OnceLock<PathBuf> = OnceLock::new();
        let mirror = SHARED.get_or_init(|| {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("toy-archive");
            Archive::below(&folder).publish(&toys::all(), &Release::default());
            folder
        });
        Self::on(Archive::below(mirror))
    }

    /// A world whose archive has just these packages.
    pub fn of(packages: &[Package]) -> Self {
        let mut world = Self::on(Archive::below(Path::new("/")));
        world.archive = Archive::below(&world.path("mirror"));
        world.mirror = world.archive.folder.display().to_string();
        world.archive.publish(packages, &Release::default());
        world
    }

    fn on(archive: Archive) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Other users are sent in too.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        write_base_image(&folder.path().join("bases"));
        for name in ["spec", "guest", "home"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        for arch in ["amd64", "arm64"] {
            let path = folder.path().join(format!("guest/appliance-guest-{arch}"));
            fs::write(&path, "a guest that never runs\n").unwrap();
        }
        let mirror = archive.folder.display().to_string();
        Self { folder, archive, mirror }
    }

    /// A second base, `other`, whose archive has these packages: kernels.
    pub fn with_kernels(mut self, packages: &[Package]) -> Self {
        let other = self.path("other");
        write_kernel_base(&self.path("bases"));
        Archive { folder: other.clone() }.publish(packages, &Release::default());
        self.mirror = format!("toy={} other={}", self.mirror, other.display());
        self
    }

    /// Uses this mirror from now on.
    pub fn set_mirror(&mut self, url: &str) {
        self.mirror = url.to_owned();
    }

    /// A path in this world.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// This world with the real guest of this host; none, with the reason said, where it was not built.
    pub fn with_guest(self, test: &str) -> Option<Self> {
        let name = format!("appliance-guest-{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" });
        let guest = Path::new(env!("CARGO_BIN_EXE_appliance")).parent().unwrap().join(&name);
        if !guest.exists() {
            eprintln!("SKIP {test}: there is no guest beside the program (make debug)");
            return None;
        }
        fs::copy(guest, self.path("guest").join(name)).unwrap();
        Some(self)
    }

    /// Writes the spec, of which this is the body.
    pub fn spec(&self, body: &str) {
        self.spec_text(format!(
            "appliance \"toy\" version=\"1.0.0\" {{\n    base \"toy\"\n    arch \"amd64\"\n{body}\n}}\n"
        ));
    }

    /// Writes the spec.
    pub fn spec_text(&self, text: impl AsRef<[u8]>) {
        fs::write(self.path("spec/appliance.kdl"), text).unwrap();
    }

    /// The command in this world, with nothing else of the environment.
    pub fn command(&self, args: &[&str]) -> Command {
        self.dressed(Command::new(env!("CARGO_BIN_EXE_appliance")), args)
    }

    /// Any command in this world, with these further arguments.
    pub fn dressed(&self, mut command: Command, args: &[&str]) -> Command {
        command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.path("home"))
            .env("APPLIANCE_BASE_IMAGES", self.path("bases"))
            .env("APPLIANCE_CACHE", self.path("cache"))
            .env("APPLIANCE_DATA", self.path("data"))
            .env("APPLIANCE_STATE", self.path("state"))
            .env("APPLIANCE_GUEST_DIR", self.path("guest"))
            .env("APPLIANCE_MIRROR", &self.mirror)
            .env("APPLIANCE_PATIENCE_MS", "300")
            .current_dir(self.path("spec"))
            .stdin(Stdio::null());
        command
    }

    /// Runs the command and waits for it.
    pub fn run(&self, args: &[&str]) -> Done {
        Done::of(self.command(args).output().unwrap())
    }

    /// Runs the command with this on its standard input.
    pub fn run_with(&self, input: &str, args: &[&str]) -> Done {
        use std::io::Write;
        let mut command = self.command(args);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        // One that does not read is told so by its exit code.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Done::of(child.wait_with_output().unwrap())
    }

    /// Builds the spec into `spec/out`, which must succeed; gives the artifacts.
    #[track_caller]
    pub fn build(&self) -> String {
        // A server of the test may be slow on a busy machine; where one is silent on purpose, the build may not succeed.
        let mut command = self.command(&["build"]);
        Done::of(command.env("APPLIANCE_PATIENCE_MS", "20000").output().unwrap()).succeeds();
        self.artifacts("spec/out")
    }

    /// The artifacts of a bundle, one line each: path, size and digests, as its manifest has them.
    #[track_caller]
    pub fn artifacts(&self, bundle: &str) -> String {
        artifacts(&self.path(bundle))
    }

    /// The lock beside the spec.
    pub fn lock(&self) -> String {
        fs::read_to_string(self.path("spec/appliance.lock")).unwrap_or_default()
    }

    /// The version of a package in the lock.
    #[track_caller]
    pub fn locked_version(&self, package: &str) -> String {
        let lock = self.lock();
        let line = lock.lines().find(|line| {
            line.trim_start().starts_with(&format!("package \"{package}\" "))
                || line.trim_start().starts_with(&format!("package {package} "))
        });
        line.unwrap_or_else(|| panic!("{package} is not in\n{lock}")).trim().to_owned()
    }

    /// What a failed or killed build left that nobody should find.
    pub fn traces(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("spec")).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut left: Vec<String> = names.filter(|name| name == "out" || name.starts_with('.')).collect();
        left.sort();
        left
    }

    /// Lets users other than this test's own work in this world.
    pub fn open_to_all(&self) {
        let done = Command::new("chmod").args(["-R", "a+rwX"]).arg(self.folder.path()).status().unwrap();
        assert!(done.success());
    }
}

/// The artifacts of a bundle in a folder, one line each.
#[track_caller]
pub fn artifacts(bundle: &Path) -> String {
    let bytes = fs::read(bundle.join("bundle.json")).unwrap_or_else(|error| panic!("{}: {error}", bundle.display()));
    let manifest: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let line = |artifact: &serde_json::Value| {
        let text = |name: &str| artifact[name].as_str().unwrap_or_default().to_owned();
        format!("{} {} {} {}\n", text("path"), artifact["size_bytes"], text("blake3"), text("sha256"))
    };
    let lines: String = manifest["artifacts"].as_array().unwrap().iter().map(line).collect();
    format!("{lines}bundle.json {}\n", tree::Digest::of(&bytes))
}

impl Done {
    pub fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Everything that was printed.
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.text());
        self
    }

    /// It ended with this code and said each of these words.
    #[track_caller]
    pub fn fails(self, code: i32, words: &[&str]) -> Self {
        let text = self.text();
        assert_eq!(self.code, Some(code), "{text}");
        for word in words {
            assert!(text.contains(word), "{text}\ndoes not say {word:?}");
        }
        assert!(!text.contains("panicked"), "{text}");
        self
    }
}
