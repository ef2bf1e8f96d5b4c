//! Base images as a user writes them: each slip is told at its line with what to write, and what may be left out has the
//! default that the page about base images says. That page is kept equal to the table.

use std::fs;
use std::path::Path;

use spec::appliance::Arch;
use spec::base::BaseImage;
use spec::{Diagnostic, Source, World};

/// What comes of a `base.kdl` with one key file beside it.
fn read(text: &str) -> Result<Vec<BaseImage>, Vec<Diagnostic>> {
    let source = Source { name: "mine/base.kdl".to_owned(), text: text.to_owned() };
    spec::read_base(&source, &[("keys/k.pub".to_owned(), b"a key".to_vec())])
}

/// One error at this line with these words, in its message or its help.
#[track_caller]
fn check(text: &str, line: usize, words: &[&str]) {
    let found = read(text).expect_err(text);
    let told = spec::plain(&found);
    assert_eq!(found.len(), 1, "{told}");
    for word in words.iter().copied().chain([format!("mine/base.kdl:{line}:").as_str(), "help: "]) {
        assert!(told.contains(word), "{told}\ndoes not say {word:?}");
    }
    assert!(!told.contains("the spec") && !told.contains("appliance \""), "{told}");
}

const ARCHIVE: &str = "archive \"a\" { suite \"s\" component=\"main\"; key \"keys/k.pub\"; }";

fn with_release(body: &str) -> String {
    format!("base \"mine\" family=\"deb\" {{\n    release \"r\" version=\"1\" {{\n        {body}\n    }}\n}}\n")
}

fn with_archive(body: &str) -> String {
    with_release(&format!("arch \"amd64\"\n        archive \"a\" {{ {body} }}"))
}

#[test]
fn what_a_base_image_lacks_is_told_at_its_line() {
    check("", 1, &["describes no base image", "base \"debian\" family=\"deb\" {"]);
    check("// nothing\n", 1, &["describes no base image"]);
    check("base \"mine\" family=\"deb\"\n", 1, &["`base` needs at least one `release`", "release \"bookworm\""]);
    check(
        "base \"mine\" {\n release \"r\" version=\"1\" { arch \"amd64\"; archive \"a\" { suite \"s\" component=\"c\"; key \"keys/k.pub\"; }; }\n}",
        1,
        &["needs `family=`"],
    );
    check(&with_release(ARCHIVE), 2, &["`release` needs at least one `arch`"]);
    check(&with_release("arch \"amd64\""), 2, &["`release` needs at least one `archive`"]);
    check(&with_archive("suite \"s\" component=\"main\""), 4, &["`archive` needs at least one `key`"]);
    check(&with_archive("key \"keys/k.pub\""), 4, &["`archive` needs at least one `suite`"]);
    check(&with_archive("suite \"s\"; key \"keys/k.pub\""), 4, &["`suite` needs `component=`", "component=\"main\""]);
    check(
        &with_archive("suite \"s\" component=\"c\"; key \"keys/other\""),
        4,
        &["no key file \"keys/other\"", "there is keys/k.pub"],
    );
    let bare = "suite \"s\" component=\"c\"; key \"k.pub\"";
    check(&with_archive(bare), 4, &["no key file \"k.pub\"", "key \"keys/k.pub\""]);
    assert!(read(&with_archive("suite \"s\" component=\"c\"; key \"./keys/k.pub\"")).is_ok());
    let mirror = "mirror \"example.org\"; suite \"s\" component=\"c\"; key \"keys/k.pub\"";
    check(&with_archive(mirror), 4, &["\"example.org\" is no address of a mirror", "https://mirror.example.org"]);
    let releases = |a: &str, b: &str| {
        let one = |name: &str, more: &str| {
            format!("release \"{name}\" version=\"1\"{more} {{ arch \"amd64\"; {ARCHIVE}; }}\n")
        };
        format!("base \"mine\" family=\"deb\" {{\n{}{}}}\n", one("r", a), one("s", b))
    };
    check(&releases(" default=#true", " default=#true"), 3, &["two releases are the default", "keep one"]);
    check(&with_archive("sweet \"s\""), 4, &["`sweet`", "suite"]);
    check("// mine\nbase \"mine\" family=\"deb\" {\n", 2, &["never closed"]);
    let rpm = with_release(&format!("arch \"amd64\"\n        {ARCHIVE}")).replace("\"deb\"", "\"rpm\"");
    check(&rpm, 1, &["`rpm`".replace('`', "\"").as_str(), "cannot be built yet"]);
}

#[test]
fn what_may_be_left_out_has_a_default() {
    let read = |text: &str| read(text).unwrap_or_else(|found| panic!("{}", spec::plain(&found)));
    let one = read(&with_release(&format!("arch \"amd64\"\n        {ARCHIVE}")));
    assert!(one[0].is_default && one[0].packages.is_empty() && one[0].archives[0].mirrors.is_empty());
    assert_eq!((&one[0].users[..], &one[0].groups[..]), (&["root".to_owned()][..], &["root".to_owned()][..]));
    assert_eq!(one[0].archives[0].suites[0].codename, None);
    let flat = with_archive("key \"keys/k.pub\"").replace("\"deb\"", "\"apk\"");
    let suites = read(&flat)[0].archives[0].suites.clone();
    assert_eq!((suites.len(), suites[0].path.as_str(), suites[0].components.len()), (1, "", 0));
}

#[test]
fn a_base_without_a_default_release_needs_one_to_be_named() {
    let release = |name: &str| format!("release \"{name}\" version=\"{name}.1\" {{ arch \"amd64\"; {ARCHIVE}; }}\n");
    let bases = read(&format!("base \"mine\" family=\"deb\" {{\n{}{}}}\n", release("one"), release("two"))).unwrap();
    let world = World { bases: &bases, host_arch: Arch::Amd64, allow_outside: false };
    let outcome = |base: &str| {
        let source = Source { name: "a.kdl".to_owned(), text: format!("appliance \"a\" {{\n    {base}\n}}\n") };
        let spec = spec::parse(&source, &std::collections::BTreeMap::new()).unwrap_or_else(|_| panic!("{base}"));
        spec::check(&spec, &world).map(|_| ()).map_err(|found| spec::plain(&found))
    };
    let told = outcome("base \"mine\"").unwrap_err();
    assert!(told.contains("a.kdl:2:") && told.contains("none of its releases is the default"), "{told}");
    assert!(told.contains("base \"mine\" release=\"one\"; there are \"one\" or \"two\""), "{told}");
    assert_eq!(outcome("base \"mine\" release=\"two\""), Ok(()));
    assert_eq!(outcome("base \"mine\" release=\"one.1\""), Ok(()));
}

/// The part of the page that is made from the table begins here.
const MARK: &str = "<!-- Made from the table of the language by a test; run it with UPDATE=1 to write it anew. -->\n";

#[test]
#[expect(clippy::disallowed_methods, reason = "a test compares a file")]
fn the_page_about_base_images_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/base-images.md");
    let page = fs::read_to_string(&path).unwrap();
    let (prose, fields) = page.split_once(MARK).expect("the page has the mark");
    if std::env::var("UPDATE").is_ok() {
        fs::write(&path, format!("{prose}{MARK}{}", spec::base_reference())).unwrap();
    } else {
        let stale = "docs/base-images.md is stale; run `UPDATE=1 cargo test -p spec --test base_images`";
        assert!(fields == spec::base_reference(), "{stale}");
    }
}
