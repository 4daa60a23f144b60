//! The end of a spool that is read from: batches of encoded records, in order, from the files.
//!
//! What is handed on are slices of what was read: a record's bytes are neither decoded nor copied on their way.

use std::{fs::File, io, path::PathBuf};

use bytes::{Buf as _, Bytes};
use rustix::{
    buffer::spare_capacity,
    io::{Errno, pread},
};

use super::{
    frame::{self, Next, SpoolId},
    segment,
};

const READ_BYTES: usize = 256 * 1024;

/// How large a batch may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchSize {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

/// Records that follow on each other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) first_sequence: u64,
    /// Sequences right below the first that the disk does not have.
    pub(crate) gone: u64,
    /// Encoded. Empty: lost, with all after it that is asked for.
    pub(crate) records: Vec<Bytes>,
}

/// Reads on from where it was. Blocks on the disk. Memory: one read and one batch.
#[derive(Debug)]
pub(crate) struct Reader {
    folder: PathBuf,
    spool: SpoolId,
    /// Sequence of the record given last.
    last: u64,
    segment: Option<OpenSegment>,
    /// Records that follow on those in the files; see `recovery`.
    after_files: Vec<Bytes>,
    files_end: u64,
}

#[derive(Debug)]
struct OpenSegment {
    file: File,
    first: u64,
    /// Of what is in `ahead`, in the file.
    offset: u64,
    /// Read and not yet given.
    ahead: Bytes,
}

impl Reader {
    /// Gives what comes after `last`. The files end with `files_end`; `after_files` follow.
    pub(super) const fn new(
        folder: PathBuf,
        spool: SpoolId,
        last: u64,
        files_end: u64,
        after_files: Vec<Bytes>,
    ) -> Self {
        Self { folder, spool, last, segment: None, after_files, files_end }
    }

    /// Sequence of the record that the next batch begins with.
    pub(crate) const fn next_sequence(&self) -> u64 {
        self.last + 1
    }

    /// The next records up to and with `to`, as far as they fit; at least one where there is one and room for the
    /// largest. Where the disk has lost some, what follows on them begins a new batch.
    pub(crate) fn batch(&mut self, to: u64, size: BatchSize) -> io::Result<Batch> {
        let mut batch = Batch { first_sequence: self.next_sequence(), gone: 0, records: Vec::new() };
        let mut room = size.bytes;
        while self.last < to && batch.records.len() < size.records {
            let wanted = self.next_sequence();
            match self.next_stored(wanted)?.filter(|next| next.sequence <= to) {
                Some(next) if next.bytes > room => break,
                Some(next) if next.sequence > wanted && !batch.records.is_empty() => break,
                Some(next) => {
                    room -= next.bytes;
                    if next.sequence > wanted {
                        batch.gone = next.sequence - wanted;
                        batch.first_sequence = next.sequence;
                    }
                    batch.records.push(self.take(next));
                    self.last = next.sequence;
                }
                None => {
                    batch.records.push(Bytes::new());
                    self.last = wanted;
                }
            }
        }
        Ok(batch)
    }

    /// The first record from `wanted` on that there is.
    fn next_stored(&mut self, wanted: u64) -> io::Result<Option<Stored>> {
        if let Some(place) = wanted.checked_sub(self.files_end.saturating_add(1)) {
            let record = usize::try_from(place).ok().and_then(|place| self.after_files.get(place));
            return Ok(record.map(|record| Stored { sequence: wanted, bytes: record.len() }));
        }
        loop {
            let Some(segment) = &mut self.segment else {
                let Some(segment) = self.segment_for(wanted)? else {
                    return Ok(self.first_after_files());
                };
                self.segment = Some(segment);
                continue;
            };
            match frame::next(&segment.ahead, self.spool) {
                Next::Frame { sequence, payload, .. } if sequence >= wanted => {
                    return Ok(Some(Stored { sequence, bytes: payload.len() }));
                }
                Next::Frame { size, .. } => segment.skip(size),
                Next::Damaged => segment.skip_damage(self.spool)?,
                Next::Partial => {
                    if segment.fill()? {
                        continue;
                    }
                    if !segment.ahead.is_empty() {
                        segment.skip_damage(self.spool)?;
                    } else if !self.next_segment()? {
                        return Ok(self.first_after_files());
                    }
                }
            }
        }
    }

    /// What follows where the files have no more of what they had.
    fn first_after_files(&self) -> Option<Stored> {
        let record = self.after_files.first()?;
        Some(Stored { sequence: self.files_end.saturating_add(1), bytes: record.len() })
    }

    /// What [`Self::next_stored`] found.
    fn take(&mut self, next: Stored) -> Bytes {
        let after = next.sequence.checked_sub(self.files_end.saturating_add(1));
        if let Some(place) = after.and_then(|place| usize::try_from(place).ok()) {
            return self.after_files.get(place).cloned().unwrap_or_default();
        }
        match &mut self.segment {
            Some(segment) => segment.take(frame::HEADER + next.bytes).slice(frame::HEADER..),
            None => Bytes::new(),
        }
    }

    /// The segment that has `sequence`, or else the first one after it.
    fn segment_for(&self, sequence: u64) -> io::Result<Option<OpenSegment>> {
        let firsts = segment::list(&self.folder)?;
        let at = firsts.iter().rposition(|first| *first <= sequence).unwrap_or(0);
        firsts.get(at).map(|first| OpenSegment::open(&self.folder, *first)).transpose()
    }

    /// Goes on with the segment after the present one. False: there is none. As all that is asked for is on disk, what
    /// is missing in the present one is lost, or in a later one.
    fn next_segment(&mut self) -> io::Result<bool> {
        let present = self.segment.as_ref().map_or(0, |segment| segment.first);
        let Some(next) = segment::list(&self.folder)?.into_iter().find(|first| *first > present) else {
            return Ok(false);
        };
        self.segment = Some(OpenSegment::open(&self.folder, next)?);
        Ok(true)
    }
}

/// A record that is there.
#[derive(Debug, Clone, Copy)]
struct Stored {
    sequence: u64,
    /// Of its payload.
    bytes: usize,
}

impl OpenSegment {
    fn open(folder: &std::path::Path, first: u64) -> io::Result<Self> {
        let file = File::open(segment::path(folder, first))?;
        Ok(Self { file, first, offset: 0, ahead: Bytes::new() })
    }

    fn take(&mut self, size: usize) -> Bytes {
        self.offset += u64::try_from(size).unwrap_or(0);
        self.ahead.split_to(size)
    }

    fn skip(&mut self, size: usize) {
        self.offset += u64::try_from(size).unwrap_or(0);
        self.ahead.advance(size);
    }

    /// Reads what is ahead anew, further than before: the end of it may have been a part of a record that the writer
    /// took back since. False: the file has no more.
    fn fill(&mut self) -> io::Result<bool> {
        let held = self.ahead.len();
        let mut buffer = Vec::with_capacity(held + held.max(READ_BYTES));
        while buffer.len() <= held {
            let at = self.offset + u64::try_from(buffer.len()).unwrap_or(0);
            match pread(&self.file, spare_capacity(&mut buffer), at) {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let more = buffer.len() > held;
        self.ahead = buffer.into();
        Ok(more)
    }

    /// Drops what is no record.
    fn skip_damage(&mut self, spool: SpoolId) -> io::Result<()> {
        while self.fill()? {}
        let size = frame::find(&self.ahead, spool, 0).unwrap_or(self.ahead.len());
        tracing::error!(
            segment = self.first,
            at = self.offset,
            bytes = size,
            "usage records on this disk are damaged"
        );
        self.skip(size);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use shared::{clock::Millis, id::IncarnationId};

    use super::*;

    const ALL: BatchSize = BatchSize { records: 1_000, bytes: usize::MAX };

    fn frame(spool: SpoolId, sequence: u64, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; frame::HEADER];
        frame.extend_from_slice(payload);
        frame::seal(&mut frame, spool, sequence);
        frame
    }

    fn spool() -> SpoolId {
        SpoolId { incarnation: IncarnationId::new(Millis(1)), number: 0 }
    }

    #[test]
    fn records_are_slices_of_one_read() {
        let (folder, spool) = (tempfile::tempdir().unwrap(), spool());
        let frames: Vec<u8> = (1..=3).flat_map(|sequence| frame(spool, sequence, b"payload")).collect();
        fs::write(segment::path(folder.path(), 1), frames).unwrap();
        let mut reader = Reader::new(folder.path().to_owned(), spool, 0, u64::MAX, Vec::new());
        let records = reader.batch(3, ALL).unwrap().records;
        assert_eq!(records, ["payload"; 3]);
        let apart = |pair: &[Bytes]| pair[1].as_ptr().addr() - pair[0].as_ptr().addr();
        assert!(records.windows(2).all(|pair| apart(pair) == frame::HEADER + 7), "they were copied");
    }

    #[test]
    fn what_the_writer_took_back_after_it_was_read_ahead_is_read_anew() {
        let (folder, spool) = (tempfile::tempdir().unwrap(), spool());
        let path = segment::path(folder.path(), 1);
        let first = frame(spool, 1, b"first");
        let mut torn = first.clone();
        torn.extend_from_slice(&frame(spool, 2, b"taken back")[..20]);
        fs::write(&path, torn).unwrap();
        let mut reader = Reader::new(folder.path().to_owned(), spool, 0, u64::MAX, Vec::new());
        assert_eq!(reader.batch(1, ALL).unwrap().records, ["first"]);

        let mut whole = first;
        whole.extend(frame(spool, 2, b"second"));
        fs::write(&path, whole).unwrap();
        assert_eq!(reader.batch(2, ALL).unwrap().records, ["second"]);
    }

    #[test]
    fn what_is_missing_is_one_number_and_begins_a_batch() {
        let (folder, spool) = (tempfile::tempdir().unwrap(), spool());
        let place = |first| segment::path(folder.path(), first);
        let frames = |sequences: std::ops::RangeInclusive<u64>| -> Vec<u8> {
            sequences.flat_map(|sequence| frame(spool, sequence, b"payload")).collect()
        };
        fs::write(place(1_001), frames(1_001..=1_003)).unwrap();
        fs::write(place(2_000), frames(2_000..=2_001)).unwrap();
        let mut reader = Reader::new(folder.path().to_owned(), spool, 4, u64::MAX, Vec::new());
        let mut shapes = Vec::new();
        while reader.next_sequence() <= 2_003 {
            let batch = reader.batch(2_003, BatchSize { records: 1_000, bytes: 14 }).unwrap();
            let lost = batch.records.iter().filter(|record| record.is_empty()).count();
            shapes.push((batch.first_sequence, batch.gone, batch.records.len(), lost));
        }
        // The last ones, behind which there is nothing.
        assert_eq!(shapes, [(1_001, 996, 2, 0), (1_003, 0, 1, 0), (2_000, 996, 4, 2)]);
    }
}
