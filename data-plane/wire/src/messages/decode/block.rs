//! Blocks of content: in messages, system prompts, tools' results and answers.

use std::borrow::Cow;

use serde_json::value::RawValue;
use shared::wire::Wire;

use super::{Fields, Place, opaque, read, tagged, text};
use crate::{
    canonical::{
        Block, CacheMark, Media, MediaKind, Origin, Reasoning, Signature, SignatureKind, Source, Text,
        ToolCall, ToolKind, ToolResult,
    },
    codec::Unreadable,
    json::record::TextOr,
    loss::{LossCode, Losses},
};

/// Reads blocks, and notes what it has no place for.
pub(super) struct Reader<'r> {
    pub(super) losses: &'r mut Losses,
    /// What losses are named after, such as `messages.content`.
    pub(super) area: &'static str,
}

/// Tools' results hold no calls and results themselves: what looks so is taken for something unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Message,
    Result,
}

impl Reader<'_> {
    /// Content of a request: text or blocks. Texts without a letter are left out, for no upstream takes them.
    pub(super) fn content<'a>(
        &mut self,
        content: TextOr<'a>,
        at: &Place<'_>,
    ) -> Result<Vec<Block<'a>>, Unreadable> {
        self.blocks(content, Within::Message, at)
    }

    pub(super) fn block<'a>(&mut self, value: &'a RawValue, at: &Place<'_>) -> Result<Block<'a>, Unreadable> {
        self.block_within(Within::Message, value, at)
    }

    fn blocks<'a>(
        &mut self,
        content: TextOr<'a>,
        within: Within,
        at: &Place<'_>,
    ) -> Result<Vec<Block<'a>>, Unreadable> {
        let items = match content {
            TextOr::Text(text) if text.is_empty() => return Ok(Vec::new()),
            TextOr::Text(text) => return Ok(vec![Block::text(text)]),
            TextOr::Items(items) => items,
        };
        let mut blocks = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            match self.block_within(within, item, &Place::Item(at, index))? {
                Block::Text(Text { text, cache, .. }) if text.is_empty() => {
                    if cache.is_some() {
                        self.losses.add(LossCode::CacheMark, "cache_control of an empty text");
                    }
                }
                block => blocks.push(block),
            }
        }
        Ok(blocks)
    }

    fn block_within<'a>(
        &mut self,
        within: Within,
        value: &'a RawValue,
        at: &Place<'_>,
    ) -> Result<Block<'a>, Unreadable> {
        let (kind, fields) = tagged(value, at)?;
        let kind = kind.ok_or_else(|| at.missing("type"))?;
        let media = match &*kind {
            "text" => return self.text(fields, at).map(Block::Text),
            "tool_use" if within == Within::Message => return self.tool_use(fields, at).map(Block::ToolCall),
            "tool_result" if within == Within::Message => {
                return self.tool_result(fields, at).map(Block::ToolResult);
            }
            "thinking" if within == Within::Message => {
                return self.thinking(fields, at).map(Block::Reasoning);
            }
            "redacted_thinking" if within == Within::Message => {
                return self.redacted(fields, at).map(Block::Reasoning);
            }
            "image" => self.media(MediaKind::Image, fields, at)?,
            "document" => self.media(MediaKind::Document, fields, at)?,
            _ => None,
        };
        Ok(media.map_or_else(|| Block::Opaque(opaque(kind, value)), Block::Media))
    }

    fn text<'a>(&mut self, fields: Fields<'a>, at: &Place<'_>) -> Result<Text<'a>, Unreadable> {
        let mut block = Text::default();
        for (name, value) in fields {
            match &*name {
                "text" => block.text = text(value, &Place::Field(at, "text"))?,
                "cache_control" => block.cache = self.cache_mark(value, at)?,
                "citations" => block.annotations = Some(opaque(name, value)),
                _ => self.lose(&name),
            }
        }
        Ok(block)
    }

    fn tool_use<'a>(&mut self, fields: Fields<'a>, at: &Place<'_>) -> Result<ToolCall<'a>, Unreadable> {
        let (mut id, mut name, mut cache) = (None, None, None);
        let mut arguments = Cow::Borrowed("{}");
        for (field, value) in fields {
            match &*field {
                "id" => id = Some(text(value, &Place::Field(at, "id"))?),
                "name" => name = Some(text(value, &Place::Field(at, "name"))?),
                "input" => arguments = Cow::Borrowed(value.get()),
                "cache_control" => cache = self.cache_mark(value, at)?,
                _ => self.lose(&field),
            }
        }
        Ok(ToolCall {
            id: id.ok_or_else(|| at.missing("id"))?,
            name: name.filter(|name| !name.is_empty()).ok_or_else(|| at.missing("name"))?,
            kind: ToolKind::Function,
            arguments,
            namespace: None,
            signature: None,
            cache,
        })
    }

    fn tool_result<'a>(&mut self, fields: Fields<'a>, at: &Place<'_>) -> Result<ToolResult<'a>, Unreadable> {
        let mut id = None;
        let (mut content, mut is_error, mut cache) = (Vec::new(), false, None);
        for (name, value) in fields {
            match &*name {
                "tool_use_id" => id = Some(text(value, &Place::Field(at, "tool_use_id"))?),
                "content" => {
                    let at = Place::Field(at, "content");
                    content = self.blocks(read(value.get(), &at)?, Within::Result, &at)?;
                }
                "is_error" => is_error = read(value.get(), &Place::Field(at, "is_error"))?,
                "cache_control" => cache = self.cache_mark(value, at)?,
                _ => self.lose(&name),
            }
        }
        let id = id.ok_or_else(|| at.missing("tool_use_id"))?;
        Ok(ToolResult { id, name: None, kind: ToolKind::Function, content, is_error, cache })
    }

    fn thinking<'a>(&mut self, fields: Fields<'a>, at: &Place<'_>) -> Result<Reasoning<'a>, Unreadable> {
        let mut block = Reasoning::default();
        for (name, value) in fields {
            match &*name {
                "thinking" => block.text = text(value, &Place::Field(at, "thinking"))?,
                "signature" => {
                    let proof = text(value, &Place::Field(at, "signature"))?;
                    block.signature = signature(proof, SignatureKind::Proof);
                }
                _ => self.lose(&name),
            }
        }
        Ok(block)
    }

    fn redacted<'a>(&mut self, fields: Fields<'a>, at: &Place<'_>) -> Result<Reasoning<'a>, Unreadable> {
        let mut block = Reasoning::default();
        for (name, value) in fields {
            match &*name {
                "data" => {
                    let data = text(value, &Place::Field(at, "data"))?;
                    block.signature = signature(data, SignatureKind::Encrypted);
                }
                _ => self.lose(&name),
            }
        }
        Ok(block)
    }

    /// None: its source is of a kind that only this wire knows.
    fn media<'a>(
        &mut self,
        kind: MediaKind,
        fields: Fields<'a>,
        at: &Place<'_>,
    ) -> Result<Option<Media<'a>>, Unreadable> {
        let found = fields.iter().rfind(|(name, _)| name == "source").map(|(_, value)| *value);
        let value = found.ok_or_else(|| at.missing("source"))?;
        let Some(source) = self.source(kind, value, &Place::Field(at, "source"))? else { return Ok(None) };
        let mut media = Media { kind, source, name: None, detail: None, cache: None };
        for (name, value) in fields {
            match &*name {
                "source" => {}
                "title" => media.name = Some(text(value, &Place::Field(at, "title"))?),
                "cache_control" => media.cache = self.cache_mark(value, at)?,
                _ => self.lose(&name),
            }
        }
        Ok(Some(media))
    }

    fn source<'a>(
        &mut self,
        kind: MediaKind,
        value: &'a RawValue,
        at: &Place<'_>,
    ) -> Result<Option<Source<'a>>, Unreadable> {
        let (word, fields) = tagged(value, at)?;
        let word = word.ok_or_else(|| at.missing("type"))?;
        let wanted: [&str; 2] = match &*word {
            "base64" => ["data", "media_type"],
            "url" => ["url", ""],
            "file" => ["file_id", ""],
            "text" if kind == MediaKind::Document => ["data", "media_type"],
            _ => return Ok(None),
        };
        let mut found = [None, None];
        for (name, value) in fields {
            match wanted.iter().position(|wanted| *wanted == name).and_then(|place| found.get_mut(place)) {
                Some(place) => *place = Some(text(value, &Place::Field(at, &name))?),
                None => self.lose(&name),
            }
        }
        let [first, media_type] = found;
        let first = first.ok_or_else(|| at.missing(wanted[0]))?;
        Ok(Some(match &*word {
            "base64" => {
                let media_type = media_type.ok_or_else(|| at.missing("media_type"))?;
                Source::Base64 { media_type, data: first }
            }
            "url" => of_url(first),
            "file" => Source::File { origin: Wire::Messages, id: first },
            _ => Source::Text { text: first },
        }))
    }

    /// The mark in the field `cache_control` of the object at `at`.
    pub(super) fn cache_mark(
        &mut self,
        value: &RawValue,
        at: &Place<'_>,
    ) -> Result<Option<CacheMark>, Unreadable> {
        let at = Place::Field(at, "cache_control");
        let (kind, fields) = tagged(value, &at)?;
        if kind.as_deref() != Some("ephemeral") {
            self.lose("cache_control");
            return Ok(None);
        }
        let mut mark = CacheMark::FiveMinutes;
        for (name, value) in fields {
            match (&*name, value.get()) {
                ("ttl", "\"1h\"") => mark = CacheMark::OneHour,
                ("ttl", "\"5m\"") => {}
                _ => self.lose(&format!("cache_control.{name}")),
            }
        }
        Ok(Some(mark))
    }

    pub(super) fn lose(&mut self, name: &str) {
        self.losses.add_path(LossCode::Field, &[self.area, ".", name]);
    }
}

/// None: an empty one proves nothing.
pub(super) fn signature(value: Cow<'_, str>, kind: SignatureKind) -> Option<Signature<'_>> {
    (!value.is_empty()).then(|| Signature::read(value, Origin::Claude, kind))
}

fn of_url(url: Cow<'_, str>) -> Source<'_> {
    let parts = match &url {
        Cow::Borrowed(url) => data_url(url).map(|(kind, data)| (Cow::Borrowed(kind), Cow::Borrowed(data))),
        Cow::Owned(url) => {
            data_url(url).map(|(kind, data)| (Cow::Owned(kind.to_owned()), Cow::Owned(data.to_owned())))
        }
    };
    match parts {
        Some((media_type, data)) => Source::Base64 { media_type, data },
        None => Source::Url { url, media_type: None },
    }
}

/// Media type and data of a URL that is its own content in base64.
fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let kind = head.strip_suffix(";base64")?;
    let kind = kind.split(';').next().filter(|kind| !kind.is_empty())?;
    Some((kind, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the block at `messages[0].content[1]`; with what was lost.
    fn block(json: &str) -> (Result<Block<'_>, String>, Vec<String>) {
        let mut losses = Losses::default();
        let (messages, value) = (Place::Field(&Place::Body, "messages"), serde_json::from_str(json).unwrap());
        let message = Place::Item(&messages, 0);
        let content = Place::Field(&message, "content");
        let mut reader = Reader { losses: &mut losses, area: "messages.content" };
        let block = reader.block(value, &Place::Item(&content, 1)).map_err(|error| error.to_string());
        (block, losses.iter().map(|loss| loss.what.to_string()).collect())
    }

    fn media(json: &str) -> (Media<'_>, Vec<String>) {
        match block(json) {
            (Ok(Block::Media(media)), losses) => (media, losses),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_text_keeps_its_mark_and_its_citations() {
        let (text, losses) = block(
            r#"{"type":"text","text":"a\n","cache_control":{"type":"ephemeral","ttl":"1h","scope":"x"},
                "citations":[{"type":"char_location"}],"odd":1}"#,
        );
        let Ok(Block::Text(text)) = text else { panic!("{text:?}") };
        assert_eq!((&*text.text, text.cache), ("a\n", Some(CacheMark::OneHour)));
        assert_eq!(text.annotations.unwrap().value.get(), r#"[{"type":"char_location"}]"#);
        assert_eq!(losses, ["messages.content.cache_control.scope", "messages.content.odd"]);
    }

    #[test]
    fn an_image_stays_where_it_is_in_the_body() {
        let json = r#"{"source":{"media_type":"image/png","data":"aGk=","type":"base64"},"type":"image","cache_control":{"type":"ephemeral"}}"#;
        let (image, losses) = media(json);
        assert_eq!((image.kind, image.cache), (MediaKind::Image, Some(CacheMark::FiveMinutes)));
        assert!(matches!(
            image.source,
            Source::Base64 { media_type: Cow::Borrowed("image/png"), data: Cow::Borrowed("aGk=") }
        ));
        assert!(losses.is_empty());
    }

    #[test]
    fn sources_of_all_kinds_are_told_apart() {
        let source = |kind: &str, source: &str| {
            let json = format!(r#"{{"type":"{kind}","source":{source}}}"#);
            format!("{:?}", media(&json).0.source)
        };
        assert_eq!(
            source("image", r#"{"type":"url","url":"https://x/y.png"}"#),
            r#"Url { url: "https://x/y.png", media_type: None }"#
        );
        assert_eq!(
            source("image", r#"{"type":"url","url":"data:image/png;charset=x;base64,aGk="}"#),
            r#"Base64 { media_type: "image/png", data: "aGk=" }"#
        );
        assert_eq!(
            source("document", r#"{"type":"url","url":"data:application\/pdf;base64,aGk="}"#),
            r#"Base64 { media_type: "application/pdf", data: "aGk=" }"#
        );
        assert_eq!(
            source("document", r#"{"type":"file","file_id":"file_1"}"#),
            r#"File { origin: Messages, id: "file_1" }"#
        );
        assert_eq!(
            source("document", r#"{"type":"text","media_type":"text/plain","data":"hello"}"#),
            r#"Text { text: "hello" }"#
        );
    }

    #[test]
    fn a_documents_title_is_its_name_and_the_rest_is_lost() {
        let (document, losses) = media(
            r#"{"type":"document","title":"T","context":"c","citations":{"enabled":true},
                "source":{"type":"base64","media_type":"application/pdf","data":"aGk="}}"#,
        );
        assert_eq!((document.kind, document.name.as_deref()), (MediaKind::Document, Some("T")));
        assert_eq!(losses, ["messages.content.context", "messages.content.citations"]);
    }

    #[test]
    fn what_only_this_wire_knows_is_kept_whole() {
        for json in [
            r#"{"type":"server_tool_use","id":"s","name":"web_search","input":{}}"#,
            r#"{"type":"web_search_tool_result","tool_use_id":"s","content":{"type":"error"}}"#,
            r#"{"type":"document","source":{"type":"content","content":[]},"title":"T"}"#,
            r#"{"type":"image","source":{"type":"text","data":"x"}}"#,
        ] {
            let (block, losses) = block(json);
            let Ok(Block::Opaque(opaque)) = block else { panic!("{block:?}") };
            assert_eq!((opaque.origin, opaque.value.get()), (Wire::Messages, json));
            assert!(losses.is_empty());
        }
    }

    #[test]
    fn a_result_holds_text_and_media_and_no_further_results() {
        let (result, losses) = block(
            r#"{"type":"tool_result","tool_use_id":"t","is_error":true,"content":[{"type":"text","text":""},
                {"type":"text","text":"a"},{"type":"image","source":{"type":"file","file_id":"f"}},
                {"type":"tool_result","tool_use_id":"u"}]}"#,
        );
        let Ok(Block::ToolResult(result)) = result else { panic!("{result:?}") };
        assert!(result.is_error && losses.is_empty());
        assert!(matches!(&*result.content, [Block::Text(_), Block::Media(_), Block::Opaque(_)]));
        let (result, _) = block(r#"{"type":"tool_result","tool_use_id":"t","content":"plain"}"#);
        let Ok(Block::ToolResult(result)) = result else { panic!("{result:?}") };
        assert!(matches!(&*result.content, [Block::Text(text)] if text.text == "plain"));
    }

    #[test]
    fn reasoning_keeps_its_proof_and_knows_whose_it_is() {
        let read = |json| match block(json).0 {
            Ok(Block::Reasoning(reasoning)) => reasoning,
            other => panic!("{other:?}"),
        };
        let own = read(r#"{"type":"thinking","thinking":"t","signature":"EqQB"}"#);
        let proof = own.signature.unwrap();
        assert_eq!((&*own.text, proof.origin, proof.kind), ("t", Origin::Claude, SignatureKind::Proof));
        let hidden = read(r#"{"type":"redacted_thinking","data":"Enc"}"#);
        let proof = hidden.signature.unwrap();
        assert_eq!((&*hidden.text, proof.kind, &*proof.value), ("", SignatureKind::Encrypted, "Enc"));
        let other =
            read(r#"{"type":"thinking","thinking":"t","signature":"sy1.openai.encrypted.rs_1.gAAA"}"#);
        let proof = other.signature.unwrap();
        assert_eq!((&*other.text, proof.origin, &*proof.value), ("t", Origin::OpenAi, "gAAA"));
        assert!(read(r#"{"type":"thinking","thinking":"t","signature":""}"#).signature.is_none());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = |json: &str| block(json).0.unwrap_err();
        let at = "messages[0].content[1]";
        assert_eq!(refused("7"), format!("`{at}` must be an object"));
        assert_eq!(refused("{}"), format!("`{at}.type` is required"));
        assert_eq!(refused(r#"{"type":"text","text":7}"#), format!("`{at}.text` must be a string"));
        assert_eq!(
            refused(r#"{"type":"text","text":"\ud800"}"#),
            format!("`{at}.text` has an escape that stands for no character")
        );
        assert_eq!(refused(r#"{"type":"image"}"#), format!("`{at}.source` is required"));
        assert_eq!(
            refused(r#"{"type":"image","source":{"type":"base64","data":"x"}}"#),
            format!("`{at}.source.media_type` is required")
        );
        for unnamed in [r#"{"type":"tool_use","id":"a"}"#, r#"{"type":"tool_use","id":"a","name":""}"#] {
            assert_eq!(refused(unnamed), format!("`{at}.name` is required"));
        }
        assert_eq!(
            refused(r#"{"type":"tool_result","tool_use_id":"a","content":[{"type":"text"},{"type":5}]}"#),
            format!("`{at}.content[1].type` must be a string")
        );
        assert_eq!(
            refused(r#"{"type":"tool_result","tool_use_id":"a","is_error":"no"}"#),
            format!("`{at}.is_error` must be true or false")
        );
    }
}
