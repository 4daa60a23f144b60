use std::fs::File;

use proto::v1::{CloseRecord, OpenRecord};
use shared::{clock::Millis, id::IncarnationId};

use super::{
    super::scratch::{Kind, encoded},
    *,
};

fn writer(folder: &std::path::Path, segment_bytes: u64) -> Writer {
    Writer::new(
        folder.to_owned(),
        SpoolId { incarnation: IncarnationId::new(Millis(1)), number: 0 },
        segment_bytes,
    )
}

fn open(writer: &mut Writer) -> Result<Opened, SpoolError> {
    encoded(Kind::Open, &OpenRecord::default(), |frame| writer.open(1, frame))
}

fn close(writer: &mut Writer, opened: Opened) -> Result<(), SpoolError> {
    encoded(Kind::Close, &CloseRecord::default(), |frame| writer.close(opened, frame, false))
}

/// Writes of the current segment go to a disk that takes nothing; such a file can't be cut to a length either.
fn fill_disk(writer: &mut Writer) {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let begun = &mut writer.current.as_mut().unwrap().begun;
    begun.file = Arc::new(begun.file.replaced_by(full));
}

/// What the disk thread does.
fn name_all(writer: &mut Writer) -> Vec<u64> {
    for begun in writer.take_unsynced(0).segments {
        begun.file.name(&writer.folder, begun.first).unwrap();
    }
    segment::list(&writer.folder).unwrap()
}

#[test]
fn a_record_that_the_disk_does_not_take_leaves_the_next_one_a_clean_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), 1 << 20);
    let _first = open(&mut writer).unwrap();
    fill_disk(&mut writer);
    assert!(matches!(open(&mut writer), Err(SpoolError::Full)));
    assert_eq!(writer.last(), 1);
    let _second = open(&mut writer).unwrap();
    assert_eq!((writer.last(), name_all(&mut writer)), (2, vec![1, 2]));
}

#[test]
fn a_segment_whose_first_record_is_not_taken_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), 1 << 20);
    let file = SegmentFile::create(folder.path(), 9).unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    writer.make_ready(file.replaced_by(full));
    assert!(matches!(open(&mut writer), Err(SpoolError::Full)));
    assert_eq!(segment::unnamed(folder.path()).unwrap(), Vec::<PathBuf>::new());
    let _opened = open(&mut writer).unwrap();
    assert_eq!((writer.last(), name_all(&mut writer)), (1, vec![1]));
}

#[test]
fn what_was_taken_up_for_a_sync_is_not_taken_up_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), 1 << 20);
    let _first = open(&mut writer).unwrap();
    assert!(writer.dirty());
    assert_eq!(writer.take_unsynced(0).segments.len(), 1);
    assert_eq!(writer.take_unsynced(0).segments.len(), 0, "there is nothing new to sync");
    assert!(!writer.dirty());
}

#[test]
fn what_a_failed_sync_puts_back_is_synced_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), 1 << 20);
    let _first = open(&mut writer).unwrap();
    let unsynced = writer.take_unsynced(0);
    writer.put_back(unsynced);
    let _second = open(&mut writer).unwrap();
    let again = writer.take_unsynced(0);
    assert_eq!((again.segments.len(), again.last), (1, 2));
}

/// The rule itself, on a few segments with any requests in them.
mod release {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_segment_goes_once_it_is_delivered_and_nothing_up_to_it_is_open(
            steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..40),
            acknowledged in 0..50_u64,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut writer = writer(folder.path(), 60);
            let mut running: BTreeMap<u64, Opened> = BTreeMap::new();
            for (opens, which) in steps {
                if opens || running.is_empty() {
                    let opened = open(&mut writer).unwrap();
                    running.insert(writer.last(), opened);
                } else {
                    let sequence = *running.keys().nth(which.index(running.len())).unwrap();
                    close(&mut writer, running.remove(&sequence).unwrap()).unwrap();
                }
            }
            let lowest_open = running.keys().next().copied().unwrap_or(u64::MAX);
            let expected: Vec<u64> = writer
                .full
                .iter()
                .filter(|segment| segment.last <= acknowledged && segment.last < lowest_open)
                .map(|segment| segment.first)
                .collect();
            prop_assert_eq!(writer.may_release(acknowledged), !expected.is_empty());
            let released = writer.take_unsynced(acknowledged).released;
            let paths: Vec<_> = expected.into_iter().map(|first| segment::path(folder.path(), first)).collect();
            prop_assert_eq!(writer.release(released), paths);
        }
    }
}

#[test]
fn where_nothing_can_be_begun_the_last_segment_stays_and_tells_what_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), 1);
    for _ in 0..2 {
        let opened = open(&mut writer).unwrap();
        close(&mut writer, opened).unwrap();
    }
    let firsts = name_all(&mut writer);
    writer.folder = folder.path().join("none");
    assert!(open(&mut writer).is_err());
    writer.folder = folder.path().to_owned();
    assert_eq!((firsts.as_slice(), writer.take_unsynced(4).released), (&[1, 2, 3, 4][..], 3));
}
