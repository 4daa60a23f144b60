//! The same wire in and out: the body stays bytes.
//!
//! A request is looked at ([`view`]), perhaps edited ([`splice`]); an answer is read as it passes, whole ([`body`]) or
//! frame by frame ([`watch`]).

pub mod body;
pub mod splice;
pub mod view;
pub mod watch;

/// The model's name in an upstream's answer, cut to what records hold. None: it is empty.
pub(crate) fn served(model: &str) -> Option<String> {
    let model = model.get(..model.floor_char_boundary(view::MODEL_MAX)).unwrap_or_default();
    (!model.is_empty()).then(|| model.to_owned())
}
