//! The formats that packages are made of: ar, tar, compressed streams, and the three together.

use std::io::Read;

use formats::compression::{Bounds, Compression, open};
use formats::{ar, deb, tar};

use super::pieces::Pieces;

/// Reads every member.
pub fn ar(data: &[u8]) -> bool {
    let Ok(mut archive) = ar::Reader::new(data) else { return false };
    let mut total = 0;
    loop {
        match archive.next_member() {
            Ok(Some(_)) => {}
            end => return end.is_ok(),
        }
        let mut content = Vec::new();
        if archive.read_to_end(&mut content).is_err() {
            return false;
        }
        total += content.len();
        assert!(total <= data.len(), "more came out than went in");
    }
}

/// Reads every entry, as the bytes stand and with true checksums.
pub fn tar(data: &[u8]) -> bool {
    entries(data);
    entries(&sealed(data))
}

fn entries(bytes: &[u8]) -> bool {
    let limits = tar::Limits { entries: 100, content_bytes: 1 << 20, extended_bytes: 1 << 16, name_bytes: 300 };
    let mut archive = tar::Reader::new(bytes, limits);
    let mut total = 0;
    loop {
        let entry = match archive.next_entry() {
            Ok(Some(entry)) => entry,
            end => return end.is_ok(),
        };
        assert!(!entry.name.is_empty() && entry.name.len() <= 300);
        let mut content = Vec::new();
        if archive.read_to_end(&mut content).is_err() {
            return false;
        }
        assert_eq!(content.len() as u64, entry.size_bytes);
        total += content.len();
        assert!(total <= bytes.len(), "more came out than went in");
    }
}

/// The archive with a true checksum in every header, so that mutations of other fields are not all refused at once.
pub fn sealed(data: &[u8]) -> Vec<u8> {
    let mut out = data.to_vec();
    let mut at = 0;
    while let Some(block) = out.get_mut(at..at + 512) {
        at += 512;
        if block.iter().all(|byte| *byte == 0) {
            continue;
        }
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let digits = String::from_utf8_lossy(&block[124..135]);
        let size = usize::from_str_radix(digits.trim_matches(['\0', ' ']), 8).unwrap_or(0);
        at = at.saturating_add(size.div_ceil(512) * 512);
    }
    out
}

/// The first byte chooses the compression.
pub fn compression(data: &[u8]) -> bool {
    let mut pieces = Pieces(data);
    let choice = pieces.byte();
    let kind = [Compression::Gzip, Compression::Xz, Compression::Zstd, Compression::None][usize::from(choice % 4)];
    let threads = if choice & 4 == 0 { 1 } else { 2 };
    let bounds = Bounds { total_bytes: 1 << 20, ratio: 200, ratio_floor_bytes: 1 << 16, threads, ..Bounds::default() };
    let mut out = Vec::new();
    let read = open(kind, pieces.0, bounds).and_then(|mut stream| stream.read_to_end(&mut out));
    assert!(out.len() <= 1 << 20);
    read.is_ok()
}

/// A whole package; and a package whose two archives are the halves of the input.
pub fn deb(data: &[u8]) -> bool {
    let whole = deb::decode_bytes(data);
    let mut pieces = Pieces(data);
    let length = usize::from(pieces.byte()) * 512;
    let (control, content) = (sealed(pieces.chunk(length)), sealed(pieces.0));
    let mut package = b"!<arch>\n".to_vec();
    for (name, body) in [("debian-binary", &b"2.0\n"[..]), ("control.tar", &control), ("data.tar", &content)] {
        package.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, body.len()).bytes());
        package.extend(body);
        package.extend((body.len() % 2 == 1).then_some(b'\n'));
    }
    let halves = deb::decode_bytes(&package);
    for package in whole.iter().chain(&halves) {
        assert!(package.control_files.contains_key("control"));
        drop(tree::dump(&package.tree));
    }
    whole.is_ok() || halves.is_ok()
}
