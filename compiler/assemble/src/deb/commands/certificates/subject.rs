//! The number by which OpenSSL looks up a certificate: the first four bytes of SHA-1 over its subject's canonical form
//! (openssl-rehash(1); RFC 5280 section 4.1 for the structure). Input is PEM text, output eight hexadecimal digits.

use sha1::{Digest, Sha1};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const UTF8: u8 = 0x0c;
const BMP: u8 = 0x1e;
const UNIVERSAL: u8 = 0x1c;
/// Printable, Teletex, IA5, Visible: one byte a character.
const BYTE_STRINGS: [u8; 4] = [0x13, 0x14, 0x16, 0x1a];

/// The subject hash of the one certificate in a PEM text; `None` when it is malformed or holds several.
pub fn subject_hash(pem: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(pem).ok()?;
    let mut bodies = text.split("-----BEGIN CERTIFICATE-----").skip(1);
    let body = bodies.next()?.split("-----END CERTIFICATE-----").next()?;
    if bodies.next().is_some() {
        return None;
    }
    let der = base64(body)?;
    let (_, certificate, _) = element(&der)?;
    let (_, mut fields, _) = element(certificate)?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields)?.2;
    }
    // Before the subject stand serial number, algorithm, issuer and validity.
    for _ in 0..4 {
        fields = element(fields)?.2;
    }
    let (_, subject, _) = element(fields).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let digest = Sha1::digest(canonical(subject)?);
    let first = u32::from_le_bytes(digest.get(..4)?.try_into().ok()?);
    Some(format!("{first:08x}"))
}

/// The sets of a name one after the other, each string as UTF-8 in lower case with single spaces.
fn canonical(mut name: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    while !name.is_empty() {
        let (_, mut set, rest) = element(name)?;
        let mut pairs = Vec::new();
        while !set.is_empty() {
            let (_, pair, next) = element(set)?;
            let (tag, oid, value) = element(pair)?;
            let mut canonical = wrap(tag, oid);
            let (tag, value, _) = element(value)?;
            match decode(tag, value) {
                Some(text) => canonical.extend(wrap(UTF8, folded(&text).as_bytes())),
                None => canonical.extend(wrap(tag, value)),
            }
            pairs.push(wrap(SEQUENCE, &canonical));
            set = next;
        }
        pairs.sort();
        out.extend(wrap(SET, &pairs.concat()));
        name = rest;
    }
    Some(out)
}

fn decode(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        UTF8 => String::from_utf8(value.to_vec()).ok(),
        BMP => {
            value.chunks(2).map(|two| char::from_u32(u32::from(*two.first()?) << 8 | u32::from(*two.get(1)?))).collect()
        }
        UNIVERSAL => value.chunks(4).map(|four| char::from_u32(u32::from_be_bytes(four.try_into().ok()?))).collect(),
        tag if BYTE_STRINGS.contains(&tag) => Some(value.iter().map(|byte| char::from(*byte)).collect()),
        _ => None,
    }
}

/// Only ASCII is folded, as OpenSSL does it.
fn folded(text: &str) -> String {
    let words: Vec<String> = text
        .split(|c: char| c.is_ascii_whitespace() || c == '\x0b')
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    words.join(" ")
}

/// Splits the first element off: its tag, its content and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, first) = (*bytes.first()?, usize::from(*bytes.get(1)?));
    let (size, start) = match first {
        0..=0x7f => (first, 2),
        0x81..=0x84 => {
            let count = first - 0x80;
            let size = bytes.get(2..2 + count)?.iter().fold(0_usize, |size, byte| size << 8 | usize::from(*byte));
            (size, 2 + count)
        }
        _ => return None,
    };
    let end = start.checked_add(size)?;
    Some((tag, bytes.get(start..end)?, bytes.get(end..)?))
}

fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let size = content.len();
    let mut out = vec![tag];
    if size < 0x80 {
        out.push(size as u8);
    } else {
        let bytes: Vec<u8> = size.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
        out.push(0x80 | bytes.len() as u8);
        out.extend(bytes);
    }
    out.extend_from_slice(content);
    out
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut out, mut bits, mut count) = (Vec::with_capacity(text.len() * 3 / 4), 0_u32, 0);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => continue,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_folded_and_nothing_is_trusted() {
        assert_eq!(folded("  Example   CA\u{c4} "), "example ca\u{c4}");
        assert_eq!(decode(BMP, &[0, b'A', 0x20, 0xac]), Some("A\u{20ac}".to_owned()));
        assert_eq!(base64("aGVs\nbG8="), Some(b"hello".to_vec()));
        for broken in
            ["", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\n!\n"]
        {
            assert_eq!(subject_hash(broken.as_bytes()), None);
        }
        assert_eq!(element(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
