//! What other tools make of a bundle: skopeo and podman of the image, e2fsck, debugfs and the kernel of the disk, and
//! both hold the same files.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::image_tree::{blob, manifests, read};
use crate::package::Package;
use crate::support::{copy_program, is_root, program, skip, static_busybox, tool};
use crate::toys;
use crate::world::World;

/// A disk as debugfs reads it.
pub struct Ext4(PathBuf);

impl Ext4 {
    /// None where there is no debugfs.
    pub fn of(image: &Path) -> Option<Self> {
        assert!(image.exists(), "{}", image.display());
        tool("debugfs").map(|_| Self(image.to_owned()))
    }

    /// The content of a file; empty if there is none.
    pub fn cat(&self, path: &str) -> String {
        self.ask(&format!("cat \"{path}\""))
    }

    /// What `stat` says.
    pub fn stat(&self, path: &str) -> String {
        self.ask(&format!("stat \"{path}\""))
    }

    pub fn has(&self, path: &str) -> bool {
        self.stat(path).contains("Inode:")
    }

    fn ask(&self, request: &str) -> String {
        let mut command = Command::new(tool("debugfs").unwrap());
        let output = command.args(["-R", request]).arg(&self.0).env("DEBUGFS_PAGER", "cat").output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

fn golden() -> World {
    let world = World::new();
    crate::golden::put_spec(&world.path("spec"), false);
    world.build();
    world
}

#[track_caller]
fn good(output: Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn skopeo_reads_and_copies_the_image() {
    let Some(skopeo) = tool("skopeo") else { return skip("skopeo_reads_and_copies_the_image", "there is no skopeo") };
    let world = golden();
    let image = format!("oci:{}", world.path("spec/out/oci").display());
    let inspected = good(Command::new(&skopeo).args(["--insecure-policy", "inspect", &image]).output().unwrap());
    let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected["Architecture"], "amd64");
    assert_eq!(inspected["Labels"]["org.opencontainers.image.title"], "toy");
    assert_eq!(inspected["Created"], "2023-11-14T22:13:20Z");
    let config =
        good(Command::new(&skopeo).args(["--insecure-policy", "inspect", "--config", &image]).output().unwrap());
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["config"]["ExposedPorts"], serde_json::json!({ "8080/tcp": {} }));
    assert_eq!(config["config"]["Volumes"], serde_json::json!({ "/data": {} }));
    assert!(config["config"]["Env"].as_array().unwrap().iter().any(|entry| entry == "LANG=C.UTF-8"), "{config}");
    // A copy reads every blob and compares it with its digest.
    let copy = format!("dir:{}", world.path("copied").display());
    let copied = |args: &[&str]| {
        good(Command::new(&skopeo).args(["--insecure-policy", "copy", "--quiet"]).args(args).output().unwrap())
    };
    copied(&[&image, &copy]);
    // The way to a file for Docker that docs/formats/oci.md gives.
    let gzip = format!("oci:{}", world.path("gzip").display());
    copied(&["--dest-compress-format", "gzip", &image, &gzip]);
    let archive = world.path("name.tar");
    copied(&[&gzip, &format!("docker-archive:{}:name:latest", archive.display())]);
    let listed = good(Command::new("tar").arg("-tf").arg(archive).output().unwrap());
    assert!(listed.contains("manifest.json"), "{listed}");
}

#[test]
fn e2fsck_finds_nothing() {
    let Some(e2fsck) = tool("e2fsck") else { return skip("e2fsck_finds_nothing", "there is no e2fsck") };
    let world = golden();
    let checked = good(Command::new(e2fsck).arg("-fn").arg(world.path("spec/out/root.ext4")).output().unwrap());
    assert!(!checked.contains("Fix?") && !checked.contains("WARNING"), "{checked}");
}

#[test]
fn debugfs_sees_owners_modes_links_and_attributes() {
    let world = golden();
    let Some(root) = Ext4::of(&world.path("spec/out/root.ext4")) else {
        return skip("debugfs_sees_owners_modes_links_and_attributes", "there is no debugfs");
    };
    assert!(root.stat("/usr/bin/toy-su").contains("Mode:  04755"), "{}", root.stat("/usr/bin/toy-su"));
    assert!(root.stat("/usr/lib/toy/first").contains("Links: 3"));
    assert!(root.stat("/usr/lib/toy/owned").contains("User: 65534   Group: 65534"));
    assert!(root.stat("/opt/luna/start.sh").contains("User:  1000"), "{}", root.stat("/opt/luna/start.sh"));
    assert!(root.stat("/var/lib/luna").contains("Mode:  0750"));
    assert!(root.ask("ea_list /usr/bin/toy-bind").contains("security.capability (20)"));
    assert_eq!(root.cat("/etc/motd"), "Welcome to Luna\n");
    assert_eq!(root.cat("/usr/lib/toy/ünïcode"), "u\n");
    assert!(root.stat("/usr/local/bin/luna").contains("/opt/luna/start.sh"));
    assert!(root.stat("/home/luna").contains("User:  1000"));
    assert_eq!(root.cat("/etc/hostname"), "luna\n");
}

/// Everything that a file system can say of a file, but its inode's number and time of change.
type Listing = BTreeMap<PathBuf, String>;

fn listing(root: &Path) -> Listing {
    let mut found = Listing::new();
    walk(root, root, &mut found);
    found
}

fn walk(root: &Path, folder: &Path, found: &mut Listing) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_symlink() {
            format!("-> {}", fs::read_link(&path).unwrap().display())
        } else if meta.is_file() {
            format!("{} {} names", tree::Digest::of(&fs::read(&path).unwrap()), meta.nlink())
        } else {
            String::new()
        };
        let line = format!("{:o} {}:{} {} {content}", meta.mode(), meta.uid(), meta.gid(), meta.mtime());
        if meta.is_dir() {
            walk(root, &path, found);
        }
        found.insert(path.strip_prefix(root).unwrap().to_owned(), line);
    }
}

#[test]
fn the_kernel_sees_on_the_disk_what_tar_sees_in_the_layers() {
    let test = "the_kernel_sees_on_the_disk_what_tar_sees_in_the_layers";
    if !is_root() {
        return skip(test, "only root can mount and set owners");
    }
    let world = golden();
    let mounted = world.path("mounted");
    let unpacked = world.path("unpacked");
    fs::create_dir(&mounted).unwrap();
    fs::create_dir(&unpacked).unwrap();
    let image = world.path("spec/out/root.ext4");
    let mount = Command::new("mount").args(["-o", "loop,ro"]).arg(&image).arg(&mounted).output().unwrap();
    if !mount.status.success() {
        return skip(test, String::from_utf8_lossy(&mount.stderr).trim());
    }
    let mut disk = listing(&mounted);
    good(Command::new("umount").arg(&mounted).output().unwrap());
    for layer in layers(&world.path("spec/out/oci")) {
        let tar = ["--zstd", "--numeric-owner", "--same-owner", "-xpf"];
        good(Command::new("tar").args(tar).arg(&layer).arg("-C").arg(&unpacked).output().unwrap());
    }
    let image = listing(&unpacked);
    let lost_and_found = disk.remove(Path::new("lost+found"));
    assert!(lost_and_found.is_some());
    for (path, line) in &disk {
        assert_eq!(image.get(path), Some(line), "{}", path.display());
    }
    assert_eq!(disk.len(), image.len());
}

/// The files of the layers of the first image of a layout, lowest first.
pub fn layers(oci: &Path) -> Vec<PathBuf> {
    let manifest = read(&blob(oci, &manifests(oci)[0]));
    manifest["layers"].as_array().unwrap().iter().map(|layer| blob(oci, layer)).collect()
}

/// podman with a storage of its own.
pub fn podman(podman: &Path, world: &World) -> Command {
    let storage = world.path("podman");
    let mut command = Command::new(podman);
    command.arg("--root").arg(storage.join("root")).arg("--runroot").arg(storage.join("run"));
    command.args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]);
    if tool("runc").is_some() {
        command.args(["--runtime", "runc"]);
    }
    command
}

/// `podman run` without a network and within the limits that a machine may cap.
pub fn podman_run(podman: &Path, world: &World) -> Command {
    let mut command = self::podman(podman, world);
    command.args(["run", "--rm", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]);
    command
}

/// Whether podman works on this host at all, told by a root of its own.
pub fn podman_runs_here(podman: &Path, world: &World) -> Result<(), String> {
    if !is_root() {
        return Err("as an ordinary user podman wants a session of its own".to_owned());
    }
    let bare = world.path("bare");
    fs::create_dir_all(bare.join("bin")).unwrap();
    copy_program(&program(&["/bin/busybox", "/usr/bin/busybox"]).unwrap(), &bare.join("bin/busybox"));
    let probe = podman_run(podman, world).arg("--rootfs").arg(&bare).args(["/bin/busybox", "true"]).output().unwrap();
    let said = String::from_utf8_lossy(&probe.stderr).into_owned();
    let why = || format!("podman cannot run here: {}", said.lines().last().unwrap_or_default());
    if probe.status.success() { Ok(()) } else { Err(why()) }
}

#[test]
fn podman_runs_the_image() {
    let test = "podman_runs_the_image";
    let Some(podman) = tool("podman") else { return skip(test, "there is no podman") };
    let Some(busybox) = static_busybox() else { return skip(test, "no static busybox on this host") };
    let world = World::of(&[toys::base(), toys::shell(busybox), Package::new("toy-x", "1")]);
    world.spec("packages \"toy-shell\"\nuser \"luna\" uid=1000\nfile \"/etc/motd\" text=\"hello\\n\" owner=\"luna\"\noutput \"oci\"");
    world.build();
    if let Err(why) = podman_runs_here(&podman, &world) {
        return skip(test, &why);
    }
    // It takes a path for a name, and a name has no capitals.
    let mut command = podman_run(&podman, &world);
    command.current_dir(world.path("spec/out")).args(["--entrypoint", "/bin/sh", "oci:oci"]);
    let output = command.args(["-c", "cat /etc/motd; stat -c %u /etc/motd; exit 3"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        (String::from_utf8_lossy(&output.stdout).as_ref(), output.status.code()),
        ("hello\n1000\n", Some(3)),
        "{said}"
    );
}
