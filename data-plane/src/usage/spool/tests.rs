mod full;
mod killed;
mod left;
mod long;
mod unreadable;

use std::{fs::OpenOptions, path::Path, time::Instant};

use proptest::prelude::*;
use prost::Message as _;
use proto::v1::{Outcome, Record, Reserved, Usage, record};
use shared::clock::Millis;

use super::{reader::Batch, *};

pub(super) const NOW: Millis = Millis(1);
const SIZE: BatchSize = BatchSize { records: 3, bytes: 64 * 1024 };

pub(super) fn open_record(number: u64) -> OpenRecord {
    OpenRecord { request_id: id(number), model_requested: format!("model-{number}"), ..OpenRecord::default() }
}

fn close_record(number: u64) -> CloseRecord {
    CloseRecord {
        open: Some(open_record(number)),
        outcome: Outcome::Completed.into(),
        ..CloseRecord::default()
    }
}

fn id(number: u64) -> Vec<u8> {
    u128::from(number).to_be_bytes().to_vec()
}

fn journal(folder: &Path, segment_bytes: u64, tasks: &Tasks) -> Journal {
    let settings = SpoolSettings { segment_bytes, ..SpoolSettings::default() };
    Journal::create(taken(folder), run(0), settings, &Clock::manual(Millis(1)), tasks).unwrap()
}

pub(super) fn taken(data_dir: &Path) -> FolderLock {
    FolderLock::take(data_dir).unwrap()
}

pub(super) fn run(workers: usize) -> Run<'static> {
    Run { node_id: "node-a", incarnation: IncarnationId::new(Millis(1)), workers }
}

/// One that is opened and closed.
pub(super) fn request(journal: &Journal, number: u64) {
    let opened = journal.open(&open_record(number)).unwrap();
    journal.close(opened, &close_record(number)).unwrap();
}

/// A record that was read. Without content: it is lost.
#[derive(Debug)]
struct Read {
    sequence: u64,
    record: Option<record::Record>,
}

fn read(outbox: &Outbox, after: u64) -> Vec<Read> {
    read_spool(outbox, 0, after)
}

fn read_spool(outbox: &Outbox, spool: u32, after: u64) -> Vec<Read> {
    let to = outbox.durable(spool);
    let mut reader = outbox.reader(spool, after).unwrap();
    let mut records = Vec::new();
    loop {
        let Batch { first_sequence, gone, records: batch } = reader.batch(to, SIZE).unwrap();
        if batch.is_empty() {
            return records;
        }
        records
            .extend((first_sequence - gone..first_sequence).map(|sequence| Read { sequence, record: None }));
        records.extend(batch.into_iter().zip(first_sequence..).map(|(bytes, sequence)| {
            assert_eq!(bytes.is_empty(), Record::decode(bytes.clone()).unwrap().record.is_none());
            Read { sequence, record: Record::decode(bytes).unwrap().record }
        }));
    }
}

/// An end.
const END: i64 = i64::MAX;

/// Positive: the request opened; negative: the request closed; 0: lost.
fn shape(records: &[Read]) -> Vec<i64> {
    let number = |open: &OpenRecord| {
        i64::try_from(u128::from_be_bytes(open.request_id.as_slice().try_into().unwrap())).unwrap()
    };
    records
        .iter()
        .map(|record| match &record.record {
            Some(record::Record::Open(open)) => number(open),
            Some(record::Record::Close(close)) => -number(close.open.as_ref().unwrap()),
            Some(record::Record::End(_)) => END,
            None => 0,
        })
        .collect()
}

fn sequences(records: &[Read]) -> Vec<u64> {
    records.iter().map(|record| record.sequence).collect()
}

/// The first spool of the only incarnation.
pub(super) fn spool_folder(data_dir: &Path) -> PathBuf {
    incarnation_folder(data_dir).join("0")
}

fn incarnation_folder(data_dir: &Path) -> PathBuf {
    let mut folders: Vec<_> =
        fs::read_dir(data_dir.join(FOLDER)).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    folders.remove(0)
}

fn segments(data_dir: &Path) -> usize {
    segment::list(&spool_folder(data_dir)).unwrap().len()
}

pub(super) async fn until(mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(10), "waited in vain");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn records_come_back_in_order_from_any_place_and_across_segments() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::new();
    let journal = journal(folder.path(), 200, &tasks);
    for number in 1..=10 {
        request(&journal, number);
    }
    assert_eq!(journal.depth(), 20);
    let outbox = journal.outboxes().pop().unwrap();
    until(|| outbox.durable(0) == 20).await;
    assert!(segments(folder.path()) > 3);
    let all = read(&outbox, 0);
    assert_eq!(shape(&all), (1..=10).flat_map(|number| [number, -number]).collect::<Vec<_>>());
    for after in 0..=20 {
        assert_eq!(sequences(&read(&outbox, after)), (after + 1..=20).collect::<Vec<_>>());
    }
    tasks.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn files_go_once_the_ledger_has_them_but_not_while_a_request_in_them_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::new();
    let journal = journal(folder.path(), 100, &tasks);
    let running = journal.open(&open_record(99)).unwrap();
    // So few that none is copied for the sake of the room.
    for number in 1..=3 {
        request(&journal, number);
    }
    assert!(journal.sync());
    let (outbox, before) = (journal.outboxes().pop().unwrap(), segments(folder.path()));
    assert!(before > 2);
    outbox.acknowledge(&[(0, 7)], &tasks).await.unwrap();
    assert!(journal.sync());
    assert_eq!((segments(folder.path()), journal.depth()), (before, 0));
    journal.close(running, &close_record(99)).unwrap();
    outbox.acknowledge(&[(0, 8)], &tasks).await.unwrap();
    until(|| segments(folder.path()) == 1).await;
    assert!(journal.sync());
    assert_eq!(segments(folder.path()), 1, "the one that is written to stays");
    tasks.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_spool_left_behind_is_delivered_with_its_open_requests_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::new();
    let first = journal(folder.path(), 200, &tasks);
    let mut running: Vec<_> = (1..=5).map(|number| first.open(&open_record(number)).unwrap()).collect();
    first.close(running.remove(1), &close_record(2)).unwrap();
    assert!(matches!(FolderLock::take(folder.path()), Err(SpoolError::Locked(_))));
    tasks.shutdown(Duration::from_secs(5)).await;
    drop(first);

    for _ in 0..2 {
        let outboxes = found_outboxes(&taken(folder.path()), NOW).unwrap();
        let outbox = &outboxes[0];
        assert_eq!(outbox.node_id(), "node-a");
        let records = read(outbox, 0);
        assert_eq!(shape(&records), [1, 2, 3, 4, 5, -2, -1, -3, -4, -5, END], "the same each time");
        assert_eq!(sequences(&records), (1..=11).collect::<Vec<_>>());
        let Some(record::Record::Close(last)) = &records[9].record else { panic!("{records:?}") };
        assert_eq!((last.outcome(), last.estimated), (Outcome::CutOff, true));
    }
    let tasks = Tasks::new();
    let second = journal(folder.path(), 200, &tasks);
    assert_eq!(second.depth(), 11);
    let outbox = second.outboxes().remove(0);
    outbox.acknowledge(&[(0, 10)], &tasks).await.unwrap();
    assert_eq!((second.depth(), outbox.finished()), (1, false));
    outbox.acknowledge(&[(0, 11)], &tasks).await.unwrap();
    assert_eq!((second.depth(), outbox.finished()), (0, true));
    spool_folder(folder.path());
    tasks.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn what_a_killed_run_had_under_way_costs_the_account_and_not_the_user() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::new();
    let first =
        Journal::create(taken(folder.path()), run(0), SpoolSettings::default(), &Clock::System, &tasks)
            .unwrap();
    let (began, bound) = (Clock::System.now(), Usage { input: 900, output: 400, ..Usage::default() });
    let under_way = |number, seconds: i64| OpenRecord {
        account_id: vec![3; 16],
        model_mapped: "theirs".into(),
        group_ids: vec![vec![4; 16]],
        region: "eu-west-1".into(),
        started_at_ms: began.0 - seconds * 1000,
        reserved: Some(Reserved {
            usage: Some(bound),
            likely_input: 300,
            price_id: vec![7; 16],
            ..Reserved::default()
        }),
        ..open_record(number)
    };
    let opens = [under_way(1, 3), under_way(2, 3600), open_record(3)];
    let _running: Vec<_> = opens.iter().map(|open| first.open(open).unwrap()).collect();
    tasks.shutdown(Duration::from_secs(5)).await;
    drop(first);

    let outboxes = found_outboxes(&taken(folder.path()), NOW).unwrap();
    let closes: Vec<_> = read(&outboxes[0], 3).into_iter().filter_map(|read| read.record).collect();
    let attempts = |at: usize| {
        let record::Record::Close(close) = &closes[at] else { panic!("{closes:?}") };
        assert!(close.estimated);
        close.attempts.clone()
    };
    for (at, written) in [(0, 100..=399), (1, 400..=400)] {
        let [attempt] = &attempts(at)[..] else { panic!("{closes:?}") };
        assert_eq!((&attempt.account_id[..], attempt.model_mapped.as_str()), (&[3; 16][..], "theirs"));
        assert_eq!((&attempt.group_ids[..], attempt.region.as_str()), (&[vec![4; 16]][..], "eu-west-1"));
        assert_eq!((attempt.outcome(), attempt.unrated, attempt.bound), (Outcome::CutOff, true, Some(bound)));
        let estimate = attempt.estimate.unwrap();
        assert_eq!(estimate.input, 300);
        assert!(written.contains(&estimate.output), "{estimate:?}");
        assert_eq!(attempt.price_id, [7; 16]);
    }
    assert_eq!(attempts(2), [], "nobody said where it went");
}

/// The time from there to the start that finds it is not the run's.
#[tokio::test]
async fn what_was_under_way_is_charged_by_the_last_write_also_where_its_remains_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::new();
    let first = journal(folder.path(), 1_000_000, &tasks);
    let bound = Usage { input: 900, output: 400, ..Usage::default() };
    let reserved = Reserved { usage: Some(bound), likely_input: 300, ..Reserved::default() };
    let open = OpenRecord {
        account_id: vec![3; 16],
        started_at_ms: 1_000_000,
        reserved: Some(reserved),
        ..open_record(1)
    };
    let _running = first.open(&open).unwrap();
    tasks.shutdown(Duration::from_secs(5)).await;
    drop(first);
    let path = segment::path(&spool_folder(folder.path()), 1);
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    io::Write::write_all(&mut file, b"torn").unwrap();
    file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_002)).unwrap();
    for start in ["that removes the remains", "that finds none"] {
        let outboxes = found_outboxes(&taken(folder.path()), NOW).unwrap();
        let Some(record::Record::Close(close)) = read(&outboxes[0], 1).remove(0).record else { panic!() };
        assert_eq!((close.attempts[0].estimate.unwrap().output, close.total_ms), (100, 2_000), "{start}");
    }
}

/// One worker's stream runs on silently while another one's requests come and go.
#[tokio::test]
async fn a_run_lived_as_long_as_any_of_its_spools_was_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::new();
    let clock = Clock::manual(Millis(1));
    let first =
        Journal::create(taken(folder.path()), run(1), SpoolSettings::default(), &clock, &tasks).unwrap();
    let bound = Usage { input: 900, output: 4_000, ..Usage::default() };
    let silent = OpenRecord {
        account_id: vec![3; 16],
        started_at_ms: 1_000_000,
        reserved: Some(Reserved { usage: Some(bound), ..Reserved::default() }),
        ..open_record(1)
    };
    let _running = first.open(&silent).unwrap();
    request(&first.of_worker(0), 2);
    tasks.shutdown(Duration::from_secs(5)).await;
    drop(first);
    for (spool, written) in [("0", 1_000), ("1", 1_020)] {
        let path = segment::path(&incarnation_folder(folder.path()).join(spool), 1);
        let file = OpenOptions::new().append(true).open(path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(written)).unwrap();
    }
    let outboxes = found_outboxes(&taken(folder.path()), NOW).unwrap();
    let Some(record::Record::Close(close)) = read(&outboxes[0], 1).remove(0).record else { panic!() };
    assert_eq!((close.attempts[0].estimate.unwrap().output, close.total_ms), (1_000, 20_000));
}

#[tokio::test]
async fn a_disk_that_takes_nothing_stops_admission_and_no_close_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::new();
    let settings =
        SpoolSettings { segment_bytes: 1, probe_every: Duration::from_millis(5), ..SpoolSettings::default() };
    let journal =
        Journal::create(taken(folder.path()), run(0), settings, &Clock::manual(NOW), &tasks).unwrap();
    let (first, second) = (journal.open(&open_record(1)).unwrap(), journal.open(&open_record(2)).unwrap());
    assert!(journal.sync());

    let place = incarnation_folder(folder.path());
    let away = Away::new(&place);
    // What it is written to is still there, but can't be named.
    journal.close(first, &close_record(1)).unwrap();
    until(|| !journal.healthy()).await;
    assert!(matches!(journal.open(&open_record(3)), Err(SpoolError::Unhealthy)));
    let outbox = journal.outboxes().pop().unwrap();
    assert_eq!(outbox.durable(0), 2, "what has no name does not count as durable");
    // And no further file can be made.
    assert!(journal.close(second, &close_record(2)).is_err());
    assert_eq!(journal.depth(), 4, "what waits in memory counts");

    away.end();
    until(|| journal.healthy()).await;
    let _running = journal.open(&open_record(4)).unwrap();
    until(|| outbox.durable(0) == 5).await;
    assert_eq!(shape(&read(&outbox, 0)), [1, 2, -1, -2, 4]);
    tasks.shutdown(Duration::from_secs(5)).await;
}

/// A folder that is not where it belongs, with something in its place in which nothing can be made.
struct Away {
    place: PathBuf,
    other: PathBuf,
}

impl Away {
    fn new(place: &Path) -> Self {
        let this = Self { place: place.to_owned(), other: place.with_extension("away") };
        fs::rename(&this.place, &this.other).unwrap();
        fs::write(&this.place, b"").unwrap();
        this
    }

    fn end(self) {
        fs::remove_file(&self.place).unwrap();
        fs::rename(&self.other, &self.place).unwrap();
    }
}

#[tokio::test]
async fn a_record_that_is_too_large_is_written_without_what_makes_it_so() {
    let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let journal = journal(folder.path(), 1 << 20, &tasks);
    let large =
        OpenRecord { metadata: [("key".into(), "m".repeat(frame::LARGEST))].into(), ..open_record(1) };
    let opened = journal.open(&large).unwrap();
    let close = CloseRecord { open: Some(large), losses: vec!["l".repeat(2_000); 200], ..close_record(1) };
    journal.close(opened, &close).unwrap();
    assert!(journal.sync());
    let records = read(&journal.outboxes().pop().unwrap(), 0);
    assert_eq!(shape(&records), [1, -1]);
    let Some(record::Record::Close(close)) = &records[1].record else { panic!("{records:?}") };
    assert_eq!(
        (close.outcome(), &close.conditions[..]),
        (Outcome::Completed, &["cut_to_size".to_owned()][..])
    );
    tasks.shutdown(Duration::from_secs(5)).await;
}

/// What a process leaves that is killed between making a segment and naming it: `last` of its segments have no name.
fn take_names(spool: &Path, last: usize) {
    let firsts = segment::list(spool).unwrap();
    for (first, number) in firsts.into_iter().rev().take(last).zip(900..) {
        fs::rename(segment::path(spool, first), spool.join(format!("{number:020}.new"))).unwrap();
    }
}

#[test]
fn a_file_made_ahead_is_removed_and_a_spool_of_nothing_else_ends() {
    for pairs in [0, 1] {
        let folder = tempfile::tempdir().unwrap();
        spool_of(folder.path(), pairs);
        let spool = spool_folder(folder.path());
        assert_eq!(segment::unnamed(&spool).unwrap().len(), 1);
        let outboxes = found_outboxes(&taken(folder.path()), NOW).unwrap();
        assert_eq!(segment::unnamed(&spool).unwrap(), Vec::<PathBuf>::new());
        let all = [1, -1, END];
        assert_eq!(shape(&read(&outboxes[0], 0)), if pairs > 0 { &all[..] } else { &all[2..] });
    }
}

#[test]
fn what_has_not_got_its_name_at_a_kill_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clock = Clock::manual(Millis(1));
        // As a kill has it that comes before the disk thread does anything.
        let start = |_: &Arc<Own>| Ok(());
        let settings = SpoolSettings { segment_bytes: 200, ..SpoolSettings::default() };
        let journal = Journal::begin(taken(folder.path()), run(0), settings, &clock, start).unwrap();
        for number in 1..=5 {
            request(&journal, number);
        }
    });
    let spool = spool_folder(folder.path());
    assert_eq!(segment::list(&spool).unwrap(), Vec::<u64>::new());
    assert!(segment::unnamed(&spool).unwrap().len() > 2);
    for _ in 0..2 {
        let outboxes = found_outboxes(&taken(folder.path()), NOW).unwrap();
        assert_eq!(shape(&read(&outboxes[0], 0)), [1, -1, 2, -2, 3, -3, 4, -4, 5, -5, END]);
    }
}

fn spool_id(folder: &Path) -> frame::SpoolId {
    let name = |folder: &Path| folder.file_name().unwrap().to_str().unwrap().to_owned();
    let incarnation = name(folder.parent().unwrap()).parse().unwrap();
    frame::SpoolId { incarnation, number: name(folder).parse().unwrap() }
}

/// The files of a spool with `pairs` requests, each opened and closed.
fn spool_of(data_dir: &Path, pairs: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let tasks = Tasks::new();
        let journal = journal(data_dir, 300, &tasks);
        for number in 1..=pairs {
            request(&journal, number);
        }
        tasks.shutdown(Duration::from_secs(5)).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A kill or a power cut at any byte of the last file, with anything in the place of what was not yet written,
    /// whether or not the last files have their names yet.
    #[test]
    fn a_torn_tail_loses_no_record_before_it(
        pairs in 1..8_u64, unnamed in 0..3_usize, cut: prop::sample::Index, garbage in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let folder = tempfile::tempdir().unwrap();
        spool_of(folder.path(), pairs);
        let spool = spool_folder(folder.path());
        let last = *segment::list(&spool).unwrap().last().unwrap();
        let path = segment::path(&spool, last);
        let whole = fs::read(&path).unwrap();
        let cut = cut.index(whole.len() + 1);
        let mut torn = whole[..cut].to_vec();
        torn.extend(&garbage);
        fs::write(&path, &torn).unwrap();
        take_names(&spool, unnamed);

        let spool_id = spool_id(&spool);
        let mut intact = last - 1;
        let mut rest = &whole[..cut];
        while let frame::Next::Frame { size, .. } = frame::next(rest, spool_id) {
            rest = &rest[size..];
            intact += 1;
        }
        let outboxes = found_outboxes(&taken(folder.path()), NOW).unwrap();
        let records = read(&outboxes[0], 0);
        let mut expected: Vec<i64> = (1..=i64::try_from(pairs).unwrap()).flat_map(|number| [number, -number]).collect();
        expected.truncate(usize::try_from(intact).unwrap());
        if intact % 2 == 1 {
            expected.push(-expected.last().unwrap());
        }
        expected.push(END);
        prop_assert_eq!(shape(&records), expected);
    }

    #[test]
    fn damage_anywhere_takes_only_what_it_hits(
        pairs in 1..8_u64, file: prop::sample::Index, at: prop::sample::Index, flip in 1..=255_u8,
    ) {
        let folder = tempfile::tempdir().unwrap();
        spool_of(folder.path(), pairs);
        let spool = spool_folder(folder.path());
        let firsts = segment::list(&spool).unwrap();
        let path = segment::path(&spool, *file.get(&firsts));
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        fs::write(&path, &bytes).unwrap();

        let outboxes = found_outboxes(&taken(folder.path()), NOW).unwrap();
        let records = read(&outboxes[0], 0);
        let found = shape(&records);
        let all: Vec<i64> = (1..=i64::try_from(pairs).unwrap()).flat_map(|number| [number, -number]).collect();
        let missing = all.iter().filter(|number| !found.contains(number)).count();
        prop_assert!(missing <= 1, "{:?}", found);
        prop_assert_eq!(sequences(&records), (1..=u64::try_from(records.len()).unwrap()).collect::<Vec<_>>());
    }
}
