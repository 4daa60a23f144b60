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
//! A folder with records that does not say whose they are is put aside by its name, for a person to look at; so is what
//! the disk can't read, and the rest is delivered: one bad file keeps no node from starting. Nothing is removed in which
//! there is a record that is not delivered.

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
    fault,
    frame::{self, Next, SpoolId},
    identity::{self, Identity},
    reserve,
    salvage::{self, Content},
    segment,
};
use crate::contract::first_attempt;

/// The condition on a record whose end nobody saw.
const CONDITION: &str = "node_stopped";
/// How fast models write.
const TOKENS_A_SECOND: u64 = 50;

/// What is in the folder of all incarnations.
#[derive(Debug)]
pub(super) struct All {
    /// Oldest first.
    pub(super) incarnations: Vec<Recovered>,
    /// Folders with records that can't be read, or that nobody can say of whose they are.
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
    /// Records that were written and are not there, as far as what is there tells; at the end of what could not be read,
    /// at most so many.
    pub(super) missing: u64,
}

impl RecoveredSpool {
    /// Sequence of the last record, with those that follow on the files.
    pub(super) fn end(&self) -> u64 {
        self.files_end + u64::try_from(self.after_files.len()).unwrap_or(0)
    }
}

/// All incarnations under `folder`. `now`: when those end that have no end yet.
///
/// # Errors
/// What is not of one file or one incarnation alone: that keeps the process from starting, as records are at stake.
pub(super) fn all(folder: &Path, now: Millis) -> io::Result<All> {
    let (mut found, mut incarnations) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if has_extension(&path, segment::DELIVERED_EXTENSION) {
            remove_rest(&path)?;
        } else if has_extension(&path, salvage::SET_ASIDE_EXTENSION) {
            tracing::error!(folder = %path.display(), "usage records are set aside that could not be read, or don't say whose they are; they are not delivered: get out of them what is needed, and remove the folder");
        } else if let Some(id) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) {
            found.push((id, path));
        }
    }
    found.sort();
    for (incarnation, path) in found {
        match one(incarnation, &path, now) {
            Ok(recovered) => incarnations.extend(recovered),
            Err(error) if salvage::is_damage(&error) => unreadable(&path, &error)?,
            Err(error) => {
                return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display())));
            }
        }
    }
    Ok(All { incarnations, set_aside: count_set_aside(folder)? })
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|extension| extension == wanted)
}

fn count_set_aside(folder: &Path) -> io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        count += usize::from(has_extension(&entry?.path(), salvage::SET_ASIDE_EXTENSION));
    }
    Ok(count)
}

/// The rest of a folder that is delivered. Where the disk is damaged there, it takes room and no more.
fn remove_rest(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if salvage::is_damage(&error) => {
            tracing::error!(%error, folder = %folder.display(), "delivered usage records can't be removed");
            Ok(())
        }
        removed => removed,
    }
}

/// An incarnation of which the disk gives too little to go by.
fn unreadable(folder: &Path, error: &io::Error) -> io::Result<()> {
    let aside = salvage::aside_of(folder);
    tracing::error!(%error, folder = %folder.display(), aside = %aside.display(), "usage records of an earlier run can't be read; they are set aside and not delivered: look at the disk, and give the folder its old name once it can be read");
    fs::rename(folder, &aside)
}

/// A folder that does not say what it is.
fn unidentified(folder: &Path) -> io::Result<()> {
    if !segment::holds_records(folder)? {
        // Its making was cut off.
        return fs::remove_dir_all(folder).map_err(salvage::untaken);
    }
    let aside = salvage::aside_of(folder);
    tracing::error!(folder = %folder.display(), aside = %aside.display(), "nothing says whose usage records these are; they are set aside and not delivered");
    rename(folder, &aside)
}

/// `None`: its folder does not say what it is.
fn one(incarnation: IncarnationId, folder: &Path, now: Millis) -> io::Result<Option<Recovered>> {
    let Some(identity) = Identity::read(folder)? else {
        return unidentified(folder).map(|()| None);
    };
    reserve::let_go(folder);
    let delivered = identity::read_delivered(folder);
    let folders = (0..count(folder, &identity)?).map(|number| {
        let id = SpoolId { incarnation, number };
        let number = number.to_string();
        let aside = folder.with_extension(salvage::SET_ASIDE_EXTENSION).join(&number);
        let place = Place { id, folder: folder.join(number), aside };
        salvage::finish(&place.folder)?;
        name_unnamed(&place).map(|()| place)
    });
    let places = folders.collect::<io::Result<Vec<_>>>()?;
    // A worker's spool says nothing while its streams run on: the run is as old as the latest word of any.
    let last_write = last_write(&places)?;
    let spools = places.into_iter().map(|place| {
        let delivered = delivered.get(place.id.number as usize).copied().unwrap_or(0);
        spool(place, delivered, now, last_write)
    });
    let spools = spools.collect::<io::Result<Vec<_>>>()?;
    let records: u64 = spools.iter().map(|spool| spool.end().saturating_sub(spool.delivered)).sum();
    if records > 0 {
        tracing::info!(%incarnation, records, "usage records of an earlier run are to be delivered");
    }
    let missing: u64 = spools.iter().map(|spool| spool.missing).sum();
    if missing > 0 {
        tracing::error!(%incarnation, folder = %folder.display(), records = missing, "usage records of an earlier run are missing on this disk; the ledger is told which");
    }
    Ok(Some(Recovered { folder: folder.to_owned(), incarnation, node_id: identity.node_id, spools }))
}

/// Where a spool is.
struct Place {
    id: SpoolId,
    folder: PathBuf,
    /// For files of it that can't be read.
    aside: PathBuf,
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

fn last_write(places: &[Place]) -> io::Result<Millis> {
    let mut last = Millis(0);
    for Place { folder, .. } in places {
        for first in segment::list(folder)? {
            last = last.max(written_at(&segment::path(folder, first))?);
        }
    }
    Ok(last)
}

fn spool(place: Place, delivered: u64, now: Millis, last_write: Millis) -> io::Result<RecoveredSpool> {
    let firsts = segment::list(&place.folder)?;
    // Those before the first segment were delivered.
    let before = firsts.first().map_or(0, |first| first.saturating_sub(1));
    let (mut seen, mut bytes) = (Seen { end: before, delivered, ..Seen::default() }, 0);
    for first in &firsts {
        let path = segment::path(&place.folder, *first);
        let content = salvage::read(&path).map_err(|error| of_file(&path, error))?;
        seen.reach(first.saturating_sub(1));
        let intact = seen.scan(&content.bytes, place.id);
        let is_last = firsts.last() == Some(first);
        if content.is_damaged {
            if is_last {
                skip(&path, content.bytes.len() - intact, &mut seen)?;
            }
            keep_readable(&path, &path, &content.bytes[..intact], &place)?;
        } else if intact < content.bytes.len() && is_last {
            tracing::warn!(path = %path.display(), bytes = content.bytes.len() - intact, "a usage record was cut off by a crash; its remains are removed");
            truncate(&path, intact).map_err(|error| of_file(&path, salvage::untaken(error)))?;
        }
        bytes += u64::try_from(content.bytes.len()).unwrap_or(0);
        sync(&path).map_err(|error| of_file(&path, salvage::untaken(error)))?;
    }
    if !firsts.is_empty() {
        segment::sync_folder(&place.folder).map_err(salvage::untaken)?;
    }
    let Place { id, folder, .. } = place;
    let (files_end, missing) = (seen.end, seen.missing);
    let after_files = seen.rest(now, last_write);
    Ok(RecoveredSpool { id, folder, files_end, after_files, delivered, bytes, missing })
}

/// Names the file within its run, whose folder is named further out. What is damage stays to be told as such.
fn of_file(path: &Path, error: io::Error) -> io::Error {
    if salvage::is_damage(&error) {
        return error;
    }
    let spool = path.parent().and_then(Path::file_name).map(Path::new).unwrap_or(path);
    let file = path.file_name().map_or_else(|| path.to_owned(), |name| spool.join(name));
    io::Error::new(error.kind(), format!("{}: {error}", file.display()))
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fault::take().and_then(|()| fs::rename(from, to)).map_err(salvage::untaken)
}

/// What was read may be in memory only.
fn sync(path: &Path) -> io::Result<()> {
    fault::take()?;
    File::open(path)?.sync_data()
}

/// Puts what could be read of the file `path` at `target`.
fn keep_readable(path: &Path, target: &Path, readable: &[u8], place: &Place) -> io::Result<()> {
    let (aside, bytes) = (place.aside.display(), readable.len());
    tracing::error!(path = %path.display(), %aside, bytes, "usage records can't be read; what could be read of their file is delivered, and the file is set aside: look at the disk");
    salvage::replace(path, target, readable, &place.aside)
}

/// Passes over the sequences that records may have had behind the last one that could be read, in so many bytes. The
/// ledger may have some of them, so nothing else may get these. The name of an empty segment says so, also to those who
/// come later.
fn skip(last: &Path, bytes: usize, seen: &mut Seen) -> io::Result<()> {
    let most = u64::try_from(bytes / frame::HEADER).unwrap_or(u64::MAX);
    if most == 0 {
        return Ok(());
    }
    seen.reach(seen.end.saturating_add(most));
    let folder = last.parent().unwrap_or(last);
    let next = segment::path(folder, seen.end.saturating_add(1));
    let written = salvage::write(&next, &[], fs::metadata(last)?.modified()?);
    written.and_then(|()| segment::sync_folder(folder)).map_err(salvage::untaken)
}

fn name_unnamed(place: &Place) -> io::Result<()> {
    for path in segment::unnamed(&place.folder)? {
        let Content { bytes, is_damaged } = salvage::read(&path).map_err(|error| of_file(&path, error))?;
        let first = frame::find(&bytes, place.id, 0).map(|at| frame::next(&bytes[at..], place.id));
        match first {
            Some(Next::Frame { sequence, .. }) => {
                let named = segment::path(&place.folder, sequence);
                if is_damaged {
                    keep_readable(&path, &named, &bytes, place)?;
                } else {
                    rename(&path, &named)?;
                }
            }
            _ if is_damaged => {
                tracing::error!(path = %path.display(), aside = %place.aside.display(), "a file in which usage records may be can't be read; it is set aside: look at the disk");
                salvage::set_aside(&path, &place.aside)?;
            }
            // Made ahead, or the one record in it was cut off.
            _ => fs::remove_file(&path).map_err(|error| of_file(&path, salvage::untaken(error)))?,
        }
    }
    Ok(())
}

/// What the files of a spool say.
#[derive(Default)]
struct Seen {
    /// Sequence of the last record.
    end: u64,
    /// Up to which the ledger had them.
    delivered: u64,
    /// Records up to `end` that are not there, and were not delivered.
    missing: u64,
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

    /// There were records up to this one.
    fn reach(&mut self, sequence: u64) {
        self.missing += sequence.saturating_sub(self.end.max(self.delivered));
        self.end = self.end.max(sequence);
    }

    fn note(&mut self, sequence: u64, payload: &[u8]) {
        self.reach(sequence.saturating_sub(1));
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
