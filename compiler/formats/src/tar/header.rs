//! The 512-byte ustar header block: fields by offset, numbers in octal, checksum.

use super::BLOCK_BYTES;

/// Largest value of the 8-byte number fields: seven octal digits and a NUL.
pub(super) const MAX_ID: u64 = 0o7_777_777;
/// Largest value of the 12-byte number fields: eleven octal digits and a NUL; 8 GiB less one as a size.
pub(super) const MAX_LONG: u64 = 0o77_777_777_777;
/// Length of the `name` and `linkname` fields; a full field has no NUL.
pub(super) const NAME_BYTES: usize = 100;
/// Length of the `prefix` field.
pub(super) const PREFIX_BYTES: usize = 155;

/// Where a field lies in the block (IEEE Std 1003.1, ustar header block).
#[derive(Clone, Copy)]
pub(super) struct Field {
    at: usize,
    len: usize,
}

pub(super) const NAME: Field = Field { at: 0, len: NAME_BYTES };
pub(super) const MODE: Field = Field { at: 100, len: 8 };
pub(super) const UID: Field = Field { at: 108, len: 8 };
pub(super) const GID: Field = Field { at: 116, len: 8 };
pub(super) const SIZE: Field = Field { at: 124, len: 12 };
pub(super) const MTIME: Field = Field { at: 136, len: 12 };
pub(super) const CHECKSUM: Field = Field { at: 148, len: 8 };
pub(super) const TYPE: usize = 156;
pub(super) const LINK_NAME: Field = Field { at: 157, len: NAME_BYTES };
pub(super) const MAGIC: Field = Field { at: 257, len: 8 };
pub(super) const USER_NAME: Field = Field { at: 265, len: 32 };
pub(super) const GROUP_NAME: Field = Field { at: 297, len: 32 };
pub(super) const DEV_MAJOR: Field = Field { at: 329, len: 8 };
pub(super) const DEV_MINOR: Field = Field { at: 337, len: 8 };
pub(super) const PREFIX: Field = Field { at: 345, len: PREFIX_BYTES };

/// Magic and version of ustar.
pub(super) const USTAR_MAGIC: &[u8; 8] = b"ustar\x0000";

/// One header block.
pub(super) struct Block(pub(super) [u8; BLOCK_BYTES]);

impl Block {
    /// A ustar block of this type with all numbers zero and all names empty.
    pub(super) fn ustar(kind: u8) -> Self {
        let mut block = Self([0; BLOCK_BYTES]);
        block.bytes_mut(MAGIC).copy_from_slice(USTAR_MAGIC);
        block.0[TYPE] = kind;
        for field in [MODE, UID, GID, SIZE, MTIME, DEV_MAJOR, DEV_MINOR] {
            block.set_number(field, 0);
        }
        block
    }

    /// The type of the entry; NUL is how the oldest archives say "regular file".
    pub(super) fn kind(&self) -> u8 {
        self.0[TYPE]
    }

    /// The text of a field, up to its first NUL.
    pub(super) fn text(&self, field: Field) -> &[u8] {
        self.bytes(field).split(|&b| b == 0).next().unwrap_or_default()
    }

    /// The number in a field: octal between spaces and NULs, or GNU's base-256, which may be negative.
    /// `None` when it is neither or does not fit 64 bits.
    pub(super) fn number(&self, field: Field) -> Option<i64> {
        match self.bytes(field) {
            [first, rest @ ..] if first & 0x80 != 0 => base_256(*first, rest),
            bytes => octal(bytes),
        }
    }

    /// The bytes of a field.
    pub(super) fn bytes(&self, field: Field) -> &[u8] {
        &self.0[field.at..field.at + field.len]
    }

    fn bytes_mut(&mut self, field: Field) -> &mut [u8] {
        &mut self.0[field.at..field.at + field.len]
    }

    /// Writes text, cut to the field's length.
    pub(super) fn set_text(&mut self, field: Field, text: &[u8]) {
        let len = text.len().min(field.len);
        self.bytes_mut(field)[..len].copy_from_slice(&text[..len]);
    }

    /// Writes a number in octal with leading zeros and a NUL; the caller has checked that it fits.
    pub(super) fn set_number(&mut self, field: Field, value: u64) {
        let digits = field.len - 1;
        let text = format!("{value:0digits$o}");
        assert!(text.len() == digits, "a number was checked to fit its field");
        self.bytes_mut(field)[..digits].copy_from_slice(text.as_bytes());
    }

    /// Fills in the checksum, which must be the last change.
    pub(super) fn seal(mut self) -> [u8; BLOCK_BYTES] {
        let text = format!("{:06o}\0 ", self.checksum());
        self.bytes_mut(CHECKSUM).copy_from_slice(text.as_bytes());
        self.0
    }

    /// The sum of all bytes with the checksum field taken as spaces.
    pub(super) fn checksum(&self) -> u64 {
        let sum = |bytes: &[u8]| bytes.iter().map(|&b| u64::from(b)).sum::<u64>();
        sum(&self.0) - sum(self.bytes(CHECKSUM)) + 8 * u64::from(b' ')
    }
}

fn octal(bytes: &[u8]) -> Option<i64> {
    let text = bytes.split(|&b| b == 0).next()?.trim_ascii();
    text.iter().try_fold(0i64, |value, &b| match b {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(b - b'0')),
        _ => None,
    })
}

/// Two's complement, big-endian; the top bit of the first byte is the mark and the next one the sign.
fn base_256(first: u8, rest: &[u8]) -> Option<i64> {
    let negative = first & 0x40 != 0;
    let start = if negative { i128::from(first) - 0x100 } else { i128::from(first & 0x3f) };
    let value = rest.iter().try_fold(start, |value, &b| value.checked_mul(256)?.checked_add(b.into()))?;
    value.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        let read = |bytes: &[u8]| {
            let mut block = Block([0; BLOCK_BYTES]);
            block.set_text(SIZE, bytes);
            block.number(SIZE)
        };
        assert_eq!(read(b"00000000017\0"), Some(15));
        assert_eq!(read(b"   17 "), Some(15));
        assert_eq!(read(b""), Some(0));
        assert_eq!(read(b"777777777777"), Some(0o777_777_777_777));
        assert_eq!(read(b"8"), None);
        assert_eq!(read(b"-1"), None);
        assert_eq!(read(b"\x80\0\0\0\0\0\0\x02\0\0\0\0"), Some(1 << 33));
        assert_eq!(read(&[0xff; 12]), Some(-1));
        assert_eq!(read(&[0xbf; 12]), None);
    }
}
