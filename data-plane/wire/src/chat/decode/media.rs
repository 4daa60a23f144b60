//! Images, sounds and files of a message's content.

use std::borrow::Cow;

use serde_json::value::RawValue;
use shared::wire::Wire;

use super::read::{Path, read};
use crate::canonical::{Media, MediaKind, Source};
use crate::codec::Unreadable;
use crate::json;
use crate::json::record::{Str, record};

record! {
    struct ImageUrl { url: Str<'a> = "url", detail: Str<'a> = "detail" }
}

record! {
    struct InputAudio { data: Str<'a> = "data", format: Str<'a> = "format" }
}

record! {
    struct File {
        data: Str<'a> = "file_data",
        id: Str<'a> = "file_id",
        name: Str<'a> = "filename",
        format: Str<'a> = "format",
    }
}

/// Names of fields that have no place.
pub(super) type Unknown<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// `{url, detail}`; some clients write the bare URL.
pub(super) fn image<'a>(
    value: &'a RawValue,
    path: &Path<'_>,
) -> Result<(Media<'a>, Unknown<'a>), Unreadable> {
    let image = match json::string(value.get()) {
        Some(url) => ImageUrl { url: Some(Str(url)), ..ImageUrl::default() },
        None => read(value.get(), path)?,
    };
    let path = path.field("url");
    let Some(Str(url)) = image.url else { return Err(path.wrong("is required")) };
    let source = source(url, &path)?;
    let kind = kind(&source).unwrap_or(MediaKind::Image);
    let media = Media { detail: image.detail.map(|Str(detail)| detail), ..media(kind, source) };
    Ok((media, image.unknown))
}

pub(super) fn audio<'a>(
    value: &'a RawValue,
    path: &Path<'_>,
) -> Result<(Media<'a>, Unknown<'a>), Unreadable> {
    let audio: InputAudio<'_> = read(value.get(), path)?;
    let Some(Str(data)) = audio.data else { return Err(path.field("data").wrong("is required")) };
    let source = if data.starts_with(DATA) {
        source(data, &path.field("data"))?
    } else {
        let format = audio.format.map_or(Cow::Borrowed("wav"), |Str(format)| format);
        Source::Base64 { media_type: format!("audio/{format}").into(), data }
    };
    Ok((media(MediaKind::Audio, source), audio.unknown))
}

/// `{file_data, filename}` or `{file_id}`. Data is a data URL; some clients write bare base64, or a URL.
pub(super) fn file<'a>(value: &'a RawValue, path: &Path<'_>) -> Result<(Media<'a>, Unknown<'a>), Unreadable> {
    let file: File<'_> = read(value.get(), path)?;
    let source = match (file.data, file.id) {
        (Some(Str(data)), _) if data.starts_with(DATA) || is_web(&data) => {
            source(data, &path.field("file_data"))?
        }
        (Some(Str(data)), _) => {
            let format = file.format.map(|Str(format)| format).filter(|format| format.contains('/'));
            Source::Base64 { media_type: format.unwrap_or(Cow::Borrowed("application/pdf")), data }
        }
        (None, Some(Str(id))) => Source::File { origin: Wire::Chat, id },
        (None, None) => return Err(path.wrong("must have `file_data` or `file_id`")),
    };
    let kind = kind(&source).unwrap_or(MediaKind::Document);
    Ok((Media { name: file.name.map(|Str(name)| name), ..media(kind, source) }, file.unknown))
}

const fn media(kind: MediaKind, source: Source<'_>) -> Media<'_> {
    Media { kind, source, name: None, detail: None, cache: None }
}

const DATA: &str = "data:";

fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

/// By the media type, where there is one.
fn kind(source: &Source<'_>) -> Option<MediaKind> {
    let Source::Base64 { media_type, .. } = source else { return None };
    Some(match media_type.split_once('/')?.0 {
        "image" => MediaKind::Image,
        "audio" => MediaKind::Audio,
        "video" => MediaKind::Video,
        _ => MediaKind::Document,
    })
}

/// A data URL is taken apart; the data stays where it is.
fn source<'a>(url: Cow<'a, str>, path: &Path<'_>) -> Result<Source<'a>, Unreadable> {
    let Some(rest) = url.strip_prefix(DATA) else {
        return Ok(Source::Url { url, media_type: None });
    };
    let head = rest.split_once(',').map(|(head, _)| head).and_then(|head| head.strip_suffix(";base64"));
    let Some(head) = head else {
        return Err(path.wrong("must be a web address or a data URL of the form `data:image/png;base64,…`"));
    };
    let media_type = head.split(';').next().unwrap_or_default();
    if !media_type.contains('/') {
        return Err(path.wrong("must name the media type: `data:image/png;base64,…`"));
    }
    let types = DATA.len()..DATA.len() + media_type.len();
    let data = DATA.len() + head.len() + ";base64,".len();
    Ok(Source::Base64 { media_type: part(&url, types.start, types.end), data: part(&url, data, url.len()) })
}

fn part<'a>(text: &Cow<'a, str>, start: usize, end: usize) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(start..end).unwrap_or_default()),
        Cow::Owned(text) => Cow::Owned(text.get(start..end).unwrap_or_default().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(url: &str) -> Option<(String, String)> {
        match source(url.into(), &Path::Body).ok()? {
            Source::Base64 { media_type, data } => Some((media_type.into_owned(), data.into_owned())),
            _ => None,
        }
    }

    #[test]
    fn data_urls_are_taken_apart_in_place() {
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(split("data:image/png;base64,iVBO"), pair("image/png", "iVBO"));
        assert_eq!(split("data:text/plain;charset=utf-8;base64,aGk="), pair("text/plain", "aGk="));
        assert_eq!(split("data:image/png;base64,"), pair("image/png", ""));
        for odd in ["data:", "data:image/png,raw", "data:;base64,AA", "data:é,", "https://x.test/a.png"] {
            assert_eq!(split(odd), None, "{odd}");
        }
        let url = "data:image/png;base64,AAAA";
        let Ok(Source::Base64 { data: Cow::Borrowed(data), .. }) = source(url.into(), &Path::Body) else {
            panic!("the data was copied");
        };
        assert_eq!(data.as_ptr(), url[22..].as_ptr());
    }
}
