//! What generateContent answers, whole and as a stream of chunks.
//!
//! Chunks have the shape of a whole answer. Each carries the counts so far; calls come in one piece; the last chunk has
//! an empty text and the finish reason.

use serde_json::{Map, Value, json};

use super::{
    Surface,
    request::{Checked, Model},
    signature::{Signed, sign},
};
use crate::{
    clock::CREATED_AT,
    script::LineEnds,
    template::{Draft, Form, Formed, Frame, ID, Role},
    turn::{Stop, Thinking, ToolCall, Turn, tokens},
};

/// An answer to be written.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub model: Model<'a>,
    pub checked: &'a Checked,
    pub turn: &'a Turn,
}

/// Tokens generated so far.
#[derive(Debug, Clone, Copy, Default)]
struct Generated {
    thoughts: u64,
    said: u64,
}

impl Answer<'_> {
    pub(super) fn whole(&self) -> Draft {
        let candidates = (0..self.checked.prompt.n).map(|index| {
            let mut candidate = self.candidate(index, self.parts(index));
            self.finish(&mut candidate);
            candidate
        });
        let answer = self.wrapped(self.response(candidates.collect(), self.all()));
        Draft::Json(answer.to_string().into_bytes())
    }

    /// `events` is for server-sent events; else it is a JSON array that grows.
    pub(super) fn stream(&self, events: bool) -> Draft {
        let mut frames: Vec<(Role, Value)> = Vec::new();
        let mut so_far = Generated::default();
        let n = self.checked.prompt.n;
        let mut bytes = 0;
        for thought in self.thoughts() {
            bytes += thought.len();
            so_far.thoughts = (tokens(bytes) * n).min(self.turn.usage.reasoning);
            self.chunks(&mut frames, so_far, |_| vec![json!({"text": thought, "thought": true})]);
        }
        so_far.thoughts = self.turn.usage.reasoning;
        bytes = 0;
        for piece in self.turn.pieces.iter().filter(|_| self.turn.stop != Stop::Refusal) {
            bytes += piece.len();
            so_far.said = (tokens(bytes) * n).min(self.all().said);
            self.chunks(&mut frames, so_far, |_| vec![json!({ "text": piece })]);
        }
        if !self.turn.calls.is_empty() {
            self.chunks(&mut frames, self.all(), |index| self.calls(index));
        }
        let last = (0..n).map(|index| {
            let mut part = json!({"text": ""});
            if self.signs_text() {
                part["thoughtSignature"] = sign(Signed::Text).into();
            }
            let mut candidate = self.candidate(index, vec![part]);
            self.finish(&mut candidate);
            candidate
        });
        frames.push((Role::Terminal, self.wrapped(self.response(last.collect(), self.all()))));
        draft(frames, events)
    }

    /// The prompt was blocked: there is nothing but the reason.
    pub(super) fn blocked(&self) -> Value {
        let mut response = self.response(Vec::new(), Generated::default());
        response["promptFeedback"] = json!({"blockReason": "PROHIBITED_CONTENT"});
        self.wrapped(response)
    }

    /// A chunk for each candidate.
    fn chunks(&self, frames: &mut Vec<(Role, Value)>, so_far: Generated, parts: impl Fn(u64) -> Vec<Value>) {
        for index in 0..self.checked.prompt.n {
            let response = self.response(vec![self.candidate(index, parts(index))], so_far);
            frames.push((Role::Content, self.wrapped(response)));
        }
    }

    fn parts(&self, index: u64) -> Vec<Value> {
        let mut parts = Vec::new();
        let thought = self.thoughts().concat();
        if !thought.is_empty() {
            parts.push(json!({"text": thought, "thought": true}));
        }
        if !self.turn.pieces.is_empty() {
            let mut text = json!({"text": self.turn.text()});
            if self.signs_text() {
                text["thoughtSignature"] = sign(Signed::Text).into();
            }
            parts.push(text);
        }
        parts.extend(self.calls(index));
        parts
    }

    /// Those that may be shown.
    fn thoughts(&self) -> &[String] {
        if self.turn.redacted { &[] } else { &self.turn.thinking }
    }

    /// Only the first of several calls is signed.
    fn calls(&self, candidate: u64) -> Vec<Value> {
        let part = |(index, call): (usize, &ToolCall)| {
            let mut function = json!({"name": call.name, "args": call.arguments});
            if self.model.is_third {
                function["id"] = format!("{ID}{candidate}{index}").into();
            }
            let mut part = json!({ "functionCall": function });
            if index == 0 && self.signs() {
                part["thoughtSignature"] = sign(Signed::Call(&call.name)).into();
            }
            part
        };
        self.turn.calls.iter().enumerate().map(part).collect()
    }

    /// The third generation always thinks.
    fn signs(&self) -> bool {
        self.turn.thinks != Thinking::None || self.model.is_third
    }

    fn signs_text(&self) -> bool {
        self.signs() && self.turn.calls.is_empty() && self.turn.stop != Stop::Refusal
    }

    fn candidate(&self, index: u64, parts: Vec<Value>) -> Value {
        let mut content = json!({"role": "model"});
        if !parts.is_empty() {
            content["parts"] = parts.into();
        }
        json!({"content": content, "index": index})
    }

    fn finish(&self, candidate: &mut Value) {
        candidate["finishReason"] = finish_reason(&self.turn.stop).into();
        if self.turn.stop == Stop::Refusal {
            if let Some(candidate) = candidate.as_object_mut() {
                candidate.remove("content");
            }
            candidate["safetyRatings"] = json!([{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": true}]);
        }
        if self.checked.logprobs {
            let chosen: Vec<Value> = self
                .turn
                .pieces
                .iter()
                .map(|piece| json!({"token": piece, "tokenId": 1, "logProbability": -0.25}))
                .collect();
            let top: Vec<Value> = chosen.iter().map(|one| json!({"candidates": [one]})).collect();
            candidate["logprobsResult"] = json!({"topCandidates": top, "chosenCandidates": chosen});
            candidate["avgLogprobs"] = json!(-0.25);
        }
    }

    fn response(&self, candidates: Vec<Value>, so_far: Generated) -> Value {
        let mut response =
            json!({"usageMetadata": self.usage(so_far), "modelVersion": self.model.name, "responseId": ID});
        if !candidates.is_empty() {
            response["candidates"] = candidates.into();
        }
        if self.model.surface != Surface::Gemini {
            response["createTime"] = CREATED_AT.into();
        }
        response
    }

    /// Code Assist puts the answer into an envelope.
    fn wrapped(&self, response: Value) -> Value {
        match self.model.surface {
            Surface::CodeAssist => json!({"response": response, "traceId": ID}),
            _ => response,
        }
    }

    /// Everything that is generated.
    fn all(&self) -> Generated {
        let usage = &self.turn.usage;
        let thoughts = usage.reasoning.min(usage.output);
        Generated { thoughts, said: usage.output - thoughts }
    }

    /// This wire counts the cache inside the prompt, and thoughts beside what is said. A count of zero is left out.
    fn usage(&self, so_far: Generated) -> Value {
        let usage = &self.turn.usage;
        let prompt = usage.input + usage.cache_read + usage.cache_write_5m + usage.cache_write_1h;
        let mut counts = Map::new();
        let mut count = |name: &str, tokens: u64| {
            if tokens > 0 {
                counts.insert(name.to_owned(), tokens.into());
            }
        };
        count("promptTokenCount", prompt);
        count("cachedContentTokenCount", usage.cache_read);
        count("candidatesTokenCount", so_far.said);
        count("thoughtsTokenCount", so_far.thoughts);
        count("totalTokenCount", prompt + so_far.said + so_far.thoughts);
        counts.insert("promptTokensDetails".to_owned(), details(prompt));
        if usage.cache_read > 0 {
            counts.insert("cacheTokensDetails".to_owned(), details(usage.cache_read));
        }
        if self.model.surface != Surface::Gemini {
            counts.insert("trafficType".to_owned(), "ON_DEMAND".into());
        }
        counts.into()
    }
}

pub(super) fn details(tokens: u64) -> Value {
    json!([{"modality": "TEXT", "tokenCount": tokens}])
}

/// A stop sequence and a call are natural ends here.
const fn finish_reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Sequence(_) | Stop::ToolUse => "STOP",
        Stop::Length => "MAX_TOKENS",
        Stop::Refusal => "SAFETY",
    }
}

/// Chunks as a body.
pub(super) fn draft(chunks: Vec<(Role, Value)>, events: bool) -> Draft {
    if events {
        let frame = |(role, chunk)| Frame { role, bytes: format!("data: {chunk}\n\n").into_bytes() };
        let frames = chunks.into_iter().map(frame).collect();
        return Draft::Formed(Formed { form: Form::Events(LineEnds::Crlf), frames, headers: Vec::new() });
    }
    let opened = |(index, (role, chunk)): (usize, (Role, Value))| {
        let before = if index == 0 { "[" } else { ",\r\n" };
        Frame { role, bytes: format!("{before}{chunk}").into_bytes() }
    };
    let mut frames: Vec<Frame> = chunks.into_iter().enumerate().map(opened).collect();
    frames.push(Frame { role: Role::Terminal, bytes: b"\n]".to_vec() });
    Draft::Formed(Formed { form: Form::Array, frames, headers: Vec::new() })
}
