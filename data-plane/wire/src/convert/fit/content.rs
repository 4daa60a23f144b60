//! Blocks: media, marks, and what only one wire knows.

use std::{borrow::Cow, collections::HashSet};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use super::Fit;
use crate::{
    canonical::{Block, Media, MediaKind, Request, Role, Source, Text, ToolResult, Turn},
    convert::capabilities::Format,
    loss::{LossCode, Rejected},
};

impl Fit<'_> {
    pub(super) fn content(&mut self, request: &mut Request<'_>) -> Result<(), Rejected> {
        self.blocks(&mut request.system)?;
        for turn in &mut request.turns {
            if turn.role == Role::User && !self.can.tool_result_media {
                self.hoist(turn);
            }
            self.blocks(&mut turn.blocks)?;
        }
        if self.left_out {
            self.orphans(request);
        }
        request.turns.retain(|turn| !turn.blocks.is_empty());
        Ok(())
    }

    fn blocks<'a>(&mut self, blocks: &mut Vec<Block<'a>>) -> Result<(), Rejected> {
        for mut block in std::mem::take(blocks) {
            if !self.can.cache_marks && block.unmark() {
                self.losses.add(LossCode::CacheMark, "content");
            }
            match block {
                Block::Media(media) => blocks.push(self.media(media)?),
                Block::ToolResult(mut result) => {
                    self.blocks(&mut result.content)?;
                    blocks.push(Block::ToolResult(result));
                }
                Block::Opaque(opaque) if !self.is_own(opaque.origin) => {
                    self.losses.add_named(LossCode::Block, &opaque.kind);
                    self.left_out = true;
                }
                // Clients send them, and most providers refuse them.
                Block::Text(text) if text.text.is_empty() && text.signature.is_none() => {}
                Block::Text(mut text) => {
                    if text.annotations.as_ref().is_some_and(|annotations| !self.is_own(annotations.origin)) {
                        text.annotations = None;
                        self.losses.add(LossCode::Annotation, "annotations");
                    }
                    blocks.push(Block::Text(text));
                }
                block => blocks.push(block),
            }
        }
        Ok(())
    }

    /// A result whose call was left out becomes what the user says: upstreams refuse one without the other.
    fn orphans(&mut self, request: &mut Request<'_>) {
        let calls: HashSet<String> = request
            .turns
            .iter()
            .flat_map(|turn| &turn.blocks)
            .filter_map(|block| match block {
                Block::ToolCall(call) => Some(call.id.clone().into_owned()),
                _ => None,
            })
            .collect();
        for turn in request.turns.iter_mut().filter(|turn| turn.role == Role::User) {
            for block in std::mem::take(&mut turn.blocks) {
                match block {
                    Block::ToolResult(result) if !calls.contains(&*result.id) => {
                        self.losses.add(LossCode::Block, "tool_result");
                        turn.blocks.extend(result.content);
                    }
                    block => turn.blocks.push(block),
                }
            }
        }
    }

    fn media<'a>(&mut self, mut media: Media<'a>) -> Result<Block<'a>, Rejected> {
        let can = match media.kind {
            MediaKind::Image | MediaKind::Document => true,
            MediaKind::Audio => self.can.audio,
            MediaKind::Video => self.can.video,
        };
        if !can {
            let kind = if media.kind == MediaKind::Audio { "audio" } else { "video" };
            let message =
                format!("the account that serves this model takes no {kind}; send text, images or documents");
            return Err(Rejected::new("content", message));
        }
        if !self.can.image_detail && media.detail.take().is_some_and(|detail| detail != "auto") {
            self.losses.add(LossCode::MediaDetail, "detail");
        }
        if let Source::Base64 { media_type, .. } = &media.source
            && !is_media_type(media_type)
        {
            let message = "a media type has the form `image/png`; say what the data is";
            return Err(Rejected::new("content", message));
        }
        if let Source::Url { url, .. } = &media.source
            && !is_web_address(url)
        {
            let message =
                "an address begins with https:// or http://, and data with data:image/png;base64, and such";
            return Err(Rejected::new("content", message));
        }
        self.as_text(&mut media);
        match &media.source {
            Source::Url { .. } if !(self.can.media_by_url && self.target.fetches_urls) => {
                Err(by_value_only())
            }
            // Chat takes files by value or by id, images also by address.
            Source::Url { .. } if self.target.format == Format::Chat && media.kind == MediaKind::Document => {
                Err(by_value_only())
            }
            Source::File { origin, .. } if !self.is_own(*origin) => {
                let message = "a file that was uploaded to one provider is unknown to the account that serves this \
                               model; send its content instead of its id";
                Err(Rejected::new("content", message))
            }
            Source::Text { text } if !self.can.text_documents => {
                let text = match &media.name {
                    Some(name) => Cow::Owned(format!("{name}\n\n{text}")),
                    None => text.clone(),
                };
                Ok(Block::Text(Text { text, cache: media.cache, ..Text::default() }))
            }
            _ => Ok(Block::Media(media)),
        }
    }

    /// Where files in base64 are PDFs only, text says itself.
    fn as_text(&self, media: &mut Media<'_>) {
        let pdf_only = matches!(self.target.format, Format::Chat | Format::Messages);
        if let Source::Base64 { media_type, data } = &media.source
            && pdf_only
            && media.kind == MediaKind::Document
            && media_type.starts_with("text/")
            && let Ok(bytes) = BASE64.decode(data.as_bytes())
            && let Ok(text) = String::from_utf8(bytes)
        {
            media.source = Source::Text { text: text.into() };
        }
    }

    /// Images and files in tools' results go behind the results, where the wire takes only text in them.
    fn hoist(&mut self, turn: &mut Turn<'_>) {
        let mut moved = Vec::new();
        for block in &mut turn.blocks {
            let Block::ToolResult(ToolResult { content, .. }) = block else { continue };
            let (media, kept) =
                std::mem::take(content).into_iter().partition(|block| matches!(block, Block::Media(_)));
            *content = kept;
            let media: Vec<Block<'_>> = media;
            if !media.is_empty() && content.is_empty() {
                content.push(Block::text("The result follows."));
            }
            moved.extend(media);
        }
        if moved.is_empty() {
            return;
        }
        self.losses.add(LossCode::MediaMoved, "tool_result");
        let results = turn.blocks.iter().take_while(|block| matches!(block, Block::ToolResult(_))).count();
        turn.blocks.splice(results..results, moved);
    }
}

/// Enough of one to stand in a data URL.
fn is_media_type(text: &str) -> bool {
    let is_token =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.' | b'_' | b'*');
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b',' | b'"');
    text.split_once('/').is_some_and(|(kind, of)| {
        !kind.is_empty() && kind.bytes().all(is_token) && !of.is_empty() && of.bytes().all(is_plain)
    })
}

fn is_web_address(url: &str) -> bool {
    let starts =
        |scheme: &str| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    starts("https://") || starts("http://")
}

fn by_value_only() -> Rejected {
    let message = "the account that serves this model fetches nothing from URLs here; send the content itself, \
                   base64-encoded";
    Rejected::new("content", message)
}
