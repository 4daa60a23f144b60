//! What a provider keeps an answer under is known to be one account's.

use http_body_util::BodyExt as _;

use super::{
    gateway::{Gateway, PATIENCE, openai, read},
    upstream::{Gate, Step, Upstream, end, send, sse_head},
};

const CREATED: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"in_progress\",\"model\":\"gpt-5.4\",\"store\":true,\"output\":[]}}\n\n";
const DELTA: &str = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"delta\":\"hi\"}\n\n";
const COMPLETED: &str = "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":2,\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"completed\",\"model\":\"gpt-5.4\",\"store\":true,\"output\":[],\"usage\":{\"input_tokens\":7,\"output_tokens\":9,\"total_tokens\":16}}}\n\n";

/// A client that saw the id may build on it at once, while the answer still comes; the account that has least to do is
/// the other one then.
#[tokio::test]
async fn an_id_leads_to_its_account_from_when_the_client_sees_it() {
    let gate = Gate::new();
    let script =
        vec![sse_head(), send(CREATED), send(DELTA), Step::Wait(gate.clone()), send(COMPLETED), end()];
    let (one, other) = (Upstream::always(script.clone()).await, Upstream::always(script).await);
    let gateway = Gateway::start(vec![openai(one.url()), openai(other.url())]).await;
    let body = r#"{"model":"gpt-5.4","stream":true,"input":"a"}"#;
    let mut first = gateway.open(gateway.request("/v1/responses", body)).await;
    tokio::time::timeout(PATIENCE, first.body_mut().frame()).await.unwrap().unwrap().unwrap();
    let issuer = if one.received().is_empty() { &other } else { &one };
    let next = body.replacen('{', r#"{"previous_response_id":"resp_1","#, 1);
    let mut answers = vec![first];
    for count in 2..6 {
        let mut answer = gateway.open(gateway.request("/v1/responses", &next)).await;
        tokio::time::timeout(PATIENCE, answer.body_mut().frame()).await.unwrap().unwrap().unwrap();
        assert_eq!(issuer.received().len(), count, "it went to the account that issued the id");
        answers.push(answer);
    }
    answers.iter().for_each(|_| gate.open());
    for answer in answers {
        tokio::time::timeout(PATIENCE, read(answer.into_body())).await.unwrap();
    }
    gateway.records(5).await;
}
