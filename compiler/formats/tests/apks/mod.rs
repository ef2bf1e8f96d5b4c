//! Signed packages and indexes for tests, made from fixed seeds: keys, gzip members, tar entries with checksums.

use std::io::Write;
use std::sync::LazyLock;

use formats::apk::KeyFile;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rsa::pkcs8::{EncodePublicKey, LineEnding};
use rsa::{Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};
use sha2::Digest as _;

pub mod published;

/// A key pair and the name of its public file.
pub struct Key {
    pub name: &'static str,
    private: RsaPrivateKey,
}

pub static GOOD: LazyLock<Key> = LazyLock::new(|| Key::new("good@example.org-1.rsa.pub", 1, 2048));
pub static OTHER: LazyLock<Key> = LazyLock::new(|| Key::new("other@example.org-2.rsa.pub", 2, 2048));
pub static SHORT: LazyLock<Key> = LazyLock::new(|| Key::new("short@example.org-3.rsa.pub", 3, 1024));

impl Key {
    fn new(name: &'static str, seed: u64, bits: usize) -> Self {
        Self { name, private: RsaPrivateKey::new(&mut StdRng::seed_from_u64(seed), bits).unwrap() }
    }

    /// Its public file under its own name.
    pub fn file(&self) -> KeyFile {
        self.file_as(self.name)
    }

    /// Its public file under another name.
    pub fn file_as(&self, name: &str) -> KeyFile {
        let pem = RsaPublicKey::from(&self.private).to_public_key_pem(LineEnding::LF).unwrap();
        (name.to_owned(), pem.into_bytes())
    }

    /// A signature member over what follows.
    pub fn sign(&self, algorithm: &str, signed: &[u8]) -> Vec<u8> {
        let sha1 = [&[0x30, 0x21, 0x30, 9, 6, 5, 0x2b, 14, 3, 2, 0x1a, 5, 0, 4, 0x14][..]].concat();
        let sha256 = [&[0x30, 0x31, 0x30, 13, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20][..]].concat();
        let (prefix, digest) = match algorithm {
            "RSA256" => (sha256, sha2::Sha256::digest(signed).to_vec()),
            _ => (sha1, <sha1::Sha1 as sha1::Digest>::digest(signed).to_vec()),
        };
        let scheme = Pkcs1v15Sign { hash_len: Some(digest.len()), prefix: prefix.into() };
        let signature = self.private.sign(scheme, &digest).unwrap();
        gzip(&file(&format!(".SIGN.{algorithm}.{}", self.name), &signature))
    }
}

/// One gzip member.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar entry of any type, as ustar.
pub fn entry(kind: u8, name: &str, link: &str, content: &[u8]) -> Vec<u8> {
    sized_entry(kind, name, link, content, content.len() as u64)
}

/// A tar entry that states another size than it has.
pub fn sized_entry(kind: u8, name: &str, link: &str, content: &[u8], size: u64) -> Vec<u8> {
    let mut block = [0; 512];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, b"0000755\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000001\0");
    put(156, &[kind]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    seal(&mut block);
    let mut out = block.to_vec();
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

/// Makes the sum of a header right.
pub fn seal(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header[..512].iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// A plain file.
pub fn file(name: &str, content: &[u8]) -> Vec<u8> {
    entry(b'0', name, "", content)
}

/// An extended header with these records before the next entry.
pub fn records(records: &[(&str, &str)]) -> Vec<u8> {
    let record = |(name, value): &(&str, &str)| {
        let rest = name.len() + value.len() + 3;
        let len = (rest..).find(|len| rest + len.to_string().len() == *len).unwrap();
        format!("{len} {name}={value}\n")
    };
    entry(b'x', "pax", "", records.iter().map(record).collect::<String>().as_bytes())
}

/// A plain file with its checksum before it.
pub fn checked_file(name: &str, content: &[u8]) -> Vec<u8> {
    let sha1: String = <sha1::Sha1 as sha1::Digest>::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    [records(&[("APK-TOOLS.checksum.SHA1", &sha1)]), file(name, content)].concat()
}

/// The data member of these entries.
pub fn data(entries: &[Vec<u8>]) -> Vec<u8> {
    gzip(&[entries.concat(), vec![0; 1024]].concat())
}

/// The control member for this data.
pub fn control(data: &[u8]) -> Vec<u8> {
    let hash: String = sha2::Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect();
    let info = format!("# made for a test\npkgname = toy\npkgver = 1-r0\narch = x86_64\ndatahash = {hash}\n");
    gzip(&[file(".PKGINFO", info.as_bytes()), file(".post-install", b"#!/bin/sh\n")].concat())
}

/// A whole package, signed by the good key.
pub fn package(entries: &[Vec<u8>]) -> Vec<u8> {
    let data = data(entries);
    let control = control(&data);
    [GOOD.sign("RSA", &control), control, data].concat()
}

/// The member with an index of this text.
pub fn index(text: &str) -> Vec<u8> {
    gzip(&[file("DESCRIPTION", b"toy"), file("APKINDEX", text.as_bytes()), vec![0; 1024]].concat())
}

/// RFC 4648 section 4.
pub fn base_64(bytes: &[u8]) -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |part: &[u8]| {
        let byte = |at: usize| u32::from(part.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let digit = |at: usize| char::from(digits[(bits >> (18 - 6 * at)) as usize & 63]);
        (0..4).map(|at| if at > part.len() { '=' } else { digit(at) }).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}
