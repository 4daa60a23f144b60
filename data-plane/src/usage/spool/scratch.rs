//! Where a record is encoded before the writer is locked for it: each thread has its own room, and keeps it.

use std::cell::Cell;

use prost::Message;

use super::{SpoolError, frame};

/// Room for a record of unusual size is not kept.
const KEPT_BYTES: usize = 64 * 1024;

/// What a record is about. The numbers are those of the fields of the contract's `Record`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Open = 1,
    Close = 2,
    End = 3,
}

thread_local! {
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Gives `write` the encoded record, behind room for the header of its frame.
pub(super) fn encoded<T>(
    kind: Kind,
    record: &impl Message,
    write: impl FnOnce(&mut [u8]) -> Result<T, SpoolError>,
) -> Result<T, SpoolError> {
    let mut frame = ROOM.take();
    frame.clear();
    frame.resize(frame::HEADER, 0);
    prost::encoding::message::encode(kind as u32, record, &mut frame);
    let size = frame.len() - frame::HEADER;
    let written = if size > frame::LARGEST { Err(SpoolError::TooLarge(size)) } else { write(&mut frame) };
    if frame.capacity() <= KEPT_BYTES {
        ROOM.set(frame);
    }
    written
}

#[cfg(test)]
mod tests {
    use proto::v1::{OpenRecord, Record, record};

    use super::*;

    #[test]
    fn what_is_written_is_a_record_of_the_contract() {
        let open = OpenRecord { model_requested: "claude".into(), ..OpenRecord::default() };
        let bytes = encoded(Kind::Open, &open, |frame| Ok(frame[frame::HEADER..].to_vec())).unwrap();
        assert_eq!(Record::decode(bytes.as_slice()).unwrap().record, Some(record::Record::Open(open)));
    }

    #[test]
    fn the_room_is_kept_from_record_to_record() {
        let place =
            || encoded(Kind::Open, &OpenRecord::default(), |frame| Ok(frame.as_ptr().addr())).unwrap();
        assert_eq!(place(), place());
    }

    #[test]
    fn a_record_beyond_all_measure_is_refused_and_nothing_is_written() {
        let record = OpenRecord { model_requested: "m".repeat(frame::LARGEST), ..OpenRecord::default() };
        let refused = encoded(Kind::Open, &record, |_| -> Result<(), _> { panic!("it is written") });
        assert!(matches!(refused, Err(SpoolError::TooLarge(_))));
    }
}
