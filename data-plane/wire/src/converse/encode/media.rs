//! Images, documents, sounds and videos: in the body, or in S3. Converse wants a format, not a media type, and for each
//! document a name that no other one in the request has.

use std::collections::{HashMap, HashSet};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use crate::{
    canonical::{Media, MediaKind, Source},
    json::write::Object,
};

/// Longest name, in bytes, ahead of the number that may be put behind it. AWS takes 200.
const NAME_MAX: usize = 180;

/// The names of the documents so far.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: HashSet<String>,
    /// How often each was wanted.
    wanted: HashMap<String, u32>,
}

impl Names {
    fn give(&mut self, name: Option<&str>) -> String {
        let name = name.map(clean).filter(|name| !name.is_empty()).unwrap_or_else(|| "document".to_owned());
        if self.taken.insert(name.clone()) {
            return name;
        }
        let count = self.wanted.entry(name.clone()).or_insert(1);
        loop {
            *count += 1;
            let numbered = format!("{name} ({count})");
            if self.taken.insert(numbered.clone()) {
                return numbered;
            }
        }
    }
}

/// With AWS's characters only: letters, digits, hyphens, brackets, and single spaces between them.
fn clean(name: &str) -> String {
    let mut clean = String::new();
    for char in name.chars() {
        if clean.len() >= NAME_MAX {
            break;
        }
        if char.is_ascii_alphanumeric() || matches!(char, '-' | '(' | ')' | '[' | ']') {
            clean.push(char);
        } else if !clean.is_empty() && !clean.ends_with(' ') {
            clean.push(' ');
        }
    }
    clean.truncate(clean.trim_end().len());
    clean
}

/// Whether Converse has a way to say it.
pub(super) fn says(media: &Media<'_>) -> bool {
    match &media.source {
        Source::Base64 { .. } => true,
        Source::Text { text } => media.kind == MediaKind::Document && !text.trim().is_empty(),
        Source::Url { url, .. } => url.starts_with("s3://"),
        Source::File { .. } => false,
    }
}

pub(super) fn write(o: &mut Object<'_>, media: &Media<'_>, names: &mut Names) {
    let key = match media.kind {
        MediaKind::Image => "image",
        MediaKind::Document => "document",
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    };
    o.object(key, |o| {
        o.string("format", format(media));
        if media.kind == MediaKind::Document {
            o.string("name", &names.give(media.name.as_deref()));
        }
        o.object("source", |o| match &media.source {
            Source::Base64 { data, .. } => o.string("bytes", data),
            Source::Text { text } => o.string("bytes", &BASE64.encode(text.as_bytes())),
            Source::Url { url, .. } => o.object("s3Location", |o| o.string("uri", url)),
            Source::File { .. } => {}
        });
    });
}

/// By the media type, else by the ending of the file's name. What Converse has no word for goes as it is called: it then
/// says itself what it takes.
fn format<'m>(media: &'m Media<'_>) -> &'m str {
    let (media_type, path) = match &media.source {
        Source::Base64 { media_type, .. } => (Some(&**media_type), media.name.as_deref().unwrap_or_default()),
        Source::Url { url, media_type } => (media_type.as_deref(), &**url),
        Source::Text { .. } => (Some("text/plain"), ""),
        Source::File { .. } => (None, ""),
    };
    let bare = media_type.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    let known = match media.kind {
        MediaKind::Document => document(bare),
        _ => other(bare),
    };
    let ending = || path.rsplit_once('.').map(|(_, ending)| ending).filter(|ending| !ending.contains('/'));
    known
        .or_else(|| bare.split_once('/').map(|(_, subtype)| subtype).filter(|subtype| !subtype.is_empty()))
        .or_else(ending)
        .unwrap_or(match media.kind {
            MediaKind::Image => "png",
            MediaKind::Document => "txt",
            MediaKind::Audio => "mp3",
            MediaKind::Video => "mp4",
        })
}

fn document(media_type: &str) -> Option<&'static str> {
    Some(match media_type {
        "application/msword" => "doc",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        "application/vnd.ms-excel" => "xls",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
        "text/csv" => "csv",
        "text/html" => "html",
        "text/markdown" | "text/x-markdown" => "md",
        // Text of any kind can be read as such.
        "application/json" | "application/xml" => "txt",
        _ if media_type.starts_with("text/") => "txt",
        _ => return None,
    })
}

fn other(media_type: &str) -> Option<&'static str> {
    Some(match media_type {
        "image/jpg" => "jpeg",
        "audio/mpeg" => "mp3",
        "audio/x-wav" | "audio/wave" => "wav",
        "video/quicktime" => "mov",
        "video/x-matroska" => "mkv",
        "video/x-flv" => "flv",
        "video/x-ms-wmv" => "wmv",
        "video/3gpp" => "three_gp",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::json::write::object;

    fn media<'a>(kind: MediaKind, name: Option<&'a str>, source: Source<'a>) -> Media<'a> {
        Media { kind, source, name: name.map(Into::into), detail: None, cache: None }
    }

    fn bytes(media_type: &str) -> Source<'_> {
        Source::Base64 { media_type: media_type.into(), data: "QQ==".into() }
    }

    fn encoded(media: &Media<'_>) -> Value {
        let mut out = Vec::new();
        object(&mut out, |o| write(o, media, &mut Names::default()));
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn each_kind_has_its_block() {
        let image = media(MediaKind::Image, None, bytes("image/jpg"));
        assert_eq!(encoded(&image), json!({"image": {"format": "jpeg", "source": {"bytes": "QQ=="}}}));
        let document = media(MediaKind::Document, Some("Q3 report_(final).pdf"), bytes("application/pdf"));
        let expected = json!({"format": "pdf", "name": "Q3 report (final) pdf", "source": {"bytes": "QQ=="}});
        assert_eq!(encoded(&document), json!({ "document": expected }));
        let text = media(MediaKind::Document, None, Source::Text { text: "A".into() });
        let expected = json!({"format": "txt", "name": "document", "source": {"bytes": "QQ=="}});
        assert_eq!(encoded(&text), json!({ "document": expected }));
        let url = Source::Url { url: "s3://bucket/clip.webm".into(), media_type: None };
        let video = media(MediaKind::Video, None, url);
        let source = json!({"s3Location": {"uri": "s3://bucket/clip.webm"}});
        assert_eq!(encoded(&video), json!({"video": {"format": "webm", "source": source}}));
    }

    #[test]
    fn what_lies_elsewhere_can_not_be_said() {
        let url = Source::Url { url: "https://example.com/a.png".into(), media_type: None };
        assert!(!says(&media(MediaKind::Image, None, url)));
        let file = Source::File { origin: shared::wire::Wire::Messages, id: "file_1".into() };
        assert!(!says(&media(MediaKind::Document, None, file)));
        assert!(says(&media(MediaKind::Audio, None, bytes("audio/wav"))));
    }

    #[test]
    fn a_format_is_known_by_the_media_type_or_by_the_name() {
        let of = |kind, name, media_type| format(&media(kind, name, bytes(media_type))).to_owned();
        let docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
        assert_eq!(of(MediaKind::Document, None, docx), "docx");
        assert_eq!(of(MediaKind::Document, None, "text/markdown; charset=utf-8"), "md");
        assert_eq!(of(MediaKind::Document, None, "text/x-python"), "txt");
        assert_eq!(of(MediaKind::Document, Some("a.xls"), ""), "xls");
        assert_eq!(of(MediaKind::Audio, None, "audio/mpeg"), "mp3");
        assert_eq!(of(MediaKind::Video, None, "video/3gpp"), "three_gp");
        assert_eq!(of(MediaKind::Image, None, "image/webp"), "webp");
        assert_eq!(of(MediaKind::Image, None, ""), "png");
    }

    #[test]
    fn names_are_given_once() {
        let mut names = Names::default();
        let mut give = |name| names.give(Some(name));
        assert_eq!(give("a (2)"), "a (2)");
        assert_eq!(give("a"), "a");
        assert_eq!(give("_a"), "a (3)");
        assert_eq!(give("a!"), "a (4)");
        assert_eq!(give("文档"), "document");
        assert_eq!(names.give(None), "document (2)");
    }

    proptest! {
        #[test]
        fn any_name_becomes_one_that_aws_takes(wishes in prop::collection::vec("([ab]|\\PC){0,250}", 0..6)) {
            let mut names = Names::default();
            let mut given = HashSet::new();
            for wish in wishes {
                let name = names.give(Some(&wish));
                prop_assert!((1..=200).contains(&name.len()));
                prop_assert!(name.chars().all(|char| char.is_ascii_alphanumeric() || " -()[]".contains(char)));
                prop_assert!(!name.contains("  "));
                prop_assert!(given.insert(name));
            }
        }
    }
}
