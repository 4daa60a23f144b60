//! The life of a request, stage by stage; each stage returns what the next one needs, so the order can't be mixed up.
//!
//! | stage | takes → gives |
//! |---|---|
//! | [`authenticate`] | the call's headers → [`authenticate::Caller`] |
//! | [`receive`] | the call's body → its bytes, decoded |
//! | [`filter`] | caller and body → [`filter::Admitted`], and the headers |
//! | [`plan`] | admitted and headers → [`plan::Plan`]: whom it may go to, for how long, what it may use |
//! | [`reserve`] | plan → [`reserve::Reservation`] |
//! | [`forward`] | reservation → [`forward::Answered`]: the first answer that may go to the client |
//! | [`response`] | answered → the client's response, whose body may be a [`stream`] |
//! | [`settle`] | what was used → the ledger |
//!
//! [`forward`] goes from account to account. [`selection`] says which is next, [`adapt`] makes the request that this
//! account's upstream wants and the [`translation`] its answer is read with, and [`open`] reads as much of the answer as
//! shows that it can be passed on.
//!
//! Two things live for longer than a stage. A [`flight`] is the request under way: whoever drops it (the client, mostly)
//! leaves it to be read on ([`drain`]) and metered. An [`attempt`] is one try at one account; however it is over, before,
//! during or behind the content, it comes to its one [`end`], where everything that learns from it is told.
//!
//! Imports among these files make no circle: a stage knows the ones before it. [`refusal`] is the one place where errors
//! become answers.

mod adapt;
mod attempt;
mod authenticate;
mod away;
mod call;
mod coalesce;
mod conversion_memory;
mod deadlines;
mod decode;
mod drain;
mod end;
mod failure;
mod feeding;
mod filter;
mod flight;
mod forward;
mod open;
mod plan;
mod reading;
mod receive;
mod received;
mod refusal;
mod request_id;
mod reserve;
mod response;
mod selection;
mod session;
mod settle;
mod stream;
mod translation;
mod whole;

pub use authenticate::authenticate;
pub use call::{Call, PathModel};
pub use refusal::{Refusal, RouteError};
pub use request_id::{X_REQUEST_ID, set_request_id};
pub use response::ResponseBody;

use std::sync::Arc;

use http::Response;
use hyper::body::Incoming;

use crate::{proxy::Proxy, refusals::Asked};
use deadlines::Deadlines;

/// Carries a call through all stages. `asked` is what is known of it where it is refused.
///
/// # Errors
/// See [`Refusal`].
pub async fn run(
    proxy: &Arc<Proxy>,
    call: Call,
    body: &mut Incoming,
    asked: &mut Asked,
) -> Result<Response<ResponseBody>, Refusal> {
    let caller = authenticate(proxy, &call.headers, &call.uri, asked)?;
    let mut deadlines = Deadlines::default();
    let body = receive::receive(proxy, &call, body, &caller.snapshot.policy, &mut deadlines).await?;
    let length = body.len();
    let filtering = proxy.compute.run_if_large(length, move || filter::filter(call, caller, body));
    let filtered = deadlines.within(filtering).await.ok_or(Refusal::NotInTime)???;
    let plan = plan::plan(proxy, filtered, deadlines, asked).await?;
    let reservation = reserve::reserve(plan);
    let answered = forward::forward(proxy, reservation, asked).await?;
    Ok(response::respond(answered).await)
}
