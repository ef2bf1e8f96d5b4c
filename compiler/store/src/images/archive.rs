//! Images in tar files as `docker save` and `podman save --format docker-archive` write them: a list of images, and the
//! configuration and layers of each as members.
//!
//! Such a file has no manifest. One is made of what it holds, always the same for the same content, so that from there
//! on the image is like any other.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use formats::compression::{self, Bounds, Compression};
use formats::oci::{ArchivedImage, MAX_DOCUMENT_BYTES, read_archive_manifest};
use formats::tar::{EntryKind, Limits, Reader, TarError};
use packages::Sha256;
use sha2::Digest as _;
use tree::TreePath;

use super::layers::compression_of;
use super::layout::INDEX;
use super::{ImageError, Store};
use crate::disk::{self, at};

/// The member that lists the images.
pub(super) const LIST: &str = "manifest.json";

/// Links from member to member; `docker save` makes them for layers that two images share.
type Links = BTreeMap<TreePath, TreePath>;

impl Store {
    /// Takes an image of an archive into the store: its layers, its configuration and a manifest for them. Gives the
    /// digest of the manifest.
    pub(super) fn take_archive(&self, reference: &str, path: &Path, name: Option<&str>) -> Result<Sha256, ImageError> {
        let (list, links) = read_list(reference, path)?;
        let image = choose(reference, &list, name)?;
        let wrong = |what: String| ImageError::Wrong { reference: reference.to_owned(), what };
        let member =
            |name: &str| TreePath::new(name).map(|name| follow(&links, name)).map_err(|error| wrong(error.to_string()));
        let config = member(&image.config)?;
        let layers: Vec<TreePath> = image.layers.iter().map(|layer| member(layer)).collect::<Result<_, _>>()?;
        let taken = self.take_members(reference, path, layers.iter().chain([&config]))?;
        let found = |name: &TreePath| {
            taken.get(name).copied().ok_or_else(|| wrong(format!("{LIST} names {name}, which is not there")))
        };
        let layers = layers.iter().map(found).collect::<Result<Vec<_>, _>>()?;
        Ok(self.place_document(manifest(found(&config)?, &layers).as_bytes())?)
    }

    /// Copies members into the store, in the order of the file; gives digest and size of each.
    fn take_members<'a>(
        &self,
        reference: &str,
        path: &Path,
        wanted: impl Iterator<Item = &'a TreePath>,
    ) -> Result<BTreeMap<TreePath, (Sha256, u64)>, ImageError> {
        let wanted: std::collections::BTreeSet<&TreePath> = wanted.collect();
        let mut taken = BTreeMap::new();
        let mut reader = open(reference, path)?;
        while let Some(entry) = reader.next_entry().map_err(|error| damaged(path, error))? {
            let Ok(name) = TreePath::new(&entry.name) else { continue };
            if entry.kind == EntryKind::File && wanted.contains(&name) {
                taken.insert(name, self.take_member(path, &mut reader)?);
            }
        }
        Ok(taken)
    }

    pub(super) fn take_member(&self, path: &Path, content: &mut impl Read) -> Result<(Sha256, u64), ImageError> {
        let temporary = self.folders.temporary();
        let mut file = disk::create(&temporary)?;
        let (mut hasher, mut size) = (sha2::Sha256::new(), 0);
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let count = content.read(&mut buffer).map_err(|error| local(path, error))?;
            if count == 0 {
                break;
            }
            let bytes = buffer.get(..count).unwrap_or_default();
            hasher.update(bytes);
            file.write_all(bytes).map_err(at("write", &temporary))?;
            size += count as u64;
        }
        let sha256 = Sha256(hasher.finalize().into());
        self.place_blob(&temporary, sha256)?;
        Ok((sha256, size))
    }
}

/// A manifest of these blobs: compact JSON with sorted keys.
fn manifest(config: (Sha256, u64), layers: &[(Sha256, u64)]) -> String {
    let one = |media_type: &str, (sha256, size): (Sha256, u64)| {
        format!(r#"{{"digest":"sha256:{sha256}","mediaType":"{media_type}","size":{size}}}"#)
    };
    let layers: Vec<String> =
        layers.iter().map(|layer| one("application/vnd.oci.image.layer.v1.tar", *layer)).collect();
    format!(
        r#"{{"config":{},"layers":[{}],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}}"#,
        one("application/vnd.oci.image.config.v1+json", config),
        layers.join(",")
    )
}

fn choose<'a>(reference: &str, list: &'a [ArchivedImage], name: Option<&str>) -> Result<&'a ArchivedImage, ImageError> {
    let is_named = |image: &&ArchivedImage| match name {
        // Tools write `docker.io/library/` in front or leave it out.
        Some(name) => image.names.iter().any(|known| known == name || known.ends_with(&format!("/{name}"))),
        None => true,
    };
    let fitting: Vec<&ArchivedImage> = list.iter().filter(is_named).collect();
    let names = || list.iter().flat_map(|image| &image.names).map(|name| format!("\"{}\"", name.escape_debug()));
    let wrong = |what: String| ImageError::Wrong { reference: reference.to_owned(), what };
    match fitting[..] {
        [one] => Ok(one),
        [] => {
            let there = names().collect::<Vec<_>>().join(", ");
            Err(wrong(match name {
                Some(name) => format!("it has no image of the name \"{}\"; it has {there}", name.escape_debug()),
                None => "there is no image in it".to_owned(),
            }))
        }
        _ => Err(wrong(format!("it has several images; name one of {}", names().collect::<Vec<_>>().join(", ")))),
    }
}

/// The list of images, which may stand anywhere in the file, and the links between members.
fn read_list(reference: &str, path: &Path) -> Result<(Vec<ArchivedImage>, Links), ImageError> {
    let (mut list, mut links) = (None, Links::new());
    let mut is_layout = false;
    let mut reader = open(reference, path)?;
    while let Some(entry) = reader.next_entry().map_err(|error| damaged(path, error))? {
        let Ok(name) = TreePath::new(&entry.name) else { continue };
        match &entry.kind {
            EntryKind::File if name.as_bytes() == LIST.as_bytes() => {
                list = Some(read_member(path, &mut reader)?);
            }
            EntryKind::File if name.as_bytes() == INDEX.as_bytes() => is_layout = true,
            EntryKind::Symlink(target) => links.extend(beside(&name, target).map(|target| (name, target))),
            EntryKind::HardLink(target) => links.extend(TreePath::new(target).ok().map(|target| (name, target))),
            _ => {}
        }
    }
    let Some(list) = list else {
        let what = format!("it is no docker-archive: it has no {LIST}");
        return Err(match is_layout {
            true => ImageError::OtherArchive { reference: reference.to_owned(), is_docker: false },
            false => ImageError::Wrong { reference: reference.to_owned(), what },
        });
    };
    let images = read_archive_manifest(&list);
    let images = images.map_err(|source| ImageError::Document { reference: reference.to_owned(), source })?;
    Ok((images, links))
}

/// What a link of a member leads to, if that is another member.
fn beside(name: &TreePath, target: &[u8]) -> Option<TreePath> {
    let mut parts: Vec<&[u8]> = name.parts().collect();
    parts.pop();
    for part in target.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    TreePath::new(parts.join(&b'/')).ok()
}

fn follow(links: &Links, name: TreePath) -> TreePath {
    let next = |name: &TreePath| links.get(name).cloned();
    std::iter::successors(Some(name.clone()), next).take(8).last().unwrap_or(name)
}

/// A document among the members, and a few more bytes of one that is too large, which its reader tells.
pub(super) fn read_member(path: &Path, member: &mut impl Read) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    member.take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut bytes).map_err(|error| local(path, error))?;
    Ok(bytes)
}

pub(super) fn open(reference: &str, path: &Path) -> Result<Reader<Box<dyn Read + Send>>, ImageError> {
    if path.is_dir() {
        return Err(ImageError::NoFile { reference: reference.to_owned() });
    }
    let (file, compression) = File::open(path)
        .and_then(|mut file| compression_of(&mut file).map(|compression| (file, compression)))
        .map_err(|error| local(path, error))?;
    // Some write the whole file compressed.
    let plain: Box<dyn Read + Send> = match compression {
        Compression::None => Box::new(BufReader::with_capacity(256 * 1024, file)),
        packed => compression::open(packed, file, Bounds::default()).map_err(|error| local(path, error))?,
    };
    Ok(Reader::new(plain, Limits::default()))
}

fn local(path: &Path, source: std::io::Error) -> ImageError {
    ImageError::Local { path: PathBuf::from(path), source }
}

pub(super) fn damaged(path: &Path, error: TarError) -> ImageError {
    local(path, std::io::Error::new(std::io::ErrorKind::InvalidData, error))
}
