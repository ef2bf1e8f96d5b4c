//! Alpine's packages and signed indexes: good and hostile ones made here, and published ones packed again.

#![expect(clippy::disallowed_methods, reason = "real data lies in files")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod apks;
#[path = "../../packages/tests/support/minirootfs.rs"]
mod minirootfs;

use std::error::Error;

use apks::*;
use formats::apk::{Expected, KeyFile, Limits, check_archive, decode, decode_bytes, open_index};
use formats::deb::Inline;
use sha1::Digest as _;
use tree::dump;

/// The whole chain of causes, as a person sees it.
fn words(error: &dyn Error) -> String {
    let causes = error.source().map(words);
    causes.map_or_else(|| error.to_string(), |causes| format!("{error}: {causes}"))
}

/// What becomes of a package: its tree, or why it is refused.
fn outcome(bytes: &[u8], keys: &[KeyFile], control_sha1: Option<[u8; 20]>) -> String {
    let expected = Expected { control_sha1, keys: Some(keys) };
    match decode(bytes, &expected, Limits::default(), &mut Inline) {
        Ok(apk) => {
            assert!(check_archive(bytes, &expected).is_ok());
            let line = |line: &str| line.split(' ').take(5).collect::<Vec<_>>().join(" ");
            dump(&apk.tree).lines().map(line).collect::<Vec<_>>().join("\n")
        }
        Err(error) => words(&error),
    }
}

#[track_caller]
fn check(bytes: &[u8], expected: &str) {
    let found = outcome(bytes, &[OTHER.file(), GOOD.file()], None);
    assert!(found.contains(expected), "{found}\ndoes not say\n{expected}");
}

#[track_caller]
fn check_index(bytes: &[u8], keys: &[KeyFile], expected: &str) {
    let found = match open_index(bytes, keys) {
        Ok(index) => format!("{} by {}", String::from_utf8_lossy(&index.text), index.signer.key),
        Err(error) => words(&error),
    };
    assert!(found.contains(expected), "{found}\ndoes not say\n{expected}");
}

fn toy() -> Vec<Vec<u8>> {
    let link = records(&[("APK-TOOLS.checksum.SHA1", "430ce34d020724ed75a196dfc2ad67c77772d169")]);
    vec![
        entry(b'5', "usr/", "", b""),
        checked_file("usr/a", b"hello"),
        [link, entry(b'2', "etc/link", "hello world!", b"")].concat(),
        entry(b'1', "usr/b", "usr/a", b""),
    ]
}

#[test]
fn a_good_package_is_decoded_with_its_checksums() {
    check(
        &package(&toy()),
        "d / 0755 0 0\nd /etc 0755 0 0\nl /etc/link 0755 0 0\nd /usr 0755 0 0\nf /usr/a 0755 0 0\nh /usr/b = /usr/a",
    );
    let apk = decode_bytes(&package(&toy())).unwrap();
    assert_eq!(apk.control_files.keys().collect::<Vec<_>>(), [".PKGINFO", ".post-install"]);
    let sums: Vec<String> = apk.checksums.iter().map(|(path, sum)| format!("{path} {:02x}", sum[0])).collect();
    assert_eq!(sums, ["/etc/link 43", "/usr/a aa"]);
}

#[test]
fn only_what_a_trusted_key_signed_is_taken() {
    let data = data(&toy());
    let control = control(&data);
    let signed = |signature: Vec<u8>| [signature, control.clone(), data.clone()].concat();
    check(&signed(GOOD.sign("RSA256", &control)), "d / ");
    check(&signed(Vec::new()), "it is not signed");
    check(&signed(gzip(&file(".SIGN.DSA.good@example.org-1.rsa.pub", b"x"))), "it is not signed");
    check(&signed(GOOD.sign("RSA", b"something else")), "it is not by the key good@example.org-1.rsa.pub");
    let trusted = |keys: &[KeyFile]| outcome(&signed(GOOD.sign("RSA", &control)), keys, None);
    assert!(
        trusted(&[OTHER.file()])
            .contains("signed by good@example.org-1.rsa.pub, and only other@example.org-2.rsa.pub is trusted")
    );
    assert!(trusted(&[OTHER.file_as(GOOD.name)]).contains("it is not by the key"));
    assert!(trusted(&[(GOOD.name.to_owned(), b"no key".to_vec())]).contains("holds no RSA public key"));
    let short = outcome(&signed(SHORT.sign("RSA", &control)), &[SHORT.file()], None);
    assert!(short.contains("has only 1024 bits"), "{short}");
}

#[test]
fn a_package_is_the_one_that_the_index_names() {
    let (bytes, data) = (package(&toy()), data(&toy()));
    let control = control(&data);
    let sha1: [u8; 20] = sha1::Sha1::digest(&control).into();
    assert!(outcome(&bytes, &[GOOD.file()], Some(sha1)).starts_with("d / "));
    assert!(outcome(&bytes, &[GOOD.file()], Some([0; 20])).contains("the index says 0000"));
    let other = data_of_other();
    let mixed = [GOOD.sign("RSA", &control), control.clone(), other].concat();
    check(&mixed, "the SHA-256 of its data member is");
    assert!(check_archive(&mixed[..], &Expected { control_sha1: Some(sha1), keys: None }).is_err());
    let no_hash = gzip(&file(".PKGINFO", b"pkgname = toy\n"));
    check(&[GOOD.sign("RSA", &no_hash), no_hash, data].concat(), "states not exactly one `datahash`");
}

fn data_of_other() -> Vec<u8> {
    data(&[checked_file("usr/other", b"x")])
}

#[test]
fn members_are_three_and_whole() {
    let good = package(&toy());
    check(&[good.clone(), b"x".to_vec()].concat(), "something follows its data");
    check(&[good.clone(), gzip(b"more")].concat(), "something follows its data");
    check(&good[..good.len() - 1], "the SHA-256 of its data member is");
    let control = control(b"");
    check(&[GOOD.sign("RSA", &control), control].concat(), "read its data: there is none");
    check(&GOOD.sign("RSA", b""), "read its control member: there is none");
    check(b"ADBd\x01\x02", "apk version 3 (ADB), which is not supported yet");
    check(b"ADB.", "apk version 3 (ADB)");
    check(b"<html>", "it begins with `<htm`");
    check(b"", "it begins with ``");
    let odd = |entries: &[u8]| {
        let control = gzip(entries);
        [GOOD.sign("RSA", &control), control].concat()
    };
    check(&odd(&file("../x", b"")), "odd file name `../x`");
    check(&odd(&file("x", b"")), "odd file name `x`");
    check(&odd(&[file(".a", b""), file(".a", b"")].concat()), "two files are named `.a`");
    check(&odd(&entry(b'2', ".PKGINFO", "/etc/passwd", b"")), "there should be only files, not `.PKGINFO`");
    check(&odd(&sized_entry(b'0', ".PKGINFO", "", b"x", 1 << 32)), "more than 16777216 bytes of contents");
    check(&odd(&sized_entry(b'0', ".PKGINFO", "", b"x", 600)), "cut off");
}

#[test]
fn no_entry_leaves_the_root() {
    let one = |entry: Vec<u8>| package(&[entry]);
    let named = |name: &str| one([records(&[("path", name)]), file("good", b"x")].concat());
    check(&named("../evil"), "the entry `../evil` is refused");
    check(&named("usr/../../evil"), "is refused");
    check(&named("/etc/passwd"), "the name of the entry `/etc/passwd` is absolute");
    check(&named(".pre-install"), "the control file /.pre-install is among its files");
    check(&one([records(&[("linkpath", "../../x")]), entry(b'1', "a", "b", b"")].concat()), "is refused");
    let through = package(&[entry(b'2', "usr", "/tmp", b""), file("usr/x", b"x")]);
    check(&through, "decode the data archive");
    check(&package(&[file("a", b"1"), file("a", b"2")]), "two entries are named /a");
    check(&one([records(&[("size", "1099511627776")]), file("a", b"x")].concat()), "bytes of contents");
    check(&one(sized_entry(b'0', "a", "", b"x", 1 << 32)), "cut off");
}

#[test]
fn files_are_what_their_checksums_say() {
    let stated = |sum: &str| package(&[[records(&[("APK-TOOLS.checksum.SHA1", sum)]), file("a", b"hello")].concat()]);
    check(&stated("aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"), "f /a");
    check(&stated("aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434e"), "the content of /a does not have the SHA-1");
    check(&stated("aaf4"), "the checksum of /a cannot be read");
    check(&stated(&"+1".repeat(20)), "the checksum of /a cannot be read");
}

#[test]
fn no_damage_of_a_byte_panics() {
    let good = package(&toy());
    for at in 0..good.len() {
        for change in [0xff, 0x01, 0x80, 0x20] {
            let mut bad = good.clone();
            bad[at] ^= change;
            let _ = decode_bytes(&bad);
        }
        assert!(decode_bytes(&good[..at]).is_err());
    }
}

#[test]
fn an_index_is_taken_whole_and_from_a_trusted_key() {
    let (text, keys) = (index("P:a\n"), [GOOD.file()]);
    let signed = |algorithm| [GOOD.sign(algorithm, &text), text.clone()].concat();
    check_index(&signed("RSA"), &keys, "P:a\n by good@example.org-1.rsa.pub");
    check_index(&signed("RSA256"), &keys, "P:a\n by good@example.org-1.rsa.pub");
    check_index(&signed("RSA"), &[OTHER.file()], "only other@example.org-2.rsa.pub is trusted");
    check_index(&signed("RSA"), &[], "no key at all is trusted");
    check_index(&signed("RSA"), &[GOOD.file_as("mine.rsa.pub")], "the key file mine.rsa.pub is that key");
    check_index(&text, &keys, "it is not signed");
    check_index(&[signed("RSA"), gzip(b"more")].concat(), &keys, "it is not by the key");
    let twice = [text.clone(), index("P:b\n")].concat();
    check_index(&[GOOD.sign("RSA", &twice), twice].concat(), &keys, "something follows its end");
    let empty = gzip(&file("DESCRIPTION", b"toy"));
    check_index(&[GOOD.sign("RSA", &empty), empty].concat(), &keys, "there is no file `APKINDEX`");
    check_index(b"ADBd....", &keys, "apk version 3 (ADB)");
}

#[test]
fn real_packages_are_what_their_index_says() {
    let folder = match apks::published::published(std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(folder) => folder.display().to_string(),
        Err(reason) => return eprintln!("SKIP real_packages_are_what_their_index_says: {reason}"),
    };
    let files = |folder: String| std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let name = |path: &std::path::Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let keys: Vec<KeyFile> = files(format!("{folder}/keys"))
        .filter(|path| name(path).ends_with(".pub"))
        .map(|path| (name(&path), std::fs::read(&path).unwrap()))
        .collect();
    let index = open_index(&std::fs::read(format!("{folder}/x86_64/APKINDEX.tar.gz")).unwrap(), &keys).unwrap();
    let text = String::from_utf8(index.text).unwrap();
    let mut count = 0;
    for path in files(format!("{folder}/x86_64")).filter(|path| name(path).ends_with(".apk")) {
        let bytes = std::fs::read(&path).unwrap();
        let expected = Expected { control_sha1: None, keys: Some(&keys) };
        let apk = decode(&bytes[..], &expected, Limits::default(), &mut Inline).unwrap();
        assert!(apk.checksums.keys().all(|path| apk.tree.get(path).is_some()));
        check_archive(&bytes[..], &expected).unwrap();
        count += 1;
    }
    assert_eq!(count, text.lines().filter(|line| line.starts_with("P:")).count());
}
