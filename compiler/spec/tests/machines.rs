//! Files that differ by architecture: what `{arch}` names, and programs that are put where they cannot run.

use std::collections::BTreeMap;

use spec::appliance::Arch;
use spec::{Beside, Head, Source, Standing, World};

/// A folder with programs: what a file is for is the end of its name.
struct Programs(&'static [&'static str]);

impl Beside for Programs {
    fn standing(&self, path: &str) -> Standing {
        let below = |name: &&str| name.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        match self.0.contains(&path) {
            true => Standing::File,
            false if self.0.iter().any(below) => Standing::Folder,
            false => Standing::Missing,
        }
    }

    fn files_in(&self, folder: &str) -> Vec<String> {
        self.0.iter().filter_map(|name| Some(name.strip_prefix(folder)?.strip_prefix('/')?.to_owned())).collect()
    }

    fn head(&self, path: &str) -> Option<Head> {
        let machine = match path.rsplit('.').next()? {
            "x86" | "data" => 62,
            "arm" => 183,
            "riscv" => 243,
            _ => return Some(Head { bytes: b"#!/bin/sh\n".to_vec(), can_run: true }),
        };
        let bytes = [&b"\x7fELF\x02\x01\x01"[..], &[0; 9], &[3, 0, machine, 0]].concat();
        Some(Head { bytes, can_run: !path.ends_with(".data") })
    }
}

#[track_caller]
fn check(body: &str, want: &[&str]) {
    let files = &["amd64/tool.x86", "arm64/tool.arm", "arm64/tool.x86", "tool.x86", "tool.riscv", "run.sh", "x.data"];
    let text = format!("appliance \"a\" {{\n{body}\n}}\n");
    let source = Source { name: "a.kdl".to_owned(), text };
    let spec = spec::parse(&source, &BTreeMap::new()).unwrap_or_else(|rejected| panic!("{rejected:?}"));
    let world = World { bases: &spec::builtin_bases(), host_arch: Arch::Amd64, allow_outside: false };
    let found = spec::settle(spec::file_problems(&spec, &world, &Programs(files)));
    let line = |found: &spec::Diagnostic| {
        let label = &found.labels[0];
        let help = found.help.as_deref().unwrap_or_default();
        format!("{} {}: {} ({}; {help})", label.line, found.code, found.message, label.text)
    };
    assert_eq!(found.iter().map(line).collect::<Vec<_>>(), want, "{body}");
    spec::check(&spec, &world).unwrap_or_else(|found| panic!("{found:?}"));
}

#[test]
fn a_program_that_cannot_run_is_told_with_both_architectures() {
    let both = "arch \"amd64\" \"arm64\"\n";
    check("file \"/t\" from=\"tool.x86\"\nfile \"/r\" from=\"run.sh\"", &[]);
    check(
        &format!("{both}file \"/t\" from=\"tool.x86\""),
        &[
            "3 foreign-program: \"tool.x86\" is a program for amd64, and arm64 cannot run it (goes into the root for arm64 \
           too; `{arch}` in the path stands for the name of each architecture: from=\"tool.x86-{arch}\" with one file for \
           each)",
        ],
    );
    check(
        "arch \"arm64\"\nfile \"/t\" from=\"tool.x86\"",
        &[
            "3 foreign-program: \"tool.x86\" is a program for amd64, and arm64 cannot run it (goes into the root for arm64; \
           take one that was built for arm64, or write the architecture that is meant: arch \"amd64\")",
        ],
    );
    check(
        "file \"/t\" from=\"tool.riscv\"",
        &[
            "2 foreign-program: \"tool.riscv\" is a program for riscv64, and amd64 cannot run it (goes into the root for \
           amd64; take one that was built for amd64)",
        ],
    );
    // What nobody runs may be of any processor, and a mode decides who runs it.
    check(&format!("{both}file \"/t\" from=\"x.data\"\nfile \"/u\" from=\"tool.x86\" mode=\"0644\""), &[]);
    check(
        "arch \"arm64\"\nfile \"/t\" from=\"x.data\" mode=\"0755\"",
        &[
            "3 foreign-program: \"x.data\" is a program for amd64, and arm64 cannot run it (goes into the root for arm64; \
           take one that was built for arm64, or write the architecture that is meant: arch \"amd64\")",
        ],
    );
}

#[test]
fn a_path_names_one_file_for_each_architecture() {
    let both = "arch \"amd64\" \"arm64\"\n";
    check("file \"/t\" from=\"{arch}/tool.x86\"", &[]);
    check(
        &format!("{both}file \"/t\" from=\"{{arch}}/tool.x86\""),
        &[
            "3 foreign-program: \"arm64/tool.x86\" is a program for amd64, and arm64 cannot run it (goes into the root for \
           arm64 too; put one there that was built for arm64)",
        ],
    );
    check(
        &format!("{both}file \"/t\" from=\"{{arch}}/tool.arm\""),
        &["3 file-missing: there is no \"amd64/tool.arm\" beside the spec (not there; did you mean \
           \"amd64/tool.x86\"?)"],
    );
    // Of a folder, the first that cannot run is told.
    check(
        &format!("{both}file \"/t\" from=\"{{arch}}\""),
        &[
            "3 foreign-program: \"arm64/tool.x86\" is a program for amd64, and arm64 cannot run it (goes into the root for \
           arm64 too; put one there that was built for arm64)",
        ],
    );
    check(
        "file \"/t\" from=\"${arch}/tool\"",
        &[
            "2 file-missing: there is no \"$amd64/tool\" beside the spec (not there; the name of each architecture is written \
           so: from=\"bin/{arch}/tool\")",
        ],
    );
}
