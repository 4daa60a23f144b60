//! Thinking: how it is asked for, how thoughts are signed and sealed, and that they come back as they were given.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderMap;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    binding,
    field::{one_of, present, refuse, required, tag},
};
use crate::{
    provider::{
        Failure,
        anthropic::{has_beta, invalid, model::Model},
    },
    turn::{Choice, Thinking},
};

const LEAST_BUDGET: i64 = 1024;
const GUIDE: &str =
    "Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking";
/// What signatures and sealed thoughts begin with, as the provider's own do.
const MARK: [u8; 3] = [0x12, 0xb5, 0x01];
const DIGEST: usize = 32;

/// Reads `thinking`, against what else is asked for.
pub(super) fn read(
    body: &Value,
    headers: &HeaderMap,
    max_tokens: Option<u64>,
    choice: &Choice,
    model: Model,
) -> Result<Thinking, Failure> {
    let Some(asked) = present(body, "thinking") else { return Ok(Thinking::None) };
    let kind = tag(asked, "thinking", &["adaptive", "between_tools", "disabled", "enabled"])?;
    check_kind(kind, body, model)?;
    if kind == "disabled" {
        return Ok(Thinking::None);
    }
    let path = format!("thinking.{kind}");
    if kind == "enabled" {
        let interleaved = has_beta(headers, |beta| beta.starts_with("interleaved-thinking"));
        check_budget(required(asked, &path, "budget_tokens")?, max_tokens.filter(|_| !interleaved))?;
        check_last(body.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default())?;
    }
    check_company(body, kind, choice)?;
    let updates = has_beta(headers, |beta| beta.starts_with("thinking-display-updates"));
    let displays: &[&str] =
        if updates { &["summarized", "omitted", "updates"] } else { &["summarized", "omitted"] };
    match present(asked, "display") {
        Some(display) => one_of(display, &format!("{path}.display"), displays)?,
        None => return Ok(Thinking::Shown),
    }
    let omitted = asked.get("display").and_then(Value::as_str) == Some("omitted");
    Ok(if omitted { Thinking::Hidden } else { Thinking::Shown })
}

/// Each model thinks in its own ways.
pub(super) fn check_kind(kind: &str, body: &Value, model: Model) -> Result<(), Failure> {
    let refused = match kind {
        "adaptive" if !model.thinks_adaptively() => {
            return Err(invalid("adaptive thinking is not supported on this model"));
        }
        "disabled" if model.thinks_at_least_between_tools() => {
            return Err(invalid(
                "To turn thinking off on this model, send \"thinking\": {\"type\": \"between_tools\"} instead of {\"type\": \"disabled\"}. The model does not think before responding. The short updates it writes between tool calls come back as thinking blocks.",
            ));
        }
        "enabled" => model.refuses_budget(),
        "disabled" => model.always_thinks(),
        "between_tools" => !model.thinks_between_tools(),
        _ => false,
    };
    if refused {
        return Err(invalid(format!(
            "\"thinking.type.{kind}\" is not supported for this model. Use \"thinking.type.adaptive\" and \"output_config.effort\" to control thinking behavior."
        )));
    }
    let effort = present(body, "output_config").and_then(|config| config.get("effort")?.as_str());
    match effort {
        Some(effort @ ("xhigh" | "max")) if kind == "disabled" && model.needs_thinking_for_much_effort() => {
            Err(invalid(format!(
                "output_config.effort '{effort}' is not supported when thinking is disabled on this model. Use effort 'high' or below, or enable thinking."
            )))
        }
        _ => Ok(()),
    }
}

fn check_budget(budget: &Value, most: Option<u64>) -> Result<(), Failure> {
    let path = "thinking.enabled.budget_tokens";
    let budget = budget.as_i64().ok_or_else(|| refuse(path, "Input should be a valid integer"))?;
    if budget < LEAST_BUDGET {
        return Err(refuse(path, "Input should be greater than or equal to 1024"));
    }
    if most.is_some_and(|most| budget.unsigned_abs() >= most) {
        return Err(invalid(format!(
            "`max_tokens` must be greater than `thinking.budget_tokens`. {GUIDE}#max-tokens-and-context-window-size"
        )));
    }
    Ok(())
}

/// What cannot be had together with thinking. A model that decides for itself whether to think may be made to call a
/// tool.
fn check_company(body: &Value, kind: &str, choice: &Choice) -> Result<(), Failure> {
    let number = |name| present(body, name).and_then(Value::as_f64);
    if number("temperature").is_some_and(|temperature| temperature != 1.0) {
        return Err(invalid(format!(
            "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode. {GUIDE}#important-considerations-when-using-extended-thinking"
        )));
    }
    if number("top_p").is_some_and(|top_p| top_p < 0.95) {
        return Err(invalid(
            "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.",
        ));
    }
    if present(body, "top_k").is_some() {
        return Err(invalid("`top_k` must be unset when thinking is enabled."));
    }
    match choice {
        Choice::Any | Choice::Named(_) if kind == "enabled" => {
            Err(invalid("Thinking may not be enabled when tool_choice forces tool use."))
        }
        _ => Ok(()),
    }
}

/// The last assistant message, if it uses tools or is the beginning of the answer, begins with what was thought.
fn check_last(messages: &[Value]) -> Result<(), Failure> {
    let field = |value: &Value, name| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let assistant = messages
        .iter()
        .enumerate()
        .rfind(|(_, message)| field(message, "role").as_deref() == Some("assistant"));
    let Some((index, message)) = assistant else { return Ok(()) };
    let blocks = message.get("content").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let kinds: Vec<String> = blocks.iter().filter_map(|block| field(block, "type")).collect();
    let counts = index + 1 == messages.len() || kinds.iter().any(|kind| kind == "tool_use");
    let first = match message.get("content") {
        Some(Value::String(said)) if !said.is_empty() => Some("text"),
        _ => kinds.first().map(String::as_str),
    };
    match first {
        Some(first) if counts && !first.ends_with("thinking") => Err(invalid(format!(
            "messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{first}`. When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid this requirement, disable `thinking`. {GUIDE}"
        ))),
        _ => Ok(()),
    }
}

/// Thinking comes back as it was given, or not at all.
pub(super) fn check_blocks(index: usize, blocks: &[Value]) -> Result<(), Failure> {
    for (place, block) in blocks.iter().enumerate() {
        let field = |name| block.get(name).and_then(Value::as_str).unwrap_or_default();
        let (genuine, what) = match field("type") {
            "thinking" => (is_signed(field("thinking"), field("signature")), "`signature` in `thinking`"),
            "redacted_thinking" => (unsealed(field("data")), "`data` in `redacted_thinking`"),
            _ => continue,
        };
        let kind = field("type");
        if present(block, "cache_control").is_some() {
            let path = format!("messages.{index}.content.{place}.{kind}.cache_control");
            return Err(refuse(&path, "Extra inputs are not permitted"));
        }
        if !genuine {
            return Err(invalid(format!("messages.{index}.content.{place}: Invalid {what} block")));
        }
    }
    Ok(())
}

/// What this provider puts under a thought of its own, with what that is `bound` to. A thought that is not shown is
/// signed as an empty one.
pub(crate) fn signature(thought: &str, bound: &[u8]) -> String {
    STANDARD.encode([own(thought).as_slice(), bound].concat())
}

fn own(thought: &str) -> Vec<u8> {
    let digests = (0_u8..6).flat_map(|round| salted(&[b"signature", &[round], thought.as_bytes()]));
    MARK.into_iter().chain(digests).collect()
}

/// This is of [`signature`], whatever the thought was bound to.
fn is_signed(thought: &str, signature: &str) -> bool {
    let bytes = STANDARD.decode(signature).unwrap_or_default();
    bytes
        .strip_prefix(own(thought).as_slice())
        .is_some_and(|bound| matches!(bound.len(), 0 | binding::LENGTH))
}

/// A thought that only this provider can read.
pub(crate) fn sealed(thought: &str) -> String {
    let key = salted(&[b"seal", thought.as_bytes()]);
    let body = thought.bytes().zip(key.into_iter().cycle()).map(|(plain, key)| plain ^ key);
    STANDARD.encode(MARK.into_iter().chain(key).chain(body).collect::<Vec<u8>>())
}

/// These are the words of [`sealed`].
fn unsealed(data: &str) -> bool {
    let Ok(bytes) = STANDARD.decode(data) else { return false };
    let Some((key, body)) = bytes.strip_prefix(&MARK).and_then(|rest| rest.split_at_checked(DIGEST)) else {
        return false;
    };
    let thought: Vec<u8> = body.iter().zip(key.iter().cycle()).map(|(sealed, key)| sealed ^ key).collect();
    salted(&[b"seal", &thought]) == key
}

fn salted(parts: &[&[u8]]) -> [u8; DIGEST] {
    let mut hash = Sha256::new();
    hash.update(b"an emulated provider");
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_sealed_thought_is_known_again_and_no_other(thought in "\\PC{0,40}", other in "[A-Za-z0-9+/]{0,80}") {
            prop_assert!(unsealed(&sealed(&thought)));
            prop_assert!(!unsealed(&other));
            let signed = signature(&thought, &[]);
            prop_assert!(signed.starts_with("ErUB") && is_signed(&thought, &signed));
            let longer = format!("{thought}.");
            prop_assert!(!is_signed(&longer, &signed));
        }
    }
}
