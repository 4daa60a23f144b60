//! The client is gone and the upstream is not: it is read on, bounded in time and number, to learn the usage; or
//! closed, where the account says so.

use std::{future::poll_fn, sync::Arc};

use proto::v1::Outcome;
use wire::raw::watch::Chunks;

use super::{
    exchange::{Flight, Leg},
    feeding::Fed,
    forward,
    reading::Reading,
};
use crate::{
    faults::{self, Place},
    provider::failure::Reason,
    snapshot::ClientGone,
};

/// Upstreams that are read on at the same time; beyond, they are closed.
pub(crate) const MAX_DRAINS: usize = 1024;

/// Takes over from a client that left: the worker reads on, or ends it. Where there is no worker any more, it ends here.
pub(super) fn hand_off(flight: Box<Flight>) {
    if std::thread::panicking() {
        // Nobody knows what it was in the middle of.
        return end_panicked(flight);
    }
    let proxy = Arc::clone(&flight.proxy);
    if let Err(flight) = proxy.departed.push(flight) {
        end_departed(flight);
    }
}

/// Ends it without reading on.
pub(crate) fn end_departed(mut flight: Box<Flight>) {
    let complete = is_complete(&flight);
    if !complete && flight.leg.is_some() {
        flight.meter.condition("drain_refused");
    }
    flight.finish(if complete { Outcome::Completed } else { Outcome::ClientGone }, None);
}

pub(super) fn end_panicked(mut flight: Box<Flight>) {
    if let Some(leg) = &mut flight.leg {
        leg.reading = Reading::Opaque;
    }
    flight.meter.condition("panicked");
    flight.finish(Outcome::CutOff, None);
}

/// Clients may hang up at the legal end, without waiting for the connection's.
fn is_complete(flight: &Flight) -> bool {
    matches!(&flight.leg, Some(Leg { reading: Reading::Stream(relay), .. }) if relay.seen().end)
}

/// A flight that is read on. Whatever becomes of its task, its record is closed.
struct Draining(Option<Box<Flight>>);

impl Drop for Draining {
    fn drop(&mut self) {
        match self.0.take() {
            Some(flight) if std::thread::panicking() => end_panicked(flight),
            Some(flight) => end_departed(flight),
            None => {}
        }
    }
}

/// Reads on where that may tell the usage, and ends it. Ends it also where the future is dropped.
pub(crate) fn drain(flight: Box<Flight>) -> impl Future<Output = ()> + Send {
    let mut draining = Draining(Some(flight));
    async move {
        let complete = draining.0.as_deref().is_some_and(is_complete);
        if let Some(flight) = draining.0.as_deref_mut().filter(|_| !complete) {
            read_on(flight).await;
        }
        if let Some(flight) = draining.0.take() {
            // What is read to its end now, the client did not get.
            flight.finish(if complete { Outcome::Completed } else { Outcome::ClientGone }, None);
        }
    }
}

async fn read_on(flight: &mut Flight) {
    faults::reach(Place::Drain);
    let Some(leg) = &flight.leg else { return };
    if !leg.is_sent() {
        // Nobody waits for it, and nobody has begun to answer it.
        return flight.meter.condition("cancelled");
    }
    let drains = Arc::clone(&flight.proxy.drains);
    match (leg.account.client_gone, drains.try_acquire()) {
        (ClientGone::Cancel, _) => flight.meter.condition("cancelled"),
        (ClientGone::Drain, Err(_)) => flight.meter.condition("drain_refused"),
        (ClientGone::Drain, Ok(_permit)) => {
            let (limit, closed) = (flight.limits().drain, flight.proxy.closed());
            let read = tokio::time::timeout(limit, read_to_end(flight));
            let complete = tokio::select! {
                read = read => matches!(read, Ok(Ok(()))),
                () = closed => false,
            };
            flight.meter.condition(if complete { "drained" } else { "drain_cut" });
        }
    }
}

async fn read_to_end(flight: &mut Flight) -> Result<(), Reason> {
    let waiting = flight.leg.as_ref().is_some_and(|leg| leg.status == 0);
    if waiting {
        let head = poll_fn(|cx| flight.poll_head(cx)).await?;
        forward::choose_reading(flight, &head);
    }
    let mut unsent = Chunks::new();
    loop {
        // An upstream that is always ahead must not keep the worker from its other tasks.
        tokio::task::yield_now().await;
        let fed = poll_fn(|cx| flight.poll_fed(cx, &mut unsent)).await;
        unsent.clear();
        let Some(leg) = &mut flight.leg else { return Ok(()) };
        match (fed, &mut leg.reading) {
            (Fed::Seen(seen, _), _) if seen.content => flight.content(),
            (Fed::Unread(chunk), Reading::Whole(collected)) if collected.len() <= forward::MAX_WHOLE => {
                collected.push(chunk, &flight.proxy.answers);
            }
            (Fed::Unread(_), Reading::Opaque) => flight.content(),
            (Fed::Seen(..) | Fed::Unread(_) | Fed::HoldOver, _) => {}
            (Fed::Failed(reason), _) => return Err(reason),
            (Fed::Ended(_), _) => return Ok(()),
            (Fed::End, _) => return forward::read_whole(flight).await.map(drop),
        }
    }
}
