//! Stage 2: may this caller ask this? So far: the body is what the wire says it is.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use shared::id::AccountId;
use wire::raw::view::{self, RequestView};

use super::{authenticate::Caller, call::Call, refusal::Refusal, session};
use crate::{
    faults::{self, Place},
    provider::Operation,
    scheduler::{Wanted, route},
    snapshot::Snapshot,
};

/// A request that may go on.
#[derive(Debug)]
pub(super) struct Admitted {
    /// Without its headers, which go their own way.
    pub call: Call,
    pub caller: Caller,
    pub view: RequestView,
    /// Names the conversation; empty where the client names none.
    pub session: String,
    /// As the client sent it.
    pub body: Bytes,
}

/// The request, which several stages look at from here on, and its headers.
///
/// # Errors
/// The body can't be read.
pub(super) fn filter(
    mut call: Call,
    caller: Caller,
    body: Bytes,
) -> Result<(Arc<Admitted>, HeaderMap), Refusal> {
    faults::reach(Place::Filter);
    let view = match call.operation {
        Operation::Chat => view::chat(&body),
        Operation::Embeddings => view::embeddings(&body),
        Operation::Messages => view::messages(&body),
        Operation::CountTokens => view::count_tokens(&body),
        Operation::Responses => view::responses(&body),
        Operation::Gemini | Operation::CountContents => {
            let path = call.path.as_ref();
            let model = path.map_or("", |path| path.model.as_str());
            view::gemini(&body, model, path.is_some_and(|path| path.stream))
        }
    }?;
    let headers = std::mem::take(&mut call.headers);
    let session = session::of(&headers, view.user_id.as_deref(), view.prompt_cache_key.as_deref());
    Ok((Arc::new(Admitted { call, caller, view, session, body }), headers))
}

impl Admitted {
    /// What the request needs of an account, by this configuration.
    ///
    /// # Errors
    /// The model's name leads nowhere.
    pub(super) fn wanted<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        bound: Option<AccountId>,
    ) -> Result<Wanted<'a>, Refusal> {
        let routed = route(snapshot, self.call.pin, &self.view.model)?;
        let (target, operation, model) = (routed.target, self.call.operation, routed.model);
        Ok(Wanted { target, operation, bound, model, last_resort: false })
    }
}
