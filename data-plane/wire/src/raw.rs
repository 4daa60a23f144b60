//! The same wire in and out: the body stays bytes.
//!
//! A request is looked at ([`view`]), perhaps edited ([`splice`]); an answer is read as it passes, whole ([`body`]) or
//! frame by frame ([`watch`]).
//!
//! Bytes that need no change are not changed. All that is ever edited:
//!
//! - the value of `model`, where it is mapped, or has an account type in front;
//! - reasoning of other providers goes out of a conversation that comes from another platform, models of Google's
//!   that want their calls proven are told where there is no proof, and texts that say nothing go out of its answers in
//!   the history ([`foreign`]);
//! - for Bedrock's invoke ([`invoke`]): `model` and `stream` go out, version and betas come in, and thoughts that were to
//!   be shown as updates are summarized;
//! - for the backend behind ChatGPT logins ([`envelope`]): `store` is false and `stream` true, as it wants them, and
//!   what it refuses goes out (`max_output_tokens`, `temperature`, `user` and their like); bare text for `input` becomes
//!   a list with a message;
//! - for Code Assist: the request goes into an envelope, and the answer comes out of one;
//! - chat streams: `stream_options.include_usage` is asked for; a client that did not ask for it gets neither the chunk
//!   that has only usage nor `"usage":null` in the others;
//! - the answer's model goes by the name that the client asked for ([`rename`]), where operators don't say otherwise;
//! - a stream that breaks off ends with an error event of its wire, behind its last whole frame.

pub mod body;
pub mod envelope;
pub mod foreign;
pub mod inline;
pub mod invoke;
pub(crate) mod member;
pub(crate) mod rename;
pub mod splice;
pub mod view;
pub mod watch;

/// The model's name in an upstream's answer, cut to what records hold. None: it is empty.
pub(crate) fn served(model: &str) -> Option<String> {
    let model = model.get(..model.floor_char_boundary(view::MODEL_MAX)).unwrap_or_default();
    (!model.is_empty()).then(|| model.to_owned())
}
