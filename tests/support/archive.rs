//! A signed toy archive in a folder, and the base image that stands on it. Keys come from fixed seeds, so the same
//! packages give the same bytes on every machine.

#![allow(dead_code, clippy::allow_attributes, reason = "every kind of test uses its own part of this")]

use std::fs;
use std::path::{Path, PathBuf};

use packages::Sha256;

use super::package::{Package, Packing, pack};
use super::signer::{Certificate, Signer};

/// The first day of the toy archive: Tue, 14 Nov 2023 22:13:20 UTC.
pub const FIRST_DAY: i64 = 1_700_000_000;

/// Seconds of a day.
pub const DAY: i64 = 24 * 3600;

/// The seed of the key that the toy base image trusts.
pub const TRUSTED: u64 = 1;

/// How a release is signed.
#[derive(Clone, Copy, PartialEq)]
pub enum Signed {
    /// By the key of this seed.
    By(u64),
    /// Not at all.
    Not,
    /// By the trusted key, and changed afterwards.
    Tampered,
}

/// What a release says, and who says it.
#[derive(Clone, Copy)]
pub struct Release {
    pub date: i64,
    pub valid_until: Option<i64>,
    pub suite: &'static str,
    pub codename: &'static str,
    pub signed: Signed,
    pub index: Packing,
}

impl Default for Release {
    fn default() -> Self {
        Self {
            date: FIRST_DAY,
            // Beyond any test: in 2096.
            valid_until: Some(4_000_000_000),
            suite: "stable",
            codename: "one",
            signed: Signed::By(TRUSTED),
            index: Packing::Xz,
        }
    }
}

/// An archive in a folder that ends in `toy`, as mirrors of it do.
pub struct Archive {
    pub folder: PathBuf,
}

impl Archive {
    /// The archive `toy` below a folder.
    pub fn below(folder: &Path) -> Self {
        Self { folder: folder.join("toy") }
    }

    /// Puts these packages into the pool and publishes a release that has no others.
    pub fn publish(&self, packages: &[Package], release: &Release) {
        let mut index = String::new();
        for package in packages {
            let bytes = package.bytes();
            self.write(&package.path(), &bytes);
            index += &format!(
                "{}Filename: {}\nSize: {}\nSHA256: {}\n\n",
                package.stanza(),
                package.path(),
                bytes.len(),
                Sha256::of(&bytes)
            );
        }
        self.publish_index(&index, release);
    }

    /// Publishes a release with this index, whatever the pool holds.
    pub fn publish_index(&self, index: &str, release: &Release) {
        let _ = fs::remove_dir_all(self.folder.join("dists"));
        let mut listed = String::new();
        for arch in ["amd64", "arm64"] {
            let mut list = |name: &str, bytes: &[u8], stored: bool| {
                let path = format!("main/binary-{arch}/{name}");
                listed += &format!(" {} {} {path}\n", Sha256::of(bytes), bytes.len());
                if stored {
                    self.write(&format!("dists/one/{path}"), bytes);
                    let by_hash = format!("dists/one/main/binary-{arch}/by-hash/SHA256/{}", Sha256::of(bytes));
                    self.write(&by_hash, bytes);
                }
            };
            let suffix = match release.index {
                Packing::Xz => ".xz",
                Packing::Gzip => ".gz",
                _ => "",
            };
            if !suffix.is_empty() {
                list(&format!("Packages{suffix}"), &pack(index.as_bytes(), release.index), true);
            }
            list("Packages", index.as_bytes(), suffix.is_empty());
        }
        let mut text = format!(
            "Origin: Toy\nLabel: Toy\nSuite: {}\nCodename: {}\nDate: {}\n",
            release.suite,
            release.codename,
            date(release.date)
        );
        if let Some(until) = release.valid_until {
            text += &format!("Valid-Until: {}\n", date(until));
        }
        text += &format!("Acquire-By-Hash: yes\nArchitectures: amd64 arm64\nComponents: main\nSHA256:\n{listed}");
        self.write("dists/one/Release", text.as_bytes());
        self.write("dists/one/InRelease", sign(&text, release).as_bytes());
    }

    /// Puts bytes at a path of the archive, whatever the indexes say of it.
    pub fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn sign(text: &str, release: &Release) -> String {
    match release.signed {
        Signed::Not => text.to_owned(),
        Signed::By(seed) => Signer::new(seed).sign(text, release.date),
        Signed::Tampered => Signer::new(TRUSTED).sign(text, release.date).replace("Label: Toy", "Label: Toi"),
    }
}

/// Writes the base image `toy` into a folder of base images.
pub fn write_base_image(folder: &Path) {
    write_base(folder, "toy", "packages \"toy-base\"\n        with-required #true");
}

/// Writes the base image `other`, of which nothing but kernels is taken; its archive is one of the same name.
pub fn write_kernel_base(folder: &Path) {
    let kernel = |arch: &str, package: &str| format!("kernel \"{arch}\" package=\"{package}\"\n        ");
    write_base(folder, "other", &(kernel("amd64", "linux-image-toy") + &kernel("arm64", "linux-image-toy-arm64")));
}

fn write_base(folder: &Path, name: &str, lines: &str) {
    let text = r#"base "NAME" family="deb" {
    users "root" "nobody"
    groups "root" "nogroup"
    env PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    release "one" version="1" default=#true {
        arch "amd64" "arm64"
        archive "NAME" {
            mirror "http://127.0.0.1:9/NAME"
            suite "one" component="main"
            key "keys/toy.gpg"
        }
        LINES
    }
}
"#;
    let folder = folder.join(name);
    fs::create_dir_all(folder.join("keys")).unwrap();
    fs::write(folder.join("base.kdl"), text.replace("NAME", name).replace("LINES", lines)).unwrap();
    let key = Signer::new(TRUSTED).certificate(&Certificate::default());
    fs::write(folder.join("keys/toy.gpg"), key).unwrap();
}

/// A time as Release files have it (RFC 5322 with the zone UTC).
fn date(secs: i64) -> String {
    let (days, rest) = (secs.div_euclid(DAY), secs.rem_euclid(DAY));
    let week = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][usize::try_from(days.rem_euclid(7)).unwrap()];
    let (mut year, mut day) = (1970, days);
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while day >= 365 + i64::from(leap(year)) {
        day -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{week}, {:02} {} {year} {hour:02}:{minute:02}:{second:02} UTC", day + 1, names[month])
}

#[test]
fn dates_are_as_release_files_have_them() {
    assert_eq!(date(FIRST_DAY), "Tue, 14 Nov 2023 22:13:20 UTC");
    assert_eq!(date(951_782_400), "Tue, 29 Feb 2000 00:00:00 UTC");
}
