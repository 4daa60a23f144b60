use emulator::{HIDDEN_REASONING_TOKENS, REDACTED};
use serde_json::{Value, json};

use crate::{
    client::{Answer, emulator},
    responses::{ask, ask_as, body, weather, with, without_body},
};

#[tokio::test]
async fn a_sealed_thought_comes_back_whole_to_its_own_account() {
    let emulator = emulator().await;
    let seal =
        json!({"reasoning": {"effort": "high"}, "store": false, "include": ["reasoning.encrypted_content"]});
    let first = ask(&emulator, &with(json!("Think!"), seal.clone())).await.json();
    let thought = first["output"][0].clone();
    assert_eq!((thought["type"].as_str(), &thought["summary"]), (Some("reasoning"), &json!([])));
    assert!(thought["encrypted_content"].as_str().unwrap().starts_with("gAAAA"));
    assert_eq!(first["usage"]["output_tokens_details"]["reasoning_tokens"], HIDDEN_REASONING_TOKENS);
    let again = ask(&emulator, &with(json!("Think!"), seal.clone())).await.json();
    assert_ne!(again["output"][0]["encrypted_content"], thought["encrypted_content"]);

    let mut streamed = seal.clone();
    streamed["stream"] = json!(true);
    let events = ask(&emulator, &with(json!("Think!"), streamed)).await.events();
    let mut secret = seal.clone();
    secret["reasoning"]["summary"] = json!("auto");
    let hidden = ask(&emulator, &with(json!(REDACTED), secret)).await.json();
    assert_eq!(hidden["output"][0]["summary"], json!([]));
    assert!(hidden["output"][0]["encrypted_content"].is_string());
    let items: Vec<&Value> = events
        .iter()
        .filter(|event| event["item"]["type"] == "reasoning")
        .map(|event| &event["item"])
        .collect();
    assert_eq!(items.len(), 2);
    assert_ne!(items[0]["encrypted_content"], items[1]["encrypted_content"]);

    let replay = |thought: &Value| {
        with(
            json!([{"role": "user", "content": "Think!"}, thought, first["output"][1], {"role": "user", "content": "And?"}]),
            seal.clone(),
        )
    };
    assert_eq!(ask(&emulator, &replay(&thought)).await.status(), 200);
    let mut nameless = thought.clone();
    nameless.as_object_mut().unwrap().remove("id");
    assert_eq!(ask(&emulator, &replay(&nameless)).await.status(), 200);

    let code = |answer: Answer| (answer.status(), answer.json()["error"]["code"].clone());
    let refused = (400, json!("invalid_encrypted_content"));
    assert_eq!(code(ask_as(&emulator, "sk-other", &replay(&thought)).await), refused);
    let mut changed = thought.clone();
    changed["encrypted_content"] = items[0]["encrypted_content"].clone();
    assert_eq!(code(ask(&emulator, &replay(&changed)).await), refused);
    changed["encrypted_content"] = again["output"][0]["encrypted_content"].clone();
    assert_eq!(code(ask(&emulator, &replay(&changed)).await), refused);
    changed["encrypted_content"] = Value::Null;
    let lost = ask(&emulator, &replay(&changed)).await;
    assert_eq!(lost.status(), 404);
    assert!(lost.json()["error"]["message"].as_str().unwrap().contains("Items are not persisted"));
}

#[tokio::test]
async fn a_stored_answer_is_continued_referred_to_read_and_deleted() {
    let emulator = emulator().await;
    let tools = json!({"tools": [weather(true)], "reasoning": {"effort": "low"}});
    let first = ask(&emulator, &with(json!("get_weather"), tools)).await.json();
    let id = first["id"].as_str().unwrap();
    let path = format!("/v1/responses/{id}");
    assert_eq!(without_body(&emulator, "GET", &path).await.json(), first);

    let call_item = first["output"][1].clone();
    let output = json!({"type": "function_call_output", "call_id": call_item["call_id"], "output": "Rain."});
    let continued = with(json!([output]), json!({"previous_response_id": id}));
    let second = ask(&emulator, &continued).await.json();
    assert_eq!(second["output"][0]["content"][0]["text"], "Rain.");
    assert_eq!(second["previous_response_id"], json!(id));
    let third =
        ask(&emulator, &with(json!("And?"), json!({"previous_response_id": second["id"]}))).await.json();
    let tokens = |response: &Value| response["usage"]["input_tokens"].as_u64().unwrap();
    // The model sees the question, its own thought and call, and the output.
    assert_eq!(tokens(&second), 8 + 4 * emulator::TOKENS_PER_MESSAGE);
    assert!(tokens(&third) > tokens(&second));
    let refused = ask(&emulator, &with(json!("And?"), json!({"previous_response_id": id}))).await.json();
    assert!(
        refused["error"]["message"].as_str().unwrap().starts_with("No tool output found for function call")
    );

    let refer = |item: &Value| json!({"type": "item_reference", "id": item["id"]});
    let referred = json!([refer(&first["output"][0]), refer(&call_item), output]);
    assert_eq!(ask(&emulator, &body(referred)).await.status(), 200);
    let refused = ask(&emulator, &body(json!([call_item, output]))).await.json();
    assert!(refused["error"]["message"].as_str().unwrap().contains("without its required 'reasoning' item"));
    let refused =
        ask(&emulator, &body(json!([first["output"][0], {"role": "user", "content": "Hi"}]))).await.json();
    assert!(refused["error"]["message"].as_str().unwrap().contains("without its required following item"));

    let other = ask_as(&emulator, "sk-other", &continued).await;
    assert_eq!(other.json()["error"]["code"], "previous_response_not_found");
    let deleted = without_body(&emulator, "DELETE", &path).await.json();
    assert_eq!(deleted, json!({"id": id, "object": "response", "deleted": true}));
    assert_eq!(without_body(&emulator, "GET", &path).await.status(), 404);
    let gone = ask(&emulator, &continued).await;
    assert_eq!((gone.status(), gone.json()["error"]["param"].as_str()), (400, Some("previous_response_id")));
    assert_eq!(gone.json()["error"]["message"], format!("Previous response with id '{id}' not found."));
}
