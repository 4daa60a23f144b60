//! A stream: each frame is an answer with what is new; the last one says why it ended.
//!
//! The last frame has the last part that comes whole, such as a call. A text is not held back for it: behind one it has
//! an empty text, as Google's own. It can't be without parts: Google's SDK for Python forgets an answer that has such a
//! frame. What clients send back of it is taken out of requests ([`crate::raw::foreign`]), because Vertex refuses it.

use std::borrow::Cow;

use shared::usage::Usage;
use smallvec::SmallVec;

use super::{
    part,
    response::{annotations, call_id, finish_reason},
};
use crate::{
    canonical::{
        Delta, Event, Opaque, Opening, Origin, Reasoning, Signature, StopReason, ToolCall, bundle::Carried,
        legal::CHOICES_MAX,
    },
    codec::{self, Context},
    error::{WireError, stream_event},
    gemini::usage,
    json::write::{self, Array, Object},
};

/// Writes a stream of Google's.
#[derive(Debug)]
pub(crate) struct StreamEncoder {
    context: Context,
    /// As the upstream names it, else as it was asked for.
    model: String,
    usage: Option<Usage>,
    /// Calls of the answer so far: they number ids that are made here.
    calls: usize,
    choices: SmallVec<[Choice; 1]>,
    ended: bool,
}

#[derive(Debug, Default)]
struct Choice {
    open: Open,
    /// A part as JSON that is not told yet.
    held: Option<String>,
    /// A text or a thought was told.
    spoke: bool,
    stop: StopReason,
    /// Reasoning of others since the last call.
    carried: Vec<Carried<'static>>,
    /// For the last frame.
    annotations: Vec<Opaque<'static>>,
}

/// The block that is open.
#[derive(Debug, Default)]
enum Open {
    #[default]
    Nothing,
    Text,
    Reasoning(Reasoning<'static>),
    /// Gathered: calls go out whole.
    Call(ToolCall<'static>),
}

impl StreamEncoder {
    pub(crate) fn new(context: Context) -> Self {
        let model = context.model.clone();
        Self { context, model, usage: None, calls: 0, choices: SmallVec::new(), ended: false }
    }
}

impl codec::StreamEncoder for StreamEncoder {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        match event {
            Event::Start { model, .. } => {
                if !model.is_empty() {
                    self.model = model.clone().into_owned();
                }
            }
            Event::Open { choice, opening, .. } => self.open(*choice, opening, out),
            Event::Delta { choice, delta, .. } => self.delta(*choice, delta, out),
            Event::Close { choice, .. } => self.close(*choice, out),
            Event::Stop { choice, stop } => self.choice(*choice).stop = stop.reason,
            Event::Usage(usage) => self.usage = Some(*usage),
            // This wire has no word for any.
            Event::ServiceTier(_) => {}
            // Blank lines, which every client skips: Google's SDK for Python takes a comment for data.
            Event::Ping => out.extend_from_slice(b"\n\n"),
            Event::Error(_) => {}
            Event::End => {
                self.ended = true;
                self.last(out);
            }
        }
    }

    fn error(&mut self, error: &WireError<'_>, out: &mut Vec<u8>) {
        if !self.ended {
            self.ended = true;
            (0..).zip(0..self.choices.len()).for_each(|(number, _)| self.release(number, out));
            out.extend_from_slice(&stream_event(shared::wire::Wire::Gemini, error));
        }
    }
}

impl StreamEncoder {
    fn choice(&mut self, number: u32) -> &mut Choice {
        let at = (number as usize).min(CHOICES_MAX - 1);
        if self.choices.len() <= at {
            self.choices.resize_with(at + 1, Choice::default);
        }
        &mut self.choices[at]
    }

    fn open(&mut self, number: u32, opening: &Opening<'_>, out: &mut Vec<u8>) {
        let open = match opening {
            Opening::Text | Opening::Refusal => Open::Text,
            Opening::Reasoning => Open::Reasoning(Reasoning::default()),
            Opening::ToolCall { id, name, kind, signature, .. } => Open::Call(ToolCall {
                id: Cow::Owned(call_id(id, &self.context.id, self.calls)),
                name: Cow::Owned(name.clone().into_owned()),
                kind: *kind,
                arguments: Cow::Borrowed(""),
                namespace: None,
                signature: signature.clone().map(Signature::into_owned),
                cache: None,
            }),
            Opening::Opaque(opaque) => {
                if let Some(own) = part::own(opaque) {
                    self.hold(number, out, |a| a.raw(own.get()));
                }
                Open::Nothing
            }
        };
        self.calls += usize::from(matches!(open, Open::Call(_)));
        self.choice(number).open = open;
    }

    fn delta(&mut self, number: u32, delta: &Delta<'_>, out: &mut Vec<u8>) {
        let choice = self.choice(number);
        match (&mut choice.open, delta) {
            (Open::Call(call), Delta::Arguments(text)) => call.arguments.to_mut().push_str(text),
            (_, Delta::Text(text)) if text.is_empty() => {}
            (Open::Text, Delta::Text(text)) => {
                choice.carried.iter_mut().for_each(|carried| carried.ahead_of_text = true);
                self.tell(number, out, |a| part::text(a, text, None));
            }
            (Open::Text, Delta::Signature(signature)) if signature.origin == Origin::Gemini => {
                self.hold(number, out, |a| part::text(a, "", Some(signature)));
            }
            (Open::Reasoning(reasoning), Delta::Text(text)) => {
                reasoning.text.to_mut().push_str(text);
                self.tell(number, out, |a| part::thought(a, text, None));
            }
            (Open::Reasoning(reasoning), Delta::Signature(signature)) => {
                reasoning.signature = Some(signature.clone().into_owned());
                self.hold(number, out, |a| part::thought(a, "", Some(signature)));
            }
            (Open::Text, Delta::Annotation(annotation)) => {
                choice.annotations.push(annotation.clone().into_owned());
            }
            (_, Delta::Logprobs(logprobs)) => {
                if let Some(own) = part::own(logprobs) {
                    self.release(number, out);
                    let empty = |a: &mut Array<'_>| part::text(a, "", None);
                    self.frame(number, out, empty, |o| o.raw("logprobsResult", own.get()));
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, number: u32, out: &mut Vec<u8>) {
        let choice = self.choice(number);
        match std::mem::take(&mut choice.open) {
            Open::Reasoning(reasoning) if part::is_foreign(reasoning.signature.as_ref()) => {
                choice.carried.push(Carried { reasoning, ahead_of_text: false });
            }
            Open::Call(call) => {
                let carried = std::mem::take(&mut choice.carried);
                self.hold(number, out, |a| part::call(a, &call, Some(&call.id), &carried));
            }
            Open::Nothing | Open::Text | Open::Reasoning(_) => {}
        }
    }

    /// Tells a piece of a text or a thought at once.
    fn tell(&mut self, number: u32, out: &mut Vec<u8>, part: impl FnOnce(&mut Array<'_>)) {
        self.release(number, out);
        self.choice(number).spoke = true;
        self.frame(number, out, part, |_| {});
    }

    /// Holds a part, and tells what was held.
    fn hold(&mut self, number: u32, out: &mut Vec<u8>, part: impl FnOnce(&mut Array<'_>)) {
        self.release(number, out);
        let mut list = Vec::new();
        write::array(&mut list, part);
        let json = list.get(1..list.len().saturating_sub(1)).unwrap_or_default();
        self.choice(number).held = Some(String::from_utf8_lossy(json).into_owned());
    }

    fn release(&mut self, number: u32, out: &mut Vec<u8>) {
        if let Some(held) = self.choice(number).held.take() {
            self.frame(number, out, |a| a.raw(&held), |_| {});
        }
    }

    /// A frame with one candidate: a part of it, and other fields.
    fn frame(
        &self,
        number: u32,
        out: &mut Vec<u8>,
        part: impl FnOnce(&mut Array<'_>),
        fields: impl FnOnce(&mut Object<'_>),
    ) {
        self.answer(out, |a| {
            a.object(|o| {
                o.object("content", |o| {
                    o.array("parts", part);
                    o.string("role", "model");
                });
                o.value("index", &number);
                fields(o);
            });
        });
    }

    fn last(&mut self, out: &mut Vec<u8>) {
        self.choice(0);
        self.answer(out, |a| {
            for (index, choice) in self.choices.iter().enumerate() {
                a.object(|o| {
                    o.object("content", |o| {
                        o.array("parts", |a| match &choice.held {
                            Some(held) => a.raw(held),
                            None if choice.spoke => part::text(a, "", None),
                            None => {}
                        });
                        o.string("role", "model");
                    });
                    o.string("finishReason", finish_reason(choice.stop));
                    o.value("index", &index);
                    annotations(o, choice.annotations.iter());
                });
            }
        });
    }

    fn answer(&self, out: &mut Vec<u8>, candidates: impl FnOnce(&mut Array<'_>)) {
        out.extend_from_slice(b"data: ");
        write::line(out, |o| {
            o.array("candidates", candidates);
            if let Some(usage) = &self.usage {
                o.object("usageMetadata", |o| usage::write(o, usage));
            }
            o.string("modelVersion", &self.model);
            o.string("responseId", &self.context.answer_id("").to_string());
        });
        out.extend_from_slice(b"\n\n");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shared::wire::Wire;

    use super::*;
    use crate::{
        canonical::{SignatureKind, Stop, ToolKind},
        codec::StreamEncoder as _,
        error::ErrorKind,
    };

    fn encoder() -> StreamEncoder {
        StreamEncoder::new(Context { id: "01J".to_owned(), model: "asked".to_owned(), ..Context::default() })
    }

    /// The frames' data, without what stands in each.
    fn frames(events: &[Event<'_>]) -> Vec<Value> {
        let (mut encoder, mut out) = (encoder(), Vec::new());
        events.iter().for_each(|event| encoder.event(event, &mut out));
        let text = String::from_utf8(out).unwrap();
        let frames = text.split_terminator("\n\n").map(|frame| {
            let data = frame.strip_prefix("data: ").unwrap();
            assert!(!data.contains(['\n', '\r']), "{data}");
            let mut data: Value = serde_json::from_str(data).unwrap();
            assert_eq!((&data["modelVersion"], &data["responseId"]), (&json!("served"), &json!("01J")));
            let data = data.as_object_mut().unwrap();
            data.retain(|key, _| !matches!(key.as_str(), "modelVersion" | "responseId"));
            Value::Object(std::mem::take(data))
        });
        frames.collect()
    }

    fn start() -> Event<'static> {
        Event::Start { id: "msg_1".into(), model: "served".into() }
    }

    fn open(index: u32, opening: Opening<'static>) -> Event<'static> {
        Event::Open { choice: 0, index, opening }
    }

    fn delta(index: u32, delta: Delta<'static>) -> Event<'static> {
        Event::Delta { choice: 0, index, delta }
    }

    const fn close(index: u32) -> Event<'static> {
        Event::Close { choice: 0, index }
    }

    fn call(id: &'static str, kind: ToolKind, signature: Option<Signature<'static>>) -> Opening<'static> {
        Opening::ToolCall { id: id.into(), name: "f".into(), kind, namespace: None, signature }
    }

    fn signature(origin: Origin) -> Signature<'static> {
        Signature { origin, kind: SignatureKind::Encrypted, id: None, value: "QQ==".into() }
    }

    fn part(part: Value) -> Value {
        json!({"candidates": [{"content": {"parts": [part], "role": "model"}, "index": 0}]})
    }

    #[test]
    fn an_answer_streams_part_by_part() {
        let usage = Usage { input: 1, output: 2, ..Usage::default() };
        let found = frames(&[
            start(),
            open(0, Opening::Reasoning),
            delta(0, Delta::Text("why".into())),
            delta(0, Delta::Signature(signature(Origin::OpenAi))),
            close(0),
            open(1, Opening::Text),
            delta(1, Delta::Text("a".into())),
            delta(1, Delta::Text("".into())),
            delta(1, Delta::Signature(signature(Origin::Gemini))),
            close(1),
            open(2, call("", ToolKind::Function, Some(signature(Origin::Gemini)))),
            delta(2, Delta::Arguments("{\"x\":\r\n".into())),
            delta(2, Delta::Arguments("1}".into())),
            close(2),
            open(3, call("own", ToolKind::Custom, None)),
            delta(3, Delta::Arguments("free".into())),
            close(3),
            Event::Stop { choice: 0, stop: Stop::of(StopReason::ToolUse) },
            Event::Usage(usage),
            Event::End,
            Event::End,
            Event::Ping,
        ]);
        let packed = crate::gemini::base64::encode(b"sy1.openai.encrypted..QQ==");
        let mut last = part(json!({"functionCall": {"id": "own", "name": "f", "args": {"input": "free"}}}));
        last["candidates"][0]["finishReason"] = json!("STOP");
        last["usageMetadata"] =
            json!({"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3});
        let expected = [
            part(json!({"text": "why", "thought": true})),
            part(json!({"text": "", "thought": true, "thoughtSignature": packed})),
            part(json!({"text": "a"})),
            part(json!({"text": "", "thoughtSignature": "QQ=="})),
            part(
                json!({"functionCall": {"id": "call_01J_0", "name": "f", "args": {"x": 1}}, "thoughtSignature": "QQ=="}),
            ),
            last,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_last_frame_has_what_came_whole_and_behind_a_text_an_empty_one() {
        let parts = |events: &[Event<'_>]| -> Vec<Value> {
            let all = [&[start()], events].concat();
            frames(&all).iter().map(|frame| frame["candidates"][0]["content"]["parts"].clone()).collect()
        };
        let text = |text: &str| json!([{ "text": text }]);
        let called = |id: &str| json!([{"functionCall": {"id": id, "name": "f", "args": {}}}]);
        let says = [open(0, Opening::Text), delta(0, Delta::Text("ab".into())), close(0)];
        let calls =
            |index: u32, id: &'static str| [open(index, call(id, ToolKind::Function, None)), close(index)];
        assert_eq!(parts(&[&says[..], &[Event::End]].concat()), [text("ab"), text("")]);
        let both = [&says[..], &calls(1, "c"), &calls(2, "d"), &[Event::End]].concat();
        assert_eq!(parts(&both), [text("ab"), called("c"), called("d")]);
        assert_eq!(parts(&[Event::End]), [json!([])]);
        let (mut encoder, mut out) = (encoder(), Vec::new());
        let error = WireError {
            status: 500,
            kind: ErrorKind::Api,
            message: "m",
            code: None,
            param: None,
            request_id: "01J",
        };
        calls(0, "c").iter().for_each(|event| encoder.event(event, &mut out));
        encoder.error(&error, &mut out);
        let told = String::from_utf8(out).unwrap();
        assert!(told.find("functionCall") < told.find(r#""error""#), "{told}");
    }

    #[test]
    fn an_answer_without_content_ends_too() {
        let found =
            frames(&[start(), Event::Stop { choice: 0, stop: Stop::of(StopReason::Refusal) }, Event::End]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["candidates"][0]["finishReason"], "SAFETY");
        let (mut encoder, mut out) = (encoder(), Vec::new());
        encoder.event(&Event::End, &mut out);
        assert!(String::from_utf8(out).unwrap().contains(r#""finishReason":"STOP","index":0"#));
    }

    #[test]
    fn what_google_said_of_the_text_comes_with_it_or_last() {
        let own = |origin, json: &str| Opaque {
            origin,
            kind: "x".into(),
            value: Cow::Owned(serde_json::value::RawValue::from_string(json.to_owned()).unwrap()),
        };
        let found = frames(&[
            start(),
            open(0, Opening::Opaque(own(Wire::Gemini, "{\n\"executableCode\":{}}"))),
            close(0),
            open(1, Opening::Opaque(own(Wire::Messages, "{}"))),
            close(1),
            open(2, Opening::Refusal),
            delta(2, Delta::Text("a".into())),
            delta(2, Delta::Logprobs(own(Wire::Gemini, "{\"l\":1}"))),
            delta(2, Delta::Logprobs(own(Wire::Chat, "{}"))),
            delta(2, Delta::Annotation(own(Wire::Gemini, "{\"citationMetadata\":1}"))),
            delta(
                2,
                Delta::Annotation(own(Wire::Gemini, "{\"citationMetadata\":2,\"groundingMetadata\":3}")),
            ),
            delta(2, Delta::Annotation(own(Wire::Messages, "{\"x\":1}"))),
            close(2),
            Event::End,
        ]);
        assert_eq!(found[0], part(json!({"executableCode": {}})));
        assert_eq!(found[1], part(json!({"text": "a"})));
        assert_eq!(found[2]["candidates"][0]["logprobsResult"], json!({"l": 1}));
        let last = &found[3]["candidates"][0];
        assert_eq!((&last["citationMetadata"], &last["groundingMetadata"]), (&json!(1), &json!(3)));
        assert_eq!((found.len(), last.get("x")), (4, None));
    }

    #[test]
    fn a_ping_is_blank_and_an_error_is_the_last_word() {
        let (mut encoder, mut out) = (encoder(), Vec::new());
        encoder.event(&Event::Ping, &mut out);
        assert_eq!(out, b"\n\n");
        out.clear();
        let error = WireError {
            status: 500,
            kind: ErrorKind::Api,
            message: "m",
            code: None,
            param: None,
            request_id: "01J",
        };
        encoder.error(&error, &mut out);
        assert_eq!(out, stream_event(Wire::Gemini, &error));
        out.clear();
        encoder.error(&error, &mut out);
        encoder.event(&Event::End, &mut out);
        assert!(out.is_empty());
    }
}
