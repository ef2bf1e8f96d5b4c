//! The same bytes everywhere: pinned digests, and builds under every difference that hosts have.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use formats::tar::{Entry, EntryKind, Limits, Reader};

use crate::apks::published::published;
use crate::layout::Image;
use crate::server::Server;
use crate::support::{copy_program, is_root, skip, tool};
use crate::world::World;

/// A file that this test pins; it is written anew where that is asked for.
#[track_caller]
fn check_pinned(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, found).unwrap();
    }
    let pinned = fs::read_to_string(path).unwrap_or_default();
    let differ = found.lines().zip(pinned.lines()).find(|(found, pinned)| found != pinned);
    assert!(found == pinned, "{name}: {differ:?}: if it is meant, say why and run the test with UPDATE_GOLDEN=1");
}

/// An appliance whose bytes are pinned: one for each family of packages, and one on an image.
struct Golden {
    name: &'static str,
    world: fn() -> World,
    /// Puts its spec into a folder, the files made in reverse order where that is asked for.
    put: fn(&Path, bool),
}

const GOLDENS: [Golden; 3] = [
    Golden { name: "toy", world: World::new, put: put_spec },
    Golden { name: "alp", world: crate::alpine::toy_world, put: |to, reversed| put_files("alp", to, reversed) },
    Golden {
        name: "above",
        world: World::new,
        put: |to, reversed| {
            put_files("above", to, reversed);
            Image::rich().write(&to.join("base"));
        },
    },
];

impl Golden {
    /// A world with its spec.
    fn world(&self) -> World {
        let world = (self.world)();
        (self.put)(&world.path("spec"), false);
        world
    }
}

/// Puts the golden spec into a folder, its files made in this order.
pub fn put_spec(to: &Path, reversed: bool) {
    put_files("toy", to, reversed);
}

/// A golden spec; all have the same files of a user's.
fn put_files(golden: &str, to: &Path, reversed: bool) {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut names = vec!["appliance.kdl", "app/start.sh", "app/lib/a.txt", "app/lib/b.txt", "app/current"];
    if reversed {
        names.reverse();
    }
    for name in names {
        let folder = if name == "appliance.kdl" { golden } else { "toy" };
        let (from, to) = (goldens.join(folder).join(name), to.join(name));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        // A link that is made here survives every way in which sources are handed on.
        match name {
            "app/current" => symlink("lib/a.txt", &to).unwrap(),
            _ => drop(fs::copy(&from, &to).unwrap()),
        }
    }
}

fn golden_world() -> World {
    GOLDENS[0].world()
}

#[test]
fn the_golden_appliances_have_their_pinned_digests() {
    for golden in &GOLDENS {
        check_digests(golden.name, &golden.world());
    }
}

/// Builds, and compares what came out with what is pinned under this name.
#[track_caller]
fn check_digests(name: &str, world: &World) {
    let artifacts = world.build();
    // The readable one first: where both differ, it says what.
    check_pinned(&format!("{name}-layers.txt"), &layers(&world.path("spec/out/oci")));
    check_pinned(&format!("{name}.txt"), &artifacts);
}

/// An example spec in a world, for both architectures.
fn put_example(name: &str, world: &World) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs").join(name);
    for entry in fs::read_dir(example).unwrap().map(|entry| entry.unwrap()).filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), world.path("spec").join(entry.file_name())).unwrap();
    }
    let text = fs::read_to_string(world.path("spec/appliance.kdl")).unwrap();
    assert!(!text.contains("    arch "), "{text}");
    world.spec_text(text.replacen("    base ", "    arch \"amd64\" \"arm64\"\n    base ", 1));
}

#[test]
fn the_example_on_an_image_has_its_pinned_digests() {
    let mut world = World::new();
    Image::rich().publish(&world.path("registry"), "library/busybox", "1.37");
    let server = Server::of(world.path("registry"));
    world.set_mirror(&format!("docker.io=http://{}", server.address));
    put_example("on-oci", &world);
    check_digests("on-oci", &world);
}

#[test]
fn the_example_on_alpine_has_its_pinned_digests() {
    let world = match published(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(repository) => crate::alpine_real::real_world(&repository),
        Err(reason) => return skip("the_example_on_alpine_has_its_pinned_digests", &reason),
    };
    put_example("alpine-web", &world);
    check_digests("alpine-web", &world);
}

/// What the layers of an image hold, readable; of files that are all alike only how many there are.
fn layers(oci: &Path) -> String {
    let mut text = String::new();
    for (number, layer) in crate::conformance::layers(oci).iter().enumerate() {
        text += &format!("layer {number}\n");
        let (mut many, bytes) = (0, crate::layout::unpacked(&fs::read(layer).unwrap()));
        let mut archive = Reader::new(&bytes[..], Limits::default());
        while let Some(entry) = archive.next_entry().unwrap() {
            let line = describe(&entry, &mut archive);
            if line.contains("/toy-many/") && line.starts_with('f') {
                many += 1;
            } else {
                text += &line;
            }
        }
        if many > 0 {
            text += &format!("and {many} files below /usr/share/toy-many\n");
        }
    }
    text
}

fn describe(entry: &Entry, content: &mut impl std::io::Read) -> String {
    let of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (letter, more) = match &entry.kind {
        EntryKind::Dir => ('d', String::new()),
        EntryKind::File => {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes).unwrap();
            ('f', format!("{} {}", bytes.len(), &tree::Digest::of(&bytes).to_string()[..12]))
        }
        EntryKind::Symlink(target) => ('l', format!("-> {}", of(target))),
        EntryKind::HardLink(first) => ('h', format!("= {}", of(first))),
        other => ('?', format!("{other:?}")),
    };
    let meta = &entry.meta;
    let attributes: Vec<String> = meta.xattrs.keys().map(|name| of(name)).collect();
    let words =
        [format!("{:04o} {}:{} {}", meta.mode, meta.uid, meta.gid, meta.mtime_secs), more, attributes.join(" ")];
    let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
    format!("{letter} /{} {}\n", of(&entry.name).trim_start_matches("./"), words.join(" "))
}

/// How a second build differs from the first.
struct Elsewhere<'a> {
    env: &'a [(&'a str, &'a str)],
    umask: &'a str,
    cwd: &'a str,
    args: &'a [&'a str],
    out: &'a str,
}

/// Builds each golden spec in another way; the artifacts must be those of the plain build.
fn check(prepare: impl Fn(&World, &Golden), prefix: &[&str], elsewhere: &Elsewhere<'_>) {
    for golden in &GOLDENS {
        let expected = golden.world().build();
        let world = (golden.world)();
        prepare(&world, golden);
        build_elsewhere(&world, prefix, elsewhere);
        assert_eq!(world.artifacts(elsewhere.out), expected, "{}", golden.name);
    }
}

fn build_elsewhere(world: &World, prefix: &[&str], elsewhere: &Elsewhere<'_>) {
    let program = program_for_all(world);
    let script =
        format!("umask {} && cd '{}' && exec \"$0\" \"$@\"", elsewhere.umask, world.path(elsewhere.cwd).display());
    let mut words: Vec<String> = prefix.iter().map(|word| (*word).to_owned()).collect();
    words.extend(["sh", "-c", &script].map(str::to_owned));
    words.push(program.display().to_string());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    let mut command = world.dressed(command, elsewhere.args);
    command.envs(elsewhere.env.iter().copied());
    crate::world::Done::of(command.output().unwrap()).succeeds();
}

/// The program where any user may run it.
pub fn program_for_all(world: &World) -> PathBuf {
    let copy = world.path("appliance");
    copy_program(Path::new(env!("CARGO_BIN_EXE_appliance")), &copy);
    copy
}

const USUAL: Elsewhere<'static> = Elsewhere { env: &[], umask: "022", cwd: "spec", args: &["build"], out: "spec/out" };

#[test]
fn folder_umask_time_zone_language_home_and_output_do_not_matter() {
    let env = [
        ("TZ", "Pacific/Chatham"),
        ("LANG", "tr_TR.UTF-8"),
        ("LC_ALL", "tr_TR.UTF-8"),
        ("HOME", "/nonexistent"),
        ("USER", "somebody"),
        ("HOSTNAME", "elsewhere"),
        ("SOURCE_DATE_EPOCH", "1"),
    ];
    let prepare = |world: &World, golden: &Golden| {
        fs::create_dir_all(world.path("a/b")).unwrap();
        fs::create_dir(world.path("deep out")).unwrap();
        (golden.put)(&world.path("a/b"), true);
    };
    let elsewhere = Elsewhere {
        env: &env,
        umask: "077",
        cwd: "deep out",
        args: &["build", "../a/b/appliance.kdl", "--output", "other"],
        out: "deep out/other",
    };
    check(prepare, &["env"], &elsewhere);
}

#[test]
fn the_number_of_cores_does_not_matter() {
    let Some(_) = tool("taskset") else { return skip("the_number_of_cores_does_not_matter", "there is no taskset") };
    let one = |world: &World, golden: &Golden| (golden.put)(&world.path("spec"), false);
    check(one, &["taskset", "--cpu-list", "0"], &USUAL);
}

#[test]
fn the_user_does_not_matter() {
    let test = "the_user_does_not_matter";
    if !is_root() {
        return skip(test, "only root can become another user");
    }
    let Some(_) = tool("setpriv") else { return skip(test, "there is no setpriv") };
    let prepare = |world: &World, golden: &Golden| {
        (golden.put)(&world.path("spec"), true);
        world.open_to_all();
    };
    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    check(prepare, &nobody, &Elsewhere { umask: "002", ..USUAL });
}

#[test]
fn a_warm_cache_and_an_existing_lock_do_not_matter() {
    let world = golden_world();
    let cold = world.build();
    let lock = world.lock();
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    assert_eq!(world.build(), cold, "from the cache, with the lock of the first build");
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    fs::remove_dir_all(world.path("cache")).unwrap();
    assert_eq!(world.build(), cold, "from the network, with the lock of the first build");
    fs::remove_file(world.path("spec/appliance.lock")).unwrap();
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    assert_eq!(world.build(), cold, "from the cache, without a lock");
    assert_eq!(world.lock(), lock);
    let again = world.run(&["build"]).succeeds();
    assert!(again.text().contains("up to date"), "{}", again.text());
}

#[test]
fn a_changed_file_of_the_user_changes_only_its_own_layer() {
    let world = golden_world();
    world.build();
    let before = blobs(&world);
    fs::write(world.path("spec/app/lib/a.txt"), "a better library\n").unwrap();
    world.build();
    let after = blobs(&world);
    let new: Vec<&(String, u64)> = after.iter().filter(|blob| !before.contains(blob)).collect();
    let new_bytes: u64 = new.iter().map(|(_, size)| size).sum();
    // The layer with the user's files, the configuration and the manifest.
    assert_eq!(new.len(), 3, "{new:?}");
    assert!(new_bytes < 100_000, "{new:?}");
}

/// Name and size of every blob of the image.
fn blobs(world: &World) -> Vec<(String, u64)> {
    let entries = fs::read_dir(world.path("spec/out/oci/blobs/sha256")).unwrap().flatten();
    let mut found: Vec<_> = entries
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.metadata().unwrap().len()))
        .collect();
    found.sort();
    found
}
