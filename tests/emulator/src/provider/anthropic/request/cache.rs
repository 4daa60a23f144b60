//! Cache marks: how many there may be, in what order, and for whom.

use http::HeaderMap;
use serde_json::Value;

use super::field::{one_of, present, refuse, tag};
use crate::provider::{
    Failure,
    anthropic::{has_beta, invalid},
};

const MOST: usize = 4;
/// With this, the marks of tools and of the system prompt may say for whom they are.
const SCOPE_BETA: &str = "prompt-caching-scope-";

struct Mark<'b> {
    path: String,
    /// As refusals of what is in it write the path.
    inner_path: String,
    value: &'b Value,
}

/// Marks count in the order in which the prompt is read: tools, system, messages.
pub(super) fn check(body: &Value, headers: &HeaderMap) -> Result<(), Failure> {
    let mut marks = Vec::new();
    for part in ["tools", "system"] {
        collect(body.get(part), part, &mut marks);
    }
    let messages = body.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (index, message) in messages.iter().enumerate() {
        collect(message.get("content"), &format!("messages.{index}.content"), &mut marks);
    }
    if let Some(mark) = present(body, "cache_control") {
        let path = "cache_control".to_owned();
        marks.push(Mark { inner_path: path.clone(), path, value: mark });
    }
    let scopes = has_beta(headers, |beta| beta.starts_with(SCOPE_BETA));
    let mut short = false;
    for Mark { path, inner_path, value: mark } in &marks {
        tag(mark, path, &["ephemeral"])?;
        if present(mark, "scope").is_some() && (!scopes || path.starts_with("messages")) {
            return Err(refuse(&format!("{inner_path}.ephemeral.scope"), "Extra inputs are not permitted"));
        }
        let ttl = present(mark, "ttl");
        if let Some(ttl) = ttl {
            one_of(ttl, &format!("{path}.ephemeral.ttl"), &["5m", "1h"])?;
        }
        let long = ttl.and_then(Value::as_str) == Some("1h");
        if long && short {
            return Err(refuse(
                &format!("{path}.ttl"),
                "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that blocks are processed in the following order: `tools`, `system`, `messages`.",
            ));
        }
        short |= !long;
    }
    if marks.len() > MOST {
        return Err(invalid(format!(
            "A maximum of 4 blocks with cache_control may be provided. Found {}.",
            marks.len()
        )));
    }
    Ok(())
}

/// The marks on a list of blocks, and on what tool results hold, with their paths.
fn collect<'b>(blocks: Option<&'b Value>, path: &str, marks: &mut Vec<Mark<'b>>) {
    let blocks = blocks.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (index, block) in blocks.iter().enumerate() {
        if block.get("type").and_then(Value::as_str) == Some("tool_result") {
            collect(block.get("content"), &format!("{path}.{index}.tool_result.content"), marks);
        }
        if let Some(mark) = present(block, "cache_control") {
            let kind = block.get("type").and_then(Value::as_str).filter(|_| path.starts_with("messages"));
            let kind = kind.map(|kind| format!(".{kind}")).unwrap_or_default();
            marks.push(Mark {
                path: format!("{path}.{index}.cache_control"),
                inner_path: format!("{path}.{index}{kind}.cache_control"),
                value: mark,
            });
        }
    }
}
