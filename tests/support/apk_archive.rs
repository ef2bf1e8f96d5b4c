//! A signed toy repository of apk version 2 in a folder, and the base image that stands on it. Keys come from fixed seeds.

#![allow(dead_code, clippy::allow_attributes, reason = "every kind of test uses its own part of this")]

use std::fs;
use std::path::{Path, PathBuf};

use sha1::Digest as _;

use super::apks::{GOOD, Key, base_64, gzip, records, seal};

/// A package to be.
#[derive(Clone)]
pub struct Apk {
    pub name: String,
    pub version: String,
    /// Lines of `.PKGINFO` after its name and version.
    info: Vec<(String, String)>,
    scripts: Vec<(String, String)>,
    entries: Vec<Vec<u8>>,
    raw: Option<Vec<u8>>,
}

/// How an index is signed.
#[derive(Clone, Copy)]
pub enum Sealed {
    By(&'static str, fn() -> &'static Key),
    Not,
    /// By the good key, and changed afterwards.
    Tampered,
}

/// As the toy base image trusts it.
pub const GOODLY: Sealed = Sealed::By("RSA", || &GOOD);

impl Apk {
    pub fn new(name: &str, version: &str) -> Self {
        let (name, version) = (name.to_owned(), version.to_owned());
        Self { name, version, info: Vec::new(), scripts: Vec::new(), entries: Vec::new(), raw: None }
    }

    /// A line of `.PKGINFO`.
    pub fn info(mut self, name: &str, value: &str) -> Self {
        self.info.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn needs(self, names: &str) -> Self {
        names.split(' ').fold(self, |package, name| package.info("depend", name))
    }

    pub fn script(mut self, name: &str, body: &str) -> Self {
        self.scripts.push((format!(".{name}"), format!("#!/bin/sh\n{body}\n")));
        self
    }

    pub fn file(self, path: &str, mode: u16, content: &str) -> Self {
        self.owned(path, mode, "root", content)
    }

    /// A file of this user and the group of its name; the numbers are those of a machine that nobody knows.
    pub fn owned(mut self, path: &str, mode: u16, owner: &str, content: &str) -> Self {
        let id = if owner == "root" { 0 } else { 77 };
        self.entries.push(checked(b'0', path, "", content.as_bytes(), content.as_bytes(), (mode, id, owner)));
        self
    }

    pub fn dir(mut self, path: &str, mode: u16) -> Self {
        self.entries.push(tar_entry(b'5', &format!("{path}/"), "", b"", (mode, 0, "root")));
        self
    }

    pub fn link(mut self, path: &str, target: &str) -> Self {
        self.entries.push(checked(b'2', path, target, b"", target.as_bytes(), (0o777, 0, "root")));
        self
    }

    /// Another name of a file of this user's with this mode.
    pub fn hard_link(mut self, path: &str, first: &str, mode: u16, owner: &str) -> Self {
        self.entries.push(tar_entry(b'1', path, first, b"", (mode, 77, owner)));
        self
    }

    /// An entry as it stands in the archive.
    pub fn entry(mut self, bytes: Vec<u8>) -> Self {
        self.entries.push(bytes);
        self
    }

    /// These bytes instead of a package, whatever the index says.
    pub fn raw(mut self, bytes: Vec<u8>) -> Self {
        self.raw = Some(bytes);
        self
    }

    /// The three members of the package.
    pub fn members(&self) -> [Vec<u8>; 3] {
        let data = gzip(&[self.entries.concat(), vec![0; 1024]].concat());
        let hash: String =
            <sha2::Sha256 as sha2::Digest>::digest(&data).iter().map(|byte| format!("{byte:02x}")).collect();
        let line = |(name, value): &(String, String)| format!("{name} = {value}\n");
        let lines: String = self.info.iter().map(line).collect();
        let info = format!(
            "pkgname = {}\npkgver = {}\narch = noarch\npkgdesc = toy\nsize = 4096\nbuilddate = 1700000000\n{lines}datahash = {hash}\n",
            self.name, self.version
        );
        let control = |(name, text): &(String, String)| tar_entry(b'0', name, "", text.as_bytes(), (0o755, 0, "root"));
        let scripts: Vec<u8> = self.scripts.iter().flat_map(control).collect();
        let info = tar_entry(b'0', ".PKGINFO", "", info.as_bytes(), (0o644, 0, "root"));
        let control = gzip(&[info, scripts].concat());
        [GOOD.sign("RSA", &control), control, data]
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.raw.clone().unwrap_or_else(|| self.members().concat())
    }

    /// Its paragraph in the index.
    fn paragraph(&self) -> String {
        let [signature, control, data] = self.members();
        let size = signature.len() + control.len() + data.len();
        let sum: Vec<u8> = sha1::Sha1::digest(&control).to_vec();
        let mut text = format!("C:Q1{}\nP:{}\nV:{}\nA:x86_64\nS:{size}\n", base_64(&sum), self.name, self.version);
        text += "I:4096\nT:toy\nt:1700000000\n";
        for (letter, name) in
            [('k', "provider_priority"), ('D', "depend"), ('p', "provides"), ('i', "install_if"), ('r', "replaces")]
        {
            let values = self.info.iter().filter(|(line, _)| line == name).map(|(_, value)| value.as_str());
            let value = values.collect::<Vec<_>>().join(" ");
            if !value.is_empty() {
                text += &format!("{letter}:{value}\n");
            }
        }
        text + "\n"
    }
}

/// A repository, at the path that its index and packages have.
pub struct Repository(pub PathBuf);

impl Repository {
    /// Publishes these packages and no others, for both architectures.
    pub fn publish(&self, packages: &[Apk], sealed: Sealed) {
        for arch in ["x86_64", "aarch64"] {
            let text: String = packages.iter().map(Apk::paragraph).collect();
            let text = text.replace("A:x86_64", &format!("A:{arch}"));
            let index = super::apks::index(&text);
            let bytes = match sealed {
                Sealed::By(algorithm, key) => [key().sign(algorithm, &index), index].concat(),
                Sealed::Not => index,
                Sealed::Tampered => {
                    let other = super::apks::index(&text.replace("T:toy", "T:toi"));
                    [GOOD.sign("RSA", &index), other].concat()
                }
            };
            self.write(arch, "APKINDEX.tar.gz", &bytes);
            for package in packages {
                self.write(arch, &format!("{}-{}.apk", package.name, package.version), &package.bytes());
            }
        }
    }

    /// The same with another, well signed text of the index.
    pub fn publish_changed(&self, packages: &[Apk], change: impl Fn(&str) -> String) {
        self.publish(packages, GOODLY);
        for arch in ["x86_64", "aarch64"] {
            let text: String = packages.iter().map(Apk::paragraph).collect();
            let index = super::apks::index(&change(&text.replace("A:x86_64", &format!("A:{arch}"))));
            self.write(arch, "APKINDEX.tar.gz", &[GOOD.sign("RSA", &index), index].concat());
        }
    }

    /// Puts bytes beside the index.
    pub fn write(&self, arch: &str, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.0.join(arch)).unwrap();
        fs::write(self.0.join(arch).join(name), bytes).unwrap();
    }
}

/// Writes the base image `alp` into a folder of base images, with these keys.
pub fn write_base_image(folder: &Path, keys: &[(String, Vec<u8>)]) {
    fs::create_dir_all(folder.join("alp/keys")).unwrap();
    let mut listed = String::new();
    for (name, pem) in keys {
        fs::write(folder.join("alp/keys").join(name), pem).unwrap();
        listed += &format!("            key \"keys/{name}\"\n");
    }
    let text = format!(
        r#"base "alp" family="apk" {{
    users "root" "nobody"
    groups "root" "nobody"
    release "v1" version="1" default=#true {{
        arch "amd64" "arm64"
        archive "alp" {{
            mirror "http://127.0.0.1:9/alp"
            suite "v1" component="main"
{listed}        }}
        packages "alp-base"
    }}
}}
"#
    );
    fs::write(folder.join("alp/base.kdl"), text).unwrap();
}

/// An entry with the checksum of `of` before it.
fn checked(kind: u8, path: &str, link: &str, content: &[u8], of: &[u8], owner: (u16, u32, &str)) -> Vec<u8> {
    let sum: String = sha1::Sha1::digest(of).iter().map(|byte| format!("{byte:02x}")).collect();
    [records(&[("APK-TOOLS.checksum.SHA1", &sum)]), tar_entry(kind, path, link, content, owner)].concat()
}

fn tar_entry(kind: u8, name: &str, link: &str, content: &[u8], (mode, id, owner): (u16, u32, &str)) -> Vec<u8> {
    let mut block = [0; 512];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    [(100, u32::from(mode)), (108, id), (116, id)].iter().for_each(|(at, n)| put(*at, format!("{n:07o}\0").as_bytes()));
    put(124, format!("{:011o}\0", content.len()).as_bytes());
    put(136, format!("{:011o}\0", 1_650_000_000).as_bytes());
    put(156, &[kind]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    put(265, owner.as_bytes());
    put(297, owner.as_bytes());
    seal(&mut block);
    let mut out = [&block[..], content].concat();
    out.resize(out.len().next_multiple_of(512), 0);
    out
}
