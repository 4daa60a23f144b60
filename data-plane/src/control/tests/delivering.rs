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
    let _running: Vec<_> = (1..=1_100).map(|number| journal.open(&open_record(number)).unwrap()).collect();
    assert!(journal.sync());
    fake.come_up();
    until("what waited is delivered", || journal.depth() == 0).await;
    assert_eq!(fake.heard(|heard| heard.report_batches), 3, "500 records at most");

    let begun = Instant::now();
    for number in 2_001..=2_050 {
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
