//! The half-MD4 directory hash, on unsigned bytes, that orders the names of a large directory.
//!
//! A name and the image's seed go in, the major and minor hash come out ("Hash Tree Directories", hash version 4).
//! The functions and constants of the rounds are those of MD4 (RFC 1320, section 3.4), on half the input.

/// Seed of the hash, as the four words that the superblock stores.
#[derive(Debug, Clone, Copy)]
pub struct Seed([u32; 4]);

/// Order of a name in a hash tree: major hash, whose lowest bit is always clear, then minor hash.
pub type Hash = (u32, u32);

/// MD4's initial state (RFC 1320, section 3.3), which stands in for a seed of zeros.
const INITIAL: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// The major hash that the kernel keeps for "end of directory"; a name never gets it.
const END_OF_DIRECTORY: u32 = 0xffff_fffe;

/// Per round: the constant added, the order of the input words, and the rotations.
const ROUNDS: [(u32, [usize; 8], [u32; 4]); 3] = [
    (0, [0, 1, 2, 3, 4, 5, 6, 7], [3, 7, 11, 19]),
    (0x5a82_7999, [1, 3, 5, 7, 0, 2, 4, 6], [3, 5, 9, 13]),
    (0x6ed9_eba1, [3, 7, 2, 6, 1, 5, 0, 4], [3, 9, 11, 15]),
];

impl Seed {
    /// The seed as a superblock holds it.
    pub fn new(bytes: &[u8; 16]) -> Self {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        Self(if words == [0; 4] { INITIAL } else { words })
    }

    /// Hashes a name.
    pub fn hash(self, name: &[u8]) -> Hash {
        let mut state = self.0;
        let mut rest = name;
        while !rest.is_empty() {
            mix(&mut state, &input_words(rest));
            rest = rest.get(32..).unwrap_or_default();
        }
        let major = state[1] & !1;
        (if major == END_OF_DIRECTORY { END_OF_DIRECTORY - 2 } else { major }, state[2])
    }
}

/// The first 32 bytes as big-endian words; where bytes are missing, the length of what remains is repeated.
fn input_words(rest: &[u8]) -> [u32; 8] {
    let padding = u32::from_ne_bytes([rest.len() as u8; 4]);
    let mut words = [padding; 8];
    for (word, bytes) in words.iter_mut().zip(rest.chunks(4)) {
        *word = bytes.iter().fold(padding, |word, byte| word << 8 | u32::from(*byte));
    }
    words
}

fn mix(state: &mut [u32; 4], input: &[u32; 8]) {
    let [mut a, mut b, mut c, mut d] = *state;
    for (round, (constant, order, rotations)) in ROUNDS.iter().enumerate() {
        for (step, word) in order.iter().enumerate() {
            let chosen = match round {
                0 => b & c | !b & d,
                1 => b & c | b & d | c & d,
                _ => b ^ c ^ d,
            };
            let sum = a.wrapping_add(chosen).wrapping_add(input[*word]).wrapping_add(*constant);
            (a, b, c, d) = (d, sum.rotate_left(rotations[step % 4]), b, c);
        }
    }
    for (word, mixed) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(mixed);
    }
}

#[cfg(test)]
mod tests {
    use super::Seed;

    /// Expectations come from `debugfs -R "dx_hash -h half_md4 -s SEED NAME"`, whose signedness ASCII does not show.
    #[test]
    fn hashes_are_those_of_e2fsprogs() {
        let seed = Seed::new(&std::array::from_fn(|index| index as u8 * 17));
        for (name, hash) in EXPECTED {
            assert_eq!(seed.hash(name.as_bytes()), hash, "{name}");
        }
    }

    const EXPECTED: [(&str, super::Hash); 5] = [
        ("a", (0x9375_2ee6, 0x578c_30ba)),
        ("passwd", (0x5b9e_b3b4, 0xd6d5_1356)),
        ("libsystemd-shared-252.so.so.so.so", (0x7592_f8e4, 0x0838_abd1)),
        ("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", (0x7ae8_2a38, 0xee35_9097)),
        (
            "long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-",
            (0x4d5e_77aa, 0xd6ad_6629),
        ),
    ];
}
