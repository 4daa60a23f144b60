//! A disk that takes no usage records.

use std::fs;

use super::{
    gateway::{Gateway, claude, until},
    upstream::{Upstream, json},
};

const MESSAGES: &str =
    r#"{"model":"claude-opus-5","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
const ANSWER: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-opus-5","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":1}}"#;

#[tokio::test]
async fn requests_are_refused_while_the_disk_takes_no_records_and_taken_again_after() {
    let upstream = Upstream::always(json(200, ANSWER)).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    let place = gateway.folder.path().join("spool");
    // Something in which nothing can be made.
    let away = place.with_extension("away");
    fs::rename(&place, &away).unwrap();
    fs::write(&place, b"").unwrap();
    // A file was made ahead, which takes this one's records, and can't get its name.
    assert_eq!(gateway.post("/v1/messages", MESSAGES).await.status, 200);
    until("the failure is seen", || !gateway.proxy.ready()).await;
    assert_eq!(gateway.get("/readyz", &[]).await.status, 503);
    let refused = gateway.post("/v1/messages", MESSAGES).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.headers["retry-after"], "30");
    assert_eq!(upstream.received().len(), 1, "what can't be written down is not sent");

    fs::remove_file(&place).unwrap();
    fs::rename(&away, &place).unwrap();
    until("it is well again", || gateway.proxy.ready()).await;
    assert_eq!(gateway.get("/readyz", &[]).await.status, 200);
    assert_eq!(gateway.post("/v1/messages", MESSAGES).await.status, 200);
    assert_eq!(gateway.records(2).await.len(), 2);
}
