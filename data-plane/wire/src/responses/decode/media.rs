//! Images, files and sounds.

use std::borrow::Cow;

use serde_json::value::RawValue;
use shared::wire::Wire;

use super::fields::{parse, required};
use crate::{
    canonical::{CacheMark, Media, MediaKind, Source},
    codec::Unreadable,
    json::record::{Str, record},
};

record! {
    struct Audio {
        data: Str<'a> = "data",
        format: Str<'a> = "format",
    }
}

/// What `input_image` and `input_file` point with.
#[derive(Debug, Default)]
pub(super) struct Pointers<'a> {
    /// `image_url`, `file_data`: usually a data URL.
    pub(super) data: Option<Cow<'a, str>>,
    /// `file_url`.
    pub(super) url: Option<Cow<'a, str>>,
    pub(super) file_id: Option<Cow<'a, str>>,
    pub(super) name: Option<Cow<'a, str>>,
    pub(super) detail: Option<Cow<'a, str>>,
    pub(super) cache: Option<CacheMark>,
}

/// None: it points at nothing.
pub(super) fn image(pointers: Pointers<'_>) -> Option<Media<'_>> {
    let Pointers { data, url, file_id, name, detail, cache } = pointers;
    let source = match (data.or(url), file_id) {
        (Some(url), _) => located(url),
        (None, id) => file(id?),
    };
    Some(Media { kind: MediaKind::Image, source, name, detail, cache })
}

/// None: it points at nothing.
pub(super) fn document(pointers: Pointers<'_>) -> Option<Media<'_>> {
    let Pointers { data, url, file_id, name, detail, cache } = pointers;
    let source = match (data, url, file_id) {
        (Some(data), ..) if data.starts_with("data:") => located(data),
        (Some(data), ..) => Source::Base64 { media_type: Cow::Borrowed("application/pdf"), data },
        (None, Some(url), _) => Source::Url { url, media_type: None },
        (None, None, id) => file(id?),
    };
    let kind = match &source {
        Source::Base64 { media_type, .. } => kind_of(media_type),
        _ => MediaKind::Document,
    };
    Some(Media { kind, source, name, detail, cache })
}

/// `input_audio`: `{data, format}`.
pub(super) fn audio<'a>(raw: &'a RawValue, at: &str) -> Result<Media<'a>, Unreadable> {
    let audio: Audio<'a> = parse(raw.get(), || at.to_owned())?;
    let data = required(audio.data, || format!("{at}.data"))?.0;
    let format = audio.format.map_or(Cow::Borrowed("wav"), |format| format.0);
    let source = Source::Base64 { media_type: Cow::Owned(format!("audio/{format}")), data };
    Ok(Media { kind: MediaKind::Audio, source, name: None, detail: None, cache: None })
}

fn kind_of(media_type: &str) -> MediaKind {
    match media_type.split('/').next() {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ => MediaKind::Document,
    }
}

const fn file(id: Cow<'_, str>) -> Source<'_> {
    Source::File { origin: Wire::Responses, id }
}

/// A URL, or the data that a data URL holds.
fn located(url: Cow<'_, str>) -> Source<'_> {
    let parts = match &url {
        Cow::Borrowed(url) => {
            split(url).map(|(media_type, data)| (Cow::Borrowed(media_type), Cow::Borrowed(data)))
        }
        Cow::Owned(url) => split(url)
            .map(|(media_type, data)| (Cow::Owned(media_type.to_owned()), Cow::Owned(data.to_owned()))),
    };
    match parts {
        Some((media_type, data)) => Source::Base64 { media_type, data },
        None => Source::Url { url, media_type: None },
    }
}

/// Media type and data of `data:{type}[;…];base64,{data}`.
fn split(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let media_type = head.strip_suffix(";base64")?.split(';').next()?;
    Some((if media_type.is_empty() { "application/octet-stream" } else { media_type }, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_urls_are_split_and_their_data_is_borrowed() {
        let url = "data:text/plain;charset=utf-8;base64,AAAA";
        match located(Cow::Borrowed(url)) {
            Source::Base64 { media_type, data: Cow::Borrowed(data) } => {
                assert_eq!((&*media_type, data), ("text/plain", "AAAA"));
            }
            other => panic!("{other:?}"),
        }
        for url in ["https://x/y,z", "data:text/plain,hello", "data:", "data:;base64"] {
            assert!(matches!(located(Cow::Borrowed(url)), Source::Url { .. }), "{url}");
        }
    }

    #[test]
    fn a_file_is_what_its_media_type_says() {
        let kind = |data: &'static str| {
            document(Pointers { data: Some(Cow::Borrowed(data)), ..Pointers::default() }).unwrap().kind
        };
        assert_eq!(kind("data:image/png;base64,AA"), MediaKind::Image);
        assert_eq!(kind("data:application/pdf;base64,AA"), MediaKind::Document);
        assert_eq!(kind("AA"), MediaKind::Document);
        assert!(document(Pointers::default()).is_none() && image(Pointers::default()).is_none());
    }
}
