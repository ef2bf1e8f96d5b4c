//! What the tests of disk formats share: reference tools, run where they are there.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "these tests ask tools")]
#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses its own part of this")]

use std::io;
use std::path::Path;
use std::process::{Command, Output};

/// Runs a tool; says on the standard error that the test is skipped where there is none.
pub fn run(test: &str, tool: &str, arguments: &[&dyn AsRef<Path>]) -> Option<Output> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let arguments = arguments.iter().map(|argument| argument.as_ref());
    match Command::new(tool)
        .args(arguments)
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8")
        .env("MTOOLS_SKIP_CHECK", "1")
        .output()
    {
        Ok(output) => Some(output),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!("SKIP {test}: no {tool}");
            None
        }
        Err(error) => panic!("{tool}: {error}"),
    }
}

/// All that a tool said.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a tool that must succeed and gives what it said; nothing where there is no such tool.
pub fn ask(test: &str, tool: &str, arguments: &[&dyn AsRef<Path>]) -> Option<String> {
    let output = run(test, tool, arguments)?;
    assert!(output.status.success(), "{tool}: {}", text(&output));
    Some(text(&output))
}

/// A disk that is zero but for some regions.
#[derive(Debug, Clone)]
pub struct Disk {
    pub size_bytes: u64,
    /// Ascending and disjoint.
    pub regions: Vec<(u64, Vec<u8>)>,
}

impl Disk {
    /// Makes a disk from gaps, lengths and seeds; a seed chooses between bytes that compress and bytes that do not.
    pub fn new(parts: &[(u64, usize, u8)], tail_bytes: u64) -> Self {
        let mut regions = Vec::new();
        let mut at = 0;
        for (gap, length, seed) in parts {
            at += gap;
            regions.push((at, bytes(*seed, *length)));
            at += *length as u64;
        }
        Self { size_bytes: (at + tail_bytes).next_multiple_of(1 << 20), regions }
    }

    /// A disk with a bit of everything: data at both ends, long holes, zeros in data, clusters that do not compress.
    pub fn example() -> Self {
        let parts = [
            (0, 200_000, 1),
            (300_000, 70_000, 4),
            (9, 100_000, 2),
            (5 << 20, 150_000, 9),
            (600 << 20, 513, 1),
            (1, 3 << 20, 4),
        ];
        let mut disk = Self::new(&parts, 0);
        disk.regions.push((disk.size_bytes - 1, vec![7]));
        disk
    }

    /// All bytes of clusters of this size that are not zero, by index.
    pub fn clusters(&self, cluster_bytes: usize) -> std::collections::BTreeMap<u64, Vec<u8>> {
        let mut clusters = std::collections::BTreeMap::new();
        for (offset, bytes) in &self.regions {
            for (at, byte) in bytes.iter().enumerate() {
                let place = offset + at as u64;
                let cluster: &mut Vec<u8> =
                    clusters.entry(place / cluster_bytes as u64).or_insert_with(|| vec![0; cluster_bytes]);
                cluster[(place % cluster_bytes as u64) as usize] = *byte;
            }
        }
        clusters
    }

    /// Writes the disk as a sparse raw file.
    pub fn write_raw(&self, path: &Path) {
        use std::io::{Seek, SeekFrom, Write};
        let mut file = std::fs::File::create(path).expect("a file in a temporary folder");
        for (offset, bytes) in &self.regions {
            file.seek(SeekFrom::Start(*offset)).expect("a place in a file");
            file.write_all(bytes).expect("room for a test");
        }
        file.set_len(self.size_bytes).expect("a sparse file");
    }
}

/// Bytes of a seed: one value, words, or what looks random.
fn bytes(seed: u8, length: usize) -> Vec<u8> {
    const WORDS: [&[u8]; 8] = [b"disk ", b"diskette ", b"cluster", b" clutter ", b"block", b"s of ", b"\n", b"zero"];
    let mut random = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(seed);
    let mut word: &[u8] = &[];
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        match seed % 5 {
            0 => 0,
            1 => seed,
            // A few words in an order without a pattern: how well they compress depends on how hard one looks.
            2 => {
                if word.is_empty() {
                    word = WORDS[(random >> 61) as usize];
                }
                let (first, rest) = word.split_first().expect("a word has letters");
                word = rest;
                *first
            }
            3 => (random >> 60) as u8,
            _ => random as u8,
        }
    };
    (0..length).map(|_| next()).collect()
}

/// Asserts that `qemu-img` finds a file sound and equal to a raw one; `check` is off for formats that it cannot check.
pub fn agrees(test: &str, format: &str, file: &Path, raw: &Path, check: bool) {
    if check && let Some(output) = run(test, "qemu-img", &[&"check", &"-f", &format, &file]) {
        let said = text(&output);
        assert!(output.status.success() && said.contains("No errors were found"), "{said}");
        assert!(!said.contains("leak"), "{said}");
    }
    if let Some(output) = run(test, "qemu-img", &[&"compare", &"-f", &"raw", &"-F", &format, &raw, &file]) {
        assert!(output.status.success(), "{}", text(&output));
        assert!(text(&output).contains("Images are identical"), "{}", text(&output));
    }
}
