//! Spools that an earlier process left behind.
//!
//! Requests that it opened and did not close get a close record, as cut off. These are not written: they follow
//! from the files, in the order of the open records, and are counted on from the last record; so recovering twice
//! gives the same, and a full disk is no obstacle.
//!
//! A segment that had not got its name yet gets it now, if there is a record in it. What is found is synced, as what
//! the ledger has must not be lost by a power cut: its sequences would be used again.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use prost::Message as _;
use proto::v1::{CloseRecord, OpenRecord, Outcome, Record, record};
use shared::id::IncarnationId;

use super::{
    frame::{self, Next},
    segment,
};

/// The condition on a record whose end nobody saw.
const CONDITION: &str = "node_stopped";

/// A spool of an earlier process.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) folder: PathBuf,
    pub(super) spool: IncarnationId,
    pub(super) node_id: String,
    /// Sequence of the last record in the files.
    pub(super) files_end: u64,
    /// Encoded close records of the requests that it left open.
    pub(super) cut_off: Vec<Bytes>,
}

impl Recovered {
    /// Sequence of the last record, with the close records that follow on the files.
    pub(super) fn end(&self) -> u64 {
        self.files_end + u64::try_from(self.cut_off.len()).unwrap_or(0)
    }
}

/// All spools under `folder`, oldest first.
pub(super) fn all(folder: &Path) -> io::Result<Vec<Recovered>> {
    let mut spools = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let id = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.parse::<IncarnationId>().ok());
        if let Some(id) = id {
            spools.push((id, path));
        }
    }
    spools.sort();
    let recovered = spools.into_iter().map(|(id, path)| one(id, path)).collect::<io::Result<Vec<_>>>()?;
    Ok(recovered.into_iter().flatten().collect())
}

/// `None`: nothing was ever recorded in it.
fn one(spool: IncarnationId, folder: PathBuf) -> io::Result<Option<Recovered>> {
    name_unnamed(spool, &folder)?;
    let firsts = segment::list(&folder)?;
    let node_id = segment::node_id(&folder)?;
    let (Some(node_id), Some(last_segment)) = (node_id, firsts.last()) else {
        fs::remove_dir_all(&folder)?;
        return Ok(None);
    };
    let mut open = OpenRequests::default();
    // Those before the first segment were delivered.
    let mut end = firsts.first().map_or(0, |first| first.saturating_sub(1));
    for first in &firsts {
        let path = segment::path(&folder, *first);
        let bytes = fs::read(&path)?;
        let intact = scan(&bytes, spool, &mut end, &mut open);
        if intact < bytes.len() && first == last_segment {
            tracing::warn!(path = %path.display(), bytes = bytes.len() - intact, "a usage record was cut off by a crash; its remains are removed");
            truncate(&path, intact)?;
        }
        File::open(&path)?.sync_data()?;
    }
    segment::sync_folder(&folder)?;
    let cut_off: Vec<_> = open.by_sequence.into_values().map(cut_off).collect();
    tracing::info!(%spool, records = end, cut_off = cut_off.len(), "usage records of an earlier process are to be delivered");
    Ok(Some(Recovered { folder, spool, node_id, files_end: end, cut_off }))
}

fn name_unnamed(spool: IncarnationId, folder: &Path) -> io::Result<()> {
    for path in segment::unnamed(folder)? {
        let bytes = fs::read(&path)?;
        let first = frame::find(&bytes, spool, 0).map(|at| frame::next(&bytes[at..], spool));
        match first {
            Some(Next::Frame { sequence, .. }) => fs::rename(&path, segment::path(folder, sequence))?,
            // Made ahead, or the one record in it was cut off.
            _ => fs::remove_file(&path)?,
        }
    }
    Ok(())
}

#[derive(Default)]
struct OpenRequests {
    by_sequence: BTreeMap<u64, OpenRecord>,
    sequences: std::collections::HashMap<Vec<u8>, u64>,
}

impl OpenRequests {
    fn note(&mut self, sequence: u64, payload: &[u8]) {
        match Record::decode(payload).ok().and_then(|record| record.record) {
            Some(record::Record::Open(open)) => {
                self.sequences.insert(open.request_id.clone(), sequence);
                self.by_sequence.insert(sequence, open);
            }
            Some(record::Record::Close(CloseRecord { open: Some(open), .. })) => {
                if let Some(sequence) = self.sequences.remove(&open.request_id) {
                    self.by_sequence.remove(&sequence);
                }
            }
            Some(record::Record::Close(_) | record::Record::End(_)) | None => {}
        }
    }
}

/// Notes every record that is whole. Gives where the last of them ends.
fn scan(bytes: &[u8], spool: IncarnationId, end: &mut u64, open: &mut OpenRequests) -> usize {
    let (mut at, mut intact) = (0, 0);
    loop {
        match frame::next(&bytes[at..], spool) {
            Next::Frame { sequence, payload, size } => {
                open.note(sequence, payload);
                *end = (*end).max(sequence);
                at += size;
                intact = at;
            }
            Next::Partial | Next::Damaged => match frame::find(&bytes[at..], spool, *end) {
                Some(next) => at += next,
                None => return intact,
            },
        }
    }
}

fn truncate(path: &Path, size: usize) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(u64::try_from(size).unwrap_or(u64::MAX))?;
    file.sync_all()
}

fn cut_off(open: OpenRecord) -> Bytes {
    let close = CloseRecord {
        open: Some(open),
        outcome: Outcome::CutOff.into(),
        estimated: true,
        conditions: vec![CONDITION.to_owned()],
        ..CloseRecord::default()
    };
    Record { record: Some(record::Record::Close(close)) }.encode_to_vec().into()
}
