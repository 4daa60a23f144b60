//! Plain answers.

use std::borrow::Cow;

use serde_json::value::RawValue;
use shared::wire::Wire;

use super::{Place, block::Reader, read};
use crate::{
    canonical::{Block, Choice, Extra, Response, Stop, StopReason},
    codec::Unreadable,
    json::{
        self,
        record::{Str, record},
    },
    loss::{LossCode, Losses},
    messages::{stop, usage::Counts},
};

record! {
    struct Body {
        id: Str<'a> = "id",
        model: Str<'a> = "model",
        content: Vec<&'a RawValue> = "content",
        stop_reason: Str<'a> = "stop_reason",
        stop_sequence: Str<'a> = "stop_sequence",
        usage: &'a RawValue = "usage",
    }
}

/// What losses of its blocks are named after.
pub(super) const CONTENT: &str = "content";

/// # Errors
/// The body is no message: which field shows it.
pub(crate) fn response(body: &[u8]) -> Result<Response<'_>, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Place::Body.refuse("must be UTF-8"))?;
    let body: Body<'_> = read(text, &Place::Body)?;
    let content = body.content.ok_or_else(|| Place::Body.missing("content"))?;
    let mut response = Response {
        id: body.id.unwrap_or_default().0,
        model: body.model.unwrap_or_default().0,
        ..Response::default()
    };
    let mut choice = Choice { blocks: Vec::with_capacity(content.len()), ..Choice::default() };
    let mut reader = Reader { losses: &mut response.losses, area: CONTENT };
    let list = Place::Field(&Place::Body, "content");
    for (index, value) in content.into_iter().enumerate() {
        choice.blocks.push(reader.block(value, &Place::Item(&list, index))?);
    }
    let calls_tools = choice.blocks.iter().any(|block| matches!(block, Block::ToolCall(_)));
    let word = body.stop_reason;
    let reason = word.map_or(StopReason::End, |Str(word)| stop::reason(&word, &mut response.losses));
    let sequence = body.stop_sequence.map(|Str(sequence)| sequence);
    choice.stop = Stop { reason: reason.with_calls(calls_tools), sequence };
    response.choices.push(choice);
    if let Some(usage) = body.usage {
        let mut counts = Counts::default();
        counts.restate(usage.get());
        response.usage = counts.usage();
        response.service_tier = rest_of_usage(usage.get(), &mut response.losses);
    }
    for (name, value) in body.unknown {
        // These two are the same in every answer.
        if name != "type" && name != "role" {
            response.extras.push(Extra { origin: Wire::Messages, name, value });
        }
    }
    Ok(response)
}

/// What stands beside the counts: the service tier.
pub(super) fn rest_of_usage<'a>(usage: &'a str, losses: &mut Losses) -> Option<Cow<'a, str>> {
    let mut tier = None;
    // Usage that is no object says nothing, as above.
    let _ = json::object(usage, |field| match &*field.name() {
        "input_tokens"
        | "output_tokens"
        | "cache_read_input_tokens"
        | "cache_creation_input_tokens"
        | "cache_creation"
        | "output_tokens_details" => {}
        "service_tier" => tier = json::string(field.value),
        name if json::is_filled(field.value) => {
            losses.add_path(LossCode::Field, &["usage.", name]);
        }
        _ => {}
    });
    tier
}

#[cfg(test)]
mod tests {
    use shared::usage::Usage;

    use super::*;
    use crate::canonical::{Reasoning, Text};

    #[test]
    fn an_answer_is_read_with_all_that_it_says() {
        let body = br#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[
            {"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":""},
            {"type":"tool_use","id":"t1","name":"f","input":{"a": 1},"caller":{"type":"direct"}}],
            "stop_reason":"end_turn","stop_sequence":null,"container":{"id":"c"},
            "usage":{"input_tokens":3,"cache_read_input_tokens":2,"output_tokens":5,"service_tier":"standard",
            "server_tool_use":{"web_search_requests":1},"inference_geo":null}}"#;
        let response = response(body).unwrap();
        assert_eq!((&*response.id, &*response.model), ("msg_1", "claude-x"));
        let choice = &response.choices[0];
        let [
            Block::Reasoning(Reasoning { text: thought, signature: Some(_) }),
            Block::Text(Text { text, .. }),
            Block::ToolCall(call),
        ] = &*choice.blocks
        else {
            panic!("{choice:?}")
        };
        assert_eq!((&**thought, &**text, &*call.arguments), ("hm", "", r#"{"a": 1}"#));
        assert_eq!(choice.stop, Stop::of(StopReason::ToolUse), "it calls tools, whatever it says");
        assert_eq!(response.usage, Some(Usage { input: 3, cache_read: 2, output: 5, ..Usage::default() }));
        assert_eq!(response.service_tier.as_deref(), Some("standard"));
        assert_eq!(response.extras.len(), 1);
        assert_eq!(
            (&*response.extras[0].name, response.extras[0].value.get()),
            ("container", r#"{"id":"c"}"#)
        );
        let lost: Vec<_> = response.losses.iter().map(|loss| &*loss.what).collect();
        assert_eq!(lost, ["content.caller", "usage.server_tool_use"]);
    }

    #[test]
    fn an_answer_may_be_empty_but_not_absent() {
        let empty =
            response(br#"{"content":[],"stop_reason":"stop_sequence","stop_sequence":"END"}"#).unwrap();
        let stop = Stop { reason: StopReason::Sequence, sequence: Some("END".into()) };
        assert_eq!((&empty.choices[0].stop, empty.usage), (&stop, None));
        let refused = response(br#"{"type":"error","error":{}}"#).unwrap_err();
        assert_eq!(refused.to_string(), "`content` is required");
        assert_eq!(response(b"\xff").unwrap_err().to_string(), "`body` must be UTF-8");
        let refused = response(br#"{"content":[{"type":"tool_use","id":"x"}]}"#).unwrap_err();
        assert_eq!(refused.to_string(), "`content[0].name` is required");
    }
}
