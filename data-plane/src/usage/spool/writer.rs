//! The end of the spool that is written to.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    fs::{self, File},
    io::{self, Write as _},
    path::PathBuf,
    sync::Arc,
};

use prost::Message;
use shared::id::{RequestId, SpoolId};

use super::{SpoolError, frame, segment};

/// Field numbers of the contract's `Record`.
const OPEN: u32 = 1;
const CLOSE: u32 = 2;

/// Appends records, one write each, and knows which segments may go.
#[derive(Debug)]
pub(super) struct Writer {
    folder: PathBuf,
    spool: SpoolId,
    segment_bytes: u64,
    current: Option<Current>,
    /// Segments that are full: first sequence → last sequence.
    full: BTreeMap<u64, u64>,
    /// Sequence of the last record written; 0 before the first.
    last: u64,
    /// Requests that were opened and not closed, with the open record's sequence.
    open: HashMap<RequestId, u64>,
    open_sequences: BTreeSet<u64>,
    /// Written since the last sync.
    unsynced: Vec<Arc<File>>,
    folder_unsynced: bool,
    /// Close records that the disk did not take, oldest first; one at most for each request that is running.
    waiting: VecDeque<(Option<RequestId>, Vec<u8>)>,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Current {
    file: Arc<File>,
    first: u64,
    bytes: u64,
}

/// What a sync has to make durable.
#[derive(Debug)]
pub(super) struct Unsynced {
    pub(super) files: Vec<Arc<File>>,
    pub(super) folder: bool,
    /// The last record in these files.
    pub(super) last: u64,
}

impl Writer {
    pub(super) fn new(folder: PathBuf, spool: SpoolId, segment_bytes: u64) -> Self {
        Self {
            folder,
            spool,
            segment_bytes,
            current: None,
            full: BTreeMap::new(),
            last: 0,
            open: HashMap::new(),
            open_sequences: BTreeSet::new(),
            unsynced: Vec::new(),
            folder_unsynced: false,
            waiting: VecDeque::new(),
            scratch: Vec::with_capacity(4096),
        }
    }

    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn open(
        &mut self,
        record: &impl Message,
        request: Option<RequestId>,
    ) -> Result<(), SpoolError> {
        self.encode(OPEN, record)?;
        let sequence = self.append()?;
        if let Some(request) = request {
            self.open.insert(request, sequence);
            self.open_sequences.insert(sequence);
        }
        Ok(())
    }

    pub(super) fn close(
        &mut self,
        record: &impl Message,
        request: Option<RequestId>,
    ) -> Result<(), SpoolError> {
        self.encode(CLOSE, record)?;
        // Behind those that wait already, so that the order stays.
        let written = if self.waiting.is_empty() { self.append().map(|_| ()) } else { Err(SpoolError::Full) };
        match written {
            Ok(()) => self.forget_open(request),
            Err(_) => self.waiting.push_back((request, self.scratch.clone())),
        }
        written
    }

    /// Writes what waited for room.
    pub(super) fn write_waiting(&mut self) -> Result<(), SpoolError> {
        while let Some((request, frame)) = self.waiting.front() {
            let request = *request;
            self.scratch.clone_from(frame);
            self.append()?;
            self.waiting.pop_front();
            self.forget_open(request);
        }
        Ok(())
    }

    fn forget_open(&mut self, request: Option<RequestId>) {
        if let Some(sequence) = request.and_then(|request| self.open.remove(&request)) {
            self.open_sequences.remove(&sequence);
        }
    }

    fn encode(&mut self, field: u32, record: &impl Message) -> Result<(), SpoolError> {
        self.scratch.clear();
        self.scratch.resize(frame::HEADER, 0);
        prost::encoding::message::encode(field, record, &mut self.scratch);
        let size = self.scratch.len() - frame::HEADER;
        if size > frame::LARGEST { Err(SpoolError::TooLarge(size)) } else { Ok(()) }
    }

    /// Writes the record in `scratch`, whole or not at all.
    fn append(&mut self) -> Result<u64, SpoolError> {
        let sequence = self.last + 1;
        frame::seal(&mut self.scratch, self.spool, sequence);
        let size = u64::try_from(self.scratch.len()).unwrap_or(u64::MAX);
        if self.current.as_ref().is_some_and(|current| current.bytes + size > self.segment_bytes) {
            self.finish_segment();
        }
        let file = self.current_file(sequence)?;
        if let Err(error) = (&*file).write_all(&self.scratch) {
            self.undo();
            return Err(SpoolError::from(error));
        }
        if let Some(current) = &mut self.current {
            current.bytes += size;
        }
        self.last = sequence;
        Ok(sequence)
    }

    fn current_file(&mut self, first: u64) -> io::Result<Arc<File>> {
        if let Some(current) = &self.current {
            return Ok(Arc::clone(&current.file));
        }
        let file = Arc::new(segment::create(&self.folder, first)?);
        self.unsynced.push(Arc::clone(&file));
        self.folder_unsynced = true;
        self.current = Some(Current { file: Arc::clone(&file), first, bytes: 0 });
        Ok(file)
    }

    fn finish_segment(&mut self) {
        if let Some(current) = self.current.take() {
            self.full.insert(current.first, self.last);
        }
    }

    /// Takes back a part of a record. Where even that fails, the segment is left as it is: readers skip the part.
    fn undo(&mut self) {
        let Some(current) = &self.current else { return };
        let undone = current.file.set_len(current.bytes);
        if current.bytes == 0 {
            // Its name would be taken when the same sequence is tried again.
            self.unsynced.retain(|file| !Arc::ptr_eq(file, &current.file));
            _ = fs::remove_file(segment::path(&self.folder, current.first));
            self.current = None;
        } else if undone.is_err() {
            self.finish_segment();
        }
    }

    pub(super) fn take_unsynced(&mut self) -> Unsynced {
        let mut files = std::mem::take(&mut self.unsynced);
        if let Some(current) = &self.current
            && !files.iter().any(|file| Arc::ptr_eq(file, &current.file))
        {
            files.push(Arc::clone(&current.file));
        }
        Unsynced { files, folder: std::mem::take(&mut self.folder_unsynced), last: self.last }
    }

    /// The sync failed: these are to be tried again.
    pub(super) fn put_back(&mut self, unsynced: Unsynced) {
        self.unsynced.extend(unsynced.files);
        self.folder_unsynced |= unsynced.folder;
    }

    /// Paths of segments that nobody needs any more: everything in them is in the ledger, and no open record in
    /// them or before them still waits for its close.
    pub(super) fn release(&mut self, acknowledged: u64) -> Vec<PathBuf> {
        let lowest_open = self.open_sequences.first().copied().unwrap_or(u64::MAX);
        let mut released = Vec::new();
        while let Some(entry) = self.full.first_entry() {
            if *entry.get() > acknowledged || *entry.get() >= lowest_open {
                break;
            }
            released.push(segment::path(&self.folder, *entry.key()));
            entry.remove();
        }
        released
    }
}

#[cfg(test)]
mod tests {
    use proto::v1::OpenRecord;
    use shared::clock::Millis;

    use super::*;

    #[test]
    fn a_record_that_the_disk_does_not_take_leaves_the_next_one_a_clean_place() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(folder.path().to_owned(), SpoolId::new(Millis(1)), 1 << 20);
        let record = OpenRecord::default();
        writer.open(&record, None).unwrap();
        // Takes nothing, and can't be cut to a length either.
        let full = File::options().write(true).open("/dev/full").unwrap();
        writer.current.as_mut().unwrap().file = Arc::new(full);
        assert!(matches!(writer.open(&record, None), Err(SpoolError::Full)));
        assert_eq!(writer.last(), 1);
        writer.open(&record, None).unwrap();
        assert_eq!((writer.last(), segment::list(folder.path()).unwrap()), (2, vec![1, 2]));
    }

    #[test]
    fn a_record_beyond_all_measure_is_refused_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(folder.path().to_owned(), SpoolId::new(Millis(1)), 1 << 20);
        let record = OpenRecord { model_requested: "m".repeat(frame::LARGEST), ..OpenRecord::default() };
        assert!(matches!(writer.open(&record, None), Err(SpoolError::TooLarge(_))));
        assert_eq!(segment::list(folder.path()).unwrap(), Vec::<u64>::new());
    }
}
