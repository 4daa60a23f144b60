//! CRC-32 as in IEEE 802.3 (reflected polynomial), eight bytes a step.

const POLYNOMIAL: u32 = 0xedb8_8320;

/// `TABLES[n][byte]`: what `byte` does to the sum when `n` bytes follow it.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let (groups, rest) = bytes.as_chunks::<8>();
    let mut crc = !0;
    for &[a, b, c, d, e, f, g, h] in groups {
        let [a, b, c, d] = (u32::from_le_bytes([a, b, c, d]) ^ crc).to_le_bytes();
        crc = entry(7, a)
            ^ entry(6, b)
            ^ entry(5, c)
            ^ entry(4, d)
            ^ entry(3, e)
            ^ entry(2, f)
            ^ entry(1, g)
            ^ entry(0, h);
    }
    for &byte in rest {
        crc = (crc >> 8) ^ entry(0, byte ^ crc as u8);
    }
    !crc
}

const fn entry(table: usize, byte: u8) -> u32 {
    TABLES[table][byte as usize]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_sums_are_met() {
        assert_eq!(checksum(b""), 0);
        assert_eq!(checksum(b"a"), 0xe8b7_be43);
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
        assert_eq!(checksum(b"The quick brown fox jumps over the lazy dog"), 0x414f_a339);
        assert_eq!(checksum(&[0; 32]), 0x190a_55ad);
        assert_eq!(checksum(&[0xff; 32]), 0xff6c_ab0b);
    }

    /// By the definition, bit by bit.
    fn slow(bytes: &[u8]) -> u32 {
        let mut crc = !0u32;
        for byte in bytes {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            }
        }
        !crc
    }

    proptest! {
        #[test]
        fn eight_bytes_a_step_make_the_same_sum(bytes: Vec<u8>) {
            prop_assert_eq!(checksum(&bytes), slow(&bytes));
        }
    }
}
