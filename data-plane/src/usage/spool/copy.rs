//! Writes old open records again, so that a request that runs for long does not keep the segment that it began in, and all
//! after it.

use std::fs;

use super::{
    SpoolError,
    frame::{self, Next},
    own::OwnSpool,
    segment,
};

/// Copies the open records of the oldest segment, where it is kept for nothing else and there is too much of that. It
/// goes once the copies are durable. False: there was nothing to do.
pub(super) fn oldest(spool: &OwnSpool) -> Result<bool, SpoolError> {
    let wanted = spool.writer.0.lock().to_copy(spool.acknowledged());
    let Some((first, records)) = wanted else {
        return Ok(false);
    };
    let path = segment::path(&spool.folder, first);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::error!(%error, path = %path.display(), "usage records can't be read, and stay where they are");
            return Ok(false);
        }
    };
    let (mut rest, mut frame) = (&bytes[..], Vec::new());
    for (sequence, slot) in records {
        frame.clear();
        let payload = seek(&mut rest, spool, sequence);
        if let Some(payload) = payload {
            frame.resize(frame::HEADER, 0);
            frame.extend_from_slice(payload);
        } else {
            tracing::error!(path = %path.display(), sequence, "a usage record on this disk is damaged");
        }
        let record = payload.map(|_| &mut frame[..]);
        // For each one by itself: requests wait for the same lock.
        spool.writer.0.lock().copy(slot, sequence, record)?;
    }
    Ok(true)
}

/// The payload of the record of this sequence. `rest`: what was not looked at yet.
fn seek<'a>(rest: &mut &'a [u8], spool: &OwnSpool, wanted: u64) -> Option<&'a [u8]> {
    loop {
        match frame::next(rest, spool.id) {
            Next::Frame { sequence, .. } if sequence > wanted => return None,
            Next::Frame { sequence, payload, size } => {
                *rest = rest.get(size..)?;
                if sequence == wanted {
                    return Some(payload);
                }
            }
            Next::Partial | Next::Damaged => *rest = rest.get(frame::find(rest, spool.id, 0)?..)?,
        }
    }
}
