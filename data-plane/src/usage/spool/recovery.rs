//! Incarnations that were left behind, each with its spools.
//!
//! Requests that one opened and did not close get a close record, as cut off and charged to the account by what the open
//! record says and the time until the last write, and each spool an end. These are not
//! written: they follow from the files, in the order of the open records, and are counted on from the last record; so
//! recovering twice gives the same, and a full disk is no obstacle.
//!
//! A segment that had not got its name yet gets it now, if there is a record in it. What is found is synced, as what
//! the ledger has must not be lost by a power cut: its sequences would be used again.
//!
//! A folder with records that does not say whose they are is put aside by its name, for a person to look at. Nothing is
//! removed in which there is a record that is not delivered.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use bytes::Bytes;
use prost::Message as _;
use proto::v1::{Attempt, CloseRecord, EndRecord, OpenRecord, Outcome, Record, Usage, record};
use shared::{clock::Millis, id::IncarnationId};

use super::{
    frame::{self, Next, SpoolId},
    identity::{self, Identity},
    reserve, segment,
};
use crate::contract::first_attempt;

/// The condition on a record whose end nobody saw.
const CONDITION: &str = "node_stopped";
/// How fast models write.
const TOKENS_A_SECOND: u64 = 50;
/// Of a folder that a person has to look at.
const SET_ASIDE_EXTENSION: &str = "set-aside";

/// What is in the folder of all incarnations.
#[derive(Debug)]
pub(super) struct All {
    /// Oldest first.
    pub(super) incarnations: Vec<Recovered>,
    /// Folders that nobody can say of whose records they hold.
    pub(super) set_aside: usize,
}

/// An earlier run.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) folder: PathBuf,
    pub(super) incarnation: IncarnationId,
    pub(super) node_id: String,
    pub(super) spools: Vec<RecoveredSpool>,
}

#[derive(Debug)]
pub(super) struct RecoveredSpool {
    pub(super) id: SpoolId,
    pub(super) folder: PathBuf,
    /// Sequence of the last record in the files.
    pub(super) files_end: u64,
    /// Encoded records that follow on those: of the requests that were left open, and the end.
    pub(super) after_files: Vec<Bytes>,
    /// How far the ledger had it, as far as that was written down.
    pub(super) delivered: u64,
    /// What it takes on the disk.
    pub(super) bytes: u64,
}

impl RecoveredSpool {
    /// Sequence of the last record, with those that follow on the files.
    pub(super) fn end(&self) -> u64 {
        self.files_end + u64::try_from(self.after_files.len()).unwrap_or(0)
    }
}

/// All incarnations under `folder`. `now`: when those end that have no end yet.
pub(super) fn all(folder: &Path, now: Millis) -> io::Result<All> {
    let mut found = Vec::new();
    let mut all = All { incarnations: Vec::new(), set_aside: 0 };
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension == Some(segment::DELIVERED_EXTENSION) {
            fs::remove_dir_all(&path)?;
        } else if extension == Some(SET_ASIDE_EXTENSION) {
            tracing::error!(folder = %path.display(), "usage records are set aside that nobody can say whose they are; they are not delivered");
            all.set_aside += 1;
        } else if let Some(id) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) {
            found.push((id, path));
        }
    }
    found.sort();
    for (incarnation, path) in found {
        match Identity::read(&path)? {
            Some(identity) => all.incarnations.push(one(incarnation, path, identity, now)?),
            None => all.set_aside += usize::from(unidentified(&path)?),
        }
    }
    Ok(all)
}

/// A folder that does not say what it is. True: it is set aside; false: there was nothing in it.
fn unidentified(folder: &Path) -> io::Result<bool> {
    if !segment::holds_records(folder)? {
        // Its making was cut off.
        fs::remove_dir_all(folder)?;
        return Ok(false);
    }
    let aside = folder.with_extension(SET_ASIDE_EXTENSION);
    tracing::error!(folder = %folder.display(), aside = %aside.display(), "nothing says whose usage records these are; they are set aside and not delivered");
    fs::rename(folder, &aside)?;
    Ok(true)
}

fn one(
    incarnation: IncarnationId,
    folder: PathBuf,
    identity: Identity,
    now: Millis,
) -> io::Result<Recovered> {
    reserve::let_go(&folder);
    let delivered = identity::read_delivered(&folder);
    let folders = (0..count(&folder, &identity)?).map(|number| {
        let id = SpoolId { incarnation, number };
        let folder = folder.join(number.to_string());
        name_unnamed(id, &folder).map(|()| (id, folder))
    });
    let folders = folders.collect::<io::Result<Vec<_>>>()?;
    // A worker's spool says nothing while its streams run on: the run is as old as the latest word of any.
    let last_write = last_write(&folders)?;
    let spools = folders.into_iter().map(|(id, folder)| {
        let delivered = delivered.get(id.number as usize).copied().unwrap_or(0);
        spool(id, folder, delivered, now, last_write)
    });
    let spools = spools.collect::<io::Result<Vec<_>>>()?;
    let records: u64 = spools.iter().map(|spool| spool.end().saturating_sub(spool.delivered)).sum();
    if records > 0 {
        tracing::info!(%incarnation, records, "usage records of an earlier run are to be delivered");
    }
    Ok(Recovered { folder, incarnation, node_id: identity.node_id, spools })
}

/// How many spools there are: no folder is passed over, whatever the identity says.
fn count(folder: &Path, identity: &Identity) -> io::Result<u32> {
    let mut count = identity.spools;
    for entry in fs::read_dir(folder)? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        count = count.max(number.map_or(0, |number| number.saturating_add(1)));
    }
    Ok(count)
}

fn last_write(folders: &[(SpoolId, PathBuf)]) -> io::Result<Millis> {
    let mut last = Millis(0);
    for (_, folder) in folders {
        for first in segment::list(folder)? {
            last = last.max(written_at(&segment::path(folder, first))?);
        }
    }
    Ok(last)
}

fn spool(
    id: SpoolId,
    folder: PathBuf,
    delivered: u64,
    now: Millis,
    last_write: Millis,
) -> io::Result<RecoveredSpool> {
    let firsts = segment::list(&folder)?;
    let (mut seen, mut bytes) = (Seen::default(), 0);
    // Those before the first segment were delivered.
    seen.end = firsts.first().map_or(0, |first| first.saturating_sub(1));
    for first in &firsts {
        let path = segment::path(&folder, *first);
        let content = fs::read(&path)?;
        let intact = seen.scan(&content, id);
        if intact < content.len() && firsts.last() == Some(first) {
            tracing::warn!(path = %path.display(), bytes = content.len() - intact, "a usage record was cut off by a crash; its remains are removed");
            truncate(&path, intact)?;
        }
        bytes += u64::try_from(content.len()).unwrap_or(0);
        File::open(&path)?.sync_data()?;
    }
    if !firsts.is_empty() {
        segment::sync_folder(&folder)?;
    }
    let files_end = seen.end;
    Ok(RecoveredSpool { id, folder, files_end, after_files: seen.rest(now, last_write), delivered, bytes })
}

fn name_unnamed(spool: SpoolId, folder: &Path) -> io::Result<()> {
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

/// What the files of a spool say.
#[derive(Default)]
struct Seen {
    /// Sequence of the last record.
    end: u64,
    /// It says that nothing follows.
    is_ended: bool,
    /// Of the requests that are open, by the sequence of their latest open record.
    open: BTreeMap<u64, OpenRecord>,
    sequences: HashMap<Vec<u8>, u64>,
}

impl Seen {
    /// Notes every record that is whole. Gives where the last of them ends.
    fn scan(&mut self, bytes: &[u8], spool: SpoolId) -> usize {
        let (mut at, mut intact) = (0, 0);
        loop {
            match frame::next(&bytes[at..], spool) {
                Next::Frame { sequence, payload, size } => {
                    self.note(sequence, payload);
                    at += size;
                    intact = at;
                }
                Next::Partial | Next::Damaged => match frame::find(&bytes[at..], spool, self.end) {
                    Some(next) => at += next,
                    None => return intact,
                },
            }
        }
    }

    fn note(&mut self, sequence: u64, payload: &[u8]) {
        self.end = self.end.max(sequence);
        match Record::decode(payload).ok().and_then(|record| record.record) {
            Some(record::Record::Open(open)) => {
                // One that was copied is the same request.
                if let Some(earlier) = self.sequences.insert(open.request_id.clone(), sequence) {
                    self.open.remove(&earlier);
                }
                self.open.insert(sequence, open);
            }
            Some(record::Record::Close(CloseRecord { open: Some(open), .. })) => {
                if let Some(sequence) = self.sequences.remove(&open.request_id) {
                    self.open.remove(&sequence);
                }
            }
            Some(record::Record::End(_)) => self.is_ended = true,
            Some(record::Record::Close(_)) | None => {}
        }
    }

    /// The records that are missing. `now`: of the end; `last_write`: when the run was last heard of here.
    fn rest(self, now: Millis, last_write: Millis) -> Vec<Bytes> {
        if self.is_ended {
            return Vec::new();
        }
        let end = EndRecord { ended_at_ms: now.0, recovered: true };
        let closes = self.open.into_values().map(|open| cut_off(open, last_write));
        let records = closes.chain([record::Record::End(end)]);
        records.map(|record| Record { record: Some(record) }.encode_to_vec().into()).collect()
    }
}

/// The time of the last write stays: what was under way is charged by it.
fn truncate(path: &Path, size: usize) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let written = file.metadata()?.modified()?;
    file.set_len(u64::try_from(size).unwrap_or(u64::MAX))?;
    file.set_modified(written)?;
    file.sync_all()
}

fn written_at(path: &Path) -> io::Result<Millis> {
    let since = fs::metadata(path)?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

fn cut_off(mut open: OpenRecord, last_write: Millis) -> record::Record {
    let total_ms = u64::try_from(last_write.0.saturating_sub(open.started_at_ms)).unwrap_or(0);
    record::Record::Close(CloseRecord {
        attempts: attempt(&mut open, total_ms).into_iter().collect(),
        open: Some(open),
        outcome: Outcome::CutOff.into(),
        total_ms,
        estimated: true,
        conditions: vec![CONDITION.to_owned()],
        ..CloseRecord::default()
    })
}

/// What the request cost the account that it was sent to first, between what is known and what was reserved: it may have
/// been answered for as long as the run lived. Whether anything of that reached the user is not known, so the user does
/// not pay for it.
fn attempt(open: &mut OpenRecord, total_ms: u64) -> Option<Attempt> {
    let reserved = open.reserved.clone()?;
    let (bound, first) = (reserved.usage?, first_attempt(open)?);
    let written = total_ms.saturating_mul(TOKENS_A_SECOND) / 1000;
    let estimate = Usage {
        input: reserved.likely_input.min(bound.input),
        output: written.min(bound.output),
        ..Usage::default()
    };
    Some(Attempt {
        outcome: Outcome::CutOff.into(),
        reason: CONDITION.to_owned(),
        started_at_ms: open.started_at_ms,
        total_ms,
        estimate: Some(estimate),
        bound: Some(bound),
        unrated: true,
        price_id: reserved.price_id,
        ..first
    })
}
