//! One pass over a disk that fills any number of containers.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use formats::region::RegionSource;

use super::chunks::{Chunk, Chunker, Lanes};
use super::compressed;
use super::containers::{self, Container, Disk, Format, vmdk_options};
use crate::FileDigests;
use crate::threads::joined;

/// Chunks that may wait in each lane. With the one that a lane works on, this bounds the memory.
const WAITING_CHUNKS: usize = 1;

/// Writes a disk into all of these containers, reading it once, and gives their digests in the same order.
///
/// `workers` threads compress for each container that is compressed; their number does not change the bytes.
///
/// # Errors
/// What the disk's contents or an output report; then no file is complete.
pub fn write_containers(
    disk: &dyn RegionSource,
    containers: Vec<Container<'_>>,
    workers: usize,
) -> io::Result<Vec<FileDigests>> {
    let known = &Disk { size_bytes: disk.size_bytes(), data_ranges: disk.data_ranges() };
    thread::scope(|scope| {
        let mut lanes = Vec::new();
        let mut writers = Vec::new();
        for container in containers {
            let (senders, receivers) =
                (0..lane_count(&container.format, workers)).map(|_| sync_channel(WAITING_CHUNKS)).unzip();
            lanes.push(Lanes { senders, next: 0 });
            writers.push(scope.spawn(move || write_one(known, container, receivers)));
        }
        let mut chunker = Chunker::new(lanes);
        let read = disk.write(&mut chunker).and_then(|()| chunker.finish());
        let written: Vec<_> = writers.into_iter().map(joined).collect();
        let written = written.into_iter().collect::<io::Result<Vec<_>>>();
        // A source only sees a closed lane when an output failed, so the output's error comes first: it says why.
        written.and_then(|digests| read.map(|()| digests))
    })
}

fn lane_count(format: &Format, workers: usize) -> usize {
    match format {
        Format::Raw | Format::Part(_) | Format::Vhdx(_) => 1,
        Format::Qcow2(_) | Format::Vmdk { .. } | Format::Ova { .. } => workers.max(1),
    }
}

fn write_one(disk: &Disk, container: Container<'_>, mut lanes: Vec<Receiver<Arc<Chunk>>>) -> io::Result<FileDigests> {
    let Container { format, output } = container;
    match format {
        Format::Raw => containers::raw(disk, &lanes.remove(0), output),
        Format::Part(range) => containers::part(&range, &lanes.remove(0), output),
        Format::Vhdx(ids) => containers::vhdx(disk, ids, &lanes.remove(0), output),
        Format::Qcow2(compression) => compressed::qcow2(disk, compression, lanes, output),
        Format::Vmdk { content_id, file_name } => {
            compressed::vmdk(vmdk_options(disk, content_id, &file_name), lanes, &mut &mut *output)
        }
        Format::Ova { content_id, archive, machine } => {
            compressed::ova(disk, content_id, &archive, &machine, lanes, output)
        }
    }
}
