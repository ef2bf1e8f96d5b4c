//! Published packages of Alpine as a signed repository. The files, scripts and database of a minirootfs are packed again
//! as the packages that they came from and signed by the good key; contents, dependencies and triggers are the real ones.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use formats::tar::{Entry, EntryKind, Limits, Reader};
use sha1::Digest as _;
use sha2::Digest as _;

use super::{GOOD, base_64, gzip, index, records};
use crate::minirootfs::minirootfs;

/// What `.PKGINFO` calls the letters of the database: lines that are there once, and those that are lists.
const LINES: [(char, &str); 13] = [
    ('P', "pkgname"),
    ('V', "pkgver"),
    ('A', "arch"),
    ('T', "pkgdesc"),
    ('U', "url"),
    ('L', "license"),
    ('I', "size"),
    ('o', "origin"),
    ('m', "maintainer"),
    ('t', "builddate"),
    ('c', "commit"),
    ('k', "provider_priority"),
    ('i', "install_if"),
];
const LISTS: [(char, &str); 3] = [('D', "depend"), ('p', "provides"), ('r', "replaces")];

/// The letters of a paragraph of the index, in their order.
const INDEX: &str = "CPVASITULomtckDpir";

/// A folder below this one with `ARCH/APKINDEX.tar.gz`, `ARCH/*.apk` and `keys/`, for each architecture whose minirootfs
/// is there; or why there is none. It is made once for what it is made of and by: its name tells both.
pub fn published(below: &Path) -> Result<PathBuf, String> {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock();
    let found: BTreeMap<&str, Vec<u8>> = [("x86_64", minirootfs("x86_64")?)]
        .into_iter()
        .chain(minirootfs("aarch64").ok().map(|path| ("aarch64", path)))
        .map(|(arch, path)| (arch, fs::read(path).unwrap()))
        .collect();
    let mut name = sha1::Sha1::new();
    name.update(include_bytes!("published.rs"));
    found.values().for_each(|tarball| name.update(tarball));
    let name: String = name.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let place = below.join(format!("alpine-{name}"));
    if place.is_dir() {
        return Ok(place);
    }
    let temporary = place.with_extension(std::process::id().to_string());
    fs::create_dir_all(temporary.join("keys")).unwrap();
    let (key, pem) = GOOD.file();
    fs::write(temporary.join("keys").join(key), pem).unwrap();
    found.iter().for_each(|(arch, tarball)| pack(tarball, &temporary.join(arch)));
    // Where another process was quicker, its folder has the same bytes.
    if fs::rename(&temporary, &place).is_err() {
        fs::remove_dir_all(&temporary).unwrap();
    }
    Ok(place)
}

/// A root: entries with their contents, by path.
type Root = BTreeMap<String, (Entry, Vec<u8>)>;

fn unpack(tar: &[u8]) -> Root {
    let mut reader = Reader::new(tar, Limits::default());
    let mut root = Root::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        let name = String::from_utf8(entry.name.clone()).unwrap();
        root.insert(name.trim_start_matches("./").trim_end_matches('/').to_owned(), (entry, bytes));
    }
    root
}

fn pack(tarball: &[u8], folder: &Path) {
    let mut tar = Vec::new();
    flate2::read::MultiGzDecoder::new(tarball).read_to_end(&mut tar).unwrap();
    let root = unpack(&tar);
    let text = |path: &str| String::from_utf8(root[path].1.clone()).unwrap();
    let (triggers, scripts) = (text("lib/apk/db/triggers"), unpack(&root["lib/apk/db/scripts.tar"].1));
    fs::create_dir_all(folder).unwrap();
    let mut paragraphs = String::new();
    for package in text("lib/apk/db/installed").trim().split("\n\n").map(Installed::read) {
        let (apk, paragraph) = package.pack(&root, &triggers, &scripts);
        fs::write(folder.join(format!("{}-{}.apk", package.head[&'P'], package.head[&'V'])), apk).unwrap();
        paragraphs += &paragraph;
    }
    let index = index(&paragraphs);
    fs::write(folder.join("APKINDEX.tar.gz"), [GOOD.sign("RSA", &index), index].concat()).unwrap();
}

/// A package of the database.
struct Installed<'a> {
    head: BTreeMap<char, &'a str>,
    paths: Vec<String>,
}

impl<'a> Installed<'a> {
    fn read(paragraph: &'a str) -> Self {
        let (mut package, mut folder) = (Self { head: BTreeMap::new(), paths: Vec::new() }, "");
        for line in paragraph.lines() {
            let (letter, value) = (line.chars().next().unwrap(), &line[2..]);
            match letter {
                'F' => folder = value,
                'R' => {}
                'M' | 'a' | 'Z' => continue,
                _ => _ = package.head.insert(letter, value),
            }
            match letter {
                'F' => package.paths.push(folder.to_owned()),
                'R' => package.paths.push(format!("{folder}/{value}").trim_start_matches('/').to_owned()),
                _ => {}
            }
        }
        package.paths.retain(|path| !path.is_empty());
        package
    }

    /// The archive, and its paragraph in the index.
    fn pack(&self, root: &Root, triggers: &str, scripts: &Root) -> (Vec<u8>, String) {
        let found = self.paths.iter().filter_map(|path| Some((path, root.get(path)?)));
        let mut entries: Vec<u8> = found.flat_map(|(path, (entry, bytes))| packed(path, entry, bytes)).collect();
        entries.resize(entries.len() + 1024, 0);
        let data = gzip(&entries);
        let control = gzip(&self.control(&data, triggers, scripts));
        let sum = format!("Q1{}", base_64(&sha1::Sha1::digest(&control)));
        let apk = [GOOD.sign("RSA", &control), control, data].concat();
        let size = apk.len().to_string();
        let value = |letter| match letter {
            'C' => Some(sum.as_str()),
            'S' => Some(size.as_str()),
            other => self.head.get(&other).copied(),
        };
        let line = |letter| value(letter).map(|value| format!("{letter}:{value}\n"));
        (apk, INDEX.chars().filter_map(line).collect::<String>() + "\n")
    }

    /// `.PKGINFO` and the scripts.
    fn control(&self, data: &[u8], triggers: &str, scripts: &Root) -> Vec<u8> {
        let line = |(letter, name): &(char, &str)| Some(format!("{name} = {}\n", self.head.get(letter)?));
        let list = |(letter, name): &(char, &str)| {
            let values = self.head.get(letter).copied().unwrap_or_default().split_whitespace();
            values.map(|value| format!("{name} = {value}\n")).collect::<String>()
        };
        let mut info: String = LINES.iter().filter_map(line).collect();
        info.extend(LISTS.iter().map(list));
        let of_this = |line: &str| Some(format!("triggers = {}\n", line.strip_prefix(self.head[&'C'])?.trim_start()));
        info.extend(triggers.lines().filter_map(of_this));
        let hash: String = sha2::Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect();
        info += &format!("datahash = {hash}\n");
        let mut control = super::file(".PKGINFO", info.as_bytes());
        let own = format!("{}-{}.{}.", self.head[&'P'], self.head[&'V'], self.head[&'C']);
        for (name, (_, bytes)) in scripts {
            let kind = name.strip_prefix(&own);
            control.extend(kind.into_iter().flat_map(|kind| super::file(&format!(".{kind}"), bytes)));
        }
        control
    }
}

/// An entry of a root as one of a package: with the checksum of its content before it.
fn packed(path: &str, entry: &Entry, bytes: &[u8]) -> Vec<u8> {
    let (kind, name, link): (u8, String, &[u8]) = match &entry.kind {
        EntryKind::Dir => (b'5', format!("{path}/"), b""),
        EntryKind::File => (b'0', path.to_owned(), b""),
        EntryKind::Symlink(target) => (b'2', path.to_owned(), target),
        other => panic!("{path}: {other:?}"),
    };
    let of = if kind == b'2' { link } else { bytes };
    let sum: String = sha1::Sha1::digest(of).iter().map(|byte| format!("{byte:02x}")).collect();
    let checksum = if kind == b'5' { Vec::new() } else { records(&[("APK-TOOLS.checksum.SHA1", &sum)]) };
    let link = std::str::from_utf8(link).unwrap();
    let mut out = super::entry(kind, &name, link, bytes);
    let meta = &entry.meta;
    let mut put = |at: usize, text: &[u8]| out[at..at + text.len()].copy_from_slice(text);
    for (at, number) in [(100, u32::from(meta.mode)), (108, meta.uid), (116, meta.gid)] {
        put(at, format!("{number:07o}\0").as_bytes());
    }
    put(136, format!("{:011o}\0", meta.mtime_secs).as_bytes());
    put(265, &entry.owner_names[0]);
    put(297, &entry.owner_names[1]);
    super::seal(&mut out);
    [checksum, out].concat()
}
