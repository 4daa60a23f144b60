//! The life of a request, stage by stage; each stage returns what the next one needs, so the order can't be mixed up.
//!
//! | stage | takes → gives |
//! |---|---|
//! | [`authenticate`] | the call's headers → [`authenticate::Caller`] |
//! | [`receive`], [`filter`] | caller and body → [`filter::Admitted`] |
//! | [`quota`] | admitted → [`quota::Reservation`] |
//! | [`selection`] | reservation → an account, one after the other |
//! | [`adapt`] | account → the request as its upstream wants it |
//! | [`forward`] | → the first account's answer that may be given to the client |
//! | [`stream`] | answer → the client's body |
//! | [`meter`] | what was used → the ledger |
//!
//! The last five take turns: [`forward`] goes from account to account until one answers, [`exchange`] holds what is
//! under way, so that whoever drops it (the client, mostly) leaves it to be metered, and [`refusal`] is the one
//! place where errors become answers.

pub mod adapt;
pub mod authenticate;
pub mod body;
mod coalesce;
mod conversion_memory;
mod deadlines;
mod drain;
pub mod exchange;
mod feeding;
pub mod filter;
pub mod forward;
pub mod meter;
mod plan;
pub mod quota;
mod reading;
pub mod receive;
pub mod refusal;
mod selection;
pub mod stream;

pub(crate) use drain::{MAX_DRAINS, drain, end_departed};
pub(crate) use exchange::Flight;

use std::sync::Arc;

use http::{HeaderMap, Response, Uri};
use hyper::body::Incoming;
use shared::{clock::Millis, id::RequestId};
use tokio::time::Instant;

use crate::{ingress::Proxy, provider::Operation, scheduler::Pin};
use body::ResponseBody;
use deadlines::Deadlines;
use refusal::Refusal;

/// A request of a client, read up to its body.
#[derive(Debug)]
pub struct Call {
    pub id: RequestId,
    pub operation: Operation,
    pub pin: Option<Pin>,
    pub path: Option<PathModel>,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub arrived: Instant,
    pub started_at: Millis,
}

/// What Google's API says in the path and not in the body.
#[derive(Debug, Clone)]
pub struct PathModel {
    pub model: String,
    pub stream: bool,
    /// The stream is to come as one JSON array: the client did not ask for `alt=sse`.
    pub array: bool,
}

/// Carries a call through all stages.
///
/// # Errors
/// See [`Refusal`].
pub async fn run(
    proxy: &Arc<Proxy>,
    call: Call,
    body: &mut Incoming,
) -> Result<Response<ResponseBody>, Refusal> {
    let caller = authenticate::authenticate(proxy, &call.headers, &call.uri)?;
    let mut deadlines = Deadlines::default();
    let body = receive::receive(proxy, &call.headers, body, &caller.snapshot.limits, &mut deadlines).await?;
    let length = body.len();
    let filtering = proxy.compute.run_if_large(length, move || filter::filter(call, caller, body));
    let admitted = deadlines.within(filtering).await.ok_or(Refusal::NotInTime)???;
    let reservation = quota::reserve(admitted);
    let answer = forward::forward(proxy, reservation, deadlines).await?;
    Ok(stream::stream(answer))
}
