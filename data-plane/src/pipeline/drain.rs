//! The client is gone and the upstream is not: it is read on, bounded in time and number, to learn the usage; or
//! closed, where the account says so.

use std::{future::poll_fn, sync::Arc};

use proto::v1::Outcome;
use wire::raw::watch::Chunks;

use super::{
    exchange::{Flight, Leg, Next},
    forward,
    reading::Reading,
};
use crate::{provider::failure::Reason, snapshot::ClientGone};

/// Upstreams that are read on at the same time; beyond, they are closed.
pub(crate) const MAX_DRAINS: usize = 1024;

/// Takes over from a client that left: the worker reads on, or ends it. Where there is no worker any more, it ends here.
pub(super) fn hand_off(flight: Box<Flight>) {
    let proxy = Arc::clone(&flight.proxy);
    if let Err(flight) = proxy.departed.push(flight) {
        end_departed(flight);
    }
}

/// Ends it without reading on.
pub(crate) fn end_departed(flight: Box<Flight>) {
    if !is_complete(&flight) && flight.leg.is_some() {
        let mut flight = flight;
        flight.meter.condition("drain_refused");
        return flight.finish(Outcome::ClientGone, None);
    }
    end(flight);
}

/// Clients may hang up at the legal end, without waiting for the connection's.
fn is_complete(flight: &Flight) -> bool {
    matches!(&flight.leg, Some(Leg { reading: Reading::Stream(relay), .. }) if relay.seen().end)
}

fn end(flight: Box<Flight>) {
    let outcome = if is_complete(&flight) { Outcome::Completed } else { Outcome::ClientGone };
    flight.finish(outcome, None);
}

/// Reads on where that may tell the usage, and ends it.
pub(crate) async fn drain(mut flight: Box<Flight>) {
    let Some(leg) = flight.leg.as_ref().filter(|_| !is_complete(&flight)) else {
        return end(flight);
    };
    let drains = Arc::clone(&flight.proxy.drains);
    match (leg.account.client_gone, drains.try_acquire()) {
        (ClientGone::Cancel, _) => flight.meter.condition("cancelled"),
        (ClientGone::Drain, Err(_)) => flight.meter.condition("drain_refused"),
        (ClientGone::Drain, Ok(_permit)) => {
            let (limit, closed) = (flight.limits().drain, flight.proxy.closed());
            let read = tokio::time::timeout(limit, read_to_end(&mut flight));
            let complete = tokio::select! {
                read = read => matches!(read, Ok(Ok(()))),
                () = closed => false,
            };
            let condition = if complete { "drained" } else { "drain_cut" };
            flight.meter.condition(condition);
        }
    }
    flight.finish(Outcome::ClientGone, None);
}

async fn read_to_end(flight: &mut Flight) -> Result<(), Reason> {
    let waiting = flight.leg.as_ref().is_some_and(|leg| leg.status == 0);
    if waiting {
        let head = poll_fn(|cx| flight.poll_head(cx)).await?;
        forward::choose_reading(flight, &head);
    }
    let mut unsent = Chunks::new();
    loop {
        let next = poll_fn(|cx| flight.poll_next(cx)).await;
        let Some(leg) = &mut flight.leg else { return Ok(()) };
        match (next, &mut leg.reading) {
            (Next::Chunk(chunk), Reading::Stream(relay)) => {
                let content = relay.feed(chunk, &mut unsent).content;
                unsent.clear();
                if content {
                    flight.content();
                }
            }
            (Next::Chunk(_), Reading::Opaque) => flight.content(),
            (Next::Chunk(chunk), Reading::Whole(collected)) if collected.len() <= forward::MAX_WHOLE => {
                collected.push(chunk, &flight.proxy.answers);
            }
            (Next::Chunk(_) | Next::HoldOver, _) => {}
            (Next::Failed(reason), _) => return Err(reason),
            (Next::End, Reading::Stream(relay)) => {
                relay.end(&mut unsent);
                return Ok(());
            }
            (Next::End, _) => {
                return forward::read_whole(flight).await.map(drop);
            }
        }
    }
}
