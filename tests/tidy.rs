//! The house rules that a program can check: which crate may know which, sizes, headers, links, dependencies with a reason.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which of our crates each of our crates may use. `docs/architecture.md` draws the same arrows.
const ARROWS: &[(&str, &[&str])] = &[
    ("tree", &[]),
    ("spec", &[]),
    ("bundle", &[]),
    ("host", &[]),
    ("formats", &["tree"]),
    ("shell", &["tree"]),
    ("packages", &["spec", "tree"]),
    ("store", &["formats", "packages", "spec", "tree"]),
    ("assemble", &["bundle", "formats", "packages", "shell", "spec", "tree"]),
    ("sandbox", &["assemble", "tree"]),
    ("image", &["bundle", "formats", "spec", "tree"]),
    ("launch", &["bundle", "spec"]),
    ("network", &[]),
    ("engine", &["bundle", "host", "network"]),
    ("guest", &["bundle"]),
];

/// Where a crate may ask which package family it is, beside the folders of the families. Everywhere else the family answers.
const FAMILY_QUESTIONS: &[&str] = &[
    // Who the families are: read from a base image, found in a file system, and each led to its own folder.
    "compiler/assemble/src/family.rs",
    "compiler/packages/src/installed.rs",
    "compiler/packages/src/rules.rs",
    "compiler/spec/src/base_image.rs",
    // What a spec may call a package.
    "compiler/spec/src/naming.rs",
    // How a repository vouches for its indexes: by a signed release, or each index by itself.
    "compiler/store/src/catalog.rs",
    "compiler/store/src/catalog/indexes.rs",
    "compiler/store/src/catalog/releases.rs",
    "compiler/store/src/catalog/signed.rs",
    // How an archive is checked and taken apart.
    "compiler/store/src/family.rs",
];

/// Longest file, tests apart; past it a file is two ideas.
const MAX_FILE_LINES: usize = 800;

/// Longest function; past it a function both chooses and acts.
const MAX_FUNCTION_LINES: usize = 70;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn crates() -> Vec<PathBuf> {
    let members = ["compiler", "runner"].into_iter().flat_map(|half| folder(&root().join(half)));
    members.filter(|path| path.join("Cargo.toml").exists()).collect()
}

fn folder(path: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

/// All files below the project's own folders that end so.
fn files(ending: &str) -> Vec<PathBuf> {
    fn walk(path: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for path in folder(path) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && !["target", "out"].contains(&name.as_str()) {
                walk(&path, ending, found);
            } else if name.ends_with(ending) && path.is_file() {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), ending, &mut found);
    found
}

/// The dependency names of one table of a manifest.
fn dependencies(manifest: &Path, table: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(manifest).unwrap();
    let lines = text.lines().skip_while(|line| *line != format!("[{table}]")).skip(1);
    let rows = lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.starts_with('#'));
    rows.filter_map(|row| row.split(['=', '.', ' ']).next().filter(|name| !name.is_empty()))
        .map(str::to_owned)
        .collect()
}

#[track_caller]
fn none(rule: &str, offenders: Vec<String>) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

#[test]
fn crates_know_only_what_the_arrows_allow() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut offenders = Vec::new();
    for path in crates() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(may) = allowed.get(name.as_str()) else {
            offenders.push(format!("{name} has no row in ARROWS"));
            continue;
        };
        let used = dependencies(&path.join("Cargo.toml"), "dependencies");
        let ours = used.iter().filter(|used| allowed.contains_key(used.as_str()));
        offenders.extend(ours.filter(|used| !may.contains(&used.as_str())).map(|used| format!("{name} uses {used}")));
    }
    none("an arrow that is not drawn", offenders);
}

#[test]
fn package_families_are_asked_for_in_few_places() {
    let mut offenders = Vec::new();
    let mut silent: BTreeSet<&str> = FAMILY_QUESTIONS.iter().copied().collect();
    let words = ["Family::Deb", "Family::Apk", "Family::Rpm", "apk::", "deb::"];
    for path in files(".rs") {
        let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        let is_code = ["src/", "compiler/", "runner/"].iter().any(|half| name.starts_with(half));
        if !is_code || ["/deb/", "/apk/", "/tests/", "compiler/formats/"].iter().any(|folder| name.contains(folder)) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap();
        // All readers give contents to one kind of sink, which stands there.
        let code = code.replace("formats::deb::ContentSink", "");
        if let Some(word) = words.iter().find(|word| code.contains(**word)) {
            let may = silent.remove(name.as_str()) || FAMILY_QUESTIONS.contains(&name.as_str());
            offenders.extend((!may).then(|| format!("{name}: {word}")));
        }
    }
    offenders.extend(silent.into_iter().map(|name| format!("{name} asks nothing and can leave the list")));
    none("only its own folder and FAMILY_QUESTIONS know which package family it is", offenders);
}

#[test]
fn every_dependency_has_its_sentence() {
    let reasons = fs::read_to_string(root().join("docs/decisions/0002-dependencies.md")).unwrap();
    let ours: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let manifests = crates().into_iter().chain([root()]).map(|path| path.join("Cargo.toml"));
    let used: BTreeSet<String> = manifests
        .flat_map(|path| ["dependencies", "dev-dependencies"].map(|table| dependencies(&path, table)))
        .flatten()
        .collect();
    let missing = used.iter().filter(|name| !ours.contains(name.as_str()) && !reasons.contains(&format!("`{name}`")));
    none("a dependency without a sentence in docs/decisions/0002-dependencies.md", missing.cloned().collect());
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = files(".rs").into_iter().filter(|path| !fs::read_to_string(path).unwrap().starts_with("//!"));
    none("a file without a header", silent.map(|path| path.display().to_string()).collect());
}

#[test]
fn files_and_functions_stay_small() {
    let mut offenders = Vec::new();
    for path in files(".rs") {
        let text = fs::read_to_string(&path).unwrap();
        let code: Vec<&str> = text.split("\n#[cfg(test)]\nmod ").next().unwrap().lines().collect();
        let is_test = path.components().any(|part| part.as_os_str() == "tests");
        if code.len() > MAX_FILE_LINES && !is_test {
            offenders.push(format!("{}: {} lines", path.display(), code.len()));
        }
        for (start, length) in functions(&code).into_iter().filter(|(_, length)| *length > MAX_FUNCTION_LINES) {
            offenders.push(format!("{}:{}: a function of {length} lines", path.display(), start + 1));
        }
    }
    none("too large; split by idea", offenders);
}

/// Start and length of each function, as the formatter lays them out: it ends with a brace at its own indentation.
fn functions(lines: &[&str]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let words: Vec<&str> = code.split_whitespace().take_while(|word| !word.starts_with("fn")).collect();
        let qualifier =
            |word: &&str| ["async", "const", "unsafe", "extern", "\"C\""].contains(word) || word.starts_with("pub");
        let begins =
            code.contains("fn ") && words.iter().all(qualifier) && code.split_whitespace().any(|word| word == "fn");
        if !begins {
            continue;
        }
        let indent = &line[..line.len() - code.len()];
        let ends = |line: &&str| {
            let inside = line.strip_prefix(indent).unwrap_or_default();
            inside == "}" || (inside.ends_with(';') && !inside.starts_with(' '))
        };
        let body = lines[start..].iter().position(ends);
        found.push((start, body.map_or(1, |length| length + 1)));
    }
    found
}

/// Every variable that the code reads has its row in the table, and the table has no other.
#[test]
fn environment_variables_are_documented() {
    let names = |text: &str| {
        let parts = text.match_indices("APPLIANCE_").map(|(at, _)| &text[at..]);
        let names = parts.map(|part| {
            let end = part.find(|c: char| !(c.is_ascii_uppercase() || c == '_')).unwrap_or(part.len());
            part[..end].to_owned()
        });
        names.filter(|name| name != "APPLIANCE_").collect::<BTreeSet<String>>()
    };
    let table = fs::read_to_string(root().join("docs/environment.md")).unwrap();
    let rows: String = table.lines().filter(|line| line.starts_with("| `")).collect();
    let used: BTreeSet<String> =
        files(".rs").iter().flat_map(|path| names(&fs::read_to_string(path).unwrap())).collect();
    let differ = names(&rows).symmetric_difference(&used).cloned().collect();
    none("a variable that only one of the code and docs/environment.md knows", differ);
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut offenders = Vec::new();
    for path in files(".md") {
        let text = fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if !target.is_empty() && !target.contains("://") && !path.parent().unwrap().join(target).exists() {
                offenders.push(format!("{}: {target}", path.display()));
            }
        }
    }
    none("a link to nowhere", offenders);
}

/// Largest guest: it is part of every appliance.
const MAX_GUEST_BYTES: u64 = 1_500_000;

#[test]
fn the_guest_is_small() {
    let beside = Path::new(env!("CARGO_BIN_EXE_appliance")).parent().unwrap();
    let guests = ["amd64", "arm64"].map(|arch| beside.join(format!("appliance-guest-{arch}")));
    let sizes: Vec<u64> = guests.iter().filter_map(|guest| Some(fs::metadata(guest).ok()?.len())).collect();
    if sizes.is_empty() {
        eprintln!("SKIP the_guest_is_small: there is no guest beside the program (make debug)");
    }
    assert!(sizes.iter().all(|size| *size <= MAX_GUEST_BYTES), "{sizes:?}, of which each may be {MAX_GUEST_BYTES}");
}
