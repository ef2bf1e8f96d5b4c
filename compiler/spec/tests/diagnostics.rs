//! Runs the specs of `tests/diagnostics/`: each bad line carries the errors that it must give, as comments beside
//! or below it (`// error: CODE part of the message`, `// warning: …`, and `// help: part` for the one before).
//! Nothing more and nothing less may be found, and every code of the language must occur.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use spec::appliance::Arch;
use spec::base::BaseImage;
use spec::{Beside, Diagnostic, Severity, Source, Standing, World};

#[derive(Debug)]
struct Expected {
    source: String,
    line: usize,
    severity: Severity,
    code: String,
    part: String,
    help: Option<String>,
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads its fixtures")]
fn fixtures() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/diagnostics");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "kdl"));
    paths.sort();
    let mut seen = elsewhere();
    let mut failures = String::new();
    for path in paths {
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        failures.push_str(&check(name, &text, &mut seen));
    }
    assert!(failures.is_empty(), "\n{failures}");
    let known: BTreeSet<&str> = spec::CODES.iter().map(|(code, _)| *code).collect();
    assert_eq!(
        seen.symmetric_difference(&known).collect::<Vec<_>>(),
        Vec::<&&str>::new(),
        "codes without a fixture, or without a line in CODES"
    );
}

/// Codes that cannot stand in a fixture, because they are about bytes or about base images.
#[test]
fn bytes_and_limits() {
    let codes = |bytes: &[u8]| {
        spec::parse_bytes("a.kdl", bytes, &BTreeMap::new())
            .unwrap_err()
            .diagnostics
            .iter()
            .map(|found| found.code)
            .collect::<Vec<_>>()
    };
    assert_eq!(codes(b"appliance \"x\" \xff"), ["not-utf8"]);
    assert_eq!(codes(&vec![b' '; 10 << 20]), ["too-large"]);
    assert_eq!(codes(&vec![0xff; 10 << 20]), ["not-utf8"]);
    assert_eq!(codes("a { ".repeat(1000).as_bytes()), ["too-deep"]);
    assert_eq!(codes(format!("a \"\\q{}", "a {".repeat(1000)).as_bytes()), ["too-deep"]);
    assert_eq!(codes("/- ".repeat(1000).as_bytes()), ["too-deep"]);
    assert_eq!(
        codes(format!("a \"\\q{}", "a {".repeat(128)).as_bytes()).first(),
        Some(&"syntax"),
        "deep, and still within the stack of a test"
    );
    assert_eq!(codes("/*".repeat(1000).as_bytes()), ["too-deep"]);
    assert_eq!(codes("a { ".repeat(100_000).as_bytes()), ["too-large"]);
    let keyless = Source {
        name: "base.kdl".to_owned(),
        text: "base \"x\" family=\"deb\" { release \"r\" version=\"1\" { arch \"amd64\"; archive \"a\" { suite \"s\" component=\"c\"; key \"k.gpg\"; }; }; }".to_owned(),
    };
    assert_eq!(
        spec::read_base(&keyless, spec::BaseFolder { name: None, keys: &[], is_key: &|_, _| Ok(()) })
            .unwrap_err()
            .iter()
            .map(|found| found.code)
            .collect::<Vec<_>>(),
        ["key-missing"]
    );
}

/// What is beside the spec is asked for by its path from there, also from a fragment.
#[test]
fn missing_files() {
    let text = "appliance \"a\" {\n    file \"/a\" from=\"there/\"\n    file \"/b\" from=\"not/\"\n    hostnme \"x\"\n    \
                isolation \"auto\" { seccomp \"my.json\"; }\n    use \"sub/part.kdl\"\n    file \"/d\" from=\"pipe\"\n    \
                file \"/e\" from=\"mine\"\n}\n";
    let part = "repository \"https://x.example\" suite=\"s\" key=\"k.asc\"\nfile \"/c\" from=\"../there/\"\n";
    let fragments = BTreeMap::from([("sub/part.kdl".to_owned(), part.to_owned())]);
    let source = Source { name: "a.kdl".to_owned(), text: text.to_owned() };
    let spec = spec::parse(&source, &fragments).unwrap_or_else(|rejected| panic!("{rejected:?}"));
    let world = World { bases: &spec::builtin_bases(), host_arch: Arch::Amd64, allow_outside: false };
    let beside = Folder(vec![
        ("there", Standing::There),
        ("sub/k.asc", Standing::Outside),
        ("pipe", Standing::Special { path: "pipe".to_owned(), kind: "a named pipe" }),
        ("mine", Standing::Unreadable { path: "mine/key".to_owned(), reason: "Permission denied".to_owned() }),
    ]);
    let found = spec::file_problems(&spec, &world, &beside);
    let allowed = spec::file_problems(&spec, &World { allow_outside: true, ..world }, &beside);
    let (outside, found): (Vec<_>, Vec<_>) = found.into_iter().partition(|found| found.code == "path-outside");
    assert_eq!(outside.iter().map(|found| found.labels[0].source.as_str()).collect::<Vec<_>>(), ["sub/part.kdl"]);
    assert_eq!(allowed, found, "what is allowed is no mistake, what is missing is one");
    let told: Vec<_> = found.iter().map(|found| (found.code, found.message.as_str(), found.labels[0].line)).collect();
    let message = |path: &str| format!("there is no \"{path}\" beside the spec");
    let expected = [(message("not"), 3), (message("my.json"), 5)];
    let mut expected: Vec<_> = expected.iter().map(|(text, line)| ("file-missing", text.as_str(), *line)).collect();
    expected.push(("file-unusable", "\"pipe\" is a named pipe", 7));
    expected.push(("file-unusable", "\"mine/key\" cannot be read: Permission denied", 8));
    let mut told = told;
    expected.sort_unstable();
    told.sort_unstable();
    assert_eq!(told, expected);
}

/// What is wrong with a package is told where the spec asks for it, also where it asks for a version or a tag.
#[test]
fn places_of_packages() {
    let text = "appliance \"a\" {\n    base \"alpine\"\n    packages \"one@own\" \"two~1.30\"\n}\n";
    let source = Source { name: "a.kdl".to_owned(), text: text.to_owned() };
    let spec = spec::parse(&source, &BTreeMap::new()).unwrap_or_else(|rejected| panic!("{rejected:?}"));
    let world = World { bases: &spec::builtin_bases(), host_arch: Arch::Amd64, allow_outside: false };
    let checked = spec::check(&spec, &world).unwrap_or_else(|found| panic!("{found:?}"));
    let column = |name| checked.package_label(name).map(|label| (label.line, label.column));
    assert_eq!([column("one"), column("two"), column("own")], [Some((3, 14)), Some((3, 24)), None]);
}

/// A local image that a spec stands on is a file beside it, too.
#[test]
fn missing_local_images() {
    let check = |base: &str, expected: &[(&str, &str)]| {
        let text = format!("appliance \"a\" {{\n    base \"oci\" \"{base}\"\n}}\n");
        let source = Source { name: "a.kdl".to_owned(), text: text.clone() };
        let spec = spec::parse(&source, &BTreeMap::new()).unwrap_or_else(|rejected| panic!("{rejected:?}"));
        let world = World { bases: &spec::builtin_bases(), host_arch: Arch::Amd64, allow_outside: false };
        let beside = Folder(vec![("layout", Standing::Folder), ("base.tar", Standing::File)]);
        let found = spec::file_problems(&spec, &world, &beside);
        let told: Vec<_> = found.iter().map(|found| (found.code, found.message.as_str())).collect();
        assert_eq!(told, expected, "{base}");
        assert!(found.iter().all(|found| found.labels[0].line == 2 && found.labels[0].column == 16), "{found:?}");
    };
    check("oci:nowhere:v1", &[("file-missing", "there is no \"nowhere\" beside the spec")]);
    check("docker-archive:sub/no.tar", &[("file-missing", "there is no \"sub/no.tar\" beside the spec")]);
    check("oci:layout:v1", &[]);
    check("docker-archive:base.tar", &[]);
    check("docker.io/library/debian:12", &[]);
}

/// A name that is nearly right, and a path that is one of a folder.
#[test]
fn near_misses_of_files() {
    let text = "appliance \"a\" {\n    file \"/a\" from=\"app/ap.py\"\n    file \"/f/\" from=\"app/app.py\"\n    \
                file \"/d/\" from=\"app\"\n}\n";
    let source = Source { name: "a.kdl".to_owned(), text: text.to_owned() };
    let spec = spec::parse(&source, &BTreeMap::new()).unwrap_or_else(|rejected| panic!("{rejected:?}"));
    let world = World { bases: &spec::builtin_bases(), host_arch: Arch::Amd64, allow_outside: false };
    let beside = Folder(vec![("app", Standing::Folder), ("app/app.py", Standing::File)]);
    let found = spec::file_problems(&spec, &world, &beside);
    let told: Vec<_> =
        found.iter().map(|found| (found.labels[0].line, found.code, found.help.as_deref().unwrap_or(""))).collect();
    let slash = "write \"/f\" if the file is to have this name, or \"/f/app.py\" if it is to be in there";
    assert_eq!(told, [(2, "file-missing", "did you mean \"app/app.py\"?"), (3, "bad-path", slash)]);
}

/// Files beside a spec; those in a folder are named below it, and are files.
struct Folder(Vec<(&'static str, Standing)>);

impl Beside for Folder {
    fn standing(&self, path: &str) -> Standing {
        self.0.iter().find(|(known, _)| *known == path).map_or(Standing::Missing, |(_, standing)| standing.clone())
    }

    fn files_in(&self, folder: &str) -> Vec<String> {
        let below = |path: &str| Some(path.strip_prefix(folder)?.strip_prefix('/')?.to_owned());
        self.0.iter().filter(|(_, standing)| *standing == Standing::File).filter_map(|(path, _)| below(path)).collect()
    }

    fn head(&self, _: &str) -> Option<spec::Head> {
        None
    }
}

/// What can be known of places once the files beside the spec are there.
#[test]
fn places_of_files() {
    let told = |body: &str| {
        let text = format!("appliance \"a\" {{\n{body}\n}}\n");
        let source = Source { name: "a.kdl".to_owned(), text };
        let spec = spec::parse(&source, &BTreeMap::new()).unwrap_or_else(|rejected| panic!("{rejected:?}"));
        let world = World { bases: &spec::builtin_bases(), host_arch: Arch::Amd64, allow_outside: false };
        let beside = Folder(vec![
            ("one", Standing::File),
            ("app", Standing::Folder),
            ("app/conf", Standing::File),
            ("app/sub", Standing::Folder),
            ("app/sub/x", Standing::File),
            ("more", Standing::Folder),
            ("more/x", Standing::File),
        ]);
        let found = spec::settle(spec::file_problems(&spec, &world, &beside));
        found
            .iter()
            .map(|found| format!("{} {}: {}", found.labels[0].line, found.code, found.message))
            .collect::<Vec<_>>()
    };
    let check = |body: &str, want: &[&str]| assert_eq!(told(body), want, "{body}");
    check("file \"/etc\" from=\"app\"\nfile \"/opt\" from=\"app\"\ndir \"/opt/sub\"", &[]);
    check(
        "file \"/etc\" from=\"one\"",
        &["2 bad-path: \"/etc\" is a folder of the base, and a file cannot take its place"],
    );
    check(
        "file \"/a\" from=\"one\"\nfile \"/a/b\" text=\"\"",
        &["3 bad-path: \"/a/b\" is inside of \"/a\", which is no folder"],
    );
    check(
        "file \"/a\" from=\"one\"\nvolume \"v\" at=\"/a\"",
        &["3 bad-path: \"/a\" is a file of the spec, and the volume needs a folder"],
    );
    check(
        "volume \"v\" at=\"/a/sub\"\nfile \"/a\" from=\"app\"\nvolume \"w\" at=\"/a/other\"",
        &["3 hidden: \"/a/sub/x\" is never seen: the volume \"/a/sub\" is mounted over it and begins empty"],
    );
    check(
        "file \"/a\" from=\"more\"\nvolume \"v\" at=\"/a\"",
        &["2 hidden: \"/a/x\" is never seen: the volume \"/a\" is mounted over it and begins empty"],
    );
    check(
        "file \"/a/conf\" text=\"\"\nfile \"/a\" from=\"app\"\nlink \"/a/new\" to=\"conf\"",
        &["3 overwritten: two lines bring \"/a/conf\", and the later one wins"],
    );
    check(
        "file \"/a\" from=\"app\"\nfile \"/a/sub\" from=\"more\"",
        &["3 overwritten: two lines bring \"/a/sub/x\", and the later one wins"],
    );
    check(
        "file \"/a\" from=\"app\"\nfile \"/a/sub\" text=\"\"\ndir \"/a/conf\"",
        &[
            "3 bad-path: two lines bring \"/a/sub\", and \"app/sub\" is a folder",
            "4 bad-path: two lines bring \"/a/conf\", and \"app/conf\" is a file",
        ],
    );
}

/// What is found where the files beside a spec, or packages, are known.
fn elsewhere() -> BTreeSet<&'static str> {
    let beside = ["file-missing", "file-unusable", "foreign-program", "overwritten"];
    let built = [
        "unknown-program",
        "user-clash",
        "image-unusable",
        "kernel-unfit",
        "key-unusable",
        "repository-untrusted",
        "unknown-suite",
    ];
    let bytes = ["not-utf8", "too-large", "too-deep", "key-missing"];
    beside.into_iter().chain(built).chain(bytes).collect()
}

fn check(name: &str, text: &str, seen: &mut BTreeSet<&'static str>) -> String {
    let files = split(name, text);
    let expected: Vec<Expected> = files.iter().flat_map(|(name, text)| expectations(name, text)).collect();
    let (_, main) = &files[0];
    let fragments: BTreeMap<String, String> = files.iter().skip(1).cloned().collect();
    let found = diagnose(&Source { name: name.to_owned(), text: main.clone() }, &fragments);
    seen.extend(found.iter().map(|found| found.code));
    compare(name, &expected, &found)
}

fn diagnose(source: &Source, fragments: &BTreeMap<String, String>) -> Vec<Diagnostic> {
    let mut bases = spec::builtin_bases();
    let tiny =
        bases.first().map(|base| BaseImage { name: "tiny".to_owned(), arches: vec![Arch::Amd64], ..base.clone() });
    // The name of this base must not show in help texts of other fixtures.
    bases.extend(tiny.filter(|_| source.name.starts_with("arch-")));
    let world = World { bases: &bases, host_arch: Arch::Amd64, allow_outside: false };
    match spec::parse(source, fragments) {
        Err(rejected) => spec::check_rest(&rejected, &world),
        Ok(spec) => spec::check(&spec, &world).map_or_else(|found| found, |checked| checked.warnings),
    }
}

fn split(name: &str, text: &str) -> Vec<(String, String)> {
    let mut files = vec![(name.to_owned(), String::new())];
    for line in text.split_inclusive('\n') {
        match line.strip_prefix("//==== ") {
            Some(name) => files.push((name.trim().to_owned(), String::new())),
            None => files.last_mut().expect("the first file").1.push_str(line),
        }
    }
    files
}

fn expectations(source: &str, text: &str) -> Vec<Expected> {
    let mut list: Vec<Expected> = Vec::new();
    let mut line = 1;
    for (index, content) in text.lines().enumerate() {
        let Some((before, comment)) = content.split_once("// ") else {
            line = index + 1;
            continue;
        };
        if !before.trim().is_empty() {
            line = index + 1;
        }
        let (kind, rest) = comment.split_once(": ").unwrap_or_default();
        let severity = match kind {
            "error" => Severity::Error,
            "warning" => Severity::Warning,
            "help" => {
                list.last_mut().expect("a help line follows an error").help = Some(rest.to_owned());
                continue;
            }
            _ => continue,
        };
        let (code, part) = rest.split_once(' ').unwrap_or((rest, ""));
        list.push(Expected {
            source: source.to_owned(),
            line,
            severity,
            code: code.to_owned(),
            part: part.to_owned(),
            help: None,
        });
    }
    list
}

fn compare(name: &str, expected: &[Expected], found: &[Diagnostic]) -> String {
    let mut left: Vec<&Diagnostic> = found.iter().collect();
    let mut out = String::new();
    for want in expected {
        match left.iter().position(|found| fits(want, found)) {
            Some(at) => {
                left.remove(at);
            }
            None => out.push_str(&format!("{name}: not found: {want:?}\n")),
        }
    }
    out.extend(
        left.into_iter().map(|found| format!("{name}: not expected: {}", spec::plain(std::slice::from_ref(found)))),
    );
    out
}

fn fits(want: &Expected, found: &Diagnostic) -> bool {
    let label = &found.labels[0];
    let help = want.help.as_ref().is_none_or(|help| found.help.as_ref().is_some_and(|found| found.contains(help)));
    label.source == want.source
        && label.line == want.line
        && found.severity == want.severity
        && found.code == want.code
        && found.message.contains(&want.part)
        && help
}
