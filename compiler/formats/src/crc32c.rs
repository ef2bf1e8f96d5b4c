//! CRC-32C (Castagnoli), the checksum of ext4 metadata and of other disk formats.
//!
//! Bytes go in, the running register comes out. It starts and ends wherever its caller says: ext4 never inverts it.

/// The reflected Castagnoli polynomial (RFC 3720, appendix B.4).
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// Eight tables, so that eight bytes are taken in one step; one table would be five times slower.
static TABLES: [[u32; 256]; 8] = tables();

/// Feeds bytes to the register and returns its new value, without any inversion before or after.
pub fn update(mut crc: u32, bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word) ^ u64::from(crc);
        crc = 0;
        for (table, byte) in TABLES.iter().rev().zip(word.to_le_bytes()) {
            crc ^= table[byte as usize];
        }
    }
    for byte in rest {
        crc = crc >> 8 ^ TABLES[0][(crc as u8 ^ byte) as usize];
    }
    crc
}

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before: u32 = tables[table - 1][byte];
            tables[table][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_check_value_of_rfc_3720_comes_out_however_the_bytes_are_cut() {
        for cut in 0..9 {
            let (head, tail) = b"123456789".split_at(cut);
            assert_eq!(!super::update(super::update(!0, head), tail), 0xe306_9283);
        }
    }
}
