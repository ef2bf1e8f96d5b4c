//! The containers whose units are compressed: qcow2, VMDK and the archive around a VMDK.
//!
//! Each has lanes: threads that compress whole chunks, in turn. One writer takes their results in the same order, so
//! the number of lanes changes the speed and never the bytes.

use std::io::{self, BufWriter, SeekFrom, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, Scope};

use formats::ovf;
use formats::qcow2::{self, CLUSTER_BYTES, Encoded};
use formats::vmdk::{self, GRAIN_BYTES};

use super::Storage;
use super::chunks::{CHUNK_BYTES, Chunk};
use super::containers::{Disk, vmdk_options};
use super::digest::read_back;
use crate::{FileDigests, HashingWriter};

/// Bytes gathered before a file is written to.
const BUFFER_BYTES: usize = 1 << 20;

type Chunks = Receiver<Arc<Chunk>>;

/// Writes a qcow2 file.
pub fn qcow2(
    disk: &Disk,
    compression: qcow2::Compression,
    lanes: Vec<Chunks>,
    output: &mut dyn Storage,
) -> io::Result<FileDigests> {
    let buffered = BufWriter::with_capacity(BUFFER_BYTES, &mut *output);
    let mut writer = qcow2::Writer::new(buffered, disk.size_bytes, compression);
    let encoder = || {
        let mut encoder = qcow2::Encoder::new(compression)?;
        Ok(move |chunk: &Chunk| chunk.bytes.chunks(CLUSTER_BYTES).map(|cluster| encoder.encode(cluster)).collect())
    };
    in_order(lanes, &encoder, &mut |chunk, encoded: Vec<Encoded>| {
        let first = chunk.index * (CHUNK_BYTES / CLUSTER_BYTES) as u64;
        // The last chunk may reach beyond the end of the disk.
        let clusters = (first..disk.size_bytes.div_ceil(CLUSTER_BYTES as u64))
            .zip(chunk.bytes.chunks(CLUSTER_BYTES))
            .zip(&encoded);
        clusters.into_iter().try_for_each(|((index, plain), encoded)| writer.put(index, plain, encoded))
    })?;
    writer.finish()?.flush()?;
    read_back(output)
}

/// Writes a VMDK file, digested on the way.
pub fn vmdk(options: vmdk::Options, lanes: Vec<Chunks>, output: &mut (dyn Write + Send)) -> io::Result<FileDigests> {
    let hashing = HashingWriter::new(BufWriter::with_capacity(BUFFER_BYTES, output));
    let mut writer = vmdk::Writer::new(hashing, options)?;
    let encoder = || {
        let mut encoder = vmdk::Encoder::default();
        Ok(move |chunk: &Chunk| chunk.bytes.chunks(GRAIN_BYTES).map(|grain| encoder.encode(grain)).collect())
    };
    in_order(lanes, &encoder, &mut |chunk, encoded: Vec<Option<Vec<u8>>>| {
        let first = chunk.index * (CHUNK_BYTES / GRAIN_BYTES) as u64;
        let grains = (first..).zip(encoded).filter_map(|(index, grain)| Some((index, grain?)));
        grains.into_iter().try_for_each(|(index, grain)| writer.put(index, &grain))
    })?;
    let (mut buffered, digests) = writer.finish()?.finish();
    buffered.flush()?;
    Ok(digests)
}

/// Writes an archive: its head once without the disk's length, and again with it.
pub fn ova(
    disk: &Disk,
    content_id: [u8; 16],
    archive: &ovf::Archive,
    machine: &ovf::Machine,
    lanes: Vec<Chunks>,
    output: &mut dyn Storage,
) -> io::Result<FileDigests> {
    let disk_file = archive.disk_file();
    let machine = ovf::Machine { disk_bytes: disk.size_bytes, disk_file: disk_file.clone(), ..machine.clone() };
    let descriptor = ovf::descriptor(&machine);
    output.write_all(&archive.head(&descriptor, 0)?)?;
    let digests = vmdk(vmdk_options(disk, content_id, &disk_file), lanes, &mut *output)?;
    let descriptor_sha256 = FileDigests::of(descriptor.as_bytes()).sha256;
    let manifest = ovf::manifest(&[(&archive.descriptor_file(), &descriptor_sha256), (&disk_file, &digests.sha256)]);
    output.write_all(&archive.tail(digests.size_bytes, &manifest)?)?;
    output.seek(SeekFrom::Start(0))?;
    output.write_all(&archive.head(&descriptor, digests.size_bytes)?)?;
    output.flush()?;
    read_back(output)
}

/// Runs `make`'s function on every chunk, one thread a lane, and `take` on the results in the order of the chunks.
fn in_order<E: Send, F: FnMut(&Chunk) -> io::Result<E>>(
    lanes: Vec<Chunks>,
    make: &(dyn Fn() -> io::Result<F> + Sync),
    take: &mut dyn FnMut(&Chunk, E) -> io::Result<()>,
) -> io::Result<()> {
    thread::scope(|scope| {
        let results: Vec<_> = lanes.into_iter().map(|lane| start(scope, lane, make)).collect();
        for result in results.iter().cycle() {
            // The lane whose turn it is ends first, when there are no more chunks.
            let Ok(result) = result.recv() else { break };
            let (chunk, encoded) = result?;
            take(&chunk, encoded)?;
        }
        Ok(())
    })
}

type Results<E> = Receiver<io::Result<(Arc<Chunk>, E)>>;

fn start<'s, E: Send + 's, F: FnMut(&Chunk) -> io::Result<E>>(
    scope: &'s Scope<'s, '_>,
    lane: Chunks,
    make: &'s (dyn Fn() -> io::Result<F> + Sync),
) -> Results<E> {
    let (results, taken) = sync_channel(1);
    scope.spawn(move || {
        let mut encode = match make() {
            Ok(encode) => encode,
            Err(error) => return drop(results.send(Err(error))),
        };
        for chunk in lane {
            let result = encode(&chunk).map(|encoded| (chunk, encoded));
            if results.send(result).is_err() {
                return;
            }
        }
    });
    taken
}
