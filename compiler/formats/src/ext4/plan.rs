//! Decides an ext4 image: a tree and options in, a layout out, no content read.

use tree::{Digest, Tree, TreePath};

use super::index::{Index, LostAndFound};
use super::layout::Layout;
use super::options::Options;
use super::shape::Shapes;
use super::xattr::XattrError;
use super::{inode, placement};

/// Why a tree cannot become an ext4 image with these options.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The label has more than 16 bytes.
    #[error("use the label `{0}`: it is longer than 16 bytes")]
    Label(String),
    /// The epoch is after the year 2446.
    #[error("use the epoch {0}: ext4 holds no time after the year 2446")]
    Epoch(u64),
    /// The tree has something else than a folder at `/lost+found`.
    #[error("place /lost+found: it must be a folder")]
    LostAndFound,
    /// A time is before 1901 or after 2446.
    #[error("store the time of {path}: {secs} seconds is before 1901 or after 2446")]
    Time {
        /// The entry.
        path: TreePath,
        /// Its time.
        secs: i64,
    },
    /// A file has more names than ext4 counts.
    #[error("store {path}: it has {links} names and ext4 allows 65000")]
    TooManyLinks {
        /// Its first name.
        path: TreePath,
        /// How many names it has.
        links: u32,
    },
    /// A symbolic link's target is empty, longer than 4095 bytes or has a zero byte.
    #[error("store the link {path}: its target must have 1 to 4095 bytes, none of them zero")]
    Target {
        /// The link.
        path: TreePath,
    },
    /// A device number has more than 12 bits (major) or 20 bits (minor).
    #[error("store the device {path}: Linux has no device {major}:{minor}")]
    Device {
        /// The device.
        path: TreePath,
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// An extended attribute has no place.
    #[error("store the attribute {name} of {path}")]
    Xattr {
        /// The entry.
        path: TreePath,
        /// The attribute.
        name: String,
        /// Why it has none.
        #[source]
        source: XattrError,
    },
    /// A folder has more names than a hash tree of two levels holds, some 10 to 25 million.
    #[error("store the folder {path}: it has too many names")]
    TooManyNames {
        /// The folder.
        path: TreePath,
    },
    /// A file is over 16 TiB.
    #[error("store {path}: {size_bytes} bytes is over ext4's limit of 16 TiB")]
    FileTooLarge {
        /// The file.
        path: TreePath,
        /// Its length.
        size_bytes: u64,
    },
    /// The data ranges given for a content are not ascending, or lie beyond its end.
    #[error("store {path}: the data ranges given for content {digest} do not fit it")]
    Ranges {
        /// The file.
        path: TreePath,
        /// Its content.
        digest: Digest,
    },
    /// The fixed size is too small.
    #[error("fit the tree in {size_bytes} bytes: it needs {needed_bytes}")]
    NoSpace {
        /// What a minimal image has, in bytes.
        needed_bytes: u64,
        /// What was asked for, in bytes.
        size_bytes: u64,
    },
    /// The image would be over 8 TiB.
    #[error("make an image of {size_bytes} bytes: the limit is 8 TiB")]
    TooLarge {
        /// The size that was asked for or needed, in bytes.
        size_bytes: u64,
    },
}

/// Decides where everything of a tree stands in an ext4 image.
///
/// # Errors
/// When ext4 cannot hold an entry, or the image cannot have the size.
pub fn plan(tree: &Tree, options: &Options) -> Result<Layout, PlanError> {
    check(options)?;
    let lost_found = LostAndFound::new(options);
    let index = Index::new(tree, &lost_found);
    let shapes = Shapes::new(&index, options)?;
    let (geometry, placement) = placement::fit(&index, &shapes, options)?;
    Ok(Layout::new(options, geometry, shapes, placement))
}

fn check(options: &Options) -> Result<(), PlanError> {
    if options.label.len() > 16 {
        return Err(PlanError::Label(options.label.clone()));
    }
    let fits = i64::try_from(options.epoch_secs).is_ok_and(|secs| inode::time_words(secs).is_some());
    if fits { Ok(()) } else { Err(PlanError::Epoch(options.epoch_secs)) }
}
