//! Google's parts: what proves them is a field beside what they say.

use std::{ops::Range, sync::LazyLock};

use memchr::memmem::Finder;

use super::{Edit, after, member_of};
use crate::{
    gemini::signature::{NO_PROOF, calls_need_proof},
    json,
    raw::member,
};

static CALLS: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| [&b"\"functionCall\""[..], b"\"function_call\""].map(Finder::new));

static TEXT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"text\""));

/// Whether there may be a text that says nothing. Streams end with one, Google's own too, which some clients send back;
/// Google's API for developers takes it, and Vertex and Code Assist refuse it.
pub(super) fn has_empty_text(body: &[u8]) -> bool {
    TEXT.find_iter(body).any(|at| {
        let value = after(body, at, &TEXT).strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        value.is_some_and(|value| value.starts_with(b"\"\""))
    })
}

/// Whether there are calls, and a model that wants them proven.
pub(super) fn needs_proofs(model: &str, body: &[u8]) -> bool {
    calls_need_proof(model) && CALLS.iter().any(|calls| calls.find(body).is_some())
}

/// Where a part stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    is_model: bool,
    is_under_way: bool,
    /// The model wants its calls proven.
    signs: bool,
}

/// What is to become of a part.
enum Fate {
    Stays,
    Goes,
    /// Without its proof, which stands here.
    Unproven(Range<usize>),
    /// With the word that there is no proof, in place of this.
    NoProof(Range<usize>),
    /// The same, behind what ends here.
    NoProofBehind(usize),
}

/// A part, as far as it matters here.
#[derive(Default)]
struct Part<'a> {
    /// Its proof's field, the proof's place, and the proof.
    proof: Option<(Range<usize>, Range<usize>, &'a str)>,
    /// The end of the call that it is.
    call: Option<usize>,
    is_result: bool,
    /// Without its proof it says nothing.
    is_empty: bool,
}

impl<'a> Edit<'a> {
    /// `suspicious`: there may be proofs to take out; `signs`: the model wants its calls proven.
    pub(super) fn gemini(&mut self, text: &'a str, suspicious: bool, signs: bool) {
        let Some(list) = member_of(text, &["contents"]) else { return };
        let contents = items(list);
        let unproven = if signs { self.under_way(&contents) } else { contents.len() };
        let mut removed = Vec::new();
        // Answers that follow each other are one: clients keep a stream's frames as they came.
        let mut called = false;
        for (at, content) in contents.iter().enumerate() {
            called &= is_model(content);
            if !suspicious && at < unproven {
                continue;
            }
            let place = Place { is_model: is_model(content), is_under_way: at >= unproven, signs };
            let goes = self.parts(content, place, &mut called);
            removed.push((json::place_in(self.body, content), goes));
        }
        if list.starts_with('[') {
            self.remove(&removed);
        }
    }

    /// The first content of the turn under way, which began with the last words of the user.
    fn under_way(&self, contents: &[&'a str]) -> usize {
        let words = contents.iter().rposition(|content| {
            let list = member_of(content, &["parts"]).map(items).unwrap_or_default();
            let parts: Vec<_> = list.into_iter().map(|part| self.part(part)).collect();
            let says = parts.iter().any(|part| !part.is_empty) && !parts.iter().any(|part| part.is_result);
            says && !is_model(content)
        });
        words.map_or(0, |at| at + 1)
    }

    /// Whether nothing is left of the content. `called`: the answer has called.
    fn parts(&mut self, content: &'a str, place: Place, called: &mut bool) -> bool {
        let Some(list) = member_of(content, &["parts"]) else { return false };
        let mut removed = Vec::new();
        let parts = items(list);
        for text in &parts {
            let part = self.part(text);
            let is_first = place.is_model && part.call.is_some() && !std::mem::replace(called, true);
            let fate = self.fate(&part, place, is_first);
            self.count += usize::from(self.is_unwanted(&part));
            match &fate {
                Fate::Stays | Fate::Goes => {}
                Fate::Unproven(field) => {
                    self.splices.replace(member::with_comma(self.body, field.clone()), "");
                }
                Fate::NoProof(place) => self.splices.replace_with_string(place.clone(), NO_PROOF),
                Fate::NoProofBehind(end) => {
                    self.splices.replace(*end..*end, format!(",\"thoughtSignature\":\"{NO_PROOF}\""));
                }
            }
            removed.push((json::place_in(self.body, text), matches!(fate, Fate::Goes)));
        }
        if !removed.is_empty() && removed.iter().all(|(_, goes)| *goes) {
            return true;
        }
        self.remove(&removed);
        false
    }

    fn fate(&self, part: &Part<'a>, place: Place, is_first: bool) -> Fate {
        let unwanted = self.is_unwanted(part);
        let must = place.signs && place.is_under_way && is_first;
        match (&part.proof, part.call) {
            (Some((_, proof, _)), Some(_)) if place.signs && unwanted => Fate::NoProof(proof.clone()),
            (Some((_, proof, value)), Some(_)) if must && !is_text(value) => Fate::NoProof(proof.clone()),
            (None, Some(end)) if must => Fate::NoProofBehind(end),
            (Some(_), _) if part.is_empty && unwanted => Fate::Goes,
            // What a user says is left to the provider to refuse, and then it goes too.
            (None, _) if part.is_empty && (place.is_model || self.unwanted.replayed.is_nothing()) => {
                Fate::Goes
            }
            (Some((field, ..)), _) if unwanted => Fate::Unproven(field.clone()),
            _ => Fate::Stays,
        }
    }

    fn is_unwanted(&self, part: &Part<'a>) -> bool {
        let proof = part.proof.as_ref().and_then(|(.., value)| json::string(value));
        proof.is_some_and(|proof| self.unwanted.covers(&proof))
    }

    fn part(&self, text: &'a str) -> Part<'a> {
        let mut part = Part { is_empty: true, ..Part::default() };
        let mut is_text = false;
        let read = json::object(text, |field| {
            let place = json::place_in(self.body, field.value);
            match &*field.name() {
                "thoughtSignature" | "thought_signature" => {
                    part.proof = Some((field.range_in(self.body), place, field.value));
                    return;
                }
                "text" => {
                    is_text = true;
                    part.is_empty &= json::string(field.value).is_some_and(|text| text.is_empty());
                    return;
                }
                "thought" => return,
                "functionCall" | "function_call" => part.call = Some(place.end),
                "functionResponse" | "function_response" => part.is_result = true,
                _ => {}
            }
            part.is_empty = false;
        });
        // Of what is no part nothing is known.
        part.is_empty &= read.is_ok() && (is_text || part.proof.is_some());
        part
    }
}

fn is_model(content: &str) -> bool {
    member_of(content, &["role"]).and_then(json::string).as_deref() == Some("model")
}

fn is_text(value: &str) -> bool {
    json::string(value).is_some_and(|text| !text.is_empty())
}

/// The items of a list, or the one that stands in its place. What is neither is for the provider to refuse.
fn items(list: &str) -> Vec<&str> {
    let mut items = Vec::new();
    match list.starts_with('[') {
        true => drop(json::array(list, |item| items.push(item))),
        false => items.push(list),
    }
    items
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};
    use serde_json::{Value, json};
    use shared::wire::Wire;

    use super::*;
    use crate::{
        convert::Replayed,
        raw::foreign::tests::{taken_out, without},
    };

    const PACKED: &str = "sy1.claude.proof..Eq";

    fn sent(which: Replayed<'_>, model: &str, contents: &Value) -> (Value, usize) {
        let body = json!({ "contents": contents, "x": 1 }).to_string();
        let (body, count) = taken_out(which, Wire::Gemini, model, &body);
        let mut body: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
        (body["contents"].take(), count)
    }

    fn foreign(model: &str, contents: &Value) -> Value {
        sent(Replayed::OWN, model, contents).0
    }

    fn call(name: &str) -> Value {
        json!({"functionCall": {"name": name}})
    }

    fn proven(name: &str, proof: &str) -> Value {
        json!({"functionCall": {"name": name}, "thoughtSignature": proof})
    }

    fn model(parts: &[Value]) -> Value {
        json!({"role": "model", "parts": parts})
    }

    fn user(parts: &[Value]) -> Value {
        json!({"role": "user", "parts": parts})
    }

    fn text(text: &str) -> Value {
        json!({ "text": text })
    }

    fn result(name: &str) -> Value {
        json!({"functionResponse": {"name": name, "response": {}}})
    }

    #[test]
    fn gemini_is_told_where_a_proof_is_not_to_be_had() {
        let body = |signature: &str| {
            format!(
                r#"{{"contents":[{{"parts":[{{"functionCall":{{"name":"f"}}{signature}}},{{"text":"a"{signature}}}]}}]}}"#
            )
        };
        let packed = r#","thoughtSignature":"sy1.claude.proof..Eq""#;
        let proofless = format!(
            r#"{{"contents":[{{"parts":[{{"functionCall":{{"name":"f"}},"thoughtSignature":"{NO_PROOF}"}},{{"text":"a"}}]}}]}}"#
        );
        assert_eq!(without(Wire::Gemini, "gemini-3-pro", &body(packed)), (proofless, 2));
        assert_eq!(without(Wire::Gemini, "gemini-2.5-pro", &body(packed)), (body(""), 2));
        let own = r#","thoughtSignature":"CiQB""#;
        assert_eq!(without(Wire::Gemini, "gemini-3-pro", &body(own)), (body(own), 0));
    }

    #[test]
    fn a_part_goes_with_its_proof_where_nothing_else_is_left() {
        let thought = json!({"text": "", "thought": true, "thoughtSignature": PACKED});
        let empty = json!({"text": "", "thought_signature": PACKED});
        let signed = json!({"text": "a", "thoughtSignature": PACKED});
        let bare = json!({"thoughtSignature": PACKED});
        let given = json!([
            user(&[text("q")]),
            model(&[thought.clone(), signed, empty.clone(), bare]),
            model(&[thought]),
            user(&[text("q")]),
            model(&[text("b"), empty]),
        ]);
        let expected =
            json!([user(&[text("q")]), model(&[text("a")]), user(&[text("q")]), model(&[text("b")])]);
        for name in ["gemini-2.5-pro", "gemini-3-pro"] {
            assert_eq!(sent(Replayed::OWN, name, &given), (expected.clone(), 6));
        }
    }

    #[test]
    fn googles_own_empty_text_stays_until_it_is_refused() {
        let own = json!({"text": "", "thoughtSignature": "AAAA"});
        let given = json!([
            user(&[text("q")]),
            model(&[text("a"), own.clone()]),
            user(&[text("q")]),
            model(&[own, text("")]),
            user(&[text("q")]),
        ]);
        let expected =
            json!([user(&[text("q")]), model(&[text("a")]), user(&[text("q")]), user(&[text("q")]),]);
        let mut without_bare = given.clone();
        without_bare[3]["parts"].as_array_mut().unwrap().pop();
        assert_eq!(foreign("gemini-3-pro", &given), without_bare);
        assert_eq!(sent(Replayed::Nothing, "gemini-3-pro", &given), (expected, 2));
    }

    #[test]
    fn a_streams_empty_end_is_not_sent_back() {
        let given = json!([
            user(&[text("q"), text("")]),
            model(&[text("a")]),
            model(&[text("")]),
            model(&[json!({"text": "", "thought": true}), call("f")]),
            user(&[text("")]),
        ]);
        let expected = json!([
            user(&[text("q"), text("")]),
            model(&[text("a")]),
            model(&[call("f")]),
            user(&[text("")])
        ]);
        assert_eq!(sent(Replayed::OWN, "gemini-2.5-pro", &given), (expected, 0));
        let expected = json!([user(&[text("q")]), model(&[text("a")]), model(&[call("f")])]);
        assert_eq!(sent(Replayed::Nothing, "gemini-2.5-pro", &given), (expected, 0));
        let spaced = r#"{"contents":[{"role":"model","parts":[{"text" : "" }, {"text":"a"}]}]}"#;
        let expected = r#"{"contents":[{"role":"model","parts":[{"text":"a"}]}]}"#;
        assert_eq!(without(Wire::Gemini, "gemini-2.5-pro", spaced).0, expected);
    }

    #[test]
    fn the_first_call_of_each_answer_under_way_is_proven_or_said_not_to_be() {
        let old = [user(&[text("q")]), model(&[call("a")]), user(&[result("a")]), model(&[text("so")])];
        let turn = |first: Value, second: Value| {
            let under_way = [
                user(&[text("q")]),
                model(&[text("hm"), first]),
                model(&[call("b")]),
                user(&[result("a"), result("b"), text("aside")]),
                json!({"role": "model", "parts": second}),
                user(&[result("c")]),
            ];
            Value::from_iter(old.iter().cloned().chain(under_way))
        };
        let given = turn(call("a"), call("c"));
        let expected = turn(proven("a", NO_PROOF), proven("c", NO_PROOF));
        for name in ["gemini-3-pro", "models/gemini-3.1-flash", "gemini-flash-latest"] {
            assert_eq!(sent(Replayed::OWN, name, &given), (expected.clone(), 0), "{name}");
        }
        assert_eq!(foreign("gemini-2.5-pro", &given), given);
        assert_eq!(foreign("gemini-3-pro", &expected), expected);
        let own = turn(proven("a", "CiQB"), proven("c", "CiQC"));
        assert_eq!(foreign("gemini-3-pro", &own), own);
        let emptied = turn(proven("a", ""), call("c"));
        assert_eq!(foreign("gemini-3-pro", &emptied), expected);
    }

    proptest! {
        #[test]
        fn what_is_left_says_something_and_calls_are_proven(
            contents in vec((any::<bool>(), vec(0..8_usize, 1..5)), 0..6),
            which in select(vec![Replayed::OWN, Replayed::Nothing]),
        ) {
            let samples = [
                text(""),
                text("a"),
                json!({"thoughtSignature": PACKED, "text": "", "thought": true}),
                json!({"text": "a", "thoughtSignature": PACKED}),
                json!({"text": "", "thoughtSignature": "AAAA"}),
                call("f"),
                proven("f", PACKED),
                proven("f", "AAAA"),
            ];
            let content = |(is_model, parts): &(bool, Vec<usize>)| {
                let parts: Vec<_> = parts.iter().map(|at| samples[*at].clone()).collect();
                if *is_model { model(&parts) } else { user(&parts) }
            };
            let contents: Vec<_> = contents.iter().map(content).collect();
            let (left, _) = sent(which, "gemini-3-pro", &json!(contents));
            for content in left.as_array().unwrap() {
                let parts = content["parts"].as_array().unwrap();
                prop_assert!(!parts.is_empty(), "{left}");
                if content["role"] == "model" || which.is_nothing() {
                    prop_assert!(!parts.contains(&text("")), "{left}");
                }
            }
            let text = left.to_string();
            prop_assert!(!text.contains("sy1."), "{text}");
            prop_assert!(!which.is_nothing() || !text.contains("AAAA"), "{text}");
            let answer = left.as_array().unwrap().iter().rev().take_while(|content| content["role"] == "model");
            let mut parts = answer.flat_map(|content| content["parts"].as_array().unwrap().iter().rev());
            if let Some(first) = parts.by_ref().filter(|part| part.get("functionCall").is_some()).last() {
                prop_assert!(first.get("thoughtSignature").is_some(), "{left}");
            }
            prop_assert_eq!(sent(which, "gemini-3-pro", &left).0, left, "it is not changed again");
        }
    }

    #[test]
    fn without_a_user_all_is_under_way() {
        let found = foreign("gemini-3-pro", &json!([model(&[call("a"), call("b")])]));
        assert_eq!(found, json!([model(&[proven("a", NO_PROOF), call("b")])]));
        assert_eq!(foreign("gemini-3-pro", &json!([])), json!([]));
    }
}
