//! The end of the spool that is written to.

use std::{collections::VecDeque, path::PathBuf, sync::Arc};

use super::{
    SpoolError,
    frame::{self, SpoolId},
    segment::{self, SegmentFile},
    slots::{Slot, Slots},
};

/// Acknowledged segments that are kept for the open records in them take as much room as so many full ones, and twice
/// what all open records take. Beyond it the records of the oldest are copied. As what is copied is then less than half
/// of what that gives back, copying never costs more than the records themselves did.
const KEPT_SEGMENTS: u64 = 4;

/// A request whose open record is on disk, until its close record is: what keeps the files of both. Dropped without
/// its close, its open record is kept until the process ends.
#[derive(Debug)]
#[must_use = "the request's close record takes it back"]
pub struct Opened {
    /// Number of the spool that the open record is in; the close record follows it there.
    pub(super) spool: u32,
    pub(super) slot: u32,
}

/// Appends records, one write each, and knows which segments may go.
#[derive(Debug)]
pub(super) struct Writer {
    folder: PathBuf,
    spool: SpoolId,
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
    open: Slots,
    /// Nothing follows on the last record.
    ended: bool,
    /// Close records that the disk did not take, oldest first; one at most for each request that is running.
    waiting: VecDeque<(Opened, Vec<u8>)>,
}

#[derive(Debug)]
struct Current {
    begun: Begun,
    bytes: u64,
    /// As in a full one.
    open: u64,
}

#[derive(Debug)]
struct Full {
    first: u64,
    last: u64,
    bytes: u64,
    /// Open records in it whose close is not written, and which are nowhere else.
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
    pub(super) fn new(folder: PathBuf, spool: SpoolId, segment_bytes: u64) -> Self {
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
            open: Slots::default(),
            ended: false,
            waiting: VecDeque::new(),
        }
    }

    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Requests whose close record is not written, those that were given up among them.
    pub(super) const fn requests(&self) -> &Slots {
        &self.open
    }

    /// What its records take on the disk.
    pub(super) fn bytes(&self) -> u64 {
        let full: u64 = self.full.iter().map(|segment| segment.bytes).sum();
        full + self.current.as_ref().map_or(0, |current| current.bytes)
    }

    /// `frame`: the record, with room for its header.
    pub(super) fn open(&mut self, started_at_ms: i64, frame: &mut [u8]) -> Result<Opened, SpoolError> {
        if self.ended {
            return Err(SpoolError::Ended);
        }
        let sequence = self.append(frame)?;
        self.keep_current();
        let bytes = u64::try_from(frame.len()).unwrap_or(u64::MAX);
        let slot = self.open.take(Slot { sequence, bytes, started_at_ms });
        Ok(Opened { spool: self.spool.number, slot })
    }

    /// `frame`: the record, with room for its header. `waits`: it is not to be written now.
    pub(super) fn close(&mut self, opened: Opened, frame: &mut [u8], waits: bool) -> Result<(), SpoolError> {
        // Behind those that wait already, so that the order stays.
        let may_write = self.waiting.is_empty() && !waits;
        let written = if may_write { self.append(frame).map(|_| ()) } else { Err(SpoolError::Unhealthy) };
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

    /// Writes that nothing follows, where no request is open. `None`: one is. Gives the last sequence.
    pub(super) fn end(&mut self, frame: &mut [u8]) -> Result<Option<u64>, SpoolError> {
        if !self.ended {
            if !self.open.is_empty() {
                return Ok(None);
            }
            self.append(frame)?;
            self.ended = true;
        }
        Ok(Some(self.last))
    }

    /// The oldest segment that is kept only for the open records in it, where such segments take too much room: where
    /// it begins, and the records, as sequence and slot.
    pub(super) fn to_copy(&self, acknowledged: u64) -> Option<(u64, Vec<(u64, u32)>)> {
        let oldest = self.full.front().filter(|_| self.keeps_too_much(acknowledged))?;
        Some((oldest.first, self.open.between(oldest.first, oldest.last)))
    }

    /// Whether a disk thread that finds the disk full has something to write.
    pub(super) fn needs_room(&self, acknowledged: u64) -> bool {
        !self.waiting.is_empty() || self.keeps_too_much(acknowledged)
    }

    fn keeps_too_much(&self, acknowledged: u64) -> bool {
        let delivered = self.full.iter().take_while(|segment| segment.last <= acknowledged);
        let kept: u64 = delivered.map(|segment| segment.bytes).sum();
        // One without any goes with the next sync.
        let is_kept = self.full.front().is_some_and(|oldest| oldest.open > 0);
        is_kept && kept > KEPT_SEGMENTS * self.segment_bytes + 2 * self.open.bytes()
    }

    /// Writes the open record at `from` again, unless its request is closed meanwhile. `frame`: the record, with room
    /// for its header; none: the disk has lost it.
    pub(super) fn copy(&mut self, slot: u32, from: u64, frame: Option<&mut [u8]>) -> Result<(), SpoolError> {
        if self.open.is_at(slot, from) {
            let to = match frame {
                Some(frame) => {
                    let to = self.append(frame)?;
                    self.keep_current();
                    to
                }
                // No segment has it.
                None => u64::MAX,
            };
            self.let_go(from);
            self.open.put_at(slot, to);
        }
        Ok(())
    }

    /// An open record was written to the current segment.
    fn keep_current(&mut self) {
        if let Some(current) = &mut self.current {
            current.open += 1;
        }
    }

    fn closed(&mut self, opened: &Opened) {
        if let Some(slot) = self.open.give_back(opened.slot) {
            self.let_go(slot.sequence);
        }
    }

    /// The open record at `sequence` keeps its segment no longer.
    fn let_go(&mut self, sequence: u64) {
        let open = match &mut self.current {
            Some(current) if current.begun.first <= sequence && sequence <= self.last => {
                Some(&mut current.open)
            }
            _ => {
                let at = self.full.partition_point(|segment| segment.last < sequence);
                let segment = self.full.get_mut(at).filter(|segment| segment.first <= sequence);
                segment.map(|segment| &mut segment.open)
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
        if let Some(Current { begun, open, bytes }) = self.current.take() {
            self.full.push_back(Full { first: begun.first, last: self.last, bytes, open });
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
            released: self.unneeded(acknowledged),
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

    /// Whether the disk thread has something to do where so much is acknowledged.
    pub(super) fn has_superfluous(&self, acknowledged: u64) -> bool {
        self.may_release(acknowledged) || self.keeps_too_much(acknowledged)
    }

    /// Whether a segment may go that is still there.
    fn may_release(&self, acknowledged: u64) -> bool {
        self.unneeded(acknowledged) > 0
    }

    /// How many of the oldest segments may go, once what is written is durable. One always stays: it tells the next run
    /// which sequences are used.
    fn unneeded(&self, acknowledged: u64) -> usize {
        let most = self.full.len() - usize::from(self.current.is_none() && !self.full.is_empty());
        self.full.iter().take(most).take_while(|segment| segment.unneeded(acknowledged)).count()
    }

    /// Paths of the oldest segments, which are no more of this spool.
    pub(super) fn release(&mut self, count: usize) -> Vec<PathBuf> {
        let released = self.full.drain(..count.min(self.full.len()));
        released.map(|segment| segment::path(&self.folder, segment.first)).collect()
    }
}

impl Full {
    /// Everything in it is in the ledger, and no open record in it waits for its close. That none before it does
    /// either (recovery would miss the close) is seen by going through them from the oldest.
    const fn unneeded(&self, acknowledged: u64) -> bool {
        self.last <= acknowledged && self.open == 0
    }
}

#[cfg(test)]
mod tests;
