//! Records of a pax extended header: `LENGTH KEY=VALUE\n`, where LENGTH counts the whole record.

/// Appends one record.
pub(super) fn push_record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // The space, the equals sign and the newline.
    let rest = key.len() + value.len() + 3;
    let mut len = rest;
    while rest + decimal_digits(len) != len {
        len = rest + decimal_digits(len);
    }
    out.extend_from_slice(len.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Splits an extended header into its records, in order; `None` when one is malformed.
pub(super) fn records(mut bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().take(20).position(|&b| b == b' ')?;
        let length: usize = decimal(&bytes[..space])?.try_into().ok()?;
        let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|&b| b == b'=')?;
        out.push((&record[..equals], &record[equals + 1..]));
        bytes = &bytes[length..];
    }
    Some(out)
}

/// A number without sign.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// A time such as `-1.25`, in whole seconds, rounded down.
pub(super) fn time(text: &[u8]) -> Option<i64> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let mut parts = text.splitn(2, |&b| b == b'.');
    let whole = i64::try_from(decimal(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let up = i64::from(negative && fraction.iter().any(|&b| b != b'0'));
    Some(if negative { -whole - up } else { whole })
}

fn decimal_digits(value: usize) -> usize {
    value.checked_ilog10().map_or(1, |log| log as usize + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_record_counts_itself() {
        for (value_bytes, record_bytes) in [(1, 8), (2, 9), (3, 11), (91, 99), (92, 101), (93, 102)] {
            let mut out = Vec::new();
            push_record(&mut out, b"abc", &vec![b'x'; value_bytes]);
            assert_eq!(out.len(), record_bytes, "{value_bytes}");
            assert!(out.starts_with(format!("{record_bytes} abc=").as_bytes()));
        }
    }

    #[test]
    fn records_are_split_or_refused() {
        let one: (&[u8], &[u8]) = (b"a", b"b=c");
        assert_eq!(records(b"8 a=b=c\n9 path=\n"), None);
        assert_eq!(records(b"8 a=b=c\n8 path=\n"), Some(vec![one, (b"path", b"")]));
        for bad in
            [&b"8 a=b=c"[..], b"99 a=b\n", b"0 a=b\n", b"2 \n", b" a=b\n", b"6 abc\n", b"18446744073709551615 a=b\n"]
        {
            assert_eq!(records(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn times_are_rounded_down() {
        assert_eq!(time(b"12.9"), Some(12));
        assert_eq!(time(b"-1.5"), Some(-2));
        assert_eq!(time(b"-1.0"), Some(-1));
        assert_eq!(time(b"--1"), None);
        assert_eq!(time(b"99999999999999999999"), None);
    }
}
