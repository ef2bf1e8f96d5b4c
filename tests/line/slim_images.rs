//! Slim images leave out manual pages and the like by dpkg's path filters; what is added to one leaves them out too, as the
//! real dpkg does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::images::files;
use crate::package::Package;
use crate::support::{is_root, skip, tool};
use crate::toys;
use crate::world::World;

/// As the published slim images have it.
const FILTERS: [&str; 4] = [
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*/LC_MESSAGES/*.mo",
];

/// MD5 of what every file of the toy holds.
const MD5_OF_X: &str = "401b30e3b8b5d629635a5c613cdb7919";

fn documented() -> Package {
    let paths = [
        "usr/share/doc/toy-doc/README",
        "usr/share/doc/toy-doc/copyright",
        "usr/share/doc/toy-doc/examples/one",
        "usr/share/locale/de/LC_MESSAGES/toy.mo",
        "usr/share/locale/de/toy.txt",
        "usr/share/man/man1/toy.1",
        "usr/share/toy-doc",
    ];
    let sums: String = paths.iter().map(|path| format!("{MD5_OF_X}  {path}\n")).collect();
    let folders: BTreeSet<&str> =
        paths.iter().flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at])).collect();
    let package = folders.into_iter().fold(Package::new("toy-doc", "1"), |package, folder| package.dir(folder, 0o755));
    let package = paths.iter().fold(package, |package, path| package.file(path, 0o644, "x\n"));
    package
        .link("usr/share/doc/toy-link", "toy-doc")
        .link("usr/share/man/man1/alias.1", "toy.1")
        .hard_link("usr/share/man/man1/same.1", "usr/share/man/man1/toy.1", 0o644)
        .control("md5sums", 0o644, sums)
}

#[test]
fn what_a_slim_image_leaves_out_stays_out() {
    let test = "what_a_slim_image_leaves_out_stays_out";
    if tool("debugfs").is_none() {
        return skip(test, "there is no debugfs");
    }
    let world = World::of(&[toys::base(), documented()]);
    let config = FILTERS.join("\\n");
    world.spec(&format!(
        "file \"/etc/os-release\" text=\"ID=toy\\nVERSION_CODENAME=one\\n\"\n\
         file \"/etc/dpkg/dpkg.cfg.d/docker\" text=\"# slim\\n{config}\\n\"\noutput \"oci\""
    ));
    world.build();
    fs::rename(world.path("spec/out/oci"), world.path("spec/base")).unwrap();
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    world.spec_text(
        "appliance \"slim\" version=\"1\" {\n base \"oci\" \"oci:base\"\n arch \"amd64\"\n packages \"toy-doc\"\n output \"ext4\"\n}\n",
    );
    world.build();
    let ours = files(&world, "ours");
    let of_toy = |name: &&String| name.starts_with("usr/share/") && !name.contains("toy-base");
    let found: BTreeSet<&String> = ours.keys().filter(of_toy).collect();
    for there in ["usr/share/doc/toy-doc/copyright", "usr/share/doc/toy-link", "usr/share/locale/de/toy.txt"] {
        assert!(ours.contains_key(there), "{there} is not among {found:?}");
    }
    for gone in ["usr/share/doc/toy-doc/README", "usr/share/man/man1", "usr/share/locale/de/LC_MESSAGES/toy.mo"] {
        assert!(!ours.contains_key(gone), "{gone} is among {found:?}");
    }
    let Some(dpkg) = tool("dpkg").filter(|_| is_root()) else { return skip(test, "it takes root and dpkg to compare") };

    let theirs = world.path("theirs");
    for folder in ["info", "updates", "triggers"] {
        fs::create_dir_all(theirs.join("var/lib/dpkg").join(folder)).unwrap();
    }
    fs::write(theirs.join("var/lib/dpkg/status"), "").unwrap();
    let run = |root: &Path, args: &[&str]| {
        let filters = FILTERS.map(|filter| format!("--{filter}"));
        let mut command = Command::new(&dpkg);
        command.arg(format!("--root={}", root.display())).args(["--force-not-root", "--log=/dev/null"]).args(filters);
        let output = command.args(args).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    // As dpkg-deb itself writes it: names begin with `./`, and the filters count on that.
    let (files, archive) = (world.path("files").display().to_string(), world.path("toy.deb").display().to_string());
    let toy = world.archive.folder.join(documented().path()).display().to_string();
    for args in [["--raw-extract", &toy, &files], ["--build", &files, &archive]] {
        let done = Command::new("dpkg-deb").args(args).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    let (good, said) = run(&theirs, &["--install", &archive]);
    assert!(good, "{said}");
    let mut expected = BTreeSet::new();
    let mut open = vec![theirs.join("usr/share")];
    while let Some(folder) = open.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            expected.insert(path.strip_prefix(&theirs).unwrap().display().to_string());
            if path.symlink_metadata().unwrap().is_dir() {
                open.push(path);
            }
        }
    }
    let missing: Vec<&String> = expected.iter().filter(|path| !ours.contains_key(*path)).collect();
    let more: Vec<&&String> = found.iter().filter(|path| !expected.contains(**path)).collect();
    assert!(missing.is_empty() && more.iter().all(|path| !path.contains("toy-doc")), "{missing:?} {more:?}");
    for file in ["list", "md5sums"] {
        let path = format!("var/lib/dpkg/info/toy-doc.{file}");
        assert_eq!(ours[&path], fs::read_to_string(theirs.join(&path)).unwrap(), "{path}");
    }
    let verify = ["--verify", "toy-doc"];
    assert_eq!(run(&world.path("ours"), &verify), run(&theirs, &verify));
}
