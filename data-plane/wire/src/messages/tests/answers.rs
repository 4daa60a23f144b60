//! Answers in the common form, and what they are as a stream.

use std::borrow::Cow;

use proptest::prelude::*;
use shared::{usage::Usage, wire::Wire};

use crate::canonical::{
    Block, Choice, Opaque, Origin, Reasoning, Response, Signature, SignatureKind, Stop, StopReason, Text,
    ToolCall, ToolKind,
};

fn signature() -> impl Strategy<Value = Signature<'static>> {
    let origins = proptest::sample::select(vec![Origin::Claude, Origin::OpenAi, Origin::Gemini]);
    let kinds = proptest::sample::select(vec![SignatureKind::Proof, SignatureKind::Encrypted]);
    (origins, kinds, "[a-z]{1,5}").prop_map(|(origin, kind, value)| {
        let id = (origin == Origin::OpenAi).then_some("rs_1".into());
        Signature { origin, kind, id, value: value.into() }
    })
}

fn own(json: &str) -> Opaque<'static> {
    let value = serde_json::value::RawValue::from_string(json.to_owned()).unwrap();
    Opaque { origin: Wire::Messages, kind: "k".into(), value: Cow::Owned(value) }
}

fn answer_block() -> impl Strategy<Value = Block<'static>> {
    let text = || "[a-z\"\n ]{0,8}";
    let signed = || proptest::option::of(signature());
    prop_oneof![
        (text(), signed(), any::<bool>()).prop_map(|(text, signature, cited)| {
            let annotations = cited.then(|| own("[{\"n\":1},\n{\"n\":2}]"));
            Block::Text(Text { text: text.into(), cache: None, signature, annotations })
        }),
        (text(), signed())
            .prop_map(|(text, signature)| Block::Reasoning(Reasoning { text: text.into(), signature })),
        (any::<bool>(), signed()).prop_map(|(filled, signature)| {
            let arguments = if filled { r#"{"a":[1, "x"]}"# } else { "" }.into();
            let kind = ToolKind::Function;
            Block::ToolCall(ToolCall {
                id: "t".into(),
                name: "f".into(),
                kind,
                arguments,
                namespace: None,
                signature,
                cache: None,
            })
        }),
        text().prop_map(|text| Block::Refusal(text.into())),
        Just(Block::Opaque(own(r#"{"type":"web_search_tool_result","content":[]}"#))),
        Just(Block::Opaque(Opaque { origin: Wire::Gemini, ..own("{}") })),
    ]
}

pub(super) fn answer() -> impl Strategy<Value = Response<'static>> {
    let reason = proptest::sample::select(vec![
        StopReason::End,
        StopReason::Length,
        StopReason::ToolUse,
        StopReason::Sequence,
        StopReason::Refusal,
        StopReason::ContentFilter,
        StopReason::Pause,
        StopReason::ContextWindow,
    ]);
    let counts = (0_u64..9, 0_u64..9, 0_u64..9, 0_u64..9, 0_u64..9);
    (proptest::collection::vec(answer_block(), 0..6), reason, counts).prop_map(|(blocks, reason, counts)| {
        let (input, cache_read, cache_write_5m, cache_write_1h, output) = counts;
        let sequence = (reason == StopReason::Sequence).then_some("X".into());
        Response {
            model: "served".into(),
            choices: vec![Choice { blocks, stop: Stop { reason, sequence }, logprobs: None }],
            usage: Some(Usage {
                input,
                cache_read,
                cache_write_5m,
                cache_write_1h,
                output,
                reasoning: output / 2,
            }),
            ..Response::default()
        }
    })
}
