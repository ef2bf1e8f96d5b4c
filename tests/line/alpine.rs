//! Alpine's packages, apk version 2, through the whole line: toy ones of a signed repository that is made here.

use std::fs;

use sha1::Digest as _;

use crate::apk_archive::{Apk, GOODLY, Repository, Sealed, write_base_image};
use crate::apks::{self, GOOD, OTHER, base_64, records};
use crate::conformance::Ext4;
use crate::world::World;

/// A world whose base is the toy Alpine, with these packages in its repository.
struct Alpine {
    world: World,
    main: Repository,
}

impl Alpine {
    fn of(packages: &[Apk], spec: &str) -> Self {
        let mut world = World::new();
        let mirror = world.path("mirror/alp");
        write_base_image(&world.path("bases"), &[GOOD.file()]);
        world.set_mirror(&mirror.display().to_string());
        let main = Repository(mirror.join("v1/main"));
        main.publish(packages, GOODLY);
        world.spec_text(format!(
            "appliance \"alp\" version=\"1\" {{\n    base \"alp\"\n    arch \"amd64\"\n{spec}\n}}\n"
        ));
        Self { world, main }
    }

    fn ext4(&self) -> Option<Ext4> {
        Ext4::of(&self.world.path("spec/out/root.ext4"))
    }
}

/// A world with all toys of Alpine in its repository.
pub fn toy_world() -> World {
    Alpine::of(&all(), SPEC).world
}

pub fn base() -> Apk {
    Apk::new("alp-base", "1.0-r0")
        .info("provides", "/bin/sh")
        .dir("bin", 0o755)
        .file("bin/busybox", 0o755, "no program\n")
        .link("bin/sh", "/bin/busybox")
        .dir("etc", 0o755)
        .file("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n")
        .file("etc/group", 0o644, "root:x:0:root\nnogroup:x:65533:\n")
        .file("etc/shadow", 0o640, "root:*::0:::::\n")
        .dir("etc/busybox-paths.d", 0o755)
        .file("etc/busybox-paths.d/busybox", 0o644, "bin/cat\nusr/sbin/adduser\nusr/sbin/addgroup\n")
        .dir("tmp", 0o1777)
        .script("post-install", "/bin/busybox --install -s || exit 1\naddgroup -S logd 2>/dev/null\nexit 0")
        .script("trigger", "for i in \"$@\"; do echo \"$i\" >> /seen; done")
        .info("triggers", "/usr/share/toy /srv/*")
}

fn web() -> Apk {
    Apk::new("alp-web", "2.0-r1")
        .needs("so:libtoy.so.1 alp-base>=1")
        .info("replaces", "libtoy<2")
        .script(
            "pre-install",
            "addgroup -S web 2>/dev/null\nadduser -S -D -H -h /srv/web -G web -g web web 2>/dev/null\nexit 0",
        )
        .dir("srv", 0o755)
        .dir("srv/web", 0o755)
        .owned("srv/web/page", 0o640, "web", "hello\n")
        .hard_link("srv/web/same", "srv/web/page", 0o640, "web")
        .dir("usr", 0o755)
        .dir("usr/share", 0o755)
        .dir("usr/share/toy", 0o755)
        .file("usr/share/toy/both", 0o644, "of web\n")
}

fn library(version: &str) -> Apk {
    Apk::new("libtoy", version)
        .info("provides", "so:libtoy.so.1=1.0")
        .dir("usr", 0o755)
        .dir("usr/share", 0o755)
        .dir("usr/share/toy", 0o700)
        .file("usr/share/toy/both", 0o644, "of libtoy\n")
        .file("usr/share/toy/own", 0o644, "own\n")
}

/// Comes by itself once the web server is there.
fn companion() -> Apk {
    Apk::new("alp-web-doc", "2.0-r1").info("install_if", "alp-web=2.0-r1 libtoy").file("doc", 0o644, "doc\n")
}

pub fn all() -> Vec<Apk> {
    vec![base(), web(), library("1.0-r0"), companion()]
}

const SPEC: &str = "    packages \"alp-web~2\" \"so:libtoy.so.1\"\n    output \"oci\" \"ext4\"";

#[test]
fn packages_become_a_root_with_a_database() {
    let alpine = Alpine::of(&all(), SPEC);
    let first = alpine.world.build();
    let lock = alpine.world.lock();
    for words in [
        "index \"alp\" \"v1/main/x86_64\" date=\"2023-11-14T22:13:20Z\"",
        "good@example.org-1.rsa.pub",
        "epoch \"2023-11-14",
        "alp-web-doc",
        "control-sha1=",
    ] {
        assert!(lock.contains(words), "{lock}\ndoes not say {words}");
    }
    for script in ["\"alp-base\" \"post-install\"", "\"alp-base\" \"trigger\"", "\"alp-web\" \"pre-install\""] {
        let line = lock.lines().find(|line| line.contains(script)).unwrap_or_else(|| panic!("{lock}"));
        assert!(line.contains("emulated"), "{line}");
    }
    alpine.world.run(&["build", "--locked", "--offline"]).succeeds();
    fs::remove_dir_all(alpine.world.path("spec/out")).unwrap();
    fs::remove_dir_all(alpine.world.path("cache")).unwrap();
    assert_eq!(alpine.world.build(), first);
    let Some(disk) = alpine.ext4() else { return };
    assert_eq!(disk.cat("/usr/share/toy/both"), "of web\n");
    assert_eq!(disk.cat("/seen"), "/srv/web\n/usr/share/toy\n");
    assert_eq!(disk.cat("/etc/apk/world"), "alp-base\nalp-web~2\nso:libtoy.so.1\n");
    assert_eq!(disk.cat("/etc/apk/repositories"), "http://127.0.0.1:9/alp/v1/main\n");
    assert_eq!(disk.cat("/etc/apk/arch"), "x86_64\n");
    assert!(disk.has("/etc/apk/keys/good@example.org-1.rsa.pub"));
    assert!(disk.stat("/usr/share/toy").contains("Mode:  0700"), "{}", disk.stat("/usr/share/toy"));
    let id = |path: &str| {
        disk.cat(path).lines().find_map(|line| Some(line.strip_prefix("web:x:")?.split(':').next()?.to_owned()))
    };
    let (uid, gid) = (id("/etc/passwd").unwrap(), id("/etc/group").unwrap());
    let page = disk.stat("/srv/web/page");
    let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(&format!("User: {uid} Group: {gid}")), "{page}");
    let installed = disk.cat("/lib/apk/db/installed");
    let web = installed.split("\n\n").find(|paragraph| paragraph.contains("\nP:alp-web\n")).unwrap();
    let sum = format!("Q1{}", base_64(&sha1::Sha1::digest(b"hello\n")));
    let of_page = format!("F:srv/web\nR:page\na:{uid}:{gid}:640\nZ:{sum}\nR:same\na:{uid}:{gid}:640\nZ:{sum}\n");
    assert!(web.contains(&of_page), "{web}\ndoes not hold\n{of_page}");
    assert!(web.contains("A:x86_64\n") && web.contains("r:libtoy<2\n"), "{web}");
    let libtoy = installed.split("\n\n").find(|paragraph| paragraph.contains("\nP:libtoy\n")).unwrap();
    assert!(!libtoy.contains("R:both") && libtoy.contains("F:usr/share/toy\nM:0:0:700\nR:own\n"), "{libtoy}");
}

#[test]
fn one_build_makes_both_architectures() {
    let alpine = Alpine::of(&all(), SPEC);
    let spec = fs::read_to_string(alpine.world.path("spec/appliance.kdl")).unwrap();
    alpine.world.spec_text(spec.replace("arch \"amd64\"", "arch \"amd64\" \"arm64\""));
    let artifacts = alpine.world.run(&["build", "--scripts", "emulate-only"]).succeeds();
    assert!(artifacts.text().contains("root-arm64.ext4"), "{}", artifacts.text());
    let lock = alpine.world.lock();
    assert!(
        lock.contains("\"v1/main/aarch64\"") && lock.contains("path=\"v1/main/aarch64/libtoy-1.0-r0.apk\""),
        "{lock}"
    );
}

/// A repository that must be refused with these words; the good one builds afterwards.
#[track_caller]
fn check_refused(spoil: impl FnOnce(&Alpine), code: i32, words: &[&str]) {
    let alpine = Alpine::of(&all(), SPEC);
    spoil(&alpine);
    alpine.world.run(&["build"]).fails(code, words);
    assert_eq!(alpine.world.traces(), [""; 0]);
    alpine.main.publish(&all(), GOODLY);
    alpine.world.run(&["lock", "--update"]).succeeds();
    alpine.world.build();
}

#[test]
fn an_index_that_nobody_trusted_vouches_for_is_refused() {
    let sealed = |sealed: Sealed| move |alpine: &Alpine| alpine.main.publish(&all(), sealed);
    let index = "the index of alp v1/main/x86_64";
    check_refused(
        sealed(Sealed::By("RSA", || &OTHER)),
        5,
        &[index, "signed by other@example.org-2.rsa.pub", "only good@example.org-1.rsa.pub is trusted"],
    );
    check_refused(sealed(Sealed::Not), 5, &[index, "it is not signed"]);
    check_refused(sealed(Sealed::Tampered), 5, &[index, "it is not by the key good@example.org-1.rsa.pub"]);
    check_refused(
        |alpine| alpine.main.write("x86_64", "APKINDEX.tar.gz", b"ADBd\x01\x02"),
        5,
        &[index, "apk version 3"],
    );
    check_refused(
        |alpine| alpine.main.write("x86_64", "APKINDEX.tar.gz", b"<html>"),
        5,
        &[index, "neither a package nor an index"],
    );
    check_refused(|alpine| fs::remove_dir_all(&alpine.main.0).unwrap(), 5, &[index, "there is no such file"]);
}

#[test]
fn a_package_that_is_another_one_is_refused() {
    let put = |bytes: Vec<u8>| move |alpine: &Alpine| alpine.main.write("x86_64", "libtoy-1.0-r0.apk", &bytes);
    let good = library("1.0-r0").bytes();
    check_refused(put(good[..good.len() - 7].to_vec()), 5, &["libtoy 1.0-r0", "a file of"]);
    // As long as the good one, with one byte of its data changed; with other data; with another control member.
    let mut changed = good.clone();
    changed[good.len() - 9] ^= 1;
    check_refused(put(changed), 5, &["libtoy 1.0-r0", "not the one of the signed index", "SHA-256 of its data member"]);
    let mut foreign = good.clone();
    let [signature, ..] = library("1.0-r0").members();
    foreign[signature.len() + 20] ^= 1;
    check_refused(put(foreign), 5, &["libtoy 1.0-r0", "not the one of the signed index"]);
    let mut third = b"ADBd".to_vec();
    third.resize(good.len(), 0);
    check_refused(put(third), 5, &["libtoy 1.0-r0", "apk version 3"]);
}

#[test]
fn an_index_that_lies_about_a_package_is_refused() {
    let lie = |letter: &'static str, value: String| {
        move |alpine: &Alpine| {
            let of_libtoy = |paragraph: &str| {
                let line = |line: &str| match line.starts_with(letter) {
                    true => format!("{letter}:{value}\n"),
                    false => format!("{line}\n"),
                };
                match paragraph.contains("\nP:libtoy\n") {
                    true => paragraph.lines().map(line).collect(),
                    false => format!("{paragraph}\n"),
                }
            };
            let change = |text: &str| text.trim().split("\n\n").map(|one| of_libtoy(one) + "\n").collect::<String>();
            alpine.main.publish_changed(&all(), change);
        }
    };
    let (size, package) = (library("1.0-r0").bytes().len(), "libtoy 1.0-r0");
    check_refused(lie("S", (size + 1).to_string()), 5, &[package, &size.to_string(), &(size + 1).to_string()]);
    check_refused(lie("S", (1u64 << 40).to_string()), 5, &[package, "1099511627776"]);
    check_refused(lie("S", "1".to_owned()), 5, &[package, "a file of"]);
    check_refused(lie("C", format!("Q1{}", base_64(&[0; 20]))), 5, &[package, "not the one of the signed index"]);
    check_refused(lie("C", "Q1".to_owned()), 5, &["package `libtoy`", "checksum"]);
    check_refused(lie("V", "1.1-r0".to_owned()), 5, &["libtoy 1.1-r0", "there is no such file"]);
    // A count that is only told to people is taken as it is.
    let alpine = Alpine::of(&all(), SPEC);
    lie("I", (1u64 << 40).to_string())(&alpine);
    alpine.world.build();
}

#[test]
fn an_index_and_packages_that_do_not_belong_together_are_refused() {
    // Another package's bytes, an older index beside newer packages, and an index of another's signature.
    let mixed = |alpine: &Alpine| alpine.main.write("x86_64", "libtoy-1.0-r0.apk", &web().bytes());
    check_refused(mixed, 5, &["libtoy 1.0-r0", "a file of"]);
    let newer = library("1.0-r0").file("usr/share/toy/later", 0o644, "later\n").bytes();
    check_refused(
        |alpine| alpine.main.write("x86_64", "libtoy-1.0-r0.apk", &newer),
        5,
        &["libtoy 1.0-r0", "a file of"],
    );
    let crossed = |alpine: &Alpine| {
        let read = |arch: &str| fs::read(alpine.main.0.join(arch).join("APKINDEX.tar.gz")).unwrap();
        let (of_signature, of_index) = (GOOD.sign("RSA", &apks::index("P:other\n")), read("x86_64"));
        let start = GOOD.sign("RSA", &[]).len();
        alpine.main.write("x86_64", "APKINDEX.tar.gz", &[of_signature, of_index[start..].to_vec()].concat());
    };
    check_refused(crossed, 5, &["the index of alp v1/main/x86_64"]);
    // Another version, with the sums of this one: what is signed fits, and the package says what it is.
    let renamed = |alpine: &Alpine| {
        alpine.main.publish_changed(&all(), |text| text.replace("P:libtoy\nV:1.0", "P:libtoy\nV:1.9"));
        alpine.main.write("x86_64", "libtoy-1.9-r0.apk", &library("1.0-r0").bytes());
    };
    check_refused(renamed, 6, &["use libtoy 1.9-r0: the package itself says that it is libtoy 1.0-r0"]);
}

#[test]
fn what_a_trusted_package_may_not_do_is_refused() {
    let check =
        |packages: Vec<Apk>, words: &[&str]| check_refused(|alpine| alpine.main.publish(&packages, GOODLY), 6, words);
    let with = |package: Apk| vec![base(), web(), package];
    check(
        with(library("1.0-r0").file("../../evil", 0o644, "x")),
        &["libtoy 1.0-r0", "the entry `../../evil` is refused"],
    );
    check(with(library("1.0-r0").file("/etc/evil", 0o644, "x")), &["is absolute"]);
    let record =
        |name: &str, value: &str| library("1.0-r0").entry([records(&[(name, value)]), apks::file("a", b"x")].concat());
    check(with(record("path", "usr/../../evil")), &["libtoy 1.0-r0", "the entry `usr/../../evil` is refused"]);
    check(with(record("size", "1099511627776")), &["libtoy 1.0-r0", "bytes of contents"]);
    check(with(library("1.0-r0").hard_link("b", "../../etc/shadow", 0o644, "root")), &["libtoy 1.0-r0", "`..`"]);
    check(with(library("1.0-r0").link("out", "/tmp").file("out/x", 0o644, "x")), &["libtoy 1.0-r0"]);
    let clash = library("1.0-r0").file("bin/busybox", 0o755, "mine");
    check(with(clash), &["/bin/busybox", "libtoy", "alp-base ships it too"]);
    check(with(library("1.0-r0").script("post-install", "exit 3")), &["post-install of package libtoy"]);
}

#[test]
fn a_lock_moves_when_it_is_told_to() {
    let alpine = Alpine::of(&all(), SPEC);
    alpine.world.build();
    let newer = vec![base(), web(), library("1.0-r0"), library("1.1-r0"), companion()];
    alpine.main.publish(&newer, GOODLY);
    alpine.world.run(&["build", "--locked"]).succeeds();
    assert!(alpine.world.locked_version("libtoy").contains("1.0-r0"));
    alpine.world.run(&["lock", "--update", "libtoy"]).succeeds();
    assert!(alpine.world.locked_version("libtoy").contains("1.1-r0"));
    alpine.world.build();
}

#[test]
fn a_repository_of_the_spec_counts_with_its_key_and_its_tag() {
    let own = "    packages \"tool@edge\" \"alp-web\"\n    output \"oci\" \"ext4\"\n";
    let alpine = Alpine::of(&all(), own);
    let other = Repository(alpine.world.path("os"));
    let tool = || Apk::new("tool", "3-r0").file("tool", 0o755, "tool\n");
    other.publish(&[tool(), library("9-r0")], Sealed::By("RSA256", || &OTHER));
    fs::create_dir(alpine.world.path("spec/keys")).unwrap();
    let (name, pem) = OTHER.file();
    fs::write(alpine.world.path("spec/keys").join(&name), pem).unwrap();
    let url = format!("file://{}", other.0.display());
    let repository = format!("    repository \"{url}\" key=\"keys/{name}\" tag=\"edge\"\n");
    alpine.world.spec_text(format!(
        "appliance \"alp\" version=\"1\" {{\n    base \"alp\"\n    arch \"amd64\"\n{own}{repository}}}\n"
    ));
    alpine.world.build();
    assert!(alpine.world.locked_version("tool").contains("path=\"x86_64/tool-3-r0.apk\""), "{}", alpine.world.lock());
    assert!(alpine.world.locked_version("libtoy").contains("1.0-r0"));
    if let Some(disk) = alpine.ext4() {
        assert_eq!(disk.cat("/etc/apk/repositories"), format!("http://127.0.0.1:9/alp/v1/main\n@edge {url}\n"));
        assert_eq!(disk.cat("/etc/apk/world"), "alp-base\nalp-web\ntool@edge\n");
        assert!(disk.has(&format!("/etc/apk/keys/{name}")));
    }
    fs::write(alpine.world.path("spec/keys").join(&name), GOOD.file().1).unwrap();
    alpine.world.run(&["lock", "--update"]).fails(5, &["it is not by the key other@example.org-2.rsa.pub"]);
}
