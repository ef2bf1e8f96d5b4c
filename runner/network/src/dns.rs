//! Questions for names and their answers (RFC 1035, section 4): as much of it as stub resolvers send.

use std::net::Ipv4Addr;

/// Bytes before the question.
const HEADER: usize = 12;

/// For how long the inside may keep an answer, in seconds.
const TTL_SECS: u32 = 60;

/// Most addresses in one answer: with the longest name it stays below the 512 bytes that every resolver takes (RFC 1035,
/// section 2.3.4).
const MAX_ADDRESSES: usize = 12;

/// A question for one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    id: u16,
    /// Whether the asker wants recursion: the flag is given back as it came.
    recursion: bool,
    /// The question as it came, which stands in the answer too.
    bytes: Vec<u8>,
    name: String,
    kind: u16,
    class: u16,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<'a> {
    /// These addresses; none if the name has none of the kind that was asked for.
    Addresses(&'a [Ipv4Addr]),
    /// There is no such name, for the inside.
    NoSuchName,
    /// It could not be found out.
    Failed,
}

impl Question {
    /// Reads a datagram. Nothing if it is no standard question for exactly one name.
    pub fn read(datagram: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u16::from_be_bytes([*datagram.get(at)?, *datagram.get(at + 1)?]));
        let flags = word(2)?;
        // A response bit or an operation other than a standard query; one question, no answers.
        if flags & 0xf800 != 0 || word(4)? != 1 || word(6)? != 0 {
            return None;
        }
        let (name, end) = read_name(datagram, HEADER)?;
        let bytes = datagram.get(HEADER..end + 4)?.to_vec();
        Some(Self { id: word(0)?, recursion: flags & 0x100 != 0, bytes, name, kind: word(end)?, class: word(end + 2)? })
    }

    /// The name, in lower case and without a dot at its end.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether IPv4 addresses of the Internet are asked for.
    pub fn wants_ipv4(&self) -> bool {
        (self.kind, self.class) == (1, 1)
    }

    /// The answer's datagram.
    pub fn answer(&self, answer: &Answer<'_>) -> Vec<u8> {
        let (code, addresses): (u16, &[Ipv4Addr]) = match answer {
            Answer::Addresses(addresses) => (0, &addresses[..addresses.len().min(MAX_ADDRESSES)]),
            Answer::NoSuchName => (3, &[]),
            Answer::Failed => (2, &[]),
        };
        // A response, with recursion available, and desired if it was.
        let flags = 0x8080 | u16::from(self.recursion) << 8 | code;
        let mut bytes = Vec::new();
        for word in [self.id, flags, 1, addresses.len() as u16, 0, 0] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend(&self.bytes);
        for address in addresses {
            // The name is the one at the end of the header.
            for word in [0xc000 | HEADER as u16, 1, 1] {
                bytes.extend(word.to_be_bytes());
            }
            bytes.extend(TTL_SECS.to_be_bytes());
            bytes.extend(4_u16.to_be_bytes());
            bytes.extend(address.octets());
        }
        bytes
    }
}

/// The name at a place and the place after it. A question is the first name, so it points to no other.
fn read_name(bytes: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut name = String::new();
    loop {
        let length = usize::from(*bytes.get(at)?);
        let label = bytes.get(at + 1..at + 1 + length)?;
        at += 1 + length;
        if length == 0 {
            return (!name.is_empty()).then_some((name, at));
        }
        let is_plain = label.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_');
        if length > 63 || !is_plain || name.len() + length > 252 {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &[u8], kind: u8) -> Vec<u8> {
        let mut bytes = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0".to_vec();
        bytes.extend(name);
        bytes.extend([0, kind, 0, 1]);
        bytes
    }

    #[test]
    fn a_question_is_read_and_answered() {
        let question = Question::read(&asked(b"\x03ApI\x07example\0", 1)).unwrap();
        assert_eq!((question.name(), question.wants_ipv4()), ("api.example", true));
        let answer = question.answer(&Answer::Addresses(&[Ipv4Addr::new(1, 2, 3, 4)]));
        let wanted = b"\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0\x03ApI\x07example\0\0\x01\0\x01\
                       \xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x01\x02\x03\x04";
        assert_eq!(answer, wanted);
        assert_eq!(question.answer(&Answer::NoSuchName)[3], 0x83);
        assert_eq!(question.answer(&Answer::Failed)[3], 0x82);
    }

    #[test]
    fn the_longest_answer_fits_every_resolver() {
        let long = [[b"\x3f".as_slice(), &[b'a'; 63]].concat(), [b"\x3c".as_slice(), &[b'b'; 60]].concat()];
        let name = [long[0].clone(), long[0].clone(), long[0].clone(), long[1].clone(), vec![0]].concat();
        let question = Question::read(&asked(&name, 1)).unwrap();
        assert_eq!(question.name().len(), 252);
        assert!(question.answer(&Answer::Addresses(&[Ipv4Addr::LOCALHOST; 200])).len() <= 512);
    }

    #[test]
    fn what_is_no_question_is_not_answered() {
        let good = asked(b"\x01a\0", 1);
        for length in 0..good.len() {
            assert_eq!(Question::read(&good[..length]), None, "{length} bytes");
        }
        let with =
            |at: usize, byte: u8| good.iter().enumerate().map(|(n, b)| if n == at { byte } else { *b }).collect();
        let odd: [Vec<u8>; 5] = [with(2, 0x81), with(2, 0x28), with(5, 2), with(12, 0xc0), with(13, b' ')];
        assert!(odd.iter().all(|bytes| Question::read(bytes).is_none()));
        assert_eq!(Question::read(&asked(b"\0", 1)), None, "the root");
        assert!(!Question::read(&asked(b"\x01a\0", 28)).unwrap().wants_ipv4());
    }
}
