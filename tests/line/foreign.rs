//! Appliances for another architecture than this host's: built without an emulator where all scripts are emulated, refused
//! with the name of each script that stands in the way where they are not, and run by an emulator where there is one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use formats::tar::EntryKind;

use crate::alpine_real::real_world;
use crate::apk_archive::{Apk, GOODLY, Repository};
use crate::apks::GOOD;
use crate::apks::published::published;
use crate::image_tree::{Entry, image_tree, lay_out};
use crate::live::{copy, live_command, no_guest, unreachable};
use crate::package::Package;
use crate::support::{skip, tool};
use crate::toys;
use crate::world::{Done, World};

/// The other architecture, and what it is called by machines.
const FOREIGN: (&str, &str) = if cfg!(target_arch = "aarch64") { ("amd64", "x86_64") } else { ("arm64", "aarch64") };

/// The emulator of this host for programs of the other architecture.
fn emulator() -> Option<std::path::PathBuf> {
    [format!("qemu-{}-static", FOREIGN.1), format!("qemu-{}", FOREIGN.1)].iter().find_map(|name| tool(name))
}

#[test]
fn all_scripts_that_cannot_run_are_named_with_their_packages() {
    let package = |name: &str| Package::new(name, "1.0").needs("toy-base");
    let perl = package("toy-perl").control("postinst", 0o755, "#!/usr/bin/perl\nunlink '/etc/issue';\n");
    let odd = package("toy-odd").script("postinst", "set -e\necho x | dd conv=swab of=/etc/made");
    let fine = package("toy-fine").script("postinst", "echo fine > /etc/fine");
    let world = World::of(&[toys::base(), toys::tools(), perl, odd, fine]);
    let build = |args: &[&str]| {
        let mut command = world.command(&[&["build"], args].concat());
        Done::of(command.env("PATH", world.path("home")).output().unwrap())
    };
    let (foreign, machine) = FOREIGN;
    let scripts = [
        "emulate 2 maintainer scripts:",
        "    postinst of package toy-odd: its emulation ends with status 127; it printed: ",
        "    postinst of package toy-perl: line 1: the interpreter `#!/usr/bin/perl`",
    ];
    let where_ = [&format!("assemble the root for {foreign}")[..]];
    let why = [&format!("there is no qemu-{machine}-static and no qemu-{machine} in PATH")[..]];
    let help = ["qemu-user-static", &format!("a machine of {foreign}"), "leave these packages out"];
    world.spec_text(format!(
        "appliance \"toy\" version=\"1.0.0\" {{\n    base \"toy\"\n    arch \"{foreign}\"\n    \
         packages \"toy-perl\" \"toy-odd\" \"toy-fine\"\n    output \"oci\"\n}}\n"
    ));
    build(&[]).fails(6, &[&scripts[..], &where_, &why, &help].concat());
    build(&["--scripts", "run"])
        .fails(6, &[&["    postinst of package toy-fine: every script is run"][..], &why].concat());
    build(&["--scripts", "emulate-only"]).fails(6, &[&scripts[..], &where_, &["--scripts auto"]].concat());
    assert_eq!(world.traces(), [""; 0]);
}

#[test]
fn scripts_in_the_way_are_named_for_every_architecture() {
    let package = |name: &str| Package::new(name, "1.0").needs("toy-base");
    let perl = package("toy-perl").control("postinst", 0o755, "#!/usr/bin/perl\nunlink '/etc/issue';\n");
    let fine = package("toy-fine").script("postinst", "echo fine > /etc/fine");
    let world = World::of(&[toys::base(), toys::tools(), perl, fine]);
    let spec = |packages: &str| {
        world.spec_text(format!(
            "appliance \"toy\" version=\"1.0.0\" {{\n    base \"toy\"\n    arch \"amd64\" \"arm64\"\n    \
             packages {packages}\n    output \"oci\"\n}}\n"
        ));
    };
    spec("\"toy-perl\" \"toy-fine\"");
    world.run(&["build", "--scripts", "emulate-only"]).fails(
        6,
        &[
            "assemble the roots for amd64 and arm64",
            "emulate amd64 and arm64: postinst of package toy-perl: line 1: the interpreter `#!/usr/bin/perl`",
            "--scripts auto",
            &format!("for {} that takes", FOREIGN.0),
            "qemu-user",
        ],
    );
    assert_eq!(world.traces(), [""; 0]);
    // The table of what happened says of which architecture it is, where there are several.
    spec("\"toy-fine\"");
    let built = world.run(&["build", "-v"]).succeeds();
    let told: Vec<&str> = built.stderr.lines().filter(|line| line.starts_with("maintainer scripts")).collect();
    assert_eq!(told, ["maintainer scripts for amd64:", "maintainer scripts for arm64:"], "{}", built.text());
    let text = fs::read_to_string(world.path("spec/appliance.kdl")).unwrap();
    world.spec_text(text.replace("\"amd64\" \"arm64\"", "\"amd64\""));
    let built = world.run(&["build", "-v"]).succeeds();
    assert!(built.stderr.contains("\nmaintainer scripts:\n") || built.stderr.starts_with("maintainer scripts:\n"));
}

/// Builds a spec of live packages with this `arch`, where no emulator is to be found.
#[track_caller]
fn built_without_emulator(folder: &Path, arches: &str) {
    let path = folder.join("spec/appliance.kdl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("    base ", &format!("    arch {arches}\n    base "), 1)).unwrap();
    let mut command = live_command(folder, &["build", "--scripts", "emulate-only"]);
    Done::of(command.env("PATH", folder.join("none")).output().unwrap()).succeeds();
}

/// Where a path of a tree leads in the end.
#[track_caller]
fn followed(entries: &BTreeMap<String, Entry>, path: &str) -> String {
    let mut path = path.to_owned();
    while let Some(EntryKind::Symlink(target)) = entries.get(&path).map(|entry| &entry.kind) {
        let target = String::from_utf8(target.clone()).unwrap();
        let beside = || format!("{}/{target}", path.rsplit_once('/').unwrap().0);
        path = if target.starts_with('/') { target.clone() } else { beside() };
    }
    path
}

/// Programs of a tree are for the other architecture and do what they do, by an emulator that finds their libraries there.
#[track_caller]
fn check_programs(entries: &BTreeMap<String, Entry>, test: &str, calls: &[(&[&str], &str)]) {
    let number = if FOREIGN.1 == "aarch64" { 183 } else { 62 };
    for (words, _) in calls {
        let path = followed(entries, words[0]);
        let program = &entries.get(&path).unwrap_or_else(|| panic!("{path} is not in the image")).content;
        assert_eq!(program[..4], *b"\x7fELF", "{path}");
        assert_eq!(u16::from_le_bytes([program[18], program[19]]), number, "{path} is for another machine");
    }
    let Some(emulator) = emulator() else {
        return skip(&format!("{test} (running its programs)"), "there is no user mode emulator of qemu");
    };
    let root = tempfile::tempdir().unwrap();
    lay_out(entries, root.path());
    for (words, want) in calls {
        let program = root.path().join(followed(entries, words[0]).trim_start_matches('/'));
        let mut command = Command::new(&emulator);
        command.arg("-L").arg(root.path()).arg("-0").arg(words[0]).arg(program).args(&words[1..]);
        let done = Done::of(command.env_clear().stdin(Stdio::null()).output().unwrap());
        assert!(done.code == Some(0) && done.stdout.contains(want), "{words:?}: {}", done.text());
    }
}

/// The disk is sound and has the same files as the image.
fn check_disk(disk: &Path, entries: &BTreeMap<String, Entry>) {
    if let Some(e2fsck) = tool("e2fsck") {
        let checked = Command::new(e2fsck).arg("-fn").arg(disk).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    }
    let Some(disk) = crate::conformance::Ext4::of(disk) else { return };
    for path in ["/etc/passwd", "/usr/lib/appliance/guest.json"] {
        assert_eq!(disk.cat(path).as_bytes(), entries[path].content, "{path}");
    }
}

#[test]
fn debian_is_built_for_two_architectures_without_an_emulator() {
    let test = "debian_is_built_for_two_architectures_without_an_emulator";
    if let Some(why) = unreachable().map(str::to_owned).or_else(|| no_guest("amd64")).or_else(|| no_guest("arm64")) {
        return skip(test, &why);
    }
    let folder = copy("hello");
    built_without_emulator(folder.path(), "\"amd64\" \"arm64\"");
    let out = folder.path().join("spec/out");
    let lock = fs::read_to_string(out.join("appliance.lock")).unwrap();
    assert!(lock.contains("class=\"emulated\"") && !lock.contains("class=\"run\""), "{lock}");
    let trees = ["amd64", "arm64"].map(|arch| (arch, image_tree(&out.join("oci"), arch)));
    for (arch, entries) in &trees {
        check_disk(&out.join(format!("root-{arch}.ext4")), entries);
        if *arch == FOREIGN.0 {
            let calls: [(&[&str], &str); 4] = [
                (&["/usr/bin/dpkg", "--version"], FOREIGN.0),
                (&["/usr/bin/busybox", "httpd", "--help"], ""),
                (&["/usr/bin/dash", "-c", "echo shell works"], "shell works"),
                (&["/usr/bin/perl", "-e", "print 6 * 7"], "42"),
            ];
            check_programs(entries, test, &calls);
        }
    }
    // What scripts make does not depend on the architecture, but for the paths of libraries and what is compiled.
    for path in ["/etc/passwd", "/etc/shadow", "/etc/pam.d/common-auth", "/etc/alternatives/awk", "/etc/shells"] {
        assert_eq!(trees[0].1.get(path), trees[1].1.get(path), "{path}");
    }
}

#[test]
fn alpine_is_built_for_two_architectures_without_an_emulator() {
    let test = "alpine_is_built_for_two_architectures_without_an_emulator";
    let repository = match published(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(repository) if repository.join("aarch64").exists() => repository,
        Ok(_) => return skip(test, "there is no minirootfs for aarch64"),
        Err(reason) => return skip(test, &reason),
    };
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs/alpine-web");
    for name in ["minimal", "web"] {
        let world = real_world(&repository);
        if name == "web" {
            for file in ["appliance.kdl", "answer", "index.html"] {
                fs::copy(example.join(file), world.path("spec").join(file)).unwrap();
            }
        } else {
            world.run(&["new", "minimal", "--template", "minimal", "--base", "alpine"]).succeeds();
            fs::rename(world.path("spec/minimal/appliance.kdl"), world.path("spec/appliance.kdl")).unwrap();
        }
        let text = fs::read_to_string(world.path("spec/appliance.kdl")).unwrap();
        let text = text.replacen("    base ", "    arch \"amd64\" \"arm64\"\n    base ", 1);
        world.spec_text(text);
        let mut command = world.command(&["build", "--scripts", "emulate-only"]);
        Done::of(command.env("PATH", world.path("home")).output().unwrap()).succeeds();
        let lock = world.lock();
        assert!(lock.contains("class=\"emulated\"") && !lock.contains("class=\"run\""), "{lock}");
        let trees = ["amd64", "arm64"].map(|arch| (arch, image_tree(&world.path("spec/out/oci"), arch)));
        for (arch, entries) in &trees {
            let disk = world.path(&format!("spec/out/root-{arch}.ext4"));
            if disk.exists() {
                check_disk(&disk, entries);
            }
            if *arch == FOREIGN.0 {
                let calls: [(&[&str], &str); 2] =
                    [(&["/bin/sh", "-c", "echo shell works"], "shell works"), (&["/sbin/apk", "--version"], FOREIGN.1)];
                check_programs(entries, test, &calls);
            }
        }
    }
}

/// What the host itself is told of foreign programs.
fn registrations() -> Vec<std::ffi::OsString> {
    let entries = fs::read_dir("/proc/sys/fs/binfmt_misc").into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.sort();
    names
}

/// Whether this host runs no foreign script: an old kernel, or a user without subordinate ids.
fn cannot_run(done: &Done) -> bool {
    let text = done.text();
    done.code == Some(6) && (text.contains("gives a user namespace no binfmt_misc") || text.contains("subordinate ids"))
}

#[test]
fn a_script_of_alpine_runs_for_either_architecture() {
    let test = "a_script_of_alpine_runs_for_either_architecture";
    let repository = match published(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(repository) if repository.join("aarch64").exists() => repository,
        Ok(_) => return skip(test, "there is no minirootfs for aarch64"),
        Err(reason) => return skip(test, &reason),
    };
    if emulator().is_none() {
        return skip(test, "there is no user mode emulator of qemu");
    }
    let world = real_world(&repository);
    let toys = Repository(world.path("toys"));
    // A program that awk starts is started by the kernel, which has to find the emulator once more.
    let script = "awk 'BEGIN { \"busybox uname -m\" | getline machine; print machine }' > /odd";
    toys.publish(&[Apk::new("odd", "1-r0").script("post-install", script)], GOODLY);
    let (name, pem) = GOOD.file();
    fs::write(world.path("spec").join(&name), pem).unwrap();
    world.spec_text(format!(
        "appliance \"real\" version=\"1\" {{\n    base \"alpine\" release=\"3.20\"\n    arch \"amd64\" \"arm64\"\n    \
         packages \"odd\"\n    repository \"file://{}\" key=\"{name}\"\n    output \"oci\"\n}}\n",
        toys.0.display()
    ));
    for policy in ["auto", "run"] {
        let done = world.run(&["build", "--scripts", policy]);
        if cannot_run(&done) {
            return skip(test, done.stderr.trim());
        }
        done.succeeds();
        for (arch, machine) in [("amd64", "x86_64\n"), ("arm64", "aarch64\n")] {
            let entries = image_tree(&world.path("spec/out/oci"), arch);
            assert_eq!(String::from_utf8_lossy(&entries["/odd"].content), machine, "{policy} {arch}");
        }
    }
    assert!(world.lock().contains("\"busybox\" \"post-install\" class=\"run\""), "{}", world.lock());
}

#[test]
fn a_foreign_script_runs_by_an_emulator_that_the_host_does_not_know() {
    let test = "a_foreign_script_runs_by_an_emulator_that_the_host_does_not_know";
    if let Some(why) = unreachable().map(str::to_owned).or_else(|| no_guest("amd64")).or_else(|| no_guest("arm64")) {
        return skip(test, &why);
    }
    if emulator().is_none() {
        return skip(test, "there is no user mode emulator of qemu");
    }
    let folder = copy("hello");
    let spec = "appliance \"foreign\" version=\"1\" {\n    base \"debian\" release=\"bookworm\"\n    \
        arch \"amd64\" \"arm64\"\n    packages \"sgml-base\"\n    output \"oci\"\n}\n";
    fs::write(folder.path().join("spec/appliance.kdl"), spec).unwrap();
    let before = registrations();
    let done = Done::of(live_command(folder.path(), &["build", "-v"]).output().unwrap());
    assert_eq!(registrations(), before);
    if cannot_run(&done) {
        return skip(test, done.stderr.trim());
    }
    let text = done.succeeds().text();
    let ran = text.lines().filter(|line| line.starts_with("  run        sgml-base postinst")).count();
    assert_eq!(ran, 2, "{text}");
    let [ours, theirs] = ["amd64", "arm64"].map(|arch| image_tree(&folder.path().join("spec/out/oci"), arch));
    let made = |entries: &BTreeMap<String, Entry>| -> BTreeMap<String, Entry> {
        let of_script = |path: &str| path.starts_with("/etc/sgml") || path.starts_with("/var/lib/sgml-base");
        entries.iter().filter(|(path, _)| of_script(path)).map(|(path, entry)| (path.clone(), entry.clone())).collect()
    };
    assert!(made(&ours).contains_key("/var/lib/sgml-base/supercatalog"), "{:?}", made(&ours).keys());
    assert_eq!(made(&ours), made(&theirs), "the same script makes the same for either architecture");
}
