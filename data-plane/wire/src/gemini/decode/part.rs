//! A part of a content.

use std::borrow::Cow;

use serde_json::value::RawValue;
use shared::wire::Wire;

use super::place::Place;
use crate::{
    canonical::{
        Block, Media, MediaKind, Opaque, Origin, Reasoning, Signature, Source, Text, ToolCall, ToolKind,
        ToolResult, bundle::Carried,
    },
    codec::Unreadable,
    gemini::{
        message::{Many, camel, message},
        signature::{self, OfCall},
    },
    json::{self, record::Str},
    loss::{LossCode, Losses},
};

message! {
    struct Part {
        text: Str<'a> = "text",
        thought: bool = "thought",
        signature: Str<'a> = "thoughtSignature",
        inline: &'a RawValue = "inlineData",
        file: &'a RawValue = "fileData",
        call: &'a RawValue = "functionCall",
        response: &'a RawValue = "functionResponse",
    }
}

message! {
    struct Call {
        id: Str<'a> = "id",
        name: Str<'a> = "name",
        args: &'a RawValue = "args",
    }
}

message! {
    struct FunctionResponse {
        id: Str<'a> = "id",
        name: Str<'a> = "name",
        response: &'a RawValue = "response",
        parts: Many<'a> = "parts",
    }
}

message! {
    struct Blob {
        media_type: Str<'a> = "mimeType",
        data: Str<'a> = "data",
        name: Str<'a> = "displayName",
    }
}

message! {
    struct File {
        media_type: Str<'a> = "mimeType",
        uri: Str<'a> = "fileUri",
        name: Str<'a> = "displayName",
    }
}

message! {
    struct Outcome {
        output: &'a RawValue = "output",
        result: &'a RawValue = "result",
        error: &'a RawValue = "error",
    }
}

/// What says something about a part, but is none itself.
const BESIDE: [&str; 3] = ["videoMetadata", "mediaResolution", "partMetadata"];

/// What a part says.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    /// The reasoning that led to a call, as it was packed here.
    pub(super) bundle: Vec<Carried<'a>>,
    /// A signature that the block has no place for: it travels in reasoning of its own ahead of the block.
    carried: Option<Signature<'a>>,
    block: Block<'a>,
}

impl<'a> Piece<'a> {
    pub(super) fn into_blocks(self) -> impl Iterator<Item = Block<'a>> {
        let carrier = self.carried.map(|signature| {
            Block::Reasoning(Reasoning { text: Cow::Borrowed(""), signature: Some(signature) })
        });
        carrier.into_iter().chain([self.block])
    }

    /// Where nothing can lead to it.
    pub(super) fn into_block(self) -> Block<'a> {
        self.block
    }
}

/// None: the part says nothing. Ids that are not there are empty.
pub(super) fn read<'a>(
    raw: &'a RawValue,
    place: &Place<'_>,
    losses: &mut Losses,
) -> Result<Option<Piece<'a>>, Unreadable> {
    let part: Part<'a> = place.read(raw)?;
    let is_thought = part.thought == Some(true);
    let signature = part.signature.map(|text| text.0).filter(|text| !text.is_empty());
    let kind = part.unknown.iter().map(|(name, _)| name).find(|name| !BESIDE.contains(&&*camel(name)));
    let bare = |block| Ok(Some(Piece { bundle: Vec::new(), carried: None, block }));
    if let Some(call) = part.call {
        note(losses, "", &part.unknown);
        return self::call(call, &place.field("functionCall"), signature, losses).map(Some);
    }
    let signature = signature.map(signature::read);
    if let Some(response) = part.response {
        note(losses, "", &part.unknown);
        return bare(Block::ToolResult(result(response, &place.field("functionResponse"), losses)?));
    }
    if part.inline.is_some() && is_thought {
        return bare(opaque("inlineData", raw));
    }
    let media = match (part.inline, part.file) {
        (Some(inline), _) => Some(blob(inline, &place.field("inlineData"), losses)?),
        (None, Some(file)) => Some(self::file(file, &place.field("fileData"), losses)?),
        (None, None) => None,
    };
    if let Some(media) = media {
        note(losses, "", &part.unknown);
        return Ok(Some(Piece { bundle: Vec::new(), carried: signature, block: Block::Media(media) }));
    }
    let has_text = part.text.as_ref().is_some_and(|text| !text.0.is_empty());
    if let Some(kind) = kind.filter(|_| !has_text) {
        return bare(opaque(kind, raw));
    }
    note(losses, "", &part.unknown);
    let text = part.text.unwrap_or_default().0;
    if text.is_empty() && signature.is_none() {
        return Ok(None);
    }
    let is_foreign = signature.as_ref().is_some_and(|signature| signature.origin != Origin::Gemini);
    if is_thought || (text.is_empty() && is_foreign) {
        return bare(Block::Reasoning(Reasoning { text, signature }));
    }
    let (signature, carried) = own(signature);
    Ok(Some(Piece {
        bundle: Vec::new(),
        carried,
        block: Block::Text(Text { text, signature, ..Text::default() }),
    }))
}

/// A signature that is Gemini's own belongs to the part; another one only stands there.
fn own(signature: Option<Signature<'_>>) -> (Option<Signature<'_>>, Option<Signature<'_>>) {
    match signature {
        Some(signature) if signature.origin != Origin::Gemini => (None, Some(signature)),
        signature => (signature, None),
    }
}

pub(super) fn opaque<'a>(kind: &str, value: &'a RawValue) -> Block<'a> {
    let kind = Cow::Owned(kind.to_owned());
    Block::Opaque(Opaque { origin: Wire::Gemini, kind, value: Cow::Borrowed(value) })
}

/// Unknown fields of a part, or of what is `inside` it.
fn note(losses: &mut Losses, inside: &str, unknown: &[(Cow<'_, str>, &RawValue)]) {
    for (name, _) in unknown {
        losses.add_path(LossCode::Field, &["contents.parts.", inside, name]);
    }
}

fn call<'a>(
    raw: &'a RawValue,
    place: &Place<'_>,
    signature: Option<Cow<'a, str>>,
    losses: &mut Losses,
) -> Result<Piece<'a>, Unreadable> {
    let call: Call<'a> = place.read(raw)?;
    note(losses, "functionCall.", &call.unknown);
    let name = call.name.filter(|name| !name.0.is_empty());
    let name = name.ok_or_else(|| place.field("name").wrong("is missing"))?.0;
    let (signature, bundle) = match signature.map(signature::read_of_call) {
        Some(OfCall::Proof(signature)) => (Some(signature), Vec::new()),
        Some(OfCall::Reasoning(bundle)) => (None, bundle),
        None => (None, Vec::new()),
    };
    let (signature, carried) = own(signature);
    let block = Block::ToolCall(ToolCall {
        id: call.id.unwrap_or_default().0,
        name,
        kind: ToolKind::Function,
        arguments: Cow::Borrowed(call.args.map_or("{}", RawValue::get)),
        namespace: None,
        signature,
        cache: None,
    });
    Ok(Piece { bundle, carried, block })
}

fn result<'a>(
    raw: &'a RawValue,
    place: &Place<'_>,
    losses: &mut Losses,
) -> Result<ToolResult<'a>, Unreadable> {
    let response: FunctionResponse<'a> = place.read(raw)?;
    note(losses, "functionResponse.", &response.unknown);
    let (id, name) = (response.id.unwrap_or_default().0, response.name.map(|name| name.0));
    if id.is_empty() && name.is_none() {
        return Err(place.field("name").wrong("is missing"));
    }
    let (text, is_error) = response.response.map_or((None, false), outcome);
    let mut content: Vec<Block<'a>> = text.map(Block::text).into_iter().collect();
    let parts = place.field("parts");
    for (index, part) in response.parts.unwrap_or_default().0.into_iter().enumerate() {
        let place = parts.index(index);
        let part: Part<'a> = place.read(part)?;
        note(losses, "functionResponse.parts.", &part.unknown);
        content.extend(part.text.map(|text| Block::text(text.0)));
        if let Some(inline) = part.inline {
            content.push(Block::Media(blob(inline, &place.field("inlineData"), losses)?));
        }
        if let Some(file) = part.file {
            content.push(Block::Media(self::file(file, &place.field("fileData"), losses)?));
        }
    }
    Ok(ToolResult { id, name, kind: ToolKind::Function, content, is_error, cache: None })
}

/// A function's output: the text alone where that is all, else the JSON. And whether it is an error.
fn outcome(response: &RawValue) -> (Option<Cow<'_, str>>, bool) {
    let whole = Some(json::string(response.get()).unwrap_or(Cow::Borrowed(response.get())));
    match serde_json::from_str::<Outcome<'_>>(response.get()) {
        Ok(Outcome { output: None, result: None, error: Some(error), unknown }) if unknown.is_empty() => {
            (Some(json::string(error.get()).unwrap_or(Cow::Borrowed(error.get()))), true)
        }
        Ok(
            Outcome { output: Some(output), result: None, error: None, unknown }
            | Outcome { output: None, result: Some(output), error: None, unknown },
        ) if unknown.is_empty() => (json::string(output.get()).or(whole), false),
        _ => (whole, false),
    }
}

fn blob<'a>(raw: &'a RawValue, place: &Place<'_>, losses: &mut Losses) -> Result<Media<'a>, Unreadable> {
    let blob: Blob<'a> = place.read(raw)?;
    note(losses, "inlineData.", &blob.unknown);
    let media_type = blob.media_type.unwrap_or_default().0;
    let data = blob.data.ok_or_else(|| place.field("data").wrong("is missing"))?.0;
    Ok(Media {
        kind: kind_of(&media_type),
        source: Source::Base64 { media_type, data: in_standard_alphabet(data) },
        name: blob.name.map(|name| name.0),
        detail: None,
        cache: None,
    })
}

fn file<'a>(raw: &'a RawValue, place: &Place<'_>, losses: &mut Losses) -> Result<Media<'a>, Unreadable> {
    let file: File<'a> = place.read(raw)?;
    note(losses, "fileData.", &file.unknown);
    let media_type = file.media_type.map(|media_type| media_type.0);
    let uri = file.uri.ok_or_else(|| place.field("fileUri").wrong("is missing"))?.0;
    let kind = kind_of(media_type.as_deref().unwrap_or_default());
    let name = file.name.map(|name| name.0);
    let media = |kind, source| Media { kind, source, name, detail: None, cache: None };
    if let Some((of, data)) = data_url(&uri) {
        return Ok(media(kind_of(&of), Source::Base64 { media_type: of, data }));
    }
    if !is_held_by_google(&uri) {
        return Ok(media(kind, Source::Url { url: uri, media_type }));
    }
    if media_type.is_some() {
        losses.add(LossCode::Field, "contents.parts.fileData.mimeType");
    }
    Ok(media(kind, Source::File { origin: Wire::Gemini, id: uri }))
}

/// Whether a URI names a file of the File API or of Cloud Storage, which only Google can read.
fn is_held_by_google(uri: &str) -> bool {
    let is_web = uri.starts_with("https://") || uri.starts_with("http://");
    !is_web || (uri.starts_with("https://generativelanguage") && uri.contains("/files/"))
}

/// The media type and the data of a `data:` URL in base64.
fn data_url<'a>(url: &Cow<'a, str>) -> Option<(Cow<'a, str>, Cow<'a, str>)> {
    let split = |url: &str| {
        let comma = url.strip_prefix("data:").and_then(|_| memchr::memchr(b',', url.as_bytes()))?;
        let media_type = url.get("data:".len()..comma)?.strip_suffix(";base64")?;
        Some(("data:".len() + media_type.len(), comma + 1))
    };
    let (end, start) = split(url)?;
    match url {
        Cow::Borrowed(url) => Some((url.get("data:".len()..end)?.into(), url.get(start..)?.into())),
        Cow::Owned(url) => {
            Some((url.get("data:".len()..end)?.to_owned().into(), url.get(start..)?.to_owned().into()))
        }
    }
}

fn kind_of(media_type: &str) -> MediaKind {
    match media_type.split('/').next() {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ => MediaKind::Document,
    }
}

/// Google takes both alphabets of base64, and its SDK for Python writes the URL-safe one; other providers do not.
fn in_standard_alphabet(data: Cow<'_, str>) -> Cow<'_, str> {
    if memchr::memchr2(b'-', b'_', data.as_bytes()).is_none() {
        return data;
    }
    let mut standard = data.replace('-', "+").replace('_', "/");
    while !standard.len().is_multiple_of(4) {
        standard.push('=');
    }
    Cow::Owned(standard)
}
