//! Runs that end between any two steps on the disk, and what the next one makes of them.

use std::collections::{BTreeMap, BTreeSet};

use super::{fault::tests as fault, *};

/// What a run does, one after the other.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// A request begins, in the spool of this worker.
    Open(usize),
    /// One that is open ends: the one at this place among them.
    Close(usize),
    /// The disk thread does what there is to do.
    Round,
    /// The ledger takes all that is durable.
    Deliver,
    End,
}

/// What the ledger has of a spool: requests as in [`shape`].
type Ledger = BTreeMap<u32, Vec<i64>>;

/// A run and what is known of it from outside.
#[derive(Default)]
struct Life {
    ledger: Ledger,
    /// Requests that were begun, as they were told.
    opened: BTreeSet<i64>,
    /// Requests that are over, as they were told.
    closed: BTreeSet<i64>,
    /// By spool: what is durable.
    durable: BTreeMap<u32, u64>,
}

impl Life {
    fn live(&mut self, data_dir: &Path, acts: &[Act]) {
        let settings = SpoolSettings { segment_bytes: 150, ..SpoolSettings::default() };
        let begun = Journal::begin(taken(data_dir), run(1), settings, &Clock::manual(NOW), |_| Ok(()));
        let Ok(journal) = begun else { return };
        let (own, outbox) = (Arc::clone(&journal.spools.own), journal.outboxes().pop().unwrap());
        let mut running = Vec::new();
        for (act, number) in acts.iter().zip(1..) {
            match *act {
                Act::Open(worker) => {
                    if let Ok(opened) = journal.of_worker(worker).open(&open_record(number)) {
                        self.opened.insert(number.try_into().unwrap());
                        running.push((number, opened));
                    }
                }
                Act::Close(at) if !running.is_empty() => {
                    let (number, opened) = running.remove(at % running.len());
                    if journal.close(opened, &close_record(number)).is_ok() {
                        self.closed.insert(number.try_into().unwrap());
                    }
                }
                Act::Close(_) => {}
                Act::Round => disk::round(&own),
                Act::Deliver if own.is_gone() => {}
                Act::Deliver => {
                    self.deliver(&outbox);
                    let reached = self.ledger.iter().map(|(spool, records)| (*spool, records.len() as u64));
                    own.acknowledge(&reached.collect::<Vec<_>>());
                }
                Act::End => own.end(NOW),
            }
            for spool in outbox.spools() {
                self.durable.insert(spool, outbox.durable(spool));
            }
        }
    }

    fn deliver(&mut self, outbox: &Outbox) {
        for spool in outbox.spools() {
            let of = self.ledger.entry(spool).or_default();
            let records = read_spool(outbox, spool, of.len() as u64);
            assert!(records.iter().all(|record| record.record.is_some()), "something is lost: {records:?}");
            of.extend(shape(&records));
        }
    }

    /// The next run delivers what it finds.
    fn recover(&mut self, data_dir: &Path) {
        let before: Vec<Vec<_>> = (0..2)
            .map(|_| {
                let outboxes = found_outboxes(&taken(data_dir), NOW).unwrap();
                let all =
                    outboxes.iter().flat_map(|outbox| outbox.spools().map(move |spool| (outbox, spool)));
                all.map(|(outbox, spool)| (spool, outbox.durable(spool))).collect()
            })
            .collect();
        assert_eq!(before[0], before[1], "each time the same");
        let Left { found, set_aside } = Left::find(&taken(data_dir), NOW).unwrap();
        assert_eq!(set_aside, 0);
        for outbox in found.into_iter().map(Outbox::Found) {
            self.deliver(&outbox);
        }
        for (spool, records) in &self.ledger {
            assert!(records.len() as u64 >= self.durable.get(spool).copied().unwrap_or(0));
        }
    }

    /// Each request is in the ledger with one end. `all`: not only what was durable.
    fn check(&self, all: bool) {
        let records: Vec<i64> = self.ledger.values().flatten().copied().filter(|what| *what != END).collect();
        let opened: BTreeSet<_> = records.iter().copied().filter(|what| *what > 0).collect();
        let closed: Vec<_> = records.iter().filter(|what| **what < 0).map(|what| -what).collect();
        let once: BTreeSet<_> = closed.iter().copied().collect();
        assert_eq!(closed.len(), once.len(), "closed twice: {:?}", self.ledger);
        assert_eq!(once, opened, "not all are closed: {:?}", self.ledger);
        if all {
            assert_eq!(opened, self.opened);
        }
        for records in self.ledger.values().filter(|records| !records.is_empty()) {
            let ends = records.iter().filter(|what| **what == END).count();
            assert_eq!((ends, records.last()), (1, Some(&END)), "{:?}", self.ledger);
        }
    }
}

/// Runs `acts` and is killed after so many steps; false: it came to its end before. `cut`: with the power.
fn killed(acts: &[Act], steps: u64, cut: bool) -> bool {
    // In memory where that can be had: there is a sync to almost each step.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut life = Life::default();
    fault::die_after(steps);
    life.live(folder.path(), acts);
    let died = fault::revive();
    if cut {
        fault::drop_unsynced(folder.path());
    }
    life.recover(folder.path());
    life.check(!cut);
    died
}

/// With requests of both spools that run across segments, copies, deliveries and an end.
fn usual() -> Vec<Act> {
    let mut acts = vec![Act::Open(0), Act::Open(7), Act::Round];
    for turn in 0..14 {
        acts.extend([Act::Open(0), Act::Open(7), Act::Close(2), Act::Close(2)]);
        if turn % 2 == 0 {
            acts.extend([Act::Round, Act::Deliver, Act::Round]);
        }
    }
    acts.extend([Act::Close(0), Act::Close(0), Act::End, Act::Round, Act::Deliver, Act::Round]);
    acts
}

#[test]
fn a_run_may_be_killed_between_any_two_steps_on_the_disk() {
    let acts = usual();
    for cut in [false, true] {
        let steps = (0..).find(|steps| !killed(&acts, *steps, cut)).unwrap();
        assert!(steps > 150, "{steps} steps were tried");
    }
}

#[test]
fn a_run_that_is_not_killed_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut life = Life::default();
    life.live(folder.path(), &usual());
    life.check(true);
    assert_eq!(life.opened, life.closed);
    assert_eq!(fs::read_dir(folder.path().join(FOLDER)).unwrap().count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_run_may_be_killed_anywhere(
        acts in prop::collection::vec(
            prop_oneof![
                4 => (0..2_usize).prop_map(Act::Open),
                4 => (0..100_usize).prop_map(Act::Close),
                2 => Just(Act::Round),
                1 => Just(Act::Deliver),
            ],
            1..120,
        ),
        end: bool, steps in 0..400_u64, cut: bool,
    ) {
        let mut acts = acts;
        if end {
            acts.push(Act::End);
        }
        killed(&acts, steps, cut);
    }
}
