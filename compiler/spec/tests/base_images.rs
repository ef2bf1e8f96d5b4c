//! Base images as a user writes them: each slip is told at its line with what to write, and what may be left out has the
//! default that the page about base images says. That page is kept equal to the table.

use std::fs;
use std::path::Path;

use spec::appliance::Arch;
use spec::base::BaseImage;
use spec::{BaseFolder, BasePlace, Diagnostic, InArchive, Source, World};

/// What comes of a `base.kdl` in the folder `mine` with one key file and another file beside it.
fn read(text: &str) -> Result<Vec<BaseImage>, Vec<Diagnostic>> {
    let source = Source { name: "mine/base.kdl".to_owned(), text: text.to_owned() };
    let file = |name: &str, bytes: &[u8]| (format!("keys/{name}"), bytes.to_vec());
    let keys = [file("k.pub", b"a key"), file("note", b"hello")];
    let is_key = |_, bytes: &[u8]| if bytes == b"a key" { Ok(()) } else { Err("it should hold a key".to_owned()) };
    let read = spec::read_base(&source, BaseFolder { name: Some("mine"), keys: &keys, is_key: &is_key });
    read.map(|file| file.images)
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
    check(
        &with_archive("suite \"s\" component=\"c\"; key \"keys/note\""),
        4,
        &["keys/note is no key of an archive: it should hold a key", "the public key that the owner"],
    );
    let bare = "suite \"s\" component=\"c\"; key \"k.pub\"";
    check(&with_archive(bare), 4, &["no key file \"k.pub\"", "key \"keys/k.pub\""]);
    assert!(read(&with_archive("suite \"s\" component=\"c\"; key \"./keys/k.pub\"")).is_ok());
    let mirror = "mirror \"example.org\"; suite \"s\" component=\"c\"; key \"keys/k.pub\"";
    check(&with_archive(mirror), 4, &["\"example.org\" is no address of a mirror", "https://mirror.example.org"]);
    let releases = |a: &str, b: &str| {
        let one = |head: &str| format!("release {head} {{ arch \"amd64\"; {ARCHIVE}; }}\n");
        format!("base \"mine\" family=\"deb\" {{\n{}{}}}\n", one(a), one(b))
    };
    let two = releases("\"r\" version=\"1\" default=#true", "\"s\" version=\"2\" default=#true");
    check(&two, 3, &["two releases are the default", "keep one"]);
    let two = releases("\"r\" version=\"1\"", "\"s\" version=\"1\"");
    check(&two, 3, &["two releases of the version \"1\"", "give one of them another"]);
    let two = releases("\"r\" version=\"1\"", "\"r\" version=\"2\"");
    check(&two, 3, &["there are two `release` \"r\"", "another name"]);
    let two = releases("\"r\" version=\"s\"", "\"s\" version=\"2\"");
    check(&two, 2, &["the version \"s\" is the name of another release"]);
    assert!(read(&releases("\"1\" version=\"1\"", "\"2\" version=\"2\" default=#true")).is_ok());
    check(&with_archive("sweet \"s\""), 4, &["`sweet`", "suite"]);
    check("// mine\nbase \"mine\" family=\"deb\" {\n", 2, &["never closed"]);
    let rpm = with_release(&format!("arch \"amd64\"\n        {ARCHIVE}")).replace("\"deb\"", "\"rpm\"");
    let family = |name: &str| rpm.replace("\"rpm\"", &format!("\"{name}\""));
    check(&family("dpkg"), 1, &["did you mean \"deb\"?"]);
    check(&family("apx"), 1, &["did you mean \"apk\"?"]);
    check(&rpm, 1, &["`rpm`".replace('`', "\"").as_str(), "cannot be built yet"]);
}

#[test]
fn what_a_base_image_cannot_say_is_told_in_its_own_words() {
    let whole = with_release(&format!("arch \"amd64\"\n        {ARCHIVE}"));
    check(
        &whole.replace("\"mine\"", "\"other\""),
        1,
        &["is called \"other\" here", "folder `mine`", "rename the folder"],
    );
    check("{\n  \"base\": 1\n}\n", 1, &["a base image is no JSON", "base \"mine\" family=\"deb\" {"]);
    check("base \"mine\" family=\"deb\"\n{\n}\n", 2, &["end of the line above"]);
    check(&with_release("12 \"a\""), 3, &["a line begins with a name", "release \"stable\" version=\"1\" { … }"]);
    check(&with_release("arch \"amd64\"; {\n}"), 3, &["no name stands in front", "archive \"mine\" {"]);
    check("base \"mine\u{200e}\" family=\"deb\"\n", 1, &["cannot stand in a base image"]);
    check(&"a { ".repeat(40), 1, &["a base image nests no deeper"]);
    check(&"a ".repeat(30_000), 1, &["more than", "keys of a base image are files"]);
    check(&" ".repeat(2 << 20), 1, &["bytes long", "keys of a base image are files"]);
    check(&with_release(&format!("arch \"amd64\"\n        {ARCHIVE}\n        key \"keys/k.pub\"")), 5, &["`archive`"]);
    check(&format!("{whole}release \"s\" version=\"2\"\n"), 7, &["`release` belongs into the block of `base`"]);
    check(
        &with_release(&format!("arch \"amd64\"\n        {ARCHIVE}\n        user \"web\"")),
        5,
        &["no section `user`"],
    );
    check(&whole.replacen("release", "image \"x\"\nrelease", 1), 2, &["no section `image`", "known here"]);
    for (bytes, words) in
        [(&b"b\0a\0s\0e\0 \0\"\0a\0\"\0"[..], "a base image is UTF-8"), (b"\x7fELF\0", "not a base image")]
    {
        let told = spec::read_text(spec::Language::BaseImage, "base.kdl", bytes).unwrap_err();
        let told = format!("{:?}", told.diagnostics);
        assert!(told.contains(words) && !told.contains("spec") && !told.contains("appliance"), "{told}");
    }
}

#[test]
fn places_of_a_base_image_are_known() {
    let text = with_release(
        "arch \"amd64\"\n        archive \"a\" { suite \"s\" component=\"main\" \"more\"; key \"keys/k.pub\"; }\n        \
         packages \"one\" \"two\"\n        kernel \"amd64\" package=\"linux\"\n        efi-stub \"stub\"",
    );
    let source = Source { name: "base.kdl".to_owned(), text };
    let keys = [("keys/k.pub".to_owned(), Vec::new())];
    let read = spec::read_base(&source, BaseFolder { name: None, keys: &keys, is_key: &|_, _| Ok(()) }).unwrap();
    let check = |place: BasePlace, line: usize, text: &str| {
        let label = read.places.get(&place).unwrap_or_else(|| panic!("{place:?}"));
        let found = source.text.get(label.span.offset..label.span.offset + label.span.len).unwrap();
        assert_eq!((label.line, found), (line, text), "{place:?}");
    };
    let archive = || InArchive { release: "r".to_owned(), archive: "a".to_owned() };
    let package = |name: &str| BasePlace::Package { release: "r".to_owned(), name: name.to_owned() };
    check(BasePlace::Suite(archive(), "s".to_owned()), 4, "\"s\"");
    check(BasePlace::Component(archive(), "s".to_owned(), "more".to_owned()), 4, "\"more\"");
    check(package("two"), 5, "\"two\"");
    check(package("linux"), 6, "\"linux\"");
    check(package("stub"), 7, "\"stub\"");
    assert!(!read.places.contains_key(&package("three")));
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

#[test]
fn a_base_that_is_not_there_for_the_builder_needs_an_arch() {
    let bases = read(&with_release(&format!("arch \"arm64\"\n        {ARCHIVE}"))).unwrap();
    let outcome = |host_arch, body: &str| {
        let world = World { bases: &bases, host_arch, allow_outside: false };
        let source = Source { name: "a.kdl".to_owned(), text: format!("appliance \"a\" {{\n    {body}\n}}\n") };
        let spec = spec::parse(&source, &std::collections::BTreeMap::new()).unwrap_or_else(|_| panic!("{body}"));
        spec::check(&spec, &world).map(|_| ()).map_err(|found| spec::plain(&found))
    };
    let told = outcome(Arch::Amd64, "base \"mine\"").unwrap_err();
    for words in ["a.kdl:2:10:", "the base does not exist for amd64", "help: write arch \"arm64\""] {
        assert!(told.contains(words), "{told}");
    }
    assert_eq!(outcome(Arch::Arm64, "base \"mine\""), Ok(()));
    assert_eq!(outcome(Arch::Amd64, "base \"mine\"\n    arch \"arm64\""), Ok(()));
    let told = outcome(Arch::Amd64, "base \"mine\"\n    arch \"arm46\"").unwrap_err();
    assert_eq!(told.matches("error").count(), 1, "{told}");
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
