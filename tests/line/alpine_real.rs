//! Real packages of Alpine, and toy ones beside them, against the real `apk`: the same root, entry for entry, and clean for
//! it afterwards. The packages are those of a published minirootfs, in a repository that is made of it here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::alpine::{all, base};
use crate::apk_archive::{Apk, GOODLY, Repository};
use crate::apks::GOOD;
use crate::apks::published::published;
use crate::layout::unpacked;
use crate::minirootfs::minirootfs;
use crate::support::{is_root, skip};
use crate::world::World;

const TEST: &str = "real_packages_make_the_root_that_apk_makes";

/// What `apk` itself makes in a new root, and what it and the build write for this machine. All else must be equal.
const ALLOWED: [(&str, &str); 19] = [
    ("dev/console", "apk makes device nodes; a runner mounts its own /dev"),
    ("dev/null", "apk makes device nodes"),
    ("dev/random", "apk makes device nodes"),
    ("dev/urandom", "apk makes device nodes"),
    ("dev/zero", "apk makes device nodes"),
    ("etc/apk/repositories", "apk is given them on its command line"),
    ("etc/environment", "the appliance's environment"),
    ("etc/group-", "a backup"),
    ("etc/hostname", "the appliance's own name"),
    ("etc/hosts", "the appliance's own name"),
    ("etc/machine-id", "empty, so that the first boot makes one"),
    ("etc/passwd-", "a backup"),
    ("etc/resolv.conf", "a place for the runner's"),
    ("etc/shadow-", "a backup"),
    ("lib/apk/db/lock", "a lock file"),
    ("lib/apk/exec", "apk takes others' rights to it while scripts run"),
    ("usr/lib/appliance", "the guest"),
    ("usr/lib/appliance/guest", "the guest"),
    ("usr/lib/appliance/guest.json", "the guest"),
];

/// Files that hold the numbers of made users or the day: compared by their words alone.
const ACCOUNTS: [&str; 3] = ["etc/group", "etc/passwd", "etc/shadow"];

/// A repository of the published packages (`ARCH/`, `keys/`), and a minirootfs whose `apk` runs here.
pub struct Data {
    pub rootfs: PathBuf,
    pub folder: PathBuf,
}

/// The data, or why there is none.
pub fn data() -> Result<Data, String> {
    if !cfg!(target_arch = "x86_64") || !is_root() {
        return Err("it takes root on an x86_64 machine to run the real apk".to_owned());
    }
    Ok(Data { rootfs: minirootfs("x86_64")?, folder: published(Path::new(env!("CARGO_TARGET_TMPDIR")))? })
}

#[test]
fn real_packages_make_the_root_that_apk_makes() {
    let data = match data() {
        Ok(data) => data,
        Err(reason) => return skip(TEST, &reason),
    };
    let (world, toys) = world(&data);
    world.run(&["build", "--scripts", "emulate-only"]).succeeds();
    let ours = world.path("ours");
    unpack_image(&world.path("spec/out/oci"), &ours);
    let tool = world.path("tool");
    fs::create_dir(&tool).unwrap();
    good(Command::new("tar").arg("-xzf").arg(&data.rootfs).arg("-C").arg(&tool));
    for root in [&tool, &ours] {
        good(Command::new("cp").arg("-rL").arg(data.folder.join("x86_64")).arg(root.join("repo-x86_64")));
        fs::create_dir(root.join("repo")).unwrap();
        fs::rename(root.join("repo-x86_64"), root.join("repo/x86_64")).unwrap();
        good(Command::new("cp").arg("-r").arg(&toys.0).arg(root.join("toys")));
    }
    let theirs = tool.join("ref");
    fs::create_dir_all(theirs.join("etc/apk")).unwrap();
    good(Command::new("cp").arg("-r").arg(ours.join("etc/apk/keys")).arg(theirs.join("etc/apk/keys")));
    // The keys of the distribution come with a package of its own.
    for key in fs::read_dir(theirs.join("etc/apk/keys")).unwrap().map(|entry| entry.unwrap().path()) {
        if key.file_name().unwrap().to_string_lossy().starts_with("alpine-devel@") {
            fs::remove_file(key).unwrap();
        }
    }
    // Scripts of other packages count on the base, so it is there before, as on every installed system.
    let base =
        ["--initdb", "--arch", "x86_64", "alpine-baselayout", "alpine-keys", "apk-tools", "busybox", "libc-utils"];
    for words in [&base[..], &["alp-web~2", "so:libtoy.so.1"]] {
        apk(&tool, &[&["add", "--root", "/ref"], &REPOSITORIES[..], words].concat());
    }
    compare(&theirs, &ours);
    is_clean(&ours, &theirs, &tool);
}

const REPOSITORIES: [&str; 5] = ["--no-network", "-X", "/repo", "-X", "/toys"];

/// A world whose base is the real Alpine with the packages and the keys of this folder.
pub fn real_world(repository: &Path) -> World {
    let mut world = World::new();
    let folder = world.path("bases/alpine/keys");
    fs::create_dir_all(&folder).unwrap();
    let text = include_str!("../../base-images/alpine/base.kdl").replace(" \"community\"", "");
    let mut lines: Vec<String> = text.lines().filter(|line| !line.contains(" key ")).map(str::to_owned).collect();
    let at = lines.iter().position(|line| line.trim_start().starts_with("suite ")).unwrap();
    for key in fs::read_dir(repository.join("keys")).unwrap().map(|entry| entry.unwrap().path()) {
        let name = key.file_name().unwrap().to_string_lossy().into_owned();
        fs::copy(&key, folder.join(&name)).unwrap();
        lines.insert(at, format!("            key \"keys/{name}\""));
    }
    fs::write(world.path("bases/alpine/base.kdl"), lines.join("\n")).unwrap();
    let branch = world.path("mirror/alpine/v3.20");
    fs::create_dir_all(&branch).unwrap();
    std::os::unix::fs::symlink(repository, branch.join("main")).unwrap();
    world.set_mirror(&world.path("mirror/alpine").display().to_string());
    world
}

/// The same with toys in a repository of the spec.
pub fn world(data: &Data) -> (World, Repository) {
    let world = real_world(&data.folder);
    let toys = Repository(world.path("toys"));
    let real_base = |package: &Apk| package.name != base().name;
    let toy_packages: Vec<_> = all().into_iter().filter(real_base).collect();
    let stand_in = Apk::new("alp-base", "1.0-r0").needs("busybox");
    toys.publish(&[&toy_packages[..], &[stand_in]].concat(), GOODLY);
    let (name, pem) = GOOD.file();
    fs::write(world.path("spec").join(&name), pem).unwrap();
    world.spec_text(format!(
        "appliance \"real\" version=\"1\" {{\n    base \"alpine\" release=\"3.20\"\n    arch \"amd64\"\n    \
         packages \"alp-web~2\" \"so:libtoy.so.1\"\n    repository \"file://{}\" key=\"{name}\"\n    output \"oci\"\n}}\n",
        toys.0.display()
    ));
    (world, toys)
}

/// Puts the example spec into a world.
fn put_example(world: &World) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs/alpine-web");
    for name in ["appliance.kdl", "answer", "index.html"] {
        fs::copy(example.join(name), world.path("spec").join(name)).unwrap();
    }
}

#[test]
fn the_example_is_valid_on_the_alpine_that_ships() {
    let world = World::new();
    put_example(&world);
    world.run(&["check"]).succeeds();
    let explained = world.run(&["explain"]).succeeds().stdout;
    assert!(
        explained.contains("base \"alpine\" release=\"v3.20\"") || explained.contains("base alpine release=v3.20"),
        "{explained}"
    );
}

#[test]
fn the_example_answers_from_a_box() {
    let test = "the_example_answers_from_a_box";
    let data = match data() {
        Ok(data) => data,
        Err(reason) => return skip(test, &reason),
    };
    let Some(world) = world(&data).0.with_guest(test) else { return };
    put_example(&world);
    world.run(&["build", "--scripts", "emulate-only"]).succeeds();
    let script = "nc -lk -p 8080 -e /srv/www/answer &\n\
        for i in $(seq 100); do wget -qO- http://127.0.0.1:8080/ && exit 0; sleep 0.2; done; exit 1";
    let done = world.run(&["run", "out", "--", "/bin/sh", "-c", script]);
    if done.code == Some(125) {
        return skip(test, done.stderr.trim());
    }
    assert_eq!(done.code, Some(0), "{}", done.text());
    assert!(done.stdout.contains("A page from Alpine Linux"), "{}", done.text());
}

#[test]
fn a_script_that_is_not_understood_runs_in_the_sandbox() {
    let test = "a_script_that_is_not_understood_runs_in_the_sandbox";
    let data = match data() {
        Ok(data) => data,
        Err(reason) => return skip(test, &reason),
    };
    let (world, toys) = world(&data);
    let odd = Apk::new("odd", "1-r0").script("post-install", "awk 'BEGIN { print \"awk was here\" }' > /odd");
    toys.publish(&[odd], GOODLY);
    let spec = fs::read_to_string(world.path("spec/appliance.kdl")).unwrap();
    world.spec_text(spec.replace("\"alp-web~2\" \"so:libtoy.so.1\"", "\"odd\""));
    world
        .run(&["build", "--scripts", "emulate-only"])
        .fails(6, &["post-install of package odd", "line 2: the program"]);
    let done = world.run(&["build"]);
    if done.code != Some(0) && done.text().contains("subordinate") {
        return skip(test, done.stderr.trim());
    }
    done.succeeds();
    let lock = world.lock();
    let line = lock.lines().find(|line| line.contains("\"odd\" \"post-install\"")).unwrap_or_else(|| panic!("{lock}"));
    assert!(line.contains("run") && line.contains("line 2"), "{line}");
    unpack_image(&world.path("spec/out/oci"), &world.path("ours"));
    assert_eq!(fs::read_to_string(world.path("ours/odd")).unwrap(), "awk was here\n");
}

/// Unpacks the layers of an image layout, as nothing in them removes anything.
pub fn unpack_image(layout: &Path, folder: &Path) {
    fs::create_dir(folder).unwrap();
    let blob = |digest: &str| layout.join("blobs").join(digest.replace(':', "/"));
    let json = |path: &Path| serde_json::from_slice::<serde_json::Value>(&fs::read(path).unwrap()).unwrap();
    let digest = |value: &serde_json::Value| value["digest"].as_str().unwrap().to_owned();
    let mut manifest = json(&layout.join("index.json"));
    while manifest["layers"].is_null() {
        manifest = json(&blob(&digest(&manifest["manifests"][0])));
    }
    for layer in manifest["layers"].as_array().unwrap() {
        let tar = unpacked(&fs::read(blob(&digest(layer))).unwrap());
        let path = folder.with_extension("tar");
        fs::write(&path, tar).unwrap();
        good(Command::new("tar").args(["--numeric-owner", "-xpf"]).arg(&path).arg("-C").arg(folder));
    }
}

#[track_caller]
pub fn good(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&stderr));
    text
}

/// The real `apk` of a root, run in it.
#[track_caller]
pub fn apk(root: &Path, args: &[&str]) -> String {
    good(Command::new("chroot").arg(root).arg("/sbin/apk").args(args).env("PATH", "/sbin:/bin:/usr/sbin:/usr/bin"))
}

/// The names behind the numbers of a root: of its users and of its groups.
struct Names(BTreeMap<u32, String>, BTreeMap<u32, String>);

impl Names {
    fn of(root: &Path) -> Self {
        let read = |file: &str| {
            let text = fs::read_to_string(root.join(file)).unwrap();
            let row = |line: &str| {
                let cells: Vec<&str> = line.split(':').collect();
                (cells[2].parse().unwrap(), cells[0].to_owned())
            };
            text.lines().map(row).collect()
        };
        Self(read("etc/passwd"), read("etc/group"))
    }

    fn owner(&self, uid: u32, gid: u32) -> String {
        let name = |names: &BTreeMap<u32, String>, id: u32| names.get(&id).cloned().unwrap_or_else(|| id.to_string());
        format!("{}:{}", name(&self.0, uid), name(&self.1, gid))
    }

    /// The text of a file, with names for numbers where they depend on the order of installation.
    fn text(&self, path: &str, bytes: Vec<u8>) -> Vec<u8> {
        if ACCOUNTS.contains(&path) {
            let words =
                |line: &str| line.split(':').filter(|cell| cell.parse::<u32>().is_err()).collect::<Vec<_>>().join(":");
            let lines: BTreeSet<String> = String::from_utf8(bytes).unwrap().lines().map(words).collect();
            return format!("{lines:?}").into_bytes();
        }
        if path == "lib/apk/db/scripts.tar" {
            return format!("{:?}", scripts(&bytes)).into_bytes();
        }
        if path != "lib/apk/db/installed" {
            return bytes;
        }
        let line = |line: &str| {
            let cells: Vec<&str> = line.split(':').collect();
            match cells.as_slice() {
                ["a" | "M", uid, gid, mode] => {
                    format!("{}:{}:{mode}\n", cells[0], self.owner(uid.parse().unwrap(), gid.parse().unwrap()))
                }
                _ => format!("{line}\n"),
            }
        };
        String::from_utf8(bytes).unwrap().lines().map(line).collect::<String>().into_bytes()
    }
}

/// The scripts of the database: `apk` writes them in the order of installation, and sorts those of an earlier run.
fn scripts(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut reader = formats::tar::Reader::new(archive, formats::tar::Limits::default());
    let mut scripts = BTreeMap::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut bytes = format!("{:?}\n", entry.meta).into_bytes();
        reader.read_to_end(&mut bytes).unwrap();
        scripts.insert(String::from_utf8(entry.name).unwrap(), bytes);
    }
    scripts
}

/// Every path below a root with what it is; times are the builds' own.
fn entries(root: &Path) -> BTreeMap<String, String> {
    let names = Names::of(root);
    let mut entries = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let (path, meta) = (entry.path(), entry.metadata().unwrap());
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            if ["repo", "toys"].contains(&name.as_str()) {
                continue;
            }
            let kind = meta.file_type();
            let what = if kind.is_symlink() {
                format!("link to {}", fs::read_link(&path).unwrap().display())
            } else if kind.is_dir() {
                open.push(path);
                "folder".to_owned()
            } else if kind.is_char_device() || kind.is_block_device() {
                "device".to_owned()
            } else {
                let bytes = names.text(&name, fs::read(&path).unwrap());
                format!("file {} {} with {} names", bytes.len(), tree::Digest::of(&bytes), meta.nlink())
            };
            let owner = names.owner(meta.uid(), meta.gid());
            entries.insert(name, format!("{what}, {:o}, {owner}", meta.mode() & 0o7777));
        }
    }
    entries
}

#[track_caller]
pub fn compare(theirs: &Path, ours: &Path) {
    let (expected, found) = (entries(theirs), entries(ours));
    let paths: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let is_allowed = |path: &str| ALLOWED.iter().any(|(allowed, _)| *allowed == path);
    let differs = |path: &&&String| expected.get(**path) != found.get(**path) && !is_allowed(path);
    let line = |path: &&String| format!("{path}\n  apk:  {:?}\n  ours: {:?}\n", expected.get(*path), found.get(*path));
    let differences: String = paths.iter().filter(differs).map(line).collect();
    assert!(differences.is_empty(), "{differences}");
    assert!(found.len() > 500, "{}", found.len());
}

/// The package manager inside finds nothing to complain about, and goes on from here.
fn is_clean(ours: &Path, theirs: &Path, tool: &Path) {
    assert_eq!(apk(ours, &["audit", "--system"]), "");
    let audit = |text: String| -> BTreeSet<String> { text.lines().map(str::to_owned).collect() };
    let mut found = audit(apk(ours, &["audit"]));
    let expected = audit(apk(tool, &["audit", "--root", "/ref"]));
    // The files that an appliance has of its own; backups are not kept.
    for own in [
        "A etc/environment",
        "A etc/machine-id",
        "A etc/resolv.conf",
        "A etc/apk/repositories",
        "U etc/hosts",
        "U etc/hostname",
    ] {
        assert!(found.remove(own), "{own} is not among {found:?}");
    }
    let backup = |line: &&String| !line.ends_with('-');
    assert_eq!(found.iter().collect::<BTreeSet<_>>(), expected.iter().filter(backup).collect::<BTreeSet<_>>());
    assert_eq!(apk(ours, &["info", "-v"]), apk(tool, &["info", "-v", "--root", "/ref"]));
    fs::write(ours.join("etc/apk/repositories"), "/repo\n/toys\n").unwrap();
    let nothing_to_do = apk(ours, &["fix", "--simulate", "--no-network"]);
    assert!(nothing_to_do.starts_with("OK: ") && nothing_to_do.lines().count() == 1, "{nothing_to_do}");
    let removed = apk(ours, &["del", "--no-network", "libc-utils"]);
    assert!(removed.contains("Purging musl-utils"), "{removed}");
    let added = apk(ours, &["add", "--no-network", "libc-utils"]);
    assert!(added.contains("Installing musl-utils") && added.contains("OK: "), "{added}");
    assert_eq!(apk(ours, &["audit", "--system"]), "");
    assert!(theirs.exists());
}
