//! One record in a segment file.
//!
//! 16 bytes of header, then the payload: length of the payload (u32 LE), CRC-32 of incarnation, number of the spool (u32
//! LE), length, sequence and payload (u32 LE), sequence (u64 LE). The payload is an encoded `Record` of the contract.

use shared::id::IncarnationId;

pub(super) const HEADER: usize = 16;
/// A record may have at most this many bytes; a larger one is cut, see `cut`.
pub(super) const LARGEST: usize = 256 * 1024;

/// One of the spools that an incarnation writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SpoolId {
    pub(super) incarnation: IncarnationId,
    pub(super) number: u32,
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A whole record, which takes `size` bytes.
    Frame { sequence: u64, payload: &'a [u8], size: usize },
    /// What could be the beginning of one.
    Partial,
    /// No record.
    Damaged,
}

/// Fills in the header of `frame`, whose payload is in place behind it.
pub(super) fn seal(frame: &mut [u8], spool: SpoolId, sequence: u64) {
    let Some((header, payload)) = frame.split_at_mut_checked(HEADER) else {
        return;
    };
    // The writer has checked the payload against LARGEST.
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    header[..4].copy_from_slice(&length.to_le_bytes());
    header[4..8].copy_from_slice(&checksum(spool, length, sequence, payload).to_le_bytes());
    header[8..].copy_from_slice(&sequence.to_le_bytes());
}

pub(super) fn next(bytes: &[u8], spool: SpoolId) -> Next<'_> {
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return Next::Partial;
    };
    let length = u32::from_le_bytes(*length);
    let Some(size) = usize::try_from(length).ok().filter(|size| *size <= LARGEST) else {
        return Next::Damaged;
    };
    let Some((stated, rest)) = rest.split_first_chunk() else {
        return Next::Partial;
    };
    let Some((sequence, rest)) = rest.split_first_chunk() else {
        return Next::Partial;
    };
    let Some(payload) = rest.get(..size) else {
        return Next::Partial;
    };
    let sequence = u64::from_le_bytes(*sequence);
    if checksum(spool, length, sequence, payload) == u32::from_le_bytes(*stated) {
        Next::Frame { sequence, payload, size: HEADER + size }
    } else {
        Next::Damaged
    }
}

/// Where the next record with a sequence above `after` begins, behind bytes that are none.
pub(super) fn find(bytes: &[u8], spool: SpoolId, after: u64) -> Option<usize> {
    (0..bytes.len())
        .find(|at| matches!(next(&bytes[*at..], spool), Next::Frame { sequence, .. } if sequence > after))
}

fn checksum(spool: SpoolId, length: u32, sequence: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    // The id, which no client knows, keeps text of clients inside a record from passing as a record.
    hasher.update(&spool.incarnation.to_bytes());
    hasher.update(&spool.number.to_le_bytes());
    hasher.update(&length.to_le_bytes());
    hasher.update(&sequence.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::clock::Millis;

    use super::*;

    fn spool() -> SpoolId {
        SpoolId { incarnation: IncarnationId::new(Millis(1)), number: 3 }
    }

    fn frame(spool: SpoolId, sequence: u64, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; HEADER];
        frame.extend_from_slice(payload);
        seal(&mut frame, spool, sequence);
        frame
    }

    proptest! {
        #[test]
        fn a_record_is_read_back_and_any_damage_is_seen(
            payload in prop::collection::vec(any::<u8>(), 0..200), sequence: u64, at: prop::sample::Index, flip in 1..=255_u8,
        ) {
            let spool = spool();
            let mut frame = frame(spool, sequence, &payload);
            let size = frame.len();
            prop_assert_eq!(next(&frame, spool), Next::Frame { sequence, payload: &payload, size });
            prop_assert_eq!(next(&frame[..at.index(size)], spool), Next::Partial);
            frame[at.index(size)] ^= flip;
            prop_assert!(!matches!(next(&frame, spool), Next::Frame { .. }), "damage passed for a record");
        }

        #[test]
        fn arbitrary_bytes_are_no_record(bytes: Vec<u8>) {
            prop_assert!(!matches!(next(&bytes, spool()), Next::Frame { .. }), "noise passed for a record");
        }
    }

    #[test]
    fn a_record_of_another_spool_of_the_run_is_none() {
        let spool = spool();
        let bytes = frame(spool, 1, b"mine");
        assert_eq!(next(&bytes, SpoolId { number: 4, ..spool }), Next::Damaged);
    }

    #[test]
    fn the_next_record_is_found_behind_damage() {
        let spool = spool();
        let mut bytes = b"torn".to_vec();
        bytes.extend(frame(spool, 3, b"old"));
        let at = bytes.len();
        bytes.extend(frame(spool, 9, b"next"));
        assert_eq!(find(&bytes, spool, 3), Some(at));
        assert_eq!(find(&bytes, spool, 9), None);
    }
}
