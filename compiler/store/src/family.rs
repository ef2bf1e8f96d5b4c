//! What package families differ in when archives are checked, kept and taken apart; which one it is follows from the
//! kind of digest that the repository states.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use formats::apk::{self, ApkError};
use formats::compression::Bounds;
use formats::deb::{self, DebError};
use packages::{ArchiveDigest, Sha1, Unpacked};

use crate::decoded::PackWriter;

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// As a package of Debian.
    #[error(transparent)]
    Deb(#[from] DebError),
    /// As a package of Alpine.
    #[error(transparent)]
    Apk(#[from] ApkError),
    /// Its file.
    #[error("read it")]
    Io(#[from] io::Error),
}

/// The endings of the file names of all archives.
pub(crate) const ENDINGS: [&str; 2] = ["deb", "apk"];

/// The ending of the file names of such archives.
pub(crate) fn ending(digest: &ArchiveDigest) -> &'static str {
    match digest {
        ArchiveDigest::Sha256(_) => "deb",
        ArchiveDigest::ControlSha1(_) => "apk",
    }
}

/// Checks the file of an archive against a digest that is not one of all its bytes; any other digest is told by those.
pub(crate) fn check(digest: &ArchiveDigest, path: &Path) -> Result<(), ArchiveError> {
    match digest {
        ArchiveDigest::Sha256(_) => Ok(()),
        ArchiveDigest::ControlSha1(sha1) => Ok(apk::check_archive(File::open(path)?, &expected(sha1))?),
    }
}

/// Takes an archive apart; contents go to the pack.
pub(crate) fn decode(
    digest: &ArchiveDigest,
    archive: impl Read + Send,
    compression: Bounds,
    pack: &mut PackWriter,
) -> Result<Unpacked, ArchiveError> {
    let archive = BufReader::with_capacity(256 * 1024, archive);
    match digest {
        ArchiveDigest::Sha256(_) => {
            let deb = deb::decode(archive, deb::Limits { compression, ..deb::Limits::default() }, pack)?;
            Ok(Unpacked { control_files: deb.control_files, tree: deb.tree, ..Unpacked::default() })
        }
        ArchiveDigest::ControlSha1(sha1) => {
            let limits = apk::Limits { compression, ..apk::Limits::default() };
            let apk = apk::decode(archive, &expected(sha1), limits, pack)?;
            let checksums = apk.checksums.into_iter().map(|(path, sum)| (path, Sha1(sum))).collect();
            let apk::Apk { control_files, tree, owner_names, .. } = apk;
            Ok(Unpacked { control_files, tree, checksums, owner_names, archive: None })
        }
    }
}

/// The signed index vouches for the control member, as the real `apk` has it; the key of a package need not be at hand.
fn expected(sha1: &Sha1) -> apk::Expected<'static> {
    apk::Expected { control_sha1: Some(sha1.0), keys: None }
}
