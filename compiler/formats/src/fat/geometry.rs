//! How the sectors of a volume are divided between boot sectors, tables and clusters.

use super::SECTOR_BYTES;

/// Sectors before the first table; the usual number, which leaves room for both copies of the boot sectors.
pub const RESERVED_SECTORS: u32 = 32;

/// Copies of the table.
pub const TABLES: u32 = 2;

/// Fewest clusters of FAT32: with one less, a volume is FAT16 (FATGEN103, "FAT Type Determination"). Sixteen more,
/// as that text advises, since some programs are off by a few.
pub const CLUSTERS_LEAST: u32 = 65525 + 16;

/// Most clusters: numbers from 0x0FFFFFF7 on mean something else.
const CLUSTERS_MOST: u32 = 0x0fff_fff5;

/// Volumes of at most this size have clusters of one sector, larger ones of eight (FATGEN103, table for FAT32).
const SMALL_VOLUME_BYTES: u64 = 260 << 20;

/// Entries in a sector of the table.
const ENTRIES_PER_SECTOR: u32 = SECTOR_BYTES as u32 / 4;

/// A volume's division. Tables describe all clusters, and clusters begin at a multiple of 4096 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    pub sectors: u32,
    pub sectors_per_cluster: u32,
    pub table_sectors: u32,
    pub clusters: u32,
}

impl Geometry {
    /// Divides a volume of this many bytes, or says that it is too small or too large for FAT32.
    pub fn new(size_bytes: u64) -> Option<Self> {
        let sectors = u32::try_from(size_bytes / SECTOR_BYTES).ok()?;
        let sectors_per_cluster = sectors_per_cluster(size_bytes);
        let mut table_sectors = 4;
        loop {
            let head = RESERVED_SECTORS + TABLES * table_sectors;
            let clusters = sectors.checked_sub(head)? / sectors_per_cluster;
            let needed = (clusters + 2).div_ceil(ENTRIES_PER_SECTOR).next_multiple_of(4);
            if needed <= table_sectors {
                let geometry = Self { sectors, sectors_per_cluster, table_sectors, clusters };
                return (CLUSTERS_LEAST..=CLUSTERS_MOST).contains(&clusters).then_some(geometry);
            }
            table_sectors = needed;
        }
    }

    /// The least volume with room for data of this many bytes in whole clusters.
    pub fn least(clusters_of: &dyn Fn(u64) -> u64) -> Option<Self> {
        let mut size_bytes = 1 << 20;
        loop {
            let cluster_bytes = u64::from(sectors_per_cluster(size_bytes)) * SECTOR_BYTES;
            let needed = clusters_of(cluster_bytes).max(u64::from(CLUSTERS_LEAST));
            match Self::new(size_bytes) {
                Some(geometry) if u64::from(geometry.clusters) >= needed => return Some(geometry),
                _ if size_bytes > 1 << 41 => return None,
                _ => size_bytes = (size_bytes + (1 << 20)).max(needed * cluster_bytes).next_multiple_of(1 << 20),
            }
        }
    }

    pub fn size_bytes(&self) -> u64 {
        u64::from(self.sectors) * SECTOR_BYTES
    }

    pub fn cluster_bytes(&self) -> u64 {
        u64::from(self.sectors_per_cluster) * SECTOR_BYTES
    }

    /// Where the table of this number begins.
    pub fn table_offset(&self, table: u32) -> u64 {
        u64::from(RESERVED_SECTORS + table * self.table_sectors) * SECTOR_BYTES
    }

    /// Where this cluster begins.
    pub fn cluster_offset(&self, cluster: u32) -> u64 {
        self.table_offset(TABLES) + u64::from(cluster - super::FIRST_CLUSTER) * self.cluster_bytes()
    }
}

fn sectors_per_cluster(size_bytes: u64) -> u32 {
    if size_bytes <= SMALL_VOLUME_BYTES { 1 } else { 8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_describe_all_clusters_and_every_sector_is_used_but_few() {
        for size_mib in [34, 64, 260, 261, 512, 2048, 100_000] {
            let geometry = Geometry::new(size_mib << 20).unwrap();
            assert!(geometry.table_sectors * ENTRIES_PER_SECTOR >= geometry.clusters + 2, "{geometry:?}");
            let used = RESERVED_SECTORS + 2 * geometry.table_sectors + geometry.clusters * geometry.sectors_per_cluster;
            assert!(used <= geometry.sectors && geometry.sectors - used < 8, "{geometry:?}");
            assert!(geometry.cluster_offset(2).is_multiple_of(4096));
        }
        assert_eq!(Geometry::new(20 << 20), None);
        assert_eq!(Geometry::new(3 << 40), None);
    }

    #[test]
    fn the_least_volume_is_the_smallest_fat32_and_holds_what_is_asked_for() {
        assert_eq!(Geometry::least(&|_| 0).unwrap().size_bytes(), 33 << 20);
        for bytes in [40 << 20, 259 << 20, 260 << 20, 300 << 20, 5_u64 << 30] {
            let geometry = Geometry::least(&|cluster| bytes / cluster).unwrap();
            assert!(u64::from(geometry.clusters) * geometry.cluster_bytes() >= bytes);
        }
    }
}
