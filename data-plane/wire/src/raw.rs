//! The same wire in and out: the body stays bytes.
//!
//! A request is looked at ([`view`]), perhaps edited ([`splice`]); an answer is read as it passes, whole ([`body`]) or
//! frame by frame ([`watch`]).

pub mod body;
pub mod splice;
pub mod view;
pub mod watch;
