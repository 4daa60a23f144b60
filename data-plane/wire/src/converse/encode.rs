//! A canonical request as Converse's body.

mod blocks;
mod media;
mod tools;

use self::{blocks::says, media::Names};
use crate::{
    canonical::{Block, Format, Request, Role, ThinkingMode, Turn},
    json::write::{self, Array, Object},
};

/// `room`: bytes to set aside for it.
pub(crate) fn request(request: &Request<'_>, room: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(room);
    write::object(&mut out, |o| {
        o.array("messages", |a| messages(a, &request.turns));
        system(o, request);
        inference(o, request);
        tools::write(o, request);
        additional(o, request);
        output(o, &request.format);
    });
    out
}

const fn role(role: Role) -> Option<&'static str> {
    match role {
        Role::User => Some("user"),
        Role::Assistant => Some("assistant"),
        Role::System | Role::Developer => None,
    }
}

fn messages(a: &mut Array<'_>, turns: &[Turn<'_>]) {
    let mut names = Names::default();
    let spoken = |turn: &&Turn<'_>| role(turn.role).is_some() && turn.blocks.iter().any(says);
    let mut turns = turns.iter().filter(spoken).peekable();
    while let Some(turn) = turns.next() {
        a.object(|o| {
            o.some_string("role", role(turn.role));
            o.array("content", |a| {
                blocks::write(a, &turn.blocks, &mut names);
                // What stood between them is elsewhere.
                while let Some(next) = turns.next_if(|next| next.role == turn.role) {
                    blocks::write(a, &next.blocks, &mut names);
                }
            });
        });
    }
}

/// Instructions have one place only, wherever they stood.
fn system(o: &mut Object<'_>, request: &Request<'_>) {
    let turns = request.turns.iter().filter(|turn| role(turn.role).is_none());
    let texts = request
        .system
        .iter()
        .chain(turns.flat_map(|turn| &turn.blocks))
        .filter(|block| matches!(block, Block::Text(_)) && says(block));
    let mut texts = texts.peekable();
    if texts.peek().is_some() {
        o.array("system", |a| {
            for text in texts {
                blocks::write(a, std::slice::from_ref(text), &mut Names::default());
            }
        });
    }
}

fn inference(o: &mut Object<'_>, request: &Request<'_>) {
    let sampling = &request.sampling;
    let nothing = request.max_output.is_none()
        && sampling.temperature.is_none()
        && sampling.top_p.is_none()
        && sampling.stop.is_empty();
    if nothing {
        return;
    }
    o.object("inferenceConfig", |o| {
        o.some("maxTokens", request.max_output.as_ref());
        o.some("temperature", sampling.temperature.as_ref());
        o.some("topP", sampling.top_p.as_ref());
        if !sampling.stop.is_empty() {
            o.value("stopSequences", &sampling.stop);
        }
    });
}

/// What the model's maker knows and Converse does not: it is handed on unread.
fn additional(o: &mut Object<'_>, request: &Request<'_>) {
    let top_k = request.sampling.top_k;
    let budget = request.thinking.budget.filter(|_| request.thinking.mode != Some(ThinkingMode::Off));
    if top_k.is_none() && budget.is_none() {
        return;
    }
    o.object("additionalModelRequestFields", |o| {
        o.some("top_k", top_k.as_ref());
        if let Some(budget) = budget {
            o.object("thinking", |o| {
                o.string("type", "enabled");
                o.value("budget_tokens", &budget);
            });
        }
    });
}

fn output(o: &mut Object<'_>, format: &Format<'_>) {
    let Format::JsonSchema { name, description, schema, .. } = format else { return };
    o.object("outputConfig", |o| {
        o.object("textFormat", |o| {
            o.string("type", "json_schema");
            o.object("structure", |o| {
                o.object("jsonSchema", |o| {
                    o.string("schema", schema);
                    o.some_string("name", name.as_deref());
                    o.some_string("description", description.as_deref());
                });
            });
        });
    });
}

#[cfg(test)]
mod tests {
    use serde_json::{Number, Value, json};

    use super::*;
    use crate::canonical::{CacheMark, Sampling, Text, Thinking};

    fn encoded(request: &Request<'_>) -> Value {
        serde_json::from_slice(&super::request(request, 0)).unwrap()
    }

    fn turn<'a>(role: Role, texts: &[&'a str]) -> Turn<'a> {
        Turn { role, blocks: texts.iter().map(|text| Block::text(*text)).collect() }
    }

    /// The first example of AWS's guide.
    #[test]
    fn a_simple_request_is_written() {
        let request = Request {
            model: "amazon.nova-lite-v1:0".into(),
            stream: true,
            system: vec![Block::text("You are an app that creates playlists.")],
            turns: vec![turn(Role::User, &["Create a list of 3 pop songs."])],
            max_output: Some(1024),
            sampling: Sampling {
                temperature: Number::from_f64(0.5),
                top_p: Number::from_f64(0.9),
                stop: vec!["END".into()],
                ..Sampling::default()
            },
            ..Request::default()
        };
        let expected = json!({
            "messages": [{"role": "user", "content": [{"text": "Create a list of 3 pop songs."}]}],
            "system": [{"text": "You are an app that creates playlists."}],
            "inferenceConfig": {"maxTokens": 1024, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]},
        });
        assert_eq!(encoded(&request), expected);
    }

    #[test]
    fn what_is_not_said_is_not_written() {
        let expected = json!({ "messages": [] });
        assert_eq!(encoded(&Request::default()), expected);
        let blank = Request {
            system: vec![Block::text("")],
            turns: vec![turn(Role::User, &[" \n"])],
            ..Request::default()
        };
        assert_eq!(encoded(&blank), expected);
    }

    #[test]
    fn instructions_stand_apart_and_what_they_parted_is_one_message() {
        let request = Request {
            system: vec![Block::text("first")],
            turns: vec![
                turn(Role::System, &["second"]),
                turn(Role::User, &["a"]),
                turn(Role::Developer, &["third"]),
                turn(Role::User, &["b"]),
                turn(Role::Assistant, &["", "c"]),
            ],
            ..Request::default()
        };
        let expected = json!({
            "messages": [
                {"role": "user", "content": [{"text": "a"}, {"text": "b"}]},
                {"role": "assistant", "content": [{"text": "c"}]},
            ],
            "system": [{"text": "first"}, {"text": "second"}, {"text": "third"}],
        });
        assert_eq!(encoded(&request), expected);
    }

    #[test]
    fn a_cache_mark_is_a_block_of_its_own() {
        let marked = |text: &'static str, cache| {
            Block::Text(Text { text: text.into(), cache: Some(cache), ..Text::default() })
        };
        let request = Request {
            system: vec![marked("long", CacheMark::OneHour)],
            turns: vec![Turn { role: Role::User, blocks: vec![marked("short", CacheMark::FiveMinutes)] }],
            ..Request::default()
        };
        let expected = json!({
            "messages": [{"role": "user", "content": [{"text": "short"}, {"cachePoint": {"type": "default"}}]}],
            "system": [{"text": "long"}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
        });
        assert_eq!(encoded(&request), expected);
    }

    #[test]
    fn what_only_the_models_maker_knows_is_handed_on() {
        let thinking = Thinking { mode: Some(ThinkingMode::On), budget: Some(4000), ..Thinking::default() };
        let mut request = Request {
            sampling: Sampling { top_k: Some(40), ..Sampling::default() },
            thinking,
            ..Request::default()
        };
        let additional = |request: &Request<'_>| encoded(request)["additionalModelRequestFields"].clone();
        let expected = json!({"top_k": 40, "thinking": {"type": "enabled", "budget_tokens": 4000}});
        assert_eq!(additional(&request), expected);
        request.thinking.mode = Some(ThinkingMode::Off);
        assert_eq!(additional(&request), json!({"top_k": 40}));
    }

    #[test]
    fn a_schema_for_the_answer_is_text() {
        let request = Request {
            format: Format::JsonSchema {
                name: Some("song".into()),
                description: None,
                schema: r#"{"type":"object"}"#.into(),
                strict: Some(true),
            },
            ..Request::default()
        };
        let expected = json!({"textFormat": {
            "type": "json_schema",
            "structure": {"jsonSchema": {"schema": "{\"type\":\"object\"}", "name": "song"}},
        }});
        assert_eq!(encoded(&request)["outputConfig"], expected);
    }
}
