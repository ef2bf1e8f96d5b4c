//! Disk images: a qcow2 file, given as pieces at offsets, since a real one is mostly zeros.

use formats::qcow2::{CLUSTER_BYTES, Image};

use super::pieces::Pieces;

/// Bytes of the file that pieces are put into.
const FILE_BYTES: usize = 8 * CLUSTER_BYTES;

/// Clusters that are read; each is 64 KiB.
const CLUSTERS_READ: usize = 20;

/// Reads tables and clusters: clusters ascend, lie on the disk and are whole.
pub fn qcow2(data: &[u8]) -> bool {
    let mut pieces = Pieces(data);
    let mut file = vec![0; FILE_BYTES];
    while !pieces.is_empty() {
        let (at, length) = (pieces.number() as usize % FILE_BYTES, usize::from(pieces.byte()));
        let chunk = pieces.chunk(length.min(FILE_BYTES - at));
        file[at..at + chunk.len()].copy_from_slice(chunk);
    }
    let Ok(image) = Image::parse(&file) else { return false };
    let (Ok(clusters), Ok(_)) = (image.clusters(), image.dump()) else { return false };
    assert!(clusters.is_sorted_by(|left, right| left.0 < right.0));
    let last = clusters.last().map_or(0, |(index, _)| index * CLUSTER_BYTES as u64);
    assert!(last <= image.size_bytes());
    let read = clusters.iter().take(CLUSTERS_READ).map(|(index, cluster)| image.read(*index, *cluster));
    let whole = read.flatten().inspect(|bytes| assert_eq!(bytes.len(), CLUSTER_BYTES)).count();
    whole > 0
}
