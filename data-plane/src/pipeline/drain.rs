//! The client is gone and the upstream is not: it is read on, bounded in time and number, to learn the usage; or
//! closed, where the account says so.

use std::{future::poll_fn, pin::Pin, sync::Arc};

use http::HeaderMap;
use wire::raw::watch::Chunks;

use super::{
    attempt::Attempt,
    failure::{End, Failure},
    feeding::Fed,
    flight::Flight,
    open,
    reading::Reading,
    translation, whole,
};
use crate::{
    faults::{self, Place},
    provider::failure::{Class, Reason},
    proxy::LeftBehind,
    snapshot::ClientGone,
};

impl LeftBehind for Flight {
    fn end(self: Box<Self>) {
        self.end_departed();
    }

    fn read_on(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(drain(self))
    }
}

/// A flight that is read on. Whatever becomes of its task, its record is closed.
struct Draining(Option<Box<Flight>>);

impl Drop for Draining {
    fn drop(&mut self) {
        match self.0.take() {
            Some(flight) if std::thread::panicking() => flight.end_panicked(),
            Some(flight) => flight.end_departed(),
            None => {}
        }
    }
}

/// Reads on where that may tell the usage, and ends it. Ends it also where the future is dropped.
fn drain(flight: Box<Flight>) -> impl Future<Output = ()> + Send {
    let mut draining = Draining(Some(flight));
    async move {
        let complete = draining.0.as_deref().is_some_and(Flight::is_complete);
        let mut failure = None;
        if let Some(flight) = draining.0.as_deref_mut().filter(|_| !complete) {
            failure = read_on(flight).await;
        }
        if let Some(flight) = draining.0.take() {
            // What is read to its end now, the client did not get.
            flight.finish(&if complete { End::Completed } else { End::ClientGone(failure) });
        }
    }
}

/// What the account failed of meanwhile.
async fn read_on(flight: &mut Flight) -> Option<Failure> {
    faults::reach(Place::Drain);
    let attempt = flight.attempt.as_ref()?;
    if !attempt.is_sent() {
        // Nobody waits for it, and nobody has begun to answer it.
        flight.meter.condition("cancelled");
        return None;
    }
    let drains = Arc::clone(&flight.proxy.drains);
    match (attempt.account.client_gone, drains.try_acquire()) {
        (ClientGone::Cancel, _) => flight.meter.condition("cancelled"),
        (ClientGone::Drain, Err(_)) => flight.meter.condition("drain_refused"),
        (ClientGone::Drain, Ok(_permit)) => {
            let (limit, closed) = (flight.times.drain, flight.proxy.closed());
            let read = tokio::time::timeout(limit, read_to_end(flight));
            let read = tokio::select! {
                read = read => read.unwrap_or(Ok(false)),
                () = closed => Ok(false),
            };
            // A refusal is a failure that was read to its end.
            let refused = flight.attempt.as_ref().is_some_and(Attempt::is_refused);
            let whole = matches!(read, Ok(true)) || (read.is_err() && refused);
            flight.meter.condition(if whole { "drained" } else { "drain_cut" });
            if let Err(failure) = read {
                return Some(failure);
            }
        }
    }
    flight.failure_in_stream()
}

/// An answer that is no success teaches what it does where a client waits for it.
async fn end_of_plain(flight: &mut Flight, headers: &HeaderMap) -> Result<bool, Failure> {
    let body = whole::read(flight).await?;
    let Some(attempt) = flight.attempt.as_ref().filter(|attempt| attempt.is_refused()) else {
        return Ok(true);
    };
    let said = translation::said(&body);
    match attempt.judge(headers, flight.proxy.clock.now()) {
        Some(judge) => match judge.class(attempt.status, &said) {
            Class::Refused => Ok(true),
            class => Err(judge.status((attempt.status, class), said)),
        },
        None => Ok(true),
    }
}

/// Whether it came to its end. False: the request's own limits ended it.
async fn read_to_end(flight: &mut Flight) -> Result<bool, Failure> {
    let waiting = flight.attempt.as_ref().is_some_and(|attempt| attempt.status == 0);
    let mut headers = HeaderMap::new();
    if waiting {
        let head = poll_fn(|cx| flight.poll_head(cx)).await.map_err(Failure::of)?;
        open::choose_reading(flight, &head);
        headers = head.headers;
    }
    let (mut unsent, most) = (Chunks::new(), flight.policy().max_answer);
    loop {
        // An upstream that is always ahead must not keep the worker from its other tasks.
        tokio::task::yield_now().await;
        let fed = poll_fn(|cx| flight.poll_fed(cx, &mut unsent)).await;
        unsent.clear();
        let Some(attempt) = &mut flight.attempt else { return Ok(true) };
        match (fed, &mut attempt.reading) {
            (Fed::Seen(seen, _), _) if seen.content => flight.content(),
            (Fed::Unread(_), Reading::Whole(collected)) if collected.len() > most => return Ok(false),
            (Fed::Unread(chunk), Reading::Whole(collected)) => collected.push(chunk, &flight.proxy.answers),
            (Fed::Unread(_), Reading::Opaque) => flight.content(),
            (Fed::Seen(..) | Fed::Unread(_) | Fed::HoldOver, _) => {}
            (Fed::Failed(Reason::Stopped | Reason::Deadline | Reason::MaxStream), _) => return Ok(false),
            (Fed::Failed(reason), _) => return Err(Failure::of(reason)),
            (Fed::Ended(_), _) => return Ok(true),
            (Fed::End, _) => return end_of_plain(flight, &headers).await,
        }
    }
}
