//! The end of a spool that is read from: batches of records, in order, from the files.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::PathBuf};

use prost::Message as _;
use proto::v1::{CloseRecord, Record, record};
use shared::id::SpoolId;

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
    spool: SpoolId,
    /// Sequence of the record given last.
    last: u64,
    segment: Option<OpenSegment>,
    /// Records that follow on those in the files; see `recovery`.
    after_files: Vec<CloseRecord>,
    files_end: u64,
}

#[derive(Debug)]
struct OpenSegment {
    file: File,
    first: u64,
    /// Of what is in `buffer`, in the file.
    offset: u64,
    buffer: Vec<u8>,
}

impl Reader {
    /// Gives what comes after `last`. The files end with `files_end`; `after_files` follow.
    pub(super) fn new(
        folder: PathBuf,
        spool: SpoolId,
        last: u64,
        files_end: u64,
        after_files: Vec<CloseRecord>,
    ) -> Self {
        Self { folder, spool, last, segment: None, after_files, files_end }
    }

    /// The next records up to and with `to`, at least one where there is one. A sequence whose record the disk has
    /// lost comes as a record without content, so that sequences go on rising by one.
    pub(crate) fn batch(&mut self, to: u64, size: BatchSize) -> io::Result<Vec<Record>> {
        let mut records = Vec::new();
        let mut bytes = 0;
        while self.last < to && records.len() < size.records && bytes < size.bytes {
            let record = self.next_record()?;
            bytes += record.encoded_len();
            records.push(record);
        }
        Ok(records)
    }

    fn next_record(&mut self) -> io::Result<Record> {
        let sequence = self.last + 1;
        let record = match sequence.checked_sub(self.files_end).and_then(|behind| behind.checked_sub(1)) {
            Some(after) => usize::try_from(after)
                .ok()
                .and_then(|after| self.after_files.get(after))
                .map(|close| Record { sequence, record: Some(record::Record::Close(close.clone())) }),
            None => self.stored(sequence)?,
        };
        self.last = sequence;
        Ok(record.unwrap_or(Record { sequence, record: None }))
    }

    /// The record of this sequence. `None`: it is lost; what follows is kept for the next call.
    fn stored(&mut self, sequence: u64) -> io::Result<Option<Record>> {
        loop {
            let Some(segment) = &mut self.segment else {
                let Some(segment) = self.segment_for(sequence)? else {
                    return Ok(None);
                };
                self.segment = Some(segment);
                continue;
            };
            match frame::next(&segment.buffer, self.spool) {
                Next::Frame { sequence: found, .. } if found > sequence => return Ok(None),
                Next::Frame { sequence: found, payload, size } => {
                    let record = (found == sequence).then(|| decode(sequence, payload));
                    segment.consume(size);
                    if record.is_some() {
                        return Ok(record);
                    }
                }
                Next::Damaged => segment.skip_damage(self.spool)?,
                Next::Partial => {
                    if segment.fill()? {
                        continue;
                    }
                    if !segment.buffer.is_empty() {
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
        Ok(Self { file, first, offset: 0, buffer: Vec::new() })
    }

    fn consume(&mut self, size: usize) {
        self.buffer.drain(..size);
        self.offset += u64::try_from(size).unwrap_or(0);
    }

    /// Reads more behind what is in the buffer. False: the file has no more.
    fn fill(&mut self) -> io::Result<bool> {
        let held = self.buffer.len();
        self.buffer.resize(held + READ_BYTES, 0);
        let at = self.offset + u64::try_from(held).unwrap_or(0);
        let read = loop {
            match self.file.read_at(&mut self.buffer[held..], at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(held + read.as_ref().copied().unwrap_or(0));
        read.map(|read| read > 0)
    }

    /// Drops what is no record.
    fn skip_damage(&mut self, spool: SpoolId) -> io::Result<()> {
        while self.fill()? {}
        let size = frame::find(&self.buffer, spool, 0).unwrap_or(self.buffer.len());
        tracing::error!(
            segment = self.first,
            at = self.offset,
            bytes = size,
            "usage records on this disk are damaged"
        );
        self.consume(size);
        Ok(())
    }
}

/// A payload that is no record, though its checksum is right, is one of another version: it comes without content.
fn decode(sequence: u64, payload: &[u8]) -> Record {
    let record = Record::decode(payload).ok().and_then(|record| record.record);
    Record { sequence, record }
}
