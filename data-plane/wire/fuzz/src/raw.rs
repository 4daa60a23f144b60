//! The raw path: what it reads in place, and what passes it.

use bytes::Bytes;
use shared::wire::Wire;
use wire::{
    error::{ErrorKind, WireError},
    eventstream::{Bodies, EventStreamToSse},
    raw::{
        body::{facts, facts_of_error},
        envelope, invoke,
        splice::Splices,
        view,
        watch::{Chunks, StreamEdits, StreamWatch},
    },
};

use crate::assert_json;

/// The first byte says how long chunks are.
pub fn eventstream(data: &[u8]) {
    let Some((&size, data)) = data.split_first() else { return };
    for bodies in [Bodies::Anthropic, Bodies::Converse] {
        let read = |size: usize| {
            let mut stream = EventStreamToSse::new(bodies);
            let mut out = Vec::new();
            for chunk in data.chunks(size) {
                if stream.chunk(chunk, &mut out).is_err() {
                    return (out, None);
                }
            }
            let end = stream.finish();
            (out, Some(end))
        };
        assert_eq!(read(usize::from(size) + 1), read(data.len().max(1)), "chunking makes a difference");
    }
}

/// A request in any wire: what is edited stays JSON.
pub fn raw_view(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    let views = [
        view::chat(data),
        view::embeddings(data),
        view::responses(data),
        view::messages(data),
        view::count_tokens(data),
        view::gemini(data, "m", false),
    ];
    let is_json = serde_json::from_slice::<&serde_json::value::RawValue>(data).is_ok();
    for view in views.into_iter().flatten() {
        let mut splices = Splices::new();
        view.replace_model(&mut splices, "another \"model\"");
        view.ask_for_usage(&mut splices);
        let edited = splices.apply(body.clone());
        if is_json {
            assert_json(&edited);
        }
    }
    if let Ok(splices) = invoke::to_invoke(data, ["beta"]) {
        let edited = splices.apply(body.clone());
        if is_json {
            assert_json(&edited);
        }
    }
    let enveloped: [fn(&mut Vec<u8>); 6] = [
        envelope::invoked,
        |body| envelope::code_assist(body, "m", Some("p")),
        |body| envelope::code_assist_count(body, "m"),
        |body| envelope::count_generate(body, "m"),
        envelope::count_invoke,
        envelope::count_converse,
    ];
    for envelope in enveloped {
        let mut body = data.to_vec();
        envelope(&mut body);
        if is_json {
            assert_json(&body);
        }
    }
    let mut splices = Splices::new();
    envelope::chatgpt(&mut splices, data);
    drop(splices.apply(body.clone()));
    drop(envelope::unwrapped(&body));
    drop(facts_of_error(data));
    Wire::ALL.into_iter().for_each(|wire| drop(facts(wire, data)));
}

/// The first byte says how long chunks are: all that came goes out, but what is hidden, and an unfinished end.
pub fn raw_watch(data: &[u8]) {
    let Some((&size, data)) = data.split_first() else { return };
    for (wire, hide_usage) in Wire::ALL.into_iter().map(|wire| (wire, false)).chain([(Wire::Chat, true)]) {
        let pass = |size: usize| {
            let mut watch = StreamWatch::new(wire, StreamEdits { hide_usage })?;
            let mut out = Chunks::new();
            for chunk in data.chunks(size) {
                watch.feed(Bytes::copy_from_slice(chunk), &mut out);
            }
            let seen = watch.end(&mut out);
            watch.release(&mut out);
            let kind = ErrorKind::Api;
            let error =
                WireError { status: 502, kind, message: "m", code: None, param: None, request_id: "01J" };
            let end = watch.close(&error);
            assert!(end.ends_with(b"\n\n"));
            Some((out.concat(), seen, watch.usage()))
        };
        let (told, ..) = pass(usize::from(size) + 1).unwrap_or_default();
        let whole = pass(data.len().max(1)).unwrap_or_default();
        assert_eq!(told, whole.0, "chunking makes a difference");
        if !hide_usage {
            assert!(data.starts_with(&told), "something was changed");
        }
    }
}
