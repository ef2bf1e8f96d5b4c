//! Puts little-endian numbers at fixed offsets of an on-disk record.

/// Puts 16 bits at this offset.
pub fn put_u16(record: &mut [u8], at: usize, value: u16) {
    record[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

/// Puts 32 bits at this offset.
pub fn put_u32(record: &mut [u8], at: usize, value: u32) {
    record[at..at + 4].copy_from_slice(&value.to_le_bytes());
}
