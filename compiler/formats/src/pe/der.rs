//! As much of DER as a signature takes: elements are written, and the elements of a certificate are walked (ITU-T X.690).

/// Universal tags.
pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OCTET_STRING: u8 = 0x04;
pub const NULL: u8 = 0x05;
pub const OBJECT: u8 = 0x06;
pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;

/// The tag of a constructed element with this number of its context.
pub const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// One element: tag, length, content.
pub fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len().to_be_bytes();
    let digits = length.iter().position(|byte| *byte != 0).map_or(&length[length.len() - 1..], |at| &length[at..]);
    let mut out = vec![tag];
    if content.len() >= 0x80 {
        out.push(0x80 | digits.len() as u8);
    }
    out.extend_from_slice(digits);
    out.extend(content);
    out
}

/// The first element of these bytes: its tag, its content, all of it, and what follows.
pub struct Element<'a> {
    pub tag: u8,
    pub content: &'a [u8],
    pub whole: &'a [u8],
    pub rest: &'a [u8],
}

/// Takes the first element; `None` where the bytes are cut off or no DER.
pub fn first(bytes: &[u8]) -> Option<Element<'_>> {
    let (tag, length) = (*bytes.first()?, *bytes.get(1)?);
    let digits = match length {
        0..0x80 => 0,
        // More digits than a file can have bytes for, or a length without an end.
        0x80 | 0x85.. => return None,
        _ => usize::from(length & 0x7f),
    };
    let number = |bytes: &[u8]| bytes.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    let content_bytes = if digits == 0 { usize::from(length) } else { number(bytes.get(2..2 + digits)?) };
    let (start, end) = (2 + digits, (2 + digits).checked_add(content_bytes)?);
    Some(Element { tag, content: bytes.get(start..end)?, whole: bytes.get(..end)?, rest: bytes.get(end..)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_every_length_are_read_back() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let content = vec![7; length];
            let bytes = [element(SEQUENCE, &[&content]), b"rest".to_vec()].concat();
            let element = first(&bytes).unwrap();
            assert_eq!((element.tag, element.content, element.rest), (SEQUENCE, &content[..], &b"rest"[..]));
            assert_eq!(element.whole.len() + 4, bytes.len());
            assert!(first(&bytes[..element.whole.len() - 1]).is_none());
        }
        assert_eq!(element(INTEGER, &[&[1]]), [2, 1, 1]);
        for bad in [&b""[..], b"\x30", b"\x30\x80", b"\x30\x81", b"\x30\x85\0\0\0\0\0", b"\x30\x84\xff\xff\xff\xff"] {
            assert!(first(bad).is_none());
        }
    }
}
