//! Utilities that compare contents: `cmp`, `diff` where only the status is asked for, and checksums.

use sha2::{Digest, Sha256, Sha512};

use super::{input, options};
use crate::call::Call;
use crate::session::Unknown;

type Two = (Vec<u8>, Vec<u8>);

/// The bytes of two files; none when one is missing, which is reported.
fn both(call: &mut Call<'_, '_>, operands: &[Vec<u8>]) -> Result<Option<Two>, Unknown> {
    let [left, right] = operands else { return Err(call.unknown("the operands")) };
    let (texts, status) = input(call, &[left.clone(), right.clone()])?;
    let mut texts = texts.into_iter().map(|(_, text)| text);
    Ok(match (texts.next(), texts.next()) {
        (Some(left), Some(right)) if status == 0 => Some((left, right)),
        _ => None,
    })
}

pub(super) fn cmp(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "s|quiet 1|silent")?;
    match both(call, &parsed.operands)? {
        None => Ok(2),
        Some((left, right)) if left == right => Ok(0),
        Some(_) if parsed.has('s') || parsed.has('1') => Ok(1),
        Some(_) => Err(call.unknown("the place of a difference")),
    }
}

pub(super) fn diff(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "q|brief u")?;
    let [left, right] = &parsed.operands[..] else { return Err(call.unknown("the operands")) };
    if [left, right].iter().any(|path| call.resolve(path).is_ok_and(|path| call.fs().is_dir(&path))) {
        return Err(call.unknown("folders"));
    }
    match both(call, &parsed.operands)? {
        None => Ok(2),
        Some((left, right)) if left == right => Ok(0),
        Some(_) if parsed.has('q') => {
            call.out([b"Files ", &left[..], b" and ", right, b" differ\n"].concat())?;
            Ok(1)
        }
        Some(_) => Err(call.unknown("the lines of a difference")),
    }
}

pub(super) fn checksum(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "b|binary t|text")?;
    let (texts, status) = input(call, &parsed.operands)?;
    for (name, text) in texts {
        let digest = match call.name().as_str() {
            "md5sum" => crate::md5::digest(&text).to_vec(),
            "sha256sum" => Sha256::digest(&text).to_vec(),
            _ => Sha512::digest(&text).to_vec(),
        };
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        if name.iter().any(|byte| b"\\\n\r".contains(byte)) || parsed.has('b') {
            return Err(call.unknown("such a name"));
        }
        call.out([hex.as_bytes(), b"  ", &name, b"\n"].concat())?;
    }
    Ok(status)
}
