//! File systems as sources of regions: a planned layout with what fills it.

use std::io;
use std::ops::Range;

use formats::region::{RegionSink, RegionSource};
use formats::{ext4, fat};
use tree::{Blobs, Tree};

/// A planned ext4 file system.
pub struct Ext4Source<'a> {
    /// Its plan.
    pub layout: &'a ext4::Layout,
    /// The tree that was planned.
    pub tree: &'a Tree,
    /// The tree's contents.
    pub blobs: &'a dyn Blobs,
}

/// What is in a partition, with room behind it that reads as zeros: a file system grows into it when it is first mounted.
pub struct Roomy<S> {
    /// What is in it.
    pub source: S,
    /// Its size with the room.
    pub size_bytes: u64,
}

impl<S: RegionSource> RegionSource for Roomy<S> {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn data_ranges(&self) -> Vec<Range<u64>> {
        self.source.data_ranges()
    }

    fn write(&self, sink: &mut dyn RegionSink) -> io::Result<()> {
        self.source.write(sink)
    }
}

impl RegionSource for Ext4Source<'_> {
    fn size_bytes(&self) -> u64 {
        self.layout.size_bytes()
    }

    fn data_ranges(&self) -> Vec<Range<u64>> {
        self.layout.data_ranges()
    }

    fn write(&self, sink: &mut dyn RegionSink) -> io::Result<()> {
        ext4::write(self.layout, self.tree, self.blobs, sink).map_err(io::Error::other)
    }
}

/// A planned FAT32 volume.
pub struct FatSource {
    /// Its plan.
    pub layout: fat::Layout,
    /// The contents, in the order of the planned files.
    pub contents: Vec<Vec<u8>>,
}

impl RegionSource for FatSource {
    fn size_bytes(&self) -> u64 {
        self.layout.size_bytes()
    }

    fn data_ranges(&self) -> Vec<Range<u64>> {
        self.layout.data_ranges()
    }

    fn write(&self, sink: &mut dyn RegionSink) -> io::Result<()> {
        let contents: Vec<&[u8]> = self.contents.iter().map(Vec::as_slice).collect();
        fat::write(&self.layout, &contents, sink).map_err(io::Error::other)
    }
}
