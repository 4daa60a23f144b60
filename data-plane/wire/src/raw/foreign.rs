//! Reasoning that a provider can't take, in a request in its own wire: it is taken out.
//!
//! A conversation may have gone to another platform before, where the answers' reasoning was packed for its way home
//! ([`crate::canonical::Signature`]), or had no proof at all. The provider of this wire would refuse it, in this request
//! and in every later one of the conversation. Google's also refuse a call without a proof, and are told that there is
//! none; and a text that says nothing, which goes ([`gemini`]).

mod gemini;

use std::{borrow::Cow, ops::Range, sync::LazyLock};

use memchr::memmem::Finder;
use shared::wire::Wire;

use super::{member, splice::Splices};
use crate::{canonical::is_packed, convert::Replayed, json};

/// How packed values begin, in text and in base64.
static PACKED: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| [&b"\"sy1."[..], b"\"c3kxL"].map(Finder::new));
/// `thinking` as a value, where it names a block's type, is followed by no colon.
static THINKING: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"thinking\""));
static REDACTED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"redacted_thinking\""));
static SIGNATURE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"signature\""));
static REASONING: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"reasoning\""));
static CIPHER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"encrypted_content\""));

/// Takes out what is not to be sent back, and says how many blocks that were. `model`: as the upstream knows it.
pub fn take_out(
    splices: &mut Splices,
    replayed: Replayed<'_>,
    wire: Wire,
    body: &[u8],
    model: &str,
) -> usize {
    let Look { suspicious, signs } = look(replayed, wire, body, model);
    let Ok(text) = std::str::from_utf8(body) else { return 0 };
    // Nearly all bodies end here: long ones are not taken apart for nothing.
    if !suspicious && !signs {
        return 0;
    }
    let mut edit = Edit { body, splices, unwanted: Unwanted { replayed, model }, count: 0 };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_ascii();
    match wire {
        Wire::Messages => edit.messages(text),
        Wire::Responses => edit.responses(text),
        Wire::Gemini => edit.gemini(text, suspicious, signs),
        Wire::Chat => {}
    }
    edit.count
}

/// What a look at the bytes says.
struct Look {
    /// There may be something to take out.
    suspicious: bool,
    /// The model wants its calls proven.
    signs: bool,
}

fn look(replayed: Replayed<'_>, wire: Wire, body: &[u8], model: &str) -> Look {
    if wire == Wire::Chat {
        return Look { suspicious: false, signs: false };
    }
    let looks_closely = !matches!(replayed, Replayed::Own { refused: None });
    let holds_packed = || PACKED.iter().any(|packed| packed.find(body).is_some());
    let suspicious = looks_closely || holds_packed() || lacks_proofs(wire, body);
    Look { suspicious, signs: wire == Wire::Gemini && gemini::needs_proofs(model, body) }
}

/// Whether [`take_out`] takes the body apart, which costs memory.
#[must_use]
pub fn takes_apart(replayed: Replayed<'_>, wire: Wire, body: &[u8], model: &str) -> bool {
    let Look { suspicious, signs } = look(replayed, wire, body, model);
    suspicious || signs
}

/// Whether there may be reasoning without a proof, or what is left of it.
fn lacks_proofs(wire: Wire, body: &[u8]) -> bool {
    let filled = |key: &Finder<'_>| key.find_iter(body).filter(|at| is_filled(body, *at, key)).count();
    match wire {
        Wire::Messages => {
            let is_type = |at: &usize| !after(body, *at, &THINKING).starts_with(b":");
            let blocks = || THINKING.find_iter(body).filter(is_type).count();
            let (proofs, keys) = (filled(&SIGNATURE), SIGNATURE.find_iter(body).count());
            keys > proofs || blocks() > proofs || REDACTED.find(body).is_some()
        }
        Wire::Responses => REASONING.find_iter(body).count() > filled(&CIPHER),
        Wire::Gemini => gemini::has_empty_text(body),
        Wire::Chat => false,
    }
}

/// Whether a text that is not empty follows the key.
fn is_filled(body: &[u8], at: usize, key: &Finder<'_>) -> bool {
    let value = after(body, at, key).strip_prefix(b":").map(<[u8]>::trim_ascii_start);
    value.is_some_and(|value| value.starts_with(b"\"") && !value.starts_with(b"\"\""))
}

/// What follows the word at this place, and white space.
fn after<'b>(body: &'b [u8], at: usize, word: &Finder<'_>) -> &'b [u8] {
    body.get(at + word.needle().len()..).unwrap_or_default().trim_ascii_start()
}

/// What this model is not to be sent.
#[derive(Clone, Copy)]
struct Unwanted<'a> {
    replayed: Replayed<'a>,
    model: &'a str,
}

impl Unwanted<'_> {
    /// Whether the proof is another provider's, or one that was refused.
    fn covers(self, proof: &str) -> bool {
        is_packed(proof) || self.replayed.is_refused(self.model, proof)
    }
}

struct Edit<'a> {
    body: &'a [u8],
    splices: &'a mut Splices,
    unwanted: Unwanted<'a>,
    count: usize,
}

impl<'a> Edit<'a> {
    fn messages(&mut self, text: &'a str) {
        let Some(messages) = member_of(text, &["messages"]) else { return };
        let mut all = Vec::new();
        // What is no list of objects is for the provider to refuse.
        let _ = json::array(messages, |message| {
            let goes = self.content(message);
            all.push((json::place_in(self.body, message), goes));
        });
        self.remove(&all);
    }

    /// Whether nothing is left of the message.
    fn content(&mut self, message: &'a str) -> bool {
        let Some(content) = member_of(message, &["content"]).filter(|content| content.starts_with('['))
        else {
            return false;
        };
        let mut blocks = Vec::new();
        let _ = json::array(content, |block| {
            blocks.push((json::place_in(self.body, block), is_foreign_thinking(block, self.unwanted)));
        });
        let foreign = blocks.iter().filter(|(_, goes)| *goes).count();
        self.count += foreign;
        if foreign > 0 && foreign == blocks.len() {
            return true;
        }
        self.remove(&blocks);
        false
    }

    fn responses(&mut self, text: &'a str) {
        let Some(input) = member_of(text, &["input"]).filter(|input| input.starts_with('[')) else { return };
        let forgets = member_of(text, &["store"]) == Some("false");
        let mut items = Vec::new();
        let _ = json::array(input, |item| {
            items.push((json::place_in(self.body, item), is_foreign_item(item, self.unwanted, forgets)));
        });
        self.count += items.iter().filter(|(_, goes)| *goes).count();
        self.remove(&items);
    }

    fn remove(&mut self, elements: &[(Range<usize>, bool)]) {
        for range in member::runs_out(elements) {
            self.splices.replace(range, "");
        }
    }
}

/// Thoughts without a proof, or with another provider's.
fn is_foreign_thinking(block: &str, unwanted: Unwanted<'_>) -> bool {
    let is_foreign = |proof: Cow<'_, str>| proof.is_empty() || unwanted.covers(&proof);
    let (mut kind, mut proof, mut data) = (None, None, None);
    let _ = json::object(block, |field| match &*field.name() {
        "type" => kind = json::string(field.value),
        "signature" => proof = json::string(field.value),
        "data" => data = json::string(field.value),
        _ => {}
    });
    match kind.as_deref() {
        Some("thinking") => proof.is_none_or(is_foreign),
        Some("redacted_thinking") => data.is_none_or(is_foreign),
        _ => false,
    }
}

/// Reasoning that the provider can't read, or does not have because nothing is kept.
fn is_foreign_item(item: &str, unwanted: Unwanted<'_>, forgets: bool) -> bool {
    let (mut kind, mut cipher): (_, Option<Cow<'_, str>>) = (None, None);
    let _ = json::object(item, |field| match &*field.name() {
        "type" => kind = json::string(field.value),
        "encrypted_content" => cipher = json::string(field.value),
        _ => {}
    });
    let cipher = cipher.filter(|cipher| !cipher.is_empty());
    kind.as_deref() == Some("reasoning")
        && (unwanted.replayed.is_nothing() || cipher.map_or(forgets, |cipher| unwanted.covers(&cipher)))
}

fn member_of<'t>(object: &'t str, path: &[&str]) -> Option<&'t str> {
    path.iter().try_fold(object, |object, name| {
        let mut found = None;
        json::object(object, |field| {
            if field.name() == *name {
                found = Some(field.value);
            }
        })
        .ok()?;
        found
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    pub(super) fn without(wire: Wire, model: &str, body: &str) -> (String, usize) {
        taken_out(Replayed::OWN, wire, model, body)
    }

    pub(super) fn taken_out(replayed: Replayed<'_>, wire: Wire, model: &str, body: &str) -> (String, usize) {
        let mut splices = Splices::new();
        let count = take_out(&mut splices, replayed, wire, body.as_bytes(), model);
        let body = splices.apply(Bytes::copy_from_slice(body.as_bytes()));
        (String::from_utf8(body.to_vec()).unwrap(), count)
    }

    #[test]
    fn a_body_with_all_of_its_proofs_is_not_taken_apart() {
        let own = r#"{"type":"thinking","thinking":"","signature":"Eq"}"#;
        let said = r#"{"type":"text","text":"\"type\":\"thinking\" \"signature\""}"#;
        let body =
            format!(r#"{{"thinking":{{"type":"adaptive"}},"messages":[{{"content":[{own},{said}]}}]}}"#);
        assert!(!lacks_proofs(Wire::Messages, body.as_bytes()));
        assert!(!takes_apart(Replayed::OWN, Wire::Messages, body.as_bytes(), "claude-opus-5"));
        assert!(!takes_apart(Replayed::Nothing, Wire::Chat, body.as_bytes(), "gpt-5.4"));
    }

    #[test]
    fn claude_gets_its_own_thoughts_byte_for_byte_and_nobody_elses() {
        let own = r#"{"type":"thinking", "thinking":"" , "signature":"EqQBCgIYAhIM"}"#;
        let foreign = r#"{"type":"thinking","thinking":"x","signature":"sy1.gemini.proof..abc"}"#;
        let unproven = r#"{"type":"thinking","thinking":"x","signature":""}"#;
        let keyless = r#"{"type": "thinking","thinking":"x"}"#;
        let dataless = r#"{"type":"redacted_thinking"}"#;
        let redacted = r#"{"type":"redacted_thinking","data":"sy1.openai.encrypted.rs_1.gAAA"}"#;
        let text = r#"{"type":"text","text":"\"thinking\""}"#;
        let body = |turns: &[&str]| {
            let turns: Vec<_> = turns
                .iter()
                .map(|blocks| format!(r#"{{"role":"assistant","content":[{blocks}]}}"#))
                .collect();
            format!(r#"{{"messages":[{}]}}"#, turns.join(" , "))
        };
        for (given, left, count) in [
            (vec![format!("{own},{text}")], vec![format!("{own},{text}")], 0),
            (vec![format!("{foreign},{text}")], vec![text.to_owned()], 1),
            (vec![format!("{foreign} , {unproven},{text},{redacted}")], vec![text.to_owned()], 3),
            (vec![format!("{text},{unproven} ,{own}")], vec![format!("{text} ,{own}")], 1),
            (vec![foreign.to_owned(), text.to_owned()], vec![text.to_owned()], 1),
            (vec![text.to_owned(), unproven.to_owned()], vec![text.to_owned()], 1),
            (vec![format!("{own},{text},{keyless}")], vec![format!("{own},{text}")], 1),
            (vec![format!("{dataless},{text}")], vec![text.to_owned()], 1),
        ] {
            let refs = |texts: &[String]| body(&texts.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(without(Wire::Messages, "claude-opus-5", &refs(&given)), (refs(&left), count));
        }
    }

    #[test]
    fn openai_gets_the_reasoning_that_it_can_read() {
        let own = r#"{"type":"reasoning","id":"rs_1","encrypted_content":"gAAA","summary":[]}"#;
        let kept = r#"{"type":"reasoning","id":"rs_2","summary":[]}"#;
        let foreign =
            r#"{"type":"reasoning","id":"rs_3","encrypted_content":"sy1.claude.proof..Eq","summary":[]}"#;
        let call = r#"{"type":"function_call","call_id":"c","name":"reasoning","arguments":"{}"}"#;
        let body = |store: &str, items: &[&str]| format!(r#"{{{store}"input":[{}]}}"#, items.join(","));
        let forgetful = r#""store":false,"#;
        let all = [own, kept, foreign, call];
        let (left, count) = without(Wire::Responses, "gpt-5.1", &body(forgetful, &all));
        assert_eq!((left, count), (body(forgetful, &[own, call]), 2));
        let (left, count) = without(Wire::Responses, "gpt-5.1", &body("", &all));
        assert_eq!((left, count), (body("", &[own, kept, call]), 1));
        assert_eq!(without(Wire::Responses, "gpt-5.1", r#"{"input":"\"reasoning\""}"#).1, 0);
    }

    #[test]
    fn all_of_it_goes_where_the_provider_refused_its_own() {
        for (wire, body, expected) in [
            (
                Wire::Messages,
                r#"{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"a","signature":"Eq"},{"type":"text","text":"b"}]}]}"#,
                r#"{"messages":[{"role":"assistant","content":[{"type":"text","text":"b"}]}]}"#,
            ),
            (
                Wire::Responses,
                r#"{"input":[{"type":"message","content":"a"},{"type":"reasoning","encrypted_content":"gA"}]}"#,
                r#"{"input":[{"type":"message","content":"a"}]}"#,
            ),
            (
                Wire::Gemini,
                r#"{"contents":[{"parts":[{"text":"a","thoughtSignature":"Ci"}]}]}"#,
                r#"{"contents":[{"parts":[{"text":"a"}]}]}"#,
            ),
        ] {
            assert_eq!(taken_out(Replayed::Nothing, wire, "gemini-3-pro", body), (expected.to_owned(), 1));
            assert_eq!(without(wire, "gemini-3-pro", body), (body.to_owned(), 0));
        }
    }
}
