//! Proofs of reasoning come home, and go nowhere else.

use proptest::prelude::*;
use serde_json::{Value, json as tree};
use shared::wire::Wire;

use super::{
    answers::{any_answer, conversion, converted, gathered, plain, streamed},
    *,
};
use crate::{
    canonical::{Block, Origin, Response, SignatureKind},
    raw::watch::Chunks,
    relay::{Framing, Relay},
};

/// Who makes and takes reasoning of this origin.
fn homes(origin: Origin) -> Vec<Format> {
    match origin {
        Origin::Claude => vec![Format::Messages, Format::Converse],
        Origin::OpenAi => vec![Format::Responses],
        Origin::Gemini => vec![Format::Gemini],
    }
}

fn values(response: &Response<'_>) -> Vec<String> {
    let of = |block: &Block<'_>| {
        let signature = match block {
            Block::Text(text) => text.signature.as_ref(),
            Block::Reasoning(reasoning) => reasoning.signature.as_ref(),
            Block::ToolCall(call) => call.signature.as_ref(),
            _ => None,
        };
        signature.map(|signature| signature.value.clone().into_owned())
    };
    response.choices.iter().flat_map(|choice| &choice.blocks).filter_map(of).collect()
}

/// The answer as Converse has it, which has no encoder: it is spoken to upstreams only.
fn as_converse(response: &Response<'_>) -> Vec<u8> {
    let block = |block: &Block<'_>| match block {
        Block::Text(text) => tree!({ "text": text.text }),
        Block::Reasoning(it) => {
            let signature = it.signature.as_ref().map(|it| it.value.clone()).unwrap_or_default();
            let hidden = it.signature.as_ref().is_some_and(|it| it.kind == SignatureKind::Encrypted);
            match hidden {
                true => tree!({ "reasoningContent": { "redactedContent": signature } }),
                false => {
                    tree!({ "reasoningContent": { "reasoningText": { "text": it.text, "signature": signature } } })
                }
            }
        }
        Block::ToolCall(call) => {
            let input = json(call.object().as_bytes());
            tree!({ "toolUse": { "toolUseId": call.id, "name": call.name, "input": input } })
        }
        _ => Value::Null,
    };
    let content: Vec<Value> = response.choices[0].blocks.iter().map(block).collect();
    let body = tree!({
        "output": { "message": { "role": "assistant", "content": content } },
        "stopReason": "end_turn",
    });
    body.to_string().into_bytes()
}

/// The client's next request, with the answer in its history as it came.
fn next_request(client: Wire, answer: &[u8]) -> Vec<u8> {
    let answer = json(answer);
    let body = match client {
        Wire::Chat => {
            let message = &answer["choices"][0]["message"];
            let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
            let mut messages = vec![tree!({ "role": "user", "content": "q" }), message.clone()];
            messages.extend(
                calls
                    .iter()
                    .map(|call| tree!({ "role": "tool", "tool_call_id": call["id"], "content": "r" })),
            );
            messages.push(tree!({ "role": "user", "content": "on" }));
            tree!({ "model": "m", "messages": messages })
        }
        Wire::Responses => {
            let output = answer["output"].as_array().cloned().unwrap_or_default();
            let results = output.iter().filter(|item| item["type"] == "function_call").map(
                |call| tree!({ "type": "function_call_output", "call_id": call["call_id"], "output": "r" }),
            );
            let mut input = vec![tree!({ "role": "user", "content": "q" })];
            input.extend(output.iter().cloned().chain(results));
            input.push(tree!({ "role": "user", "content": "on" }));
            tree!({ "model": "m", "input": input })
        }
        Wire::Messages => {
            let content = answer["content"].as_array().cloned().unwrap_or_default();
            let results = content
                .iter()
                .filter(|block| block["type"] == "tool_use")
                .map(|call| tree!({ "type": "tool_result", "tool_use_id": call["id"], "content": "r" }));
            let mut last: Vec<Value> = results.collect();
            last.push(tree!({ "type": "text", "text": "on" }));
            let messages = tree!([
                { "role": "user", "content": "q" },
                { "role": "assistant", "content": content },
                { "role": "user", "content": last },
            ]);
            tree!({ "model": "m", "max_tokens": 9, "messages": messages })
        }
        Wire::Gemini => {
            let content = &answer["candidates"][0]["content"];
            let parts = content["parts"].as_array().cloned().unwrap_or_default();
            let results = parts.iter().filter_map(|part| part.get("functionCall")).map(|call| {
                tree!({ "functionResponse": { "id": call["id"], "name": call["name"], "response": { "output": "r" } } })
            });
            let mut last: Vec<Value> = results.collect();
            last.push(tree!({ "text": "on" }));
            tree!({ "contents": [
                { "role": "user", "parts": [{ "text": "q" }] },
                content,
                { "role": "user", "parts": last },
            ] })
        }
    };
    body.to_string().into_bytes()
}

fn comes_home(client: Wire, origin: Origin, answer: &[u8], values: &[String]) -> Result<(), TestCaseError> {
    let next = next_request(client, answer);
    let asked = String::from_utf8_lossy(&next);
    let strays = |sent: &[u8]| {
        let all = strings_of(sent);
        values.iter().any(|value| all.iter().any(|text| text.contains(value)))
    };
    // Converse serves models of other makers too.
    let sent = super::super::request(ask(client, &next, false), target(Format::Converse, false)).unwrap();
    prop_assert!(!strays(&sent.body), "{} to Nova: {}", asked, String::from_utf8_lossy(&sent.body));
    for format in Format::ALL {
        let target = match format {
            Format::Converse => {
                Target { model: "us.anthropic.claude-opus-4-6-v1:0", ..target(format, false) }
            }
            format => target(format, false),
        };
        let nothing = super::super::request(
            ask(client, &next, false),
            Target { replayed: Replayed::Nothing, ..target },
        )
        .unwrap();
        prop_assert!(
            !strays(&nothing.body),
            "{}: {}",
            format.as_str(),
            String::from_utf8_lossy(&nothing.body)
        );
        let sent = super::super::request(ask(client, &next, false), target).unwrap().body;
        let all = strings_of(&sent);
        let at = || format!("{asked} to {}: {}", format.as_str(), String::from_utf8_lossy(&sent));
        for value in values {
            if homes(origin).contains(&format) {
                prop_assert!(all.contains(value), "{} did not come home, {}", value, at());
            } else if !(origin == Origin::Gemini && format == Format::Chat) {
                // Chat hands calls' proofs on, for fronts of Gemini.
                let strays = all.iter().any(|text| text.contains(value));
                prop_assert!(!strays, "{} went astray, {}", value, at());
            }
        }
        prop_assert!(!all.iter().any(|text| text.contains("sy1.")), "packed, {}", at());
    }
    Ok(())
}

/// The answer as Gemini's own client keeps it: without thoughts, and so without what they are signed with.
fn without_thoughts(answer: &[u8]) -> Vec<u8> {
    let mut answer = json(answer);
    if let Some(parts) = answer["candidates"][0]["content"]["parts"].as_array_mut() {
        parts.retain(|part| part["thought"] != true);
    }
    answer.to_string().into_bytes()
}

/// The next request of a client of chat that keeps words and calls only.
fn forgetful(answer: &[u8]) -> Vec<u8> {
    let mut answer = json(answer);
    let message = &mut answer["choices"][0]["message"];
    for call in message["tool_calls"].as_array_mut().into_iter().flatten() {
        call.as_object_mut().map(|call| call.remove("extra_content"));
    }
    message.as_object_mut().map(|message| message.remove("reasoning_details"));
    next_request(Wire::Chat, answer.to_string().as_bytes())
}

/// The reasoning that the provider wants back, ahead of what it led to.
fn led_to_calls(blocks: &[Block<'_>]) -> Vec<String> {
    let last = blocks.iter().rposition(|block| matches!(block, Block::ToolCall(_))).unwrap_or(0);
    let kind = |block: &Block<'_>| match block {
        Block::Reasoning(it) => format!("thought {:?} {:?}", it.text, it.signature),
        Block::Text(text) => format!("text {}", text.text),
        Block::ToolCall(call) => format!("call {}", call.name),
        _ => String::new(),
    };
    blocks.iter().take(last).map(kind).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn reasoning_comes_home_with_its_call_through_a_client_that_keeps_no_thoughts((origin, answer) in any_answer()) {
        let calls = answer.choices[0].blocks.iter().any(|block| matches!(block, Block::ToolCall(_)));
        if origin == Origin::Gemini || !calls {
            return Ok(());
        }
        let wire = if origin == Origin::Claude { Wire::Messages } else { Wire::Responses };
        let format = Format::of(wire);
        let whole = conversion(Wire::Gemini, format, false).whole(&plain(wire, &answer)).unwrap().body;
        let told = gathered(Wire::Gemini, &converted(Wire::Gemini, format, &streamed(wire, &answer)));
        let plain = plain(wire, &answer);
        let as_upstream = codecs::decode_response(format, &plain).unwrap();
        let expected = led_to_calls(&as_upstream.choices[0].blocks);
        for answer in [&*whole, &told] {
            let next = next_request(Wire::Gemini, &without_thoughts(answer));
            let request = decode(&ask(Wire::Gemini, &next, false)).unwrap();
            prop_assert_eq!(led_to_calls(&request.turns[1].blocks), expected.clone(), "{}", String::from_utf8_lossy(&next));
        }
    }

    #[test]
    fn the_proof_of_a_call_comes_home_through_a_client_that_forgets_it((origin, answer) in any_answer()) {
        // Google wants the first one's, and so that is looked for.
        let first = answer.choices[0].blocks.iter().find_map(|block| match block {
            Block::ToolCall(call) => Some(call.signature.as_ref()),
            _ => None,
        });
        let proof = first.flatten().map(|signature| signature.value.clone().into_owned());
        let (Origin::Gemini, Some(proof)) = (origin, proof) else { return Ok(()) };
        let format = Format::Gemini;
        let whole = conversion(Wire::Chat, format, false).whole(&plain(Wire::Gemini, &answer)).unwrap();
        let gathering = conversion(Wire::Chat, format, true);
        let mut relay = Relay::converted(gathering.stream(), Framing::Plain);
        relay.feed(streamed(Wire::Gemini, &answer).into(), &mut Chunks::new());
        relay.end(&mut Chunks::new());
        let told = relay.into_converted().unwrap().memos();
        for memos in [&whole.memos, &told] {
            let next = forgetful(&whole.body);
            let asked = Ask { memos, ..ask(Wire::Chat, &next, false) };
            let sent = |format| super::super::request(asked, target(format, false)).unwrap().body;
            prop_assert!(strings_of(&sent(Format::Gemini)).contains(&proof), "{}", String::from_utf8_lossy(&next));
            for other in [Format::Chat, Format::Messages, Format::Responses, Format::Converse] {
                prop_assert!(!strings_of(&sent(other)).contains(&proof), "{} astray", proof);
            }
            let target = Target { replayed: Replayed::Nothing, ..target(format, false) };
            let nothing = super::super::request(asked, target).unwrap().body;
            prop_assert!(!strings_of(&nothing).contains(&proof), "{} was refused", proof);
        }
        // What the client sends itself is not said twice.
        let next = next_request(Wire::Chat, &whole.body);
        let asked = Ask { memos: &whole.memos, ..ask(Wire::Chat, &next, false) };
        let sent = super::super::request(asked, target(format, false)).unwrap().body;
        let without = Ask { memos: &[], ..asked };
        let alone = super::super::request(without, target(format, false)).unwrap().body;
        prop_assert_eq!(json(&sent), json(&alone));
    }

    #[test]
    fn proofs_come_home_through_any_client_and_go_nowhere_else((origin, answer) in any_answer()) {
        let values = values(&answer);
        for format in homes(origin) {
            let (plain, stream) = match format.wire() {
                Some(wire) => (plain(wire, &answer), Some(streamed(wire, &answer))),
                None => (as_converse(&answer), None),
            };
            for client in Wire::ALL {
                let whole = conversion(client, format, false).whole(&plain).unwrap();
                comes_home(client, origin, &whole.body, &values)?;
                if let Some(stream) = &stream {
                    let told = converted(client, format, stream);
                    comes_home(client, origin, &gathered(client, &told), &values)?;
                }
            }
        }
    }
}
