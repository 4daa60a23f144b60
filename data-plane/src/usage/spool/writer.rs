//! The end of the spool that is written to.

use std::{collections::VecDeque, path::PathBuf, sync::Arc};

use shared::id::IncarnationId;

use super::{
    SpoolError, frame,
    segment::{self, SegmentFile},
};

/// A request whose open record is on disk, until its close record is: what keeps the files of both. Dropped without
/// its close, it keeps them until the process ends.
#[derive(Debug)]
#[must_use = "the request's close record takes it back"]
pub struct Opened(
    /// Sequence of the open record.
    u64,
);

/// Appends records, one write each, and knows which segments may go.
#[derive(Debug)]
pub(super) struct Writer {
    folder: PathBuf,
    spool: IncarnationId,
    segment_bytes: u64,
    current: Option<Current>,
    /// The next segment's file, made ahead.
    ready: Option<SegmentFile>,
    /// Files made so far.
    made: u64,
    /// Oldest first.
    full: VecDeque<Full>,
    /// Sequence of the last record written; 0 before the first.
    last: u64,
    dirty: bool,
    /// Segments, save the current one, that were written to since their last sync.
    unsynced: Vec<Begun>,
    folder_unsynced: bool,
    /// Close records that the disk did not take, oldest first; one at most for each request that is running.
    waiting: VecDeque<(Opened, Vec<u8>)>,
}

#[derive(Debug)]
struct Current {
    begun: Begun,
    bytes: u64,
    /// Open records in it whose close is not written.
    open: u64,
}

#[derive(Debug)]
struct Full {
    first: u64,
    last: u64,
    open: u64,
}

/// A segment with at least one record.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    pub(super) file: Arc<SegmentFile>,
    pub(super) first: u64,
}

/// What a sync has to make durable, and what it may do once that is done.
#[derive(Debug)]
pub(super) struct Unsynced {
    pub(super) segments: Vec<Begun>,
    /// Names in it.
    pub(super) folder: bool,
    /// The last record in these segments.
    pub(super) last: u64,
    /// How many of the oldest segments nobody needs any more, once the close records here are durable.
    pub(super) released: usize,
    /// Number of a file that is to be made ready.
    pub(super) wanted: Option<u64>,
}

impl Writer {
    pub(super) fn new(folder: PathBuf, spool: IncarnationId, segment_bytes: u64) -> Self {
        Self {
            folder,
            spool,
            segment_bytes,
            current: None,
            ready: None,
            made: 0,
            full: VecDeque::new(),
            last: 0,
            dirty: false,
            unsynced: Vec::new(),
            folder_unsynced: false,
            waiting: VecDeque::new(),
        }
    }

    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// `frame`: the record, with room for its header.
    pub(super) fn open(&mut self, frame: &mut [u8]) -> Result<Opened, SpoolError> {
        let sequence = self.append(frame)?;
        if let Some(current) = &mut self.current {
            current.open += 1;
        }
        Ok(Opened(sequence))
    }

    /// `frame`: the record, with room for its header.
    pub(super) fn close(&mut self, opened: Opened, frame: &mut [u8]) -> Result<(), SpoolError> {
        // Behind those that wait already, so that the order stays.
        let written =
            if self.waiting.is_empty() { self.append(frame).map(|_| ()) } else { Err(SpoolError::Unhealthy) };
        match written {
            Ok(()) => self.closed(&opened),
            Err(_) => self.waiting.push_back((opened, frame.to_vec())),
        }
        written
    }

    /// Writes one record that waited for room. False: none waits.
    pub(super) fn write_waiting(&mut self) -> Result<bool, SpoolError> {
        let Some((opened, mut frame)) = self.waiting.pop_front() else {
            return Ok(false);
        };
        match self.append(&mut frame) {
            Ok(_) => {
                self.closed(&opened);
                Ok(true)
            }
            Err(error) => {
                self.waiting.push_front((opened, frame));
                Err(error)
            }
        }
    }

    fn closed(&mut self, Opened(sequence): &Opened) {
        let open = match &mut self.current {
            Some(current) if current.begun.first <= *sequence => Some(&mut current.open),
            _ => {
                let at = self.full.partition_point(|segment| segment.last < *sequence);
                self.full.get_mut(at).map(|segment| &mut segment.open)
            }
        };
        if let Some(open) = open {
            *open = open.saturating_sub(1);
        }
    }

    /// Something was written since the last sync took up what there was.
    pub(super) const fn dirty(&self) -> bool {
        self.dirty
    }

    /// Writes the record, whole or not at all.
    fn append(&mut self, frame: &mut [u8]) -> Result<u64, SpoolError> {
        let sequence = self.last + 1;
        frame::seal(frame, self.spool, sequence);
        let size = u64::try_from(frame.len()).unwrap_or(u64::MAX);
        if self.current.as_ref().is_some_and(|current| current.bytes + size > self.segment_bytes) {
            self.finish_segment();
        }
        let mut current = match self.current.take() {
            Some(current) => current,
            None => self.begin_segment(sequence)?,
        };
        if let Err(error) = current.begun.file.append(frame) {
            self.undo(current);
            return Err(SpoolError::from(error));
        }
        current.bytes += size;
        self.current = Some(current);
        self.dirty = true;
        self.last = sequence;
        Ok(sequence)
    }

    fn begin_segment(&mut self, first: u64) -> Result<Current, SpoolError> {
        let file = match self.ready.take() {
            Some(file) => file,
            // The disk thread is behind.
            None => {
                self.made += 1;
                SegmentFile::create(&self.folder, self.made)?
            }
        };
        Ok(Current { begun: Begun { file: Arc::new(file), first }, bytes: 0, open: 0 })
    }

    fn finish_segment(&mut self) {
        if let Some(Current { begun, open, .. }) = self.current.take() {
            self.full.push_back(Full { first: begun.first, last: self.last, open });
            self.note_unsynced(begun);
        }
    }

    fn note_unsynced(&mut self, begun: Begun) {
        if !self.unsynced.iter().any(|known| Arc::ptr_eq(&known.file, &begun.file)) {
            self.unsynced.push(begun);
        }
    }

    /// Takes back a part of a record. Where even that fails, the segment is left as it is: readers skip the part.
    fn undo(&mut self, current: Current) {
        let undone = current.begun.file.cut(current.bytes);
        if current.bytes > 0 {
            self.current = Some(current);
            if undone.is_err() {
                self.finish_segment();
            }
        } else if undone.is_err() {
            current.begun.file.discard(&self.folder);
        } else {
            self.ready = Arc::into_inner(current.begun.file);
        }
    }

    pub(super) fn take_unsynced(&mut self, acknowledged: u64) -> Unsynced {
        if std::mem::take(&mut self.dirty)
            && let Some(current) = &self.current
        {
            let begun = current.begun.clone();
            self.note_unsynced(begun);
        }
        let wanted = self.ready.is_none().then(|| {
            self.made += 1;
            self.made
        });
        Unsynced {
            segments: std::mem::take(&mut self.unsynced),
            folder: std::mem::take(&mut self.folder_unsynced),
            last: self.last,
            released: self.full.iter().take_while(|segment| segment.unneeded(acknowledged)).count(),
            wanted,
        }
    }

    /// The sync failed: these are to be tried again.
    pub(super) fn put_back(&mut self, unsynced: Unsynced) {
        for begun in unsynced.segments {
            self.note_unsynced(begun);
        }
        self.folder_unsynced |= unsynced.folder;
    }

    /// `file` is the next segment's, unless there is one meanwhile, or the disk took too long.
    pub(super) fn make_ready(&mut self, file: SegmentFile) {
        match &self.ready {
            None => self.ready = Some(file),
            Some(_) => file.discard(&self.folder),
        }
    }

    /// Whether a segment may go that is still there.
    pub(super) fn may_release(&self, acknowledged: u64) -> bool {
        self.full.front().is_some_and(|oldest| oldest.unneeded(acknowledged))
    }

    /// Paths of the oldest segments, which are no more of this spool.
    pub(super) fn release(&mut self, count: usize) -> Vec<PathBuf> {
        let released = self.full.drain(..count.min(self.full.len()));
        released.map(|segment| segment::path(&self.folder, segment.first)).collect()
    }
}

impl Full {
    /// Everything in it is in the ledger, and no open record in it waits for its close. That none before it does
    /// either is seen by going through them from the oldest.
    const fn unneeded(&self, acknowledged: u64) -> bool {
        self.last <= acknowledged && self.open == 0
    }
}

#[cfg(test)]
mod tests;
