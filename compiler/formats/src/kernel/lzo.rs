//! What lzop writes, which some kernels are packed with: blocks of LZO1X behind a header (the layout of the file:
//! `lib/decompress_unlzo.c` of the kernel sources; the stream: the kernel documentation, `staging/lzo.rst`).
//!
//! Checksums are passed over: what comes out must be a kernel, and its package was verified as a whole.

use super::lz4::copy;

/// First bytes of a file.
pub(super) const MAGIC: [u8; 9] = [0x89, b'L', b'Z', b'O', 0, b'\r', b'\n', 0x1a, b'\n'];

/// Flags of the header: checksums before each block, of what comes out and of what is stored, and further fields.
const ADLER_OUT: u32 = 0x1;
const ADLER_STORED: u32 = 0x2;
const CRC_OUT: u32 = 0x100;
const CRC_STORED: u32 = 0x200;
const EXTRA_FIELD: u32 = 0x40;
const FILTER: u32 = 0x800;

/// The version of lzop since which headers have a level and a second half of the time.
const LONG_HEADER: u16 = 0x940;

/// What a block decompresses to, at most (`MAX_BLOCK_SIZE` of lzop).
const MAX_BLOCK_BYTES: usize = 64 << 20;

/// Decompresses a file to at most `limit_bytes`; `None` when it is damaged or larger.
pub(super) fn unpack(file: &[u8], limit_bytes: u64) -> Option<Vec<u8>> {
    let mut input = Input(file.strip_prefix(&MAGIC)?);
    let flags = header(&mut input)?;
    let mut out = Vec::new();
    loop {
        let size = input.number()? as usize;
        if size == 0 {
            return (!out.is_empty()).then_some(out);
        }
        let stored = input.number()? as usize;
        if size > MAX_BLOCK_BYTES || stored > size || (out.len() + size) as u64 > limit_bytes {
            return None;
        }
        let of_stored = if stored < size { flags & (ADLER_STORED | CRC_STORED) } else { 0 };
        let sums = (flags & (ADLER_OUT | CRC_OUT)).count_ones() + of_stored.count_ones();
        input.take(4 * sums as usize)?;
        let bytes = input.take(stored)?;
        if stored == size {
            out.extend_from_slice(bytes);
        } else {
            let end = out.len() + size;
            block(Input(bytes), &mut out, end)?;
        }
    }
}

/// Reads what stands before the blocks and gives the flags.
fn header(input: &mut Input<'_>) -> Option<u32> {
    let version = input.short()?;
    input.take(2)?;
    let is_long = version >= LONG_HEADER;
    input.take(if is_long { 4 } else { 1 })?;
    let flags = input.number()?;
    let filter = if flags & FILTER != 0 { 4 } else { 0 };
    // Mode, and the time in one or two halves.
    input.take(filter + if is_long { 12 } else { 8 })?;
    let name = usize::from(input.byte()?);
    input.take(name + 4)?;
    if flags & EXTRA_FIELD != 0 {
        let length = input.number()? as usize;
        input.take(length.checked_add(4)?)?;
    }
    Some(flags)
}

/// Appends one block's content, which must end at `end`. Offsets reach back within the block only.
fn block(mut input: Input<'_>, out: &mut Vec<u8>, end: usize) -> Option<()> {
    let start = out.len();
    // How many literals came before the next instruction: 0 to 3 behind a match, 4 for a run of them.
    let mut state = 0;
    let first = usize::from(*input.0.first()?);
    if first > 17 {
        input.take(1)?;
        out.extend_from_slice(input.take(first - 17)?);
        state = (first - 17).min(4);
    }
    loop {
        let code = usize::from(input.byte()?);
        let (count, distance, literals) = match code {
            0..16 if state == 0 => {
                let count = 3 + input.length(code, 15)?;
                if out.len() + count > end {
                    return None;
                }
                out.extend_from_slice(input.take(count)?);
                state = 4;
                continue;
            }
            0..16 => {
                let near = (usize::from(input.byte()?) << 2) + (code >> 2) + 1;
                if state == 4 { (3, near + 2048, code & 3) } else { (2, near, code & 3) }
            }
            16..32 => {
                let count = 2 + input.length(code & 7, 7)?;
                let (far, literals) = input.far()?;
                let distance = 16384 + ((code & 8) << 11) + far;
                if distance == 16384 {
                    return (out.len() == end).then_some(());
                }
                (count, distance, literals)
            }
            32..64 => {
                let count = 2 + input.length(code & 31, 31)?;
                let (far, literals) = input.far()?;
                (count, far + 1, literals)
            }
            _ => {
                let distance = (usize::from(input.byte()?) << 3) + ((code >> 2) & 7) + 1;
                let count = if code < 128 { 3 + ((code >> 5) & 1) } else { 5 + ((code >> 5) & 3) };
                (count, distance, code & 3)
            }
        };
        let from = out.len().checked_sub(distance).filter(|from| *from >= start)?;
        if out.len() + count + literals > end {
            return None;
        }
        copy(out, from, count);
        out.extend_from_slice(input.take(literals)?);
        state = literals;
    }
}

/// What is still to be read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    /// Big end first, as the file's own numbers are.
    fn short(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn number(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// A length in so many low bits of an instruction; zero means that it goes on in the bytes behind.
    fn length(&mut self, bits: usize, most: usize) -> Option<usize> {
        if bits > 0 {
            return Some(bits);
        }
        let mut length = most;
        loop {
            match self.byte()? {
                0 => length = Some(length + 255).filter(|length| *length <= MAX_BLOCK_BYTES)?,
                last => return Some(length + usize::from(last)),
            }
        }
    }

    /// The distance in fourteen bits, and the literals behind the match in the two below them.
    fn far(&mut self) -> Option<(usize, usize)> {
        let pair = usize::from(u16::from_le_bytes(self.take(2)?.try_into().ok()?));
        Some((pair >> 2, pair & 3))
    }
}
