//! The records in the files of a node that has ended, and damage to them.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use prost::Message as _;
use proto::v1::{CloseRecord, OpenRecord, Record, record};

use super::disk;

/// Ahead of each record: its length, first, and its sequence, last.
const HEADER: usize = 16;

/// A record in its file.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) spool: u64,
    pub(crate) sequence: u64,
    pub(crate) record: record::Record,
    path: PathBuf,
    bytes: Range<usize>,
}

impl Stored {
    /// The request that it is of.
    pub(crate) fn open(&self) -> Option<&OpenRecord> {
        match &self.record {
            record::Record::Open(open) => Some(open),
            record::Record::Close(CloseRecord { open, .. }) => open.as_ref(),
            record::Record::End(_) => None,
        }
    }

    pub(crate) fn trace(&self) -> String {
        let trace = self.open().map(|open| open.trace_id.as_slice()).unwrap_or_default();
        trace.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) const fn closes(&self) -> bool {
        matches!(self.record, record::Record::Close(_))
    }

    /// Turns a bit of it over on the disk.
    pub(crate) fn damage(&self) {
        let mut file = fs::read(&self.path).unwrap();
        file[self.bytes.start + self.bytes.len() / 2] ^= 1;
        fs::write(&self.path, file).unwrap();
    }
}

/// What a run has left in its spools, in their order.
pub(crate) fn records(run: &Path) -> Vec<Stored> {
    let mut records = Vec::new();
    for path in disk::segments_of(run) {
        let file = fs::read(&path).unwrap();
        let spool = path.parent().unwrap().file_name().unwrap().to_str().unwrap().parse().unwrap();
        let mut at = 0;
        while let Some(header) = file.get(at..at + HEADER) {
            let length = u32::from_le_bytes(header[..4].try_into().unwrap()) as usize;
            let sequence = u64::from_le_bytes(header[8..].try_into().unwrap());
            let bytes = at + HEADER..at + HEADER + length;
            // The last one may be a part.
            let Some(record) = file.get(bytes.clone()) else { break };
            let record = Record::decode(record).unwrap().record.unwrap();
            at = bytes.end;
            records.push(Stored { spool, sequence, record, path: path.clone(), bytes });
        }
    }
    records.sort_by_key(|one| (one.spool, one.sequence));
    records
}
