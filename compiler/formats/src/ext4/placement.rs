//! Finds the size of an image and the first block of everything in it.
//!
//! The needs of all entries go in. Data blocks are given out in one ascending sweep: resize inode, journal, folders,
//! extended attributes, then contents in the order of inodes; so what is in use is always a prefix of the data blocks.

use super::extents::{Segment, extents, tree_blocks};
use super::geometry::Geometry;
use super::index::{Index, Slot, inode_number};
use super::options::{Options, Size};
use super::plan::PlanError;
use super::shape::Shapes;
use super::{BLOCK_BYTES, journal};

/// Blocks of the largest image: 8 TiB, far below where descriptors or 32-bit block numbers would run out.
const BLOCKS_LIMIT: u64 = 1 << 31;

/// Where everything stands.
#[derive(Debug, Clone)]
pub struct Placement {
    /// First block of each entry's data, by slot; the blocks of its extent tree follow the data. 0 without data.
    pub starts: Vec<u32>,
    /// The blocks of extended attributes.
    pub xattr_blocks: Vec<u32>,
    /// The doubly indirect block of the resize inode.
    pub doubly_indirect: u32,
    /// First block of the journal, and how many it has; they may be interrupted by tables.
    pub journal: Option<(u32, u32)>,
    /// The block after the last one in use.
    pub end: u32,
}

/// Chooses the size of the image and places everything.
///
/// # Errors
/// When a fixed size is too small, or what is needed is too large for any image.
pub fn fit(index: &Index<'_>, shapes: &Shapes, options: &Options) -> Result<(Geometry, Placement), PlanError> {
    let Size::Fixed(size_bytes) = options.size else {
        return fit_least(index, shapes, options);
    };
    let blocks = image_blocks(size_bytes / BLOCK_BYTES as u64)?;
    let fitted = Geometry::new(blocks, least_inodes(index, shapes, options, blocks), options.bytes_per_inode)
        .and_then(|geometry| Some((place(index, shapes, options, &geometry).ok()?, geometry)));
    if let Some((placement, geometry)) = fitted {
        return Ok((geometry, placement));
    }
    let size = Size::Minimal { free_bytes: 0, free_percent: 0 };
    let (least, _) = fit_least(index, shapes, &Options { size, ..options.clone() })?;
    Err(PlanError::NoSpace { needed_bytes: u64::from(least.blocks) * BLOCK_BYTES as u64, size_bytes })
}

/// Grows an image from a size that is surely too small until everything fits and enough is free.
fn fit_least(index: &Index<'_>, shapes: &Shapes, options: &Options) -> Result<(Geometry, Placement), PlanError> {
    let (free_bytes, free_percent) = match options.size {
        Size::Minimal { free_bytes, free_percent } => (free_bytes, u64::from(free_percent.min(90))),
        Size::Fixed(_) => (0, 0),
    };
    let mut blocks = data_blocks(shapes);
    loop {
        let least_inodes = least_inodes(index, shapes, options, image_blocks(blocks)?);
        let Some(geometry) = Geometry::new(image_blocks(blocks)?, least_inodes, options.bytes_per_inode) else {
            blocks += blocks / 64 + 8;
            continue;
        };
        // A last group that was dropped comes back when the image is large enough for its tables.
        let step = if u64::from(geometry.blocks) < blocks { 256 } else { 1 };
        match place(index, shapes, options, &geometry) {
            Err(missing) => blocks += missing.max(step),
            Ok(placement) => {
                let free = free_blocks(&geometry, placement.end);
                let used = u64::from(geometry.blocks) - free;
                let share = (used * 100).div_ceil(100 - free_percent) - used;
                let wanted = share.max(super::blocks_of(free_bytes));
                if free >= wanted {
                    return Ok((geometry, placement));
                }
                blocks += (wanted - free).max(step);
            }
        }
    }
}

/// Data blocks from this one on.
pub fn free_blocks(geometry: &Geometry, end: u32) -> u64 {
    geometry.runs_from(end, u32::MAX).map(|run| u64::from(run.blocks)).sum()
}

/// The blocks of the extent tree of a file whose data begins here.
pub fn tree_places(geometry: &Geometry, start: u32, data_blocks: u32, tree_blocks: u32) -> Vec<u32> {
    let mut skip = data_blocks;
    let mut places = Vec::with_capacity(tree_blocks as usize);
    for run in geometry.runs_from(start, data_blocks + tree_blocks) {
        let skipped = run.blocks.min(skip);
        skip -= skipped;
        places.extend(run.start + skipped..run.end());
    }
    places
}

/// The inodes of the tree, and further ones in proportion to the space that its data leave: small files of the tree
/// must not use up what the free space will need.
fn least_inodes(index: &Index<'_>, shapes: &Shapes, options: &Options, blocks: u32) -> u32 {
    let spare_bytes = u64::from(blocks).saturating_sub(data_blocks(shapes)) * BLOCK_BYTES as u64;
    let spare_inodes = spare_bytes / u64::from(options.bytes_per_inode.max(BLOCK_BYTES as u32));
    u32::try_from(spare_inodes).unwrap_or(u32::MAX).saturating_add(inode_number(index.len() - 1))
}

fn data_blocks(shapes: &Shapes) -> u64 {
    shapes.data_blocks.iter().map(|blocks| u64::from(*blocks)).sum()
}

fn image_blocks(blocks: u64) -> Result<u32, PlanError> {
    u32::try_from(blocks)
        .ok()
        .filter(|blocks| u64::from(*blocks) <= BLOCKS_LIMIT)
        .ok_or(PlanError::TooLarge { size_bytes: blocks.saturating_mul(BLOCK_BYTES as u64) })
}

/// Places everything in an image, or says how many blocks it lacks.
fn place(index: &Index<'_>, shapes: &Shapes, options: &Options, geometry: &Geometry) -> Result<Placement, u64> {
    let mut sweep = Sweep { geometry, next: 0, missing: 0 };
    let mut starts = vec![0; index.len() as usize];
    let doubly_indirect = sweep.take(1);
    let journal = options.journal.then(|| {
        let blocks = journal::blocks_for(geometry.blocks);
        (sweep.take_file(&[Segment { logical: 0, blocks }]), blocks)
    });
    let is_folder = |slot: &Slot| index.node(*slot).is_dir();
    for slot in (0..index.len()).filter(is_folder) {
        starts[slot as usize] = sweep.take_file(&shapes.segments(slot));
    }
    let xattr_blocks = shapes.xattr_blocks.iter().map(|_| sweep.take(1)).collect();
    for slot in (0..index.len()).filter(|slot| !is_folder(slot)) {
        starts[slot as usize] = sweep.take_file(&shapes.segments(slot));
    }
    let placement = Placement { starts, xattr_blocks, doubly_indirect, journal, end: sweep.next };
    if sweep.missing > 0 { Err(sweep.missing) } else { Ok(placement) }
}

/// Gives out data blocks in ascending order.
struct Sweep<'g> {
    geometry: &'g Geometry,
    /// No data block before this one is free.
    next: u32,
    missing: u64,
}

impl Sweep<'_> {
    /// Takes some blocks and returns the first; 0 when there are none to take.
    fn take(&mut self, blocks: u32) -> u32 {
        let mut first = 0;
        let mut left = blocks;
        for run in self.geometry.runs_from(self.next, blocks) {
            first = if first == 0 { run.start } else { first };
            self.next = run.end();
            left -= run.blocks;
        }
        self.missing += u64::from(left);
        first
    }

    /// Takes the data blocks of a file, then those of its extent tree, and returns the first.
    fn take_file(&mut self, segments: &[Segment]) -> u32 {
        let start = self.take(segments.iter().map(|segment| segment.blocks).sum());
        if self.missing == 0 && start != 0 {
            self.take(tree_blocks(extents(self.geometry, segments, start).len()));
        }
        start
    }
}
