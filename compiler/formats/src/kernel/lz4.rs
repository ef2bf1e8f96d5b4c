//! The legacy frame of lz4, which only kernels still use (`lz4_Frame_format.md`, "Legacy frame"; the blocks:
//! `lz4_Block_format.md`).
//!
//! A magic, then blocks: a length of four bytes and so many bytes, each but the last giving 8 MiB.

/// First bytes of a legacy frame: 0x184C2102, little end first.
pub(super) const MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];

/// What a block decompresses to, at most.
const BLOCK_BYTES: usize = 8 << 20;

/// Decompresses a frame to at most `limit_bytes`; `None` when it is damaged or larger.
pub(super) fn unpack(frame: &[u8], limit_bytes: u64) -> Option<Vec<u8>> {
    let mut rest = frame.strip_prefix(&MAGIC)?;
    let mut out = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk() {
        // A last block is followed by the kernel's length, by zeros, or by nothing.
        let length = u32::from_le_bytes(*length) as usize;
        if length == 0 || (tail.len() < length && !out.is_empty()) {
            break;
        }
        block(tail.get(..length)?, &mut out)?;
        if out.len() as u64 > limit_bytes {
            return None;
        }
        rest = &tail[length..];
    }
    (!out.is_empty()).then_some(out)
}

/// Appends one block's content. Offsets reach back within the block only.
fn block(mut input: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    loop {
        let token = take(&mut input)?;
        let literals = length(&mut input, token >> 4)?;
        out.extend_from_slice(input.get(..literals)?);
        input = &input[literals..];
        if input.is_empty() {
            return (out.len() - start <= BLOCK_BYTES).then_some(());
        }
        let offset = usize::from(u16::from_le_bytes([take(&mut input)?, take(&mut input)?]));
        let count = length(&mut input, token & 15)? + 4;
        let from = out.len().checked_sub(offset).filter(|from| offset > 0 && *from >= start)?;
        if out.len() - start + count > BLOCK_BYTES {
            return None;
        }
        copy(out, from, count);
    }
}

/// Copies from what was written before; where the two overlap, the copied bytes repeat.
pub(super) fn copy(out: &mut Vec<u8>, from: usize, count: usize) {
    let offset = out.len() - from;
    let mut left = count;
    while left > 0 {
        let piece = left.min(offset);
        let at = out.len() - offset;
        out.extend_from_within(at..at + piece);
        left -= piece;
    }
}

fn length(input: &mut &[u8], nibble: u8) -> Option<usize> {
    let mut length = usize::from(nibble);
    if nibble < 15 {
        return Some(length);
    }
    loop {
        let more = take(input)?;
        length = length.checked_add(usize::from(more)).filter(|length| *length <= BLOCK_BYTES)?;
        if more < 255 {
            return Some(length);
        }
    }
}

fn take(input: &mut &[u8]) -> Option<u8> {
    let (first, rest) = input.split_first()?;
    *input = rest;
    Some(*first)
}
