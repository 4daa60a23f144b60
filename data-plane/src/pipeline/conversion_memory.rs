//! What it takes of the node's memory to take a long body apart: where it is made of many tiny parts, far more than its
//! length.

use std::sync::Arc;

use memchr::{memchr, memchr2};

use crate::{
    budget::{Budget, Share},
    compute::LARGE,
};

/// Bytes that an object or an array takes at its worst, in the canonical form and on the way there; and a comma, which
/// stands for one more member or item. The test below holds them against conversions.
const OPENING: usize = 800;
const COMMA: usize = 128;

/// A body can't be taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoRoom {
    #[error("it would take more memory than the node has for requests")]
    Ever,
    #[error("other requests take the memory that it would need")]
    Now,
}

/// Room to take this body apart in, to be held meanwhile. None: it is short, and the bound on workers and connections
/// holds for it; or it is not taken apart, which only long ones are asked.
///
/// # Errors
/// See [`NoRoom`].
pub(super) fn reserve(
    requests: &Arc<Budget>,
    body: &[u8],
    is_taken_apart: impl FnOnce() -> bool,
) -> Result<Option<Share>, NoRoom> {
    if body.len() < LARGE || !is_taken_apart() {
        return Ok(None);
    }
    let needed = estimate(body);
    // The body itself stays where it is.
    if (needed.saturating_add(body.len())) as u64 > requests.most() {
        return Err(NoRoom::Ever);
    }
    let mut share = requests.share();
    if share.grow_to(needed) { Ok(Some(share)) } else { Err(NoRoom::Now) }
}

/// Of text, however long, it takes nothing: that stays in the body, or is copied once or twice.
fn estimate(body: &[u8]) -> usize {
    let (mut openings, mut commas) = (0_usize, 0_usize);
    let mut rest = body;
    loop {
        let quote = memchr(b'"', rest).unwrap_or(rest.len());
        let (between, string) = rest.split_at(quote);
        for byte in between {
            openings += usize::from(matches!(byte, b'{' | b'['));
            commas += usize::from(*byte == b',');
        }
        if string.is_empty() {
            return openings.saturating_mul(OPENING).saturating_add(commas.saturating_mul(COMMA));
        }
        rest = behind_string(string);
    }
}

/// What follows the string at whose opening quote `text` begins.
fn behind_string(text: &[u8]) -> &[u8] {
    let mut rest = text.get(1..).unwrap_or_default();
    while let Some(at) = memchr2(b'"', b'\\', rest) {
        let escape = rest.get(at) == Some(&b'\\');
        rest = rest.get(at + 1 + usize::from(escape)..).unwrap_or_default();
        if !escape {
            return rest;
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use shared::wire::Wire;
    use wire::convert::{self, Ask, Format, Replayed, Target};

    use super::*;
    use crate::allocations::peak_of;

    /// One more than a power of two, when lists that grow have just doubled.
    const COUNT: usize = 4097;
    const FORMATS: [Format; 5] =
        [Format::Chat, Format::Responses, Format::Messages, Format::Gemini, Format::Converse];

    /// What the conversion takes at its worst.
    fn peak(wire: Wire, body: &str) -> u64 {
        let of = |format| {
            let ask = Ask {
                wire,
                body: body.as_bytes(),
                model: "m",
                stream: true,
                wants_usage: false,
                array: false,
                resume: None,
                memos: &[],
                id: "01J",
                now: 0,
            };
            let target = Target {
                format,
                model: "claude-opus-5",
                stream: true,
                default_max_output: 8192,
                max_output: None,
                fetches_urls: false,
                server_tools: false,
                system_turns: false,
                replayed: Replayed::OWN,
                tool_search: true,
                cache_marks: true,
            };
            peak_of(|| convert::request(ask, target))
        };
        FORMATS.map(of).into_iter().max().unwrap()
    }

    /// In turns, so that neighbours do not become one.
    fn list(items: &[&str]) -> String {
        format!("[{}]", items.iter().copied().cycle().take(COUNT).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn no_conversion_takes_more_than_is_estimated() {
        let messages = |fields: &str| format!(r#"{{"model":"m","max_tokens":1,{fields}}}"#);
        let blocks = |role: &str, item: &str| {
            messages(&format!(r#""messages":[{{"role":"{role}","content":{}}}]"#, list(&[item])))
        };
        let turns = list(&[r#"{"role":"user","content":"a"}"#, r#"{"role":"assistant","content":"a"}"#]);
        let members = vec![r#""":0"#; COUNT].join(",");
        for (wire, body) in [
            (Wire::Messages, messages(&format!(r#""messages":{turns}"#))),
            (Wire::Messages, blocks("user", r#"{"type":"text","text":"a"}"#)),
            (Wire::Messages, blocks("user", r#"{"type":"tool_result","tool_use_id":"a","content":"a"}"#)),
            (Wire::Messages, blocks("assistant", r#"{"type":"tool_use","id":"a","name":"a","input":{}}"#)),
            (Wire::Messages, blocks("assistant", r#"{"type":"thinking","thinking":"","signature":"a"}"#)),
            (Wire::Messages, blocks("assistant", r#"{"type":""}"#)),
            (Wire::Messages, messages(&format!(r#""messages":[],"stop_sequences":{}"#, list(&[r#""""#])))),
            (Wire::Messages, messages(&format!(r#""messages":[],{members}"#))),
            (
                Wire::Messages,
                messages(&format!(
                    r#""messages":[{{"role":"user","content":[{{"type":"text",{members}}}]}}]"#
                )),
            ),
            (Wire::Chat, format!(r#"{{"model":"m","messages":{turns}}}"#)),
            (
                Wire::Chat,
                format!(
                    r#"{{"model":"m","messages":[{{"role":"assistant","tool_calls":{}}}]}}"#,
                    list(&[r#"{"id":"a","type":"function","function":{"name":"a","arguments":""}}"#])
                ),
            ),
            (
                Wire::Chat,
                format!(
                    r#"{{"model":"m","messages":{}}}"#,
                    list(&[
                        r#"{"role":"user","content":"a"}"#,
                        r#"{"role":"tool","tool_call_id":"a","content":"a"}"#
                    ])
                ),
            ),
            (
                Wire::Chat,
                format!(
                    r#"{{"model":"m","messages":[],"tools":{}}}"#,
                    list(&[r#"{"type":"function","function":{"name":"a"}}"#])
                ),
            ),
            (Wire::Responses, format!(r#"{{"model":"m","input":{turns}}}"#)),
            (Wire::Responses, format!(r#"{{"model":"m","input":{}}}"#, list(&[r#"{"type":"a"}"#]))),
            (
                Wire::Responses,
                format!(
                    r#"{{"model":"m","input":{}}}"#,
                    list(&[
                        r#"{"type":"function_call","call_id":"a","name":"a","arguments":""}"#,
                        r#"{"type":"function_call_output","call_id":"a","output":""}"#
                    ])
                ),
            ),
            (
                Wire::Responses,
                format!(
                    r#"{{"model":"m","input":"a","tools":{}}}"#,
                    list(&[r#"{"type":"function","name":"a"}"#])
                ),
            ),
            (Wire::Gemini, format!(r#"{{"contents":[{{"parts":{}}}]}}"#, list(&[r#"{"text":"a"}"#]))),
            (
                Wire::Gemini,
                format!(
                    r#"{{"contents":[{{"role":"model","parts":{}}}]}}"#,
                    list(&[r#"{"functionCall":{"name":"a"}}"#])
                ),
            ),
            (
                Wire::Gemini,
                format!(
                    r#"{{"contents":[{{"parts":{}}}]}}"#,
                    list(&[r#"{"functionResponse":{"name":"a","response":{}}}"#])
                ),
            ),
            (
                Wire::Gemini,
                format!(
                    r#"{{"contents":[{{"parts":[{{"text":"a"}}]}}],"tools":[{{"functionDeclarations":{}}}]}}"#,
                    list(&[r#"{"name":"a","parameters":{}}"#])
                ),
            ),
        ] {
            let (peak, estimate) = (peak(wire, &body), estimate(body.as_bytes()) as u64);
            let allowed = estimate + 3 * body.len() as u64;
            assert!(peak <= allowed, "{peak} of {allowed}: {:.200}", body);
        }
    }

    #[test]
    fn what_stands_in_strings_is_no_part() {
        assert_eq!(estimate(br#"{"a":[1,2],"b,{[":"\",[{\\"}"#), 2 * OPENING + 2 * COMMA);
        assert_eq!(estimate(br#"["\\",["]"#), OPENING + COMMA + OPENING);
        assert_eq!(estimate(br#"["unterminated, [\"#), OPENING);
    }

    #[test]
    fn room_is_held_for_as_long_as_it_is_needed_and_there_is_no_more_than_all() {
        let body = format!("[{}0]", "0,".repeat(LARGE));
        let needed = OPENING + LARGE * COMMA;
        let budget = Budget::of((needed + body.len()) as u64);
        let room = reserve(&budget, body.as_bytes(), || true).unwrap();
        assert_eq!(budget.held(), needed as u64);
        assert_eq!(reserve(&budget, body.as_bytes(), || true).unwrap_err(), NoRoom::Now);
        drop(room);
        assert_eq!(budget.held(), 0);
        let small = Budget::of(needed as u64);
        assert_eq!(reserve(&small, body.as_bytes(), || true).unwrap_err(), NoRoom::Ever);
        assert!(reserve(&small, &body.as_bytes()[..LARGE - 1], || true).unwrap().is_none());
        assert!(reserve(&small, body.as_bytes(), || false).unwrap().is_none());
    }
}
