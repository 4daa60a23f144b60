//! The end of a spool that is read from: batches of encoded records, in order, from the files.
//!
//! What is handed on are slices of what was read: a record's bytes are neither decoded nor copied on their way.

use std::{fs::File, io, path::PathBuf};

use bytes::{Buf as _, Bytes};
use rustix::{
    buffer::spare_capacity,
    io::{Errno, pread},
};
use shared::id::IncarnationId;

use super::{
    frame::{self, Next},
    segment,
};

const READ_BYTES: usize = 256 * 1024;

/// How large a batch may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchSize {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

/// Reads on from where it was. Blocks on the disk. Memory: one read and one batch.
#[derive(Debug)]
pub(crate) struct Reader {
    folder: PathBuf,
    spool: IncarnationId,
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
        spool: IncarnationId,
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

    /// The next records up to and with `to`, at least one where there is one. A sequence whose record the disk has
    /// lost comes as an empty one, so that sequences go on rising by one.
    pub(crate) fn batch(&mut self, to: u64, size: BatchSize) -> io::Result<Vec<Bytes>> {
        let mut records = Vec::new();
        let mut bytes = 0;
        while self.last < to && records.len() < size.records && bytes < size.bytes {
            let record = self.next_record()?;
            bytes += record.len();
            records.push(record);
        }
        Ok(records)
    }

    fn next_record(&mut self) -> io::Result<Bytes> {
        let sequence = self.last + 1;
        let record = match sequence.checked_sub(self.files_end).and_then(|behind| behind.checked_sub(1)) {
            Some(after) => usize::try_from(after).ok().and_then(|after| self.after_files.get(after)).cloned(),
            None => self.stored(sequence)?,
        };
        self.last = sequence;
        Ok(record.unwrap_or_default())
    }

    /// The record of this sequence. `None`: it is lost; what follows is kept for the next call.
    fn stored(&mut self, sequence: u64) -> io::Result<Option<Bytes>> {
        loop {
            let Some(segment) = &mut self.segment else {
                let Some(segment) = self.segment_for(sequence)? else {
                    return Ok(None);
                };
                self.segment = Some(segment);
                continue;
            };
            match frame::next(&segment.ahead, self.spool) {
                Next::Frame { sequence: found, .. } if found > sequence => return Ok(None),
                Next::Frame { sequence: found, size, .. } => {
                    let frame = segment.take(size);
                    if found == sequence {
                        return Ok(Some(frame.slice(frame::HEADER..)));
                    }
                }
                Next::Damaged => segment.skip_damage(self.spool)?,
                Next::Partial => {
                    if segment.fill()? {
                        continue;
                    }
                    if !segment.ahead.is_empty() {
                        segment.skip_damage(self.spool)?;
                    } else if !self.next_segment(sequence)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// The segment that has `sequence`, or else the first one after it.
    fn segment_for(&self, sequence: u64) -> io::Result<Option<OpenSegment>> {
        let firsts = segment::list(&self.folder)?;
        let at = firsts.iter().rposition(|first| *first <= sequence).unwrap_or(0);
        firsts.get(at).map(|first| OpenSegment::open(&self.folder, *first)).transpose()
    }

    /// Goes on with the segment after the present one. False: there is none, or not yet.
    fn next_segment(&mut self, sequence: u64) -> io::Result<bool> {
        let present = self.segment.as_ref().map_or(0, |segment| segment.first);
        let next = segment::list(&self.folder)?.into_iter().find(|first| *first > present);
        // A later segment may be there while this sequence is only about to be written to the present one: never,
        // as what is asked for is on disk. So the record is lost, or in that segment.
        let Some(next) = next.filter(|next| *next <= sequence) else {
            return Ok(false);
        };
        self.segment = Some(OpenSegment::open(&self.folder, next)?);
        Ok(true)
    }
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
    fn skip_damage(&mut self, spool: IncarnationId) -> io::Result<()> {
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

    use shared::clock::Millis;

    use super::*;

    const ALL: BatchSize = BatchSize { records: 1_000, bytes: usize::MAX };

    fn frame(spool: IncarnationId, sequence: u64, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; frame::HEADER];
        frame.extend_from_slice(payload);
        frame::seal(&mut frame, spool, sequence);
        frame
    }

    #[test]
    fn records_are_slices_of_one_read() {
        let (folder, spool) = (tempfile::tempdir().unwrap(), IncarnationId::new(Millis(1)));
        let frames: Vec<u8> = (1..=3).flat_map(|sequence| frame(spool, sequence, b"payload")).collect();
        fs::write(segment::path(folder.path(), 1), frames).unwrap();
        let mut reader = Reader::new(folder.path().to_owned(), spool, 0, u64::MAX, Vec::new());
        let records = reader.batch(3, ALL).unwrap();
        assert_eq!(records, ["payload"; 3]);
        let apart = |pair: &[Bytes]| pair[1].as_ptr().addr() - pair[0].as_ptr().addr();
        assert!(records.windows(2).all(|pair| apart(pair) == frame::HEADER + 7), "they were copied");
    }

    #[test]
    fn what_the_writer_took_back_after_it_was_read_ahead_is_read_anew() {
        let (folder, spool) = (tempfile::tempdir().unwrap(), IncarnationId::new(Millis(1)));
        let path = segment::path(folder.path(), 1);
        let first = frame(spool, 1, b"first");
        let mut torn = first.clone();
        torn.extend_from_slice(&frame(spool, 2, b"taken back")[..20]);
        fs::write(&path, torn).unwrap();
        let mut reader = Reader::new(folder.path().to_owned(), spool, 0, u64::MAX, Vec::new());
        assert_eq!(reader.batch(1, ALL).unwrap(), ["first"]);

        let mut whole = first;
        whole.extend(frame(spool, 2, b"second"));
        fs::write(&path, whole).unwrap();
        assert_eq!(reader.batch(2, ALL).unwrap(), ["second"]);
    }
}
