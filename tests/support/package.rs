//! Toy Debian packages: described by a builder, written as bytes. The same description gives the same bytes.

#![allow(dead_code, clippy::allow_attributes, reason = "every kind of test uses its own part of this")]

use std::io::Write;

use formats::tar::Writer;
use tree::{Meta, Node, TreePath};

use super::debs;

/// How the data archive of a package is compressed.
#[derive(Clone, Copy, PartialEq)]
pub enum Packing {
    Plain,
    Gzip,
    Xz,
    Zstd,
}

/// A package to be.
#[derive(Clone)]
pub struct Package {
    pub name: String,
    pub version: String,
    fields: Vec<(String, String)>,
    control: Vec<(String, u16, Vec<u8>)>,
    entries: Vec<Entry>,
    packing: Packing,
    raw: Option<Vec<u8>>,
}

#[derive(Clone)]
enum Entry {
    Node(String, Node),
    HardLink(String, String, u16),
}

/// When all files of packages were made.
pub const MADE: i64 = 1_650_000_000;

impl Package {
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            fields: Vec::new(),
            control: Vec::new(),
            entries: Vec::new(),
            packing: Packing::Plain,
            raw: None,
        }
    }

    /// A further field of its control file.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn needs(self, rule: &str) -> Self {
        self.field("Depends", rule)
    }

    /// A maintainer script for `/bin/sh`.
    pub fn script(self, name: &str, body: &str) -> Self {
        self.control(name, 0o755, format!("#!/bin/sh\nset -e\n{body}\n"))
    }

    pub fn control(mut self, name: &str, mode: u16, bytes: impl Into<Vec<u8>>) -> Self {
        self.control.push((name.to_owned(), mode, bytes.into()));
        self
    }

    pub fn file(self, path: &str, mode: u16, bytes: impl Into<Vec<u8>>) -> Self {
        self.node(path, Node::file(mode, bytes))
    }

    pub fn dir(self, path: &str, mode: u16) -> Self {
        self.node(path, Node::dir(mode))
    }

    pub fn link(self, path: &str, target: &str) -> Self {
        self.node(path, Node::symlink(target))
    }

    pub fn node(mut self, path: &str, mut node: Node) -> Self {
        node.meta.mtime_secs = MADE;
        self.entries.push(Entry::Node(path.to_owned(), node));
        self
    }

    pub fn hard_link(mut self, path: &str, first: &str, mode: u16) -> Self {
        self.entries.push(Entry::HardLink(path.to_owned(), first.to_owned(), mode));
        self
    }

    pub fn packed(mut self, packing: Packing) -> Self {
        self.packing = packing;
        self
    }

    /// These bytes instead of an archive made from the description.
    pub fn raw(mut self, bytes: Vec<u8>) -> Self {
        self.raw = Some(bytes);
        self
    }

    /// The fields of its control file, without those that an index adds.
    pub fn stanza(&self) -> String {
        let mut text = format!(
            "Package: {}\nVersion: {}\nArchitecture: all\nMaintainer: Toy <toy@example.org>\n",
            self.name, self.version
        );
        self.fields.iter().for_each(|(name, value)| text += &format!("{name}: {value}\n"));
        text + &format!("Description: toy package {}\n", self.name)
    }

    /// Its path below an archive's root; names of files leave the epoch out.
    pub fn path(&self) -> String {
        let version = self.version.split_once(':').map_or(self.version.as_str(), |(_, rest)| rest);
        format!("pool/main/{}_{version}_all.deb", self.name)
    }

    /// The package file.
    pub fn bytes(&self) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let data = pack(&self.data(), self.packing);
        let name = match self.packing {
            Packing::Plain => "data.tar",
            Packing::Gzip => "data.tar.gz",
            Packing::Xz => "data.tar.xz",
            Packing::Zstd => "data.tar.zst",
        };
        debs::ar(&[("debian-binary", b"2.0\n"), ("control.tar", &self.control_archive()), (name, &data)])
    }

    /// The package file with this data archive instead of its own.
    pub fn bytes_with_data(&self, name: &str, data: &[u8]) -> Vec<u8> {
        debs::ar(&[("debian-binary", b"2.0\n"), ("control.tar", &self.control_archive()), (name, data)])
    }

    fn control_archive(&self) -> Vec<u8> {
        let mut entries = vec![("control", Node::file(0o644, self.stanza()))];
        entries
            .extend(self.control.iter().map(|(name, mode, bytes)| (name.as_str(), Node::file(*mode, bytes.clone()))));
        debs::good_tar(&entries)
    }

    fn data(&self) -> Vec<u8> {
        let path = |text: &str| TreePath::new(text).unwrap();
        let mut writer = Writer::new(Vec::new());
        let mut root = Node::dir(0o755);
        root.meta.mtime_secs = MADE;
        writer.entry(&TreePath::root(), &root, &mut &b""[..]).unwrap();
        for entry in &self.entries {
            match entry {
                Entry::Node(name, node) => {
                    let bytes = match &node.kind {
                        tree::Kind::File(tree::Content::Inline(bytes)) => bytes.to_vec(),
                        _ => Vec::new(),
                    };
                    writer.entry(&path(name), node, &mut &bytes[..]).unwrap();
                }
                Entry::HardLink(name, first, mode) => {
                    let meta = Meta { mtime_secs: MADE, ..Meta::root(*mode) };
                    writer.hard_link(&path(name), &meta, &path(first)).unwrap();
                }
            }
        }
        writer.finish().unwrap()
    }
}

/// Bytes in a compressed stream.
pub fn pack(bytes: &[u8], packing: Packing) -> Vec<u8> {
    match packing {
        Packing::Plain => bytes.to_vec(),
        Packing::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Packing::Xz => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Packing::Zstd => zstd::encode_all(bytes, 3).unwrap(),
    }
}
