//! What a request's record says beside its tokens: whose it was, in what, what was set aside, and the price.

use std::{collections::HashMap, sync::Arc};

use http::HeaderValue;
use proto::v1::{CloseRecord, OpenRecord, Purpose};
use shared::{
    clock::Millis,
    id::{GroupId, KeyId, PriceId, UserId},
    money::Ppm,
    price::{
        PerMillion, Price, Rates,
        list::{Dated, PriceList},
    },
};

use super::{
    gateway::{Gateway, claude, snapshot_of},
    upstream::{Upstream, json},
};
use crate::snapshot::{ApiKey, Model, Options, Revision};

const REQUEST: &str = r#"{"model":"claude-opus-5","messages":[{"role":"user","content":"a question"}],"max_tokens":64,"metadata":{"user_id":"user_1_account__session_4711"}}"#;

fn answer(input: u64, output: u64) -> String {
    format!(
        r#"{{"id":"msg_1","type":"message","role":"assistant","content":[{{"type":"text","text":"hi"}}],"model":"claude-opus-5-20260101","stop_reason":"end_turn","usage":{{"input_tokens":{input},"output_tokens":{output}}}}}"#
    )
}

fn dated(id: u8, from: i64, rate: u64) -> Dated {
    let rate = PerMillion(rate);
    let rates =
        Rates { input: rate, cache_read: rate, cache_write_5m: rate, cache_write_1h: rate, output: rate };
    let price = Price { rates, long_context: None };
    Dated { id: PriceId::from_bytes([id; 16]), effective_from: Millis(from), price }
}

/// Of one request to an upstream that answers so, with a price of 1 and 2 micro-dollars a token, and a price to come.
async fn record(answer: String) -> CloseRecord {
    records(answer).await.1
}

/// The one that was written before, and [`record`].
async fn records(answer: String) -> (OpenRecord, CloseRecord) {
    let upstream = Upstream::always(json(200, &answer)).await;
    let gateway = Gateway::start(vec![]).await;
    let account = claude(upstream.url()).but(|account| {
        account.groups = vec![GroupId::from_bytes([5; 16])];
        account.upstream.options = Options::Gemini {
            form: proto::v1::gemini_options::Form::Unspecified,
            project: None,
            location: Some("europe-west4".into()),
        };
    });
    let mut snapshot = snapshot_of(&gateway.proxy.live, vec![account]);
    let key = snapshot.keys.values_mut().next().unwrap();
    *key = Arc::new(ApiKey {
        id: KeyId::from_bytes([1; 16]),
        user_id: UserId::from_bytes([2; 16]),
        name: "key".into(),
        expires_at: None,
        tags: vec!["team-a".into()],
        metadata: HashMap::from([("cost-centre".into(), "17".into())]),
    });
    snapshot.rates = HashMap::from([(key.user_id, Ppm(500_000))]);
    snapshot.prices = PriceList::default();
    snapshot.prices.add("claude-opus-5", dated(7, 0, 2_000_000));
    snapshot.prices.add("claude-opus-5", dated(8, i64::MAX, 9_000_000));
    let models = snapshot.models.iter_mut().filter(|model| model.name == "claude-opus-5");
    models.for_each(|model: &mut Model| {
        (model.context_window, model.max_output) = (Some(200_000), Some(32_000));
    });
    gateway.snapshot.publish(snapshot, Revision { epoch: [1; 16], version: 2 });
    assert_eq!(gateway.post("/v1/messages", REQUEST).await.status, 200);
    let close = gateway.records(1).await.remove(0);
    (gateway.opened(Purpose::Client).remove(0), close)
}

#[tokio::test]
async fn a_header_names_the_session_too() {
    let upstream = Upstream::always(json(200, &answer(10, 5))).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    for name in ["x-claude-code-session-id", "x-session-id", "session_id"] {
        let mut request = gateway.request("/v1/messages", REQUEST);
        request.headers_mut().insert(name, HeaderValue::from_static("by-header"));
        assert_eq!(gateway.send(request).await.status, 200);
    }
    for record in gateway.records(3).await {
        assert_eq!(record.open.unwrap().session, "by-header");
    }
}

#[tokio::test]
async fn a_record_says_whose_it_was_in_what_and_what_was_set_aside() {
    let record = record(answer(10, 5)).await;
    let open = record.open.as_ref().unwrap();
    assert_eq!(open.purpose(), Purpose::Client);
    assert_eq!((open.price_rate_ppm, open.session.as_str()), (Some(500_000), "4711"));
    assert_eq!(open.tags, ["team-a"]);
    assert_eq!(open.metadata, HashMap::from([("cost-centre".into(), "17".into())]));
    let reserved = open.reserved.as_ref().unwrap();
    let usage = reserved.usage.as_ref().unwrap();
    assert!((1..=REQUEST.len() as u64).contains(&usage.input), "{usage:?}");
    assert_eq!(usage.output, 64);
    // 2 micro-dollars a token.
    assert_eq!(reserved.real_cost, 2_000 * (usage.input + 64));
    assert_eq!(reserved.rated_cost, reserved.real_cost / 2);
    assert_eq!(reserved.price_id, [7; 16]);
    let attempt = &record.attempts[0];
    assert_eq!(attempt.price_id, [7; 16], "by the name that the upstream says it served");
    assert_eq!(attempt.group_ids, [[5; 16]]);
    assert_eq!(attempt.region, "europe-west4");
}

#[tokio::test]
async fn where_a_request_goes_first_is_on_disk_before_and_is_said_once_after() {
    let (open, close) = records(answer(10, 5)).await;
    let attempt = &close.attempts[0];
    assert_eq!((&open.account_id, open.model_mapped.as_str()), (&attempt.account_id, "claude-opus-5"));
    assert_eq!((&open.group_ids[..], open.region.as_str()), (&[vec![5; 16]][..], "europe-west4"));
    let again = close.open.unwrap();
    assert!(again.account_id.is_empty() && again.model_mapped.is_empty(), "{again:?}");
    assert!(again.group_ids.is_empty() && again.region.is_empty(), "{again:?}");
}

#[tokio::test]
async fn what_no_model_can_have_used_counts_as_not_reported() {
    const ABSURD: u64 = u64::MAX / 2;
    for (input, output) in [(ABSURD, ABSURD), (10, ABSURD), (ABSURD, 5), (2_000_001, 5)] {
        let record = record(answer(input, output)).await;
        assert!(record.estimated, "{record:?}");
        let attempt = &record.attempts[0];
        let (estimate, bound) = (attempt.estimate.as_ref().unwrap(), attempt.bound.as_ref().unwrap());
        assert!(
            (1..=bound.input).contains(&estimate.input) && bound.input <= REQUEST.len() as u64,
            "{attempt:?}"
        );
        assert!((1..=64).contains(&estimate.output), "{attempt:?}");
        assert_eq!(estimate.input == 10, input == 10, "what may be true is taken");
        assert_eq!(record.conditions, ["impossible_usage"]);
        assert_eq!(attempt.outcome(), proto::v1::Outcome::Completed);
    }
}

#[tokio::test]
async fn more_than_the_models_entry_says_is_charged_as_long_as_it_is_possible() {
    let record = self::record(answer(900_000, 60_000)).await;
    let usage = record.attempts[0].usage.as_ref().unwrap();
    assert_eq!((usage.input, usage.output), (900_000, 60_000));
    assert!(record.conditions.is_empty());
}

#[tokio::test]
async fn a_test_of_an_account_is_a_record_that_no_user_pays_for() {
    for (status, body, reported) in [
        (200, answer(8, 1), Some((8, 1))),
        (200, r#"{"content":[]}"#.to_owned(), None),
        (401, r#"{"type":"error","error":{"type":"authentication_error","message":"no"}}"#.to_owned(), None),
    ] {
        let upstream = Upstream::always(json(status, &body)).await;
        let gateway = Gateway::start(vec![claude(upstream.url())]).await;
        let account = Arc::clone(&gateway.snapshot.load().accounts[0]);
        let result = gateway.proxy.tester.test(&account, None).await;
        assert_eq!(result.ok, status == 200, "{result:?}");
        let begun = gateway.opened(Purpose::AccountTest).remove(0);
        assert_eq!(begun.account_id, account.id.to_bytes(), "a run that is killed leaves whom to charge");
        assert!(begun.reserved.unwrap().usage.unwrap().input > 0);
        let record = gateway.tests().remove(0);
        let open = record.open.as_ref().unwrap();
        assert_eq!(open.purpose(), Purpose::AccountTest);
        assert_eq!((&open.key_id[..], &open.user_id[..]), (&[0; 16][..], &[0; 16][..]));
        let attempt = &record.attempts[0];
        assert_eq!(attempt.account_id, account.id.to_bytes());
        assert!(attempt.unrated, "nobody's key made it");
        assert_eq!(attempt.usage.map(|usage| (usage.input, usage.output)), reported);
        // What was refused used nothing; what was answered without a word of it is estimated.
        assert_eq!(attempt.estimate.is_some(), status == 200 && reported.is_none(), "{attempt:?}");
        assert_eq!(record.estimated, attempt.estimate.is_some());
    }
}
