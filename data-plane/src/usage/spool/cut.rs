//! Records that are too large, cut to what the ledger needs: whose request it was, and what each attempt used.
//!
//! What is needed least goes first, and only as much as has to.

use prost::Message as _;
use proto::v1::{Attempt, CloseRecord, OpenRecord};

use super::frame;

/// What a record may have; the rest is what says that it is one.
const MOST: usize = frame::LARGEST - 16;
/// The condition on a record that is not as it was.
const CONDITION: &str = "cut_to_size";
/// As where a request has more attempts than are written down.
const ATTEMPTS: &str = "attempts_left_out";
/// What is left of lists that are too long, and of texts in bytes.
const CONDITIONS: usize = 16;
const GROUPS: usize = 16;
const CODE: usize = 64;
const NAME: usize = 200;

/// The record without what makes it too large, with a condition that says so.
pub(super) fn close(record: &CloseRecord) -> CloseRecord {
    let steps = [details, losses, conditions, metadata, names];
    let mut cut = record.clone();
    cut.conditions.push(CONDITION.to_owned());
    for step in steps {
        if cut.encoded_len() <= MOST {
            return cut;
        }
        step(&mut cut);
    }
    attempts(&mut cut);
    cut
}

/// The record without what makes it too large. The request's close record, which has all of it too, says so.
pub(super) fn open(record: &OpenRecord) -> OpenRecord {
    let mut cut = record.clone();
    for step in [metadata_of, names_of] {
        if cut.encoded_len() <= MOST {
            break;
        }
        step(&mut cut);
    }
    cut
}

fn details(record: &mut CloseRecord) {
    record.attempts.iter_mut().for_each(|attempt| attempt.detail.clear());
}

fn losses(record: &mut CloseRecord) {
    record.losses.clear();
}

/// The last one says that the record is cut.
fn conditions(record: &mut CloseRecord) {
    let own = record.conditions.pop();
    record.conditions.truncate(CONDITIONS);
    record.conditions.iter_mut().for_each(|condition| shorten(condition, CODE));
    record.conditions.extend(own);
}

fn metadata(record: &mut CloseRecord) {
    record.open.iter_mut().for_each(metadata_of);
}

fn metadata_of(open: &mut OpenRecord) {
    open.metadata.clear();
    open.tags.clear();
    open.session.clear();
}

fn names(record: &mut CloseRecord) {
    record.open.iter_mut().for_each(names_of);
    for attempt in &mut record.attempts {
        shorten(&mut attempt.model_mapped, NAME);
        shorten(&mut attempt.model_served, NAME);
        shorten(&mut attempt.reason, CODE);
        shorten(&mut attempt.region, CODE);
        attempt.group_ids.truncate(GROUPS);
    }
}

fn names_of(open: &mut OpenRecord) {
    shorten(&mut open.model_requested, NAME);
    shorten(&mut open.model_mapped, NAME);
    shorten(&mut open.region, CODE);
    open.group_ids.truncate(GROUPS);
}

/// Leaves out the oldest: of those that used nothing, as long as there are any.
fn attempts(record: &mut CloseRecord) {
    let mut size = record.encoded_len();
    if size > MOST {
        record.conditions.push(ATTEMPTS.to_owned());
        size = record.encoded_len();
    }
    let used = |attempt: &Attempt| attempt.usage.is_some() || attempt.estimate.is_some();
    for of_those in [false, true] {
        record.attempts.retain(|attempt| {
            let goes = size > MOST && used(attempt) == of_those;
            if goes {
                // With what stands before it at the least.
                size -= attempt.encoded_len() + 2;
            }
            !goes
        });
    }
}

fn shorten(text: &mut String, most: usize) {
    text.truncate(text.floor_char_boundary(most));
}

#[cfg(test)]
mod tests {
    use proto::v1::Usage;

    use super::*;

    const HUGE: usize = frame::LARGEST;

    fn record() -> CloseRecord {
        let attempt = |input| Attempt {
            account_id: vec![7; 16],
            detail: "overloaded".into(),
            model_mapped: "claude".into(),
            usage: Some(Usage { input, ..Usage::default() }),
            ..Attempt::default()
        };
        let open = OpenRecord {
            request_id: vec![1; 16],
            key_id: vec![2; 16],
            user_id: vec![3; 16],
            model_requested: "opus".into(),
            tags: vec!["team".into()],
            session: "a talk".into(),
            ..OpenRecord::default()
        };
        CloseRecord {
            open: Some(open),
            attempts: vec![attempt(10), attempt(20)],
            conditions: vec!["drained".into()],
            losses: vec!["images".into()],
            ..CloseRecord::default()
        }
    }

    fn huge() -> String {
        "ä".repeat(HUGE / 2)
    }

    /// What is the same, and the largest thing of each kind that is not.
    #[test]
    fn what_is_needed_least_goes_first_and_nothing_else() {
        let cut = |change: fn(&mut CloseRecord)| {
            let mut record = record();
            change(&mut record);
            let cut = close(&record);
            assert!(cut.encoded_len() <= MOST);
            assert!(cut.conditions.iter().any(|condition| condition == CONDITION));
            let used = |record: &CloseRecord| {
                record.attempts.iter().map(|attempt| attempt.usage.unwrap().input).collect::<Vec<_>>()
            };
            assert_eq!(used(&cut), [10, 20], "what was used stays");
            let open = cut.open.clone().unwrap();
            assert_eq!((open.request_id, open.key_id), (vec![1; 16], vec![2; 16]));
            cut
        };
        let left = |cut: CloseRecord| {
            let open = cut.open.unwrap();
            (cut.attempts[0].detail.len(), cut.losses.len(), cut.conditions.len(), open.session.len())
        };
        assert_eq!(left(cut(|record| record.attempts[1].detail = huge())), (0, 1, 2, 6));
        assert_eq!(left(cut(|record| record.losses.push(huge()))), (0, 0, 2, 6));
        assert_eq!(left(cut(|record| record.conditions.push(huge()))), (0, 0, 3, 6));
        let many = |record: &mut CloseRecord| record.conditions = vec!["condition".into(); HUGE / 8];
        assert_eq!(left(cut(many)), (0, 0, CONDITIONS + 1, 6));
        let large = |record: &mut CloseRecord| {
            record.open.iter_mut().for_each(|open| _ = open.metadata.insert("key".into(), huge()));
        };
        assert_eq!(left(cut(large)), (0, 0, 2, 0));
        let named = cut(|record| {
            record.attempts[0].model_served = huge();
            record.attempts[1].model_mapped = huge();
            record.attempts[1].reason = huge();
            record.attempts[1].group_ids = vec![vec![9; 16]; HUGE / 16];
            record.open.iter_mut().for_each(|open| open.model_requested = huge());
        });
        assert_eq!(named.attempts[0].model_served, "ä".repeat(NAME / 2));
        assert_eq!(named.attempts[1].group_ids.len(), GROUPS);
    }

    #[test]
    fn the_oldest_attempts_that_used_nothing_go_before_those_that_used_something() {
        let mut record = record();
        let idle = Attempt { account_id: vec![8; 200], ..Attempt::default() };
        record.attempts.splice(1..1, vec![idle.clone(); HUGE / 200]);
        let cut = close(&record);
        let used = cut.attempts.iter().filter(|attempt| attempt.usage.is_some()).count();
        assert_eq!(used, 2);
        assert!(cut.encoded_len() <= MOST && cut.encoded_len() > MOST - 500, "as much as has to");
        assert!(cut.conditions.iter().any(|condition| condition == ATTEMPTS));

        let dear = Attempt { usage: Some(Usage { input: 1, ..Usage::default() }), ..idle };
        record.attempts = vec![dear; HUGE / 200];
        assert!(close(&record).encoded_len() <= MOST);
    }

    #[test]
    fn an_open_record_is_cut_too() {
        let open = record().open.unwrap();
        let mut large = open.clone();
        large.tags = vec![huge()];
        let cut = super::open(&large);
        assert_eq!(
            (cut.tags.len(), cut.model_requested, cut.user_id),
            (0, open.model_requested, open.user_id)
        );
        large.model_requested = huge();
        large.region = huge();
        large.group_ids = vec![vec![9; 16]; HUGE / 16];
        let cut = super::open(&large);
        assert!(cut.encoded_len() <= MOST);
        assert_eq!((cut.region.len(), cut.group_ids.len()), (CODE, GROUPS));
    }
}
