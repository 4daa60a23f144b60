//! Counting tokens across wires: the question in the upstream's form, its number in the client's, and an estimate where
//! an upstream can't count.

use bytes::Bytes;
use shared::wire::Wire;

use crate::{
    canonical::{Block, Hints, Media, MediaKind, Request, Role, Sampling, Source, Tool},
    codec::Unreadable,
    convert::{self, Ask, ConvertError, Format, Target},
    json::{self, write},
    loss::Losses,
    raw::{member, splice::Splices},
};

/// A token is about four bytes of text.
const BYTES_PER_TOKEN: usize = 4;
/// What an image costs, about, at the size that providers scale large ones down to.
const IMAGE_TOKENS: u64 = 1600;
/// A document's tokens are about its bytes divided by this.
const BYTES_PER_DOCUMENT_TOKEN: usize = 20;
const TOKENS_PER_MESSAGE: u64 = 4;

/// The question for an upstream that counts. Some count messages only: there the system prompt and the tools are put
/// in front as one.
///
/// # Errors
/// See [`ConvertError`].
pub fn request(
    ask: &Ask<'_>,
    target: Target<'_>,
    messages_only: bool,
) -> Result<(Vec<u8>, Losses), ConvertError> {
    let unwanted: &[&str] = match target.format {
        Format::Messages => &["max_tokens", "stream"],
        Format::Responses => &["store", "stream", "include"],
        Format::Converse => &["inferenceConfig"],
        Format::Chat | Format::Gemini => &[],
    };
    question(ask, target, messages_only, unwanted)
}

/// The question for Bedrock about a Messages body: it reads the body as a model would be invoked with it, and refuses
/// one without a limit.
///
/// # Errors
/// See [`ConvertError`].
pub fn request_of_invoke(ask: &Ask<'_>, target: Target<'_>) -> Result<(Vec<u8>, Losses), ConvertError> {
    question(ask, target, false, &["stream"])
}

fn question(
    ask: &Ask<'_>,
    target: Target<'_>,
    messages_only: bool,
    unwanted: &[&str],
) -> Result<(Vec<u8>, Losses), ConvertError> {
    let mut request = convert::decode(ask)?;
    if messages_only {
        put_in_front(&mut request);
    }
    // What is not read is not counted, and count endpoints refuse it.
    request.sampling = Sampling::default();
    request.hints = Hints::default();
    request.max_output = None;
    request.stream = false;
    request.extras.clear();
    let target = Target { cache_marks: false, ..target };
    let (mut body, losses, _names) = convert::write(&mut request, target, ask.body.len())?;
    let mut splices = Splices::new();
    for name in unwanted {
        member::remove(&mut splices, &body, name);
    }
    splices.apply_to(&mut body);
    Ok((body, losses))
}

fn put_in_front(request: &mut Request<'_>) {
    let mut blocks = std::mem::take(&mut request.system);
    for tool in std::mem::take(&mut request.tools) {
        let text = match &tool {
            Tool::Function { name, description, parameters, .. } => {
                let (description, parameters) = (description.as_deref(), parameters.as_deref());
                [name, description.unwrap_or_default(), parameters.unwrap_or_default()].join("\n")
            }
            Tool::Custom { name, description, .. } => {
                [name, description.as_deref().unwrap_or_default()].join("\n")
            }
            Tool::WebSearch(_) | Tool::Server(_) => continue,
        };
        blocks.push(Block::text(text));
    }
    (request.tool_choice, request.thinking, request.format) = Default::default();
    let turns = std::mem::take(&mut request.turns);
    request.push(Role::User, blocks);
    for turn in turns {
        request.push(turn.role, turn.blocks);
    }
}

/// The number in an answer of any upstream that counts.
#[must_use]
pub fn read(body: &[u8]) -> Option<u64> {
    let mut tokens = None;
    json::object(std::str::from_utf8(body).ok()?.trim_ascii(), |field| {
        if matches!(&*field.name(), "input_tokens" | "totalTokens" | "inputTokens") {
            tokens = json::count(field.value);
        }
    })
    .ok()?;
    tokens
}

/// The answer in the client's wire.
#[must_use]
pub fn write(wire: Wire, tokens: u64) -> Bytes {
    let mut out = Vec::with_capacity(32);
    let name = if wire == Wire::Gemini { "totalTokens" } else { "input_tokens" };
    write::object(&mut out, |answer| answer.value(name, &tokens));
    out.into()
}

/// About how many tokens the request's input has.
///
/// # Errors
/// The request can't be read.
pub fn estimate(ask: &Ask<'_>) -> Result<u64, Unreadable> {
    Ok(of_request(&convert::decode(ask)?))
}

fn of_request(request: &Request<'_>) -> u64 {
    let turns: u64 = request.turns.iter().map(|turn| TOKENS_PER_MESSAGE + of_blocks(&turn.blocks)).sum();
    let tools: u64 = request.tools.iter().map(of_tool).sum();
    of_blocks(&request.system) + turns + tools
}

fn of_tool(tool: &Tool<'_>) -> u64 {
    match tool {
        Tool::Function { name, description, parameters, .. } => {
            let length = |text: Option<&str>| text.map_or(0, str::len);
            of_bytes(name.len() + length(description.as_deref()) + length(parameters.as_deref()))
        }
        Tool::Custom { name, description, .. } => {
            of_bytes(name.len() + description.as_deref().map_or(0, str::len))
        }
        Tool::WebSearch(tool) | Tool::Server(tool) => of_bytes(tool.value.get().len()),
    }
}

fn of_blocks(blocks: &[Block<'_>]) -> u64 {
    blocks.iter().map(of_block).sum()
}

fn of_block(block: &Block<'_>) -> u64 {
    match block {
        Block::Text(text) => of_bytes(text.text.len()),
        Block::Media(media) => of_media(media),
        Block::ToolCall(call) => of_bytes(call.name.len() + call.arguments.len()),
        Block::ToolResult(result) => of_blocks(&result.content),
        Block::Reasoning(reasoning) => of_bytes(reasoning.text.len()),
        Block::Refusal(text) => of_bytes(text.len()),
        Block::Opaque(opaque) => of_bytes(opaque.value.get().len()),
    }
}

fn of_media(media: &Media<'_>) -> u64 {
    match (&media.source, media.kind) {
        (_, MediaKind::Image) => IMAGE_TOKENS,
        (Source::Text { text }, _) => of_bytes(text.len()),
        (Source::Base64 { data, .. }, _) => (data.len() / 4 * 3).div_ceil(BYTES_PER_DOCUMENT_TOKEN) as u64,
        (Source::Url { .. } | Source::File { .. }, _) => IMAGE_TOKENS,
    }
}

const fn of_bytes(bytes: usize) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::Replayed;

    #[test]
    fn only_bedrock_is_told_a_limit() {
        let body = br#"{"model":"m","max_tokens":7,"stream":true,"metadata":{"user_id":"u"},"thinking":{"type":"enabled","budget_tokens":2048},
            "messages":[{"role":"user","content":"q"}]}"#;
        let ask = Ask {
            wire: Wire::Messages,
            body,
            model: "m",
            stream: false,
            array: false,
            resume: None,
            wants_usage: false,
            memos: &[],
            id: "01J",
            now: 0,
        };
        let target = Target {
            format: Format::Messages,
            model: "anthropic.claude-sonnet-4-5-v1:0",
            stream: false,
            default_max_output: 8192,
            max_output: None,
            fetches_urls: false,
            server_tools: false,
            system_turns: false,
            replayed: Replayed::OWN,
            tool_search: true,
            cache_marks: true,
        };
        let parsed = |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body).unwrap();
        let sent = parsed(&request_of_invoke(&ask, target).unwrap().0);
        assert_eq!((&sent["max_tokens"], sent.get("stream")), (&8192.into(), None));
        assert_eq!(sent["thinking"]["budget_tokens"], 2048, "the budget is inside the limit");
        let sent = parsed(&request(&ask, target, false).unwrap().0);
        assert_eq!((sent.get("max_tokens"), sent.get("stream"), sent.get("metadata")), (None, None, None));
    }
}
