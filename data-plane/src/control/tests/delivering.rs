//! Usage records.

use proto::v1::EndRecord;

use super::*;

fn open_record(number: u64) -> OpenRecord {
    OpenRecord { request_id: u128::from(number).to_be_bytes().to_vec(), ..OpenRecord::default() }
}

fn close_record(number: u64) -> CloseRecord {
    CloseRecord { open: Some(open_record(number)), ..CloseRecord::default() }
}

/// Per spool: sequences as they arrived, and requests closed as cut off.
fn ledger(fake: &FakeControlPlane) -> Vec<(Vec<u64>, usize)> {
    fake.heard(|heard| {
        heard
            .ledger
            .values()
            .map(|records| {
                let cut_off = records.iter().filter(|record| {
                    matches!(&record.record, Some(record::Record::Close(close)) if close.outcome() == message::Outcome::CutOff)
                });
                (records.iter().map(|record| record.sequence).collect(), cut_off.count())
            })
            .collect()
    })
}

/// Of all spools, each behind all else.
fn ends(fake: &FakeControlPlane) -> Vec<EndRecord> {
    fake.heard(|heard| {
        let lasts = heard.ledger.values().filter_map(|records| match records.last()?.record {
            Some(record::Record::End(end)) => Some(end),
            _ => None,
        });
        lasts.collect()
    })
}

#[tokio::test]
async fn every_record_is_delivered_once_though_streams_break_and_the_control_plane_goes_away() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.break_reports_after(7);
    let node = setting.node();
    let journal = node.link.journal.clone();
    let running: Vec<_> = (1..=20).map(|number| journal.open(&open_record(number)).unwrap()).collect();
    until("some is delivered", || journal.depth() < 20).await;
    fake.go_down().await;
    for (opened, number) in running.into_iter().zip(1..) {
        journal.close(opened, &close_record(number)).unwrap();
    }
    assert!(journal.depth() >= 20);
    fake.come_up();
    until("all is delivered", || journal.depth() == 0).await;
    assert_eq!(ledger(fake), [((1..=40).collect(), 0)]);
    assert!(fake.heard(|heard| heard.report_streams) > 4);
    journal.delivered().await;
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn what_a_dead_process_left_is_delivered_by_the_next_one() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.go_down().await;
    let node = setting.node();
    let mut running: Vec<_> =
        (1..=3).map(|number| node.link.journal.open(&open_record(number)).unwrap()).collect();
    node.link.journal.close(running.remove(1), &close_record(2)).unwrap();
    node.stop().await;

    fake.come_up();
    let node = setting.node();
    let _running = node.link.journal.open(&open_record(4)).unwrap();
    until("both spools are delivered", || node.link.journal.depth() == 0).await;
    let mut delivered = ledger(fake);
    delivered.sort();
    assert_eq!(delivered, [(vec![1], 0), ((1..=7).collect(), 2)]);
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn an_orphaned_spool_is_drained_and_gone() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.go_down().await;
    let node = setting.node();
    let _running = node.link.journal.open(&open_record(1)).unwrap();
    let (tasks, clock) = (Tasks::new(), Clock::manual(Millis(9)));
    let busy = drain::drain(setting.folder.path(), &fake.transport(), &clock, &tasks).await;
    assert!(busy.unwrap_err().to_string().contains("another process"));
    node.stop().await;

    fake.come_up();
    fake.break_reports_after(1);
    let drained = drain::drain(setting.folder.path(), &fake.transport(), &clock, &tasks).await.unwrap();
    assert_eq!(drained, drain::Drained { incarnations: 1, complete: true });
    assert_eq!(ledger(fake), [(vec![1, 2, 3], 1)]);
    assert_eq!(ends(fake), [EndRecord { ended_at_ms: 9, recovered: true }]);
    let again = drain::drain(setting.folder.path(), &fake.transport(), &clock, &tasks).await.unwrap();
    assert_eq!(again.incarnations, 0);
    setting.end().await;
}

#[tokio::test]
async fn what_comes_is_gathered_and_what_waited_is_sent_at_once() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.go_down().await;
    let node = setting.node();
    let journal = node.link.journal.clone();
    let _running: Vec<_> = (1..=4_100).map(|number| journal.open(&open_record(number)).unwrap()).collect();
    assert!(journal.sync());
    fake.come_up();
    until("what waited is delivered", || journal.depth() == 0).await;
    assert_eq!(fake.heard(|heard| heard.report_batches), 3, "2,000 records at most");

    let begun = Instant::now();
    for number in 5_001..=5_050 {
        let _opened = journal.open(&open_record(number)).unwrap();
        let durable = journal.clone();
        assert!(node.link.tasks.spawn_blocking(move || durable.sync()).await.unwrap());
    }
    until("the rest is delivered", || journal.depth() == 0).await;
    let most = 3 + 2 + begun.elapsed().as_millis() / 100;
    let batches = fake.heard(|heard| heard.report_batches);
    assert!(u128::try_from(batches).unwrap() <= most, "{batches} messages, {most} at most");
    node.stop().await;
    setting.end().await;
}

/// As a node does that is stopped in order.
async fn stop_in_order(node: TestNode) {
    let (journal, now) = (node.link.journal.clone(), node.link.clock.now());
    assert!(node.link.tasks.spawn_blocking(move || journal.end(now)).await.unwrap());
    node.link.journal.delivered().await;
    node.stop().await;
}

fn left(setting: &Setting) -> usize {
    std::fs::read_dir(setting.folder.path().join("spool")).unwrap().count()
}

#[tokio::test]
async fn a_run_has_one_stream_for_all_its_spools_and_ends_with_it() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.go_down().await;
    let node = TestNode::with(setting.folder.path(), fake, 3, SpoolSettings::default());
    let incarnation = node.link.journal.incarnation().to_bytes().to_vec();
    for number in 1..=1_200 {
        let journal = node.link.journal.of_worker(usize::try_from(number % 3).unwrap());
        let opened = journal.open(&open_record(number)).unwrap();
        journal.close(opened, &close_record(number)).unwrap();
    }
    assert!(node.link.journal.sync());
    fake.come_up();
    until("it tells of itself", || last_heartbeat(fake).is_some()).await;
    stop_in_order(node).await;
    let (streams, (records, _, spools)) = fake.heard(|heard| (heard.report_streams, heard.largest_batch));
    assert_eq!((streams, records), (1, 2_000));
    assert!(spools > 1, "each batch has one spool");
    assert_eq!(last_heartbeat(fake).unwrap().incarnation_id, incarnation);
    assert!(fake.heard(|heard| heard.ledger.keys().all(|(of, _)| *of == incarnation)));
    let delivered = ledger(fake);
    assert_eq!(delivered.iter().map(|(of, _)| of.len()).collect::<Vec<_>>(), [1, 801, 801, 801]);
    assert_eq!(ends(fake), [EndRecord { ended_at_ms: 1_000, recovered: false }; 4]);
    assert_eq!(left(&setting), 0);

    let node = setting.node();
    assert_eq!(node.link.journal.depth(), 0, "the next start has nothing to deliver");
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn large_records_make_small_batches() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.go_down().await;
    let node = setting.node();
    let _running: Vec<_> = (1..=20)
        .map(|number| {
            let open = OpenRecord { model_requested: "m".repeat(100_000), ..open_record(number) };
            node.link.journal.open(&open).unwrap()
        })
        .collect();
    assert!(node.link.journal.sync());
    fake.come_up();
    until("all is delivered", || node.link.journal.depth() == 0).await;
    let (records, bytes, _) = fake.heard(|heard| heard.largest_batch);
    assert_eq!(records, 10);
    assert!(bytes <= 1024 * 1024, "{bytes}");
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn what_the_node_does_not_have_any_more_is_a_range() {
    let setting = Setting::new();
    let fake = &setting.fake;
    let settings = SpoolSettings { segment_bytes: 2_000, ..SpoolSettings::default() };
    let node = TestNode::with(setting.folder.path(), fake, 0, settings);
    let journal = node.link.journal.clone();
    let request = |number| {
        let opened = journal.open(&open_record(number)).unwrap();
        journal.close(opened, &close_record(number)).unwrap();
    };
    (1..=500).for_each(request);
    until("the files are gone", || journal.depth() == 0 && journal.bytes() <= 3 * 2_000).await;
    fake.go_down().await;
    fake.heard(|heard| heard.restore(10));
    fake.come_up();
    request(501);
    until("all is delivered again", || ledger(fake)[0].0.last() == Some(&1_002)).await;
    let gone = fake.heard(|heard| std::mem::take(&mut heard.gone));
    let [(11, last)] = gone[..] else { panic!("{gone:?}") };
    assert!(last > 800, "{last}");
    assert_eq!(ledger(fake)[0].0, (1..=10).chain(last + 1..=1_002).collect::<Vec<_>>());
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn what_is_left_of_a_run_that_is_closed_is_delivered_all_the_same() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.go_down().await;
    let node = setting.node();
    let _running = node.link.journal.open(&open_record(1)).unwrap();
    node.stop().await;
    fake.heard(|heard| heard.closes_too_soon = true);
    fake.come_up();
    let node = setting.node();
    until("all is delivered", || node.link.journal.depth() == 0).await;
    assert_eq!(ledger(fake), [(vec![1, 2, 3], 1)]);
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn a_run_that_can_not_be_delivered_holds_up_no_other() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.go_down().await;
    let mut runs = Vec::new();
    for number in 1..=3 {
        let node = setting.node();
        let _running = node.link.journal.open(&open_record(number)).unwrap();
        runs.push(node.link.journal.incarnation().to_bytes().to_vec());
        node.stop().await;
    }
    runs.sort();
    fake.heard(|heard| heard.refused_incarnation = Some(runs.remove(0)));
    fake.come_up();
    let node = setting.node();
    until("the others are delivered", || ledger(fake).len() == 2 && node.link.journal.depth() == 3).await;
    fake.heard(|heard| heard.refused_incarnation = None);
    until("all is delivered", || node.link.journal.depth() == 0).await;
    node.stop().await;
    setting.end().await;
}
