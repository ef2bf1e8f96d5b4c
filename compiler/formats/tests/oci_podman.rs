//! What podman's own storage makes of an image's layers, against what is made of them here, entry for entry.

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "the reference is a program and its folders")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use formats::compression::{self, Bounds, Compression};
use formats::deb::ContentSink;
use formats::oci::{Config, Document, Layering, choose, read_config, read_document};
use formats::tar::Limits;
use tree::{Content, Kind, Tree};

const BUILD: &str = r#"FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox","sh","-c","export PATH=/bin; busybox --install -s /bin; mkdir -p /a/b/c /lower/deep /gone; echo 1 > /a/b/one; echo 2 > /a/b/two; ln /a/b/one /a/hard; ln -s b/one /a/soft; chmod 4755 /a/b/two; chown 12:70000 /a/b/two; echo x > /lower/x; echo y > /lower/deep/y; echo g > /gone/g; mkfifo /a/pipe"]
RUN ["/bin/busybox","sh","-c","export PATH=/bin; rm /a/b/one; rm -r /lower; mkdir /lower; echo z > /lower/z; rm -r /a/b/c; echo file > /a/b/c; rm -r /gone"]
RUN ["/bin/busybox","sh","-c","export PATH=/bin; ln /a/hard /a/again; rm /a/soft; mkdir /a/soft; echo s > /a/soft/s; chmod 700 /a; touch -d '2001-02-03 04:05:06' /a/hard; ln -s nowhere /gone"]
CMD ["/bin/sh"]
"#;

/// Keeps contents inline.
struct Keep;

impl ContentSink for Keep {
    fn take(&mut self, _: u64, content: &mut dyn Read) -> io::Result<Content> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        Ok(Content::inline(bytes))
    }
}

/// podman with a storage of its own.
fn podman(folder: &Path, storage: &str, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new("podman");
    command.arg("--root").arg(folder.join(storage)).arg("--runroot").arg(folder.join(format!("{storage}-run")));
    command.args(["--storage-driver", "vfs", "--events-backend", "none"]).args(args).current_dir(folder);
    let output = command.output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Builds the image, pulls it into a second storage, and says where it stands there; why not, where podman cannot.
fn prepare(folder: &Path) -> Result<PathBuf, String> {
    if fs::metadata("/proc/self").map(|meta| meta.uid()).ok() != Some(0) {
        return Err("it needs root".to_owned());
    }
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().find_map(|path| fs::read(path).ok());
    let busybox = busybox.ok_or("there is no busybox (package busybox-static)")?;
    fs::write(folder.join("busybox"), busybox).unwrap();
    let status = Command::new("chmod").arg("755").arg(folder.join("busybox")).status().unwrap();
    assert!(status.success());
    fs::write(folder.join("Containerfile"), BUILD).unwrap();
    podman(folder, "one", &["build", "-q", "--isolation", "chroot", "--layers", "-t", "toy", "."])?;
    podman(folder, "one", &["push", "-q", "toy", "oci:layout:toy"])?;
    let id = podman(folder, "two", &["pull", "-q", "oci:layout:toy"])?;
    podman(folder, "two", &["image", "mount", &id]).map(PathBuf::from)
}

fn blob(folder: &Path, sha256: &str) -> Vec<u8> {
    fs::read(folder.join("layout/blobs/sha256").join(sha256)).unwrap()
}

/// The tree and the configuration of the image in the layout.
fn read(folder: &Path) -> (Tree, Config) {
    let index = fs::read(folder.join("layout/index.json")).unwrap();
    let Document::Index(index) = read_document(&index, None).unwrap() else { panic!("an index") };
    let chosen = choose(&index, "amd64", Some("toy")).unwrap();
    let manifest = blob(folder, &chosen.sha256);
    let Document::Manifest(manifest) = read_document(&manifest, Some(&chosen.media_type)).unwrap() else {
        panic!("a manifest")
    };
    let config = read_config(&blob(folder, &manifest.config.sha256), manifest.layers.len()).unwrap();
    let mut layering = Layering::default();
    for layer in &manifest.layers {
        let bytes = blob(folder, &layer.sha256);
        assert_eq!(bytes.len() as u64, layer.size_bytes);
        let plain = compression::open(Compression::Gzip, &bytes[..], Bounds::default()).unwrap();
        layering.apply(plain, Limits::default(), &mut Keep).unwrap();
    }
    (layering.into_tree(), config)
}

/// A line for every entry: type, mode, owner, time, content or target, and the first name of hard links.
fn lines_of_tree(tree: &Tree) -> BTreeMap<String, String> {
    let mut first = BTreeMap::new();
    let line = |(path, id, node): (&tree::TreePath, tree::NodeId, &tree::Node)| {
        let first = first.entry(id).or_insert_with(|| path.display()).clone();
        let what = match &node.kind {
            Kind::Dir => "d".to_owned(),
            Kind::File(Content::Inline(bytes)) => format!("f {} of {first}", tree::Digest::of(bytes)),
            Kind::Symlink(target) => format!("l {}", String::from_utf8_lossy(target)),
            Kind::CharDevice { major, minor } => format!("c {major} {minor}"),
            Kind::Fifo => "p".to_owned(),
            other => panic!("{other:?}"),
        };
        let meta = &node.meta;
        let mode = if matches!(node.kind, Kind::Symlink(_)) { 0o777 } else { meta.mode };
        (path.display(), format!("{what} {mode:o} {} {} {}", meta.uid, meta.gid, meta.mtime_secs))
    };
    tree.iter().map(line).collect()
}

fn lines_of_folder(root: &Path) -> BTreeMap<String, String> {
    let mut paths = vec![root.to_owned()];
    let mut lines = BTreeMap::new();
    let mut first = BTreeMap::new();
    while let Some(path) = paths.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let kind = meta.file_type();
        let name = format!("/{}", String::from_utf8_lossy(path.strip_prefix(root).unwrap().as_os_str().as_bytes()));
        let what = if kind.is_dir() {
            paths.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            "d".to_owned()
        } else if kind.is_symlink() {
            format!("l {}", fs::read_link(&path).unwrap().display())
        } else if kind.is_char_device() {
            format!("c {} {}", meta.rdev() >> 8, meta.rdev() & 0xff)
        } else if kind.is_fifo() {
            "p".to_owned()
        } else {
            first.entry(meta.ino()).or_insert_with(Vec::new).push(name.clone());
            format!("f {} of INODE{}", tree::Digest::of(&fs::read(&path).unwrap()), meta.ino())
        };
        let owner = format!("{} {} {}", meta.uid(), meta.gid(), meta.mtime());
        lines.insert(name, format!("{what} {:o} {owner}", meta.mode() & 0o7777));
    }
    for (inode, mut names) in first {
        names.sort();
        for name in &names {
            let line = lines.get_mut(name).unwrap();
            *line = line.replace(&format!("INODE{inode} "), &format!("{} ", names[0]));
        }
    }
    lines
}

#[test]
fn layers_make_what_podman_makes_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = match prepare(folder.path()) {
        Ok(mounted) => mounted,
        Err(why) => {
            eprintln!("SKIP layers_make_what_podman_makes_of_them: {}", why.lines().last().unwrap_or_default());
            return;
        }
    };
    let (tree, config) = read(folder.path());
    assert_eq!(config.command, ["/bin/sh"]);
    let (mut ours, mut theirs) = (lines_of_tree(&tree), lines_of_folder(&mounted));
    podman(folder.path(), "two", &["image", "unmount", "--all"]).unwrap();
    // No layer has an entry for the root; podman gives it a mode of its own.
    assert!(ours.remove("/").is_some() && theirs.remove("/").is_some());
    assert!(ours.len() > 50, "{ours:?}");
    for (path, line) in &theirs {
        assert_eq!(ours.get(path), Some(line), "{path}");
    }
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
}
