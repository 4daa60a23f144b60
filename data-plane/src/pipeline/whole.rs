//! Answers that are read whole before the client gets any of them, so that a broken one can be asked of another account.

use std::{future::poll_fn, sync::Arc};

use bytes::Bytes;
use http::HeaderMap;
use wire::{
    raw::{
        body::BodyFacts,
        watch::{Chunks, StreamFailure},
    },
    relay::Relay,
};

use super::{
    attempt::Attempt,
    failure::{Failure, Trouble},
    feeding::Fed,
    flight::{Flight, Next},
    reading::{Collected, Read, Reading, join},
    translation::Unread,
};
use crate::{
    compute::LARGE,
    faults::{self, Place},
    provider::failure::Reason,
};

/// What came of reading an answer that is no stream.
#[derive(Debug)]
pub(super) enum Collection {
    /// All of it, for the client.
    Whole(Bytes),
    /// It is too large to be held, and passes as it comes, unmetered; this much has come.
    Beginning(Chunks),
}

/// # Errors
/// It broke off, is no answer, or is too large to be converted.
pub(super) async fn collect(flight: &mut Flight) -> Result<Collection, Failure> {
    loop {
        match poll_fn(|cx| flight.poll_next(cx)).await {
            Next::Chunk(chunk) => {
                let most = flight.policy().max_answer;
                let Some(Attempt { reading: Reading::Whole(collected), .. }) = &mut flight.attempt else {
                    return Err(Failure::of(Reason::Stopped));
                };
                collected.push(chunk, &flight.proxy.answers);
                if collected.len() > most {
                    return pass_on(flight).map(Collection::Beginning);
                }
            }
            Next::End => return read(flight).await.map(Collection::Whole),
            Next::Failed(reason) => return Err(Failure::of(reason)),
            Next::HoldOver => {}
        }
    }
}

fn pass_on(flight: &mut Flight) -> Result<Chunks, Failure> {
    let mut chunks = Chunks::new();
    if let Some(attempt) = &mut flight.attempt {
        if !attempt.translation.is_native() {
            return Err(Failure::of(Reason::TooLarge));
        }
        if let Reading::Whole(collected) = &mut attempt.reading {
            chunks.push(collected.take());
        }
        attempt.reading = Reading::Opaque;
    }
    flight.content();
    Ok(chunks)
}

/// The answer is complete: it is put into the client's wire, and what it says of usage is noted.
///
/// # Errors
/// It can't be read, or is no answer.
pub(super) async fn read(flight: &mut Flight) -> Result<Bytes, Failure> {
    faults::reach(Place::Read);
    let wire = flight.meter.wire();
    let Some(attempt) = &mut flight.attempt else { return Ok(Bytes::new()) };
    let succeeded = attempt.succeeded();
    let Reading::Whole(collected) = &mut attempt.reading else { return Ok(Bytes::new()) };
    if collected.facts.is_some() {
        // The client left while it was given what had been read.
        return Ok(Bytes::new());
    }
    if !succeeded {
        return Ok(collected.take());
    }
    let read = if collected.len() < LARGE {
        attempt.translation.read(wire, collected.take())
    } else {
        // It stays here meanwhile, for the case that the client leaves and it has to be read once more.
        let (translation, chunks) = (Arc::clone(&attempt.translation), collected.chunks());
        let compute = flight.proxy.compute.clone();
        let reading =
            Box::pin(async move { compute.run(move || translation.read(wire, join(chunks))).await });
        let read = flight.within_limits(reading).await.map_err(Failure::of)?;
        read.unwrap_or(Err(Unread::Malformed))
    };
    match read {
        Ok(read) => {
            let Some(Attempt { reading: Reading::Whole(collected), .. }) = &mut flight.attempt else {
                return Ok(Bytes::new());
            };
            let body = collected.read(read);
            flight.content();
            Ok(body)
        }
        Err(Unread::Malformed) => Err(Failure::of(Reason::Malformed)),
        Err(Unread::NoAnswer(facts)) => Err(no_answer(flight, *facts)),
    }
}

/// A success that reports an error, or says nothing: the account's failure, as if its status had said so.
fn no_answer(flight: &mut Flight, facts: BodyFacts) -> Failure {
    let (now, said) = (flight.proxy.clock.now(), facts.error.clone().unwrap_or_default());
    let Some(attempt) = &mut flight.attempt else { return Failure::of(Reason::NoAnswer) };
    if let Reading::Whole(collected) = &mut attempt.reading {
        // What it says of usage counts.
        collected.facts = Some(facts);
    }
    match attempt.judge(&HeaderMap::new(), now) {
        Some(judge) => judge.no_answer(said),
        None => Failure::of(Reason::NoAnswer),
    }
}

/// Whether the client asked for no stream, and the upstream gives nothing else.
pub(super) fn gathers(flight: &Flight) -> bool {
    let Some(attempt) = &flight.attempt else { return false };
    matches!(&attempt.reading, Reading::Stream(relay) if relay.gathers())
}

/// Reads a stream to its end and makes one answer of it.
pub(super) async fn gather(flight: &mut Flight) -> Result<Read, Trouble> {
    let (mut unsent, mut length, mut share) = (Chunks::new(), 0, flight.proxy.answers.share());
    loop {
        // An upstream that is always ahead must not keep the worker from its other tasks.
        tokio::task::yield_now().await;
        let ended = match poll_fn(|cx| flight.poll_fed(cx, &mut unsent)).await {
            Fed::Seen(_, read) => {
                length += read;
                if length > flight.policy().max_answer {
                    return Err(Trouble::Read(Reason::TooLarge));
                }
                share.stretch_to(length);
                false
            }
            Fed::Ended(_) => true,
            Fed::HoldOver => continue,
            Fed::Failed(reason) => return Err(Trouble::Read(reason)),
            Fed::Unread(_) | Fed::End => return Err(Trouble::Read(Reason::Stopped)),
        };
        let Some(relay) = flight.relay() else {
            return Err(Trouble::Read(Reason::Stopped));
        };
        if let Some(failure) = relay.failure() {
            return Err(Trouble::Stream(StreamFailure { before_content: true, ..failure.clone() }));
        }
        if ended || relay.seen().end {
            break;
        }
    }
    let Some(attempt) = &mut flight.attempt else { return Err(Trouble::Read(Reason::Stopped)) };
    let reading = std::mem::replace(&mut attempt.reading, Reading::Opaque);
    let Reading::Stream(relay) = reading else { return Err(Trouble::Read(Reason::Cut)) };
    // Known from here on, also to whoever takes over from a client that leaves meanwhile.
    attempt.reading = Reading::Whole(relay_facts(&relay));
    let stream = relay.into_converted().ok_or(Trouble::Read(Reason::Cut))?;
    let translation = Arc::clone(&attempt.translation);
    let compute = flight.proxy.compute.clone();
    let writing =
        Box::pin(async move { compute.run_if_large(length, move || translation.gathered(stream)).await });
    let written = flight.within_limits(writing).await.map_err(Trouble::Read)?;
    let read = written.unwrap_or(Err(Reason::Malformed)).map_err(Trouble::Read)?;
    if let Some(Attempt { reading: Reading::Whole(collected), .. }) = &mut flight.attempt {
        (collected.facts, collected.losses) = (Some(read.facts.clone()), read.losses.clone());
        collected.memos.clone_from(&read.memos);
    }
    flight.content();
    Ok(read)
}

/// What a stream said, for the record of an answer that could not be made of it.
fn relay_facts(relay: &Relay) -> Collected {
    let facts = BodyFacts {
        usage: relay.usage(),
        served_model: relay.served_model().map(str::to_owned),
        ..BodyFacts::default()
    };
    let mut collected = Collected::default();
    (collected.facts, collected.losses) = (Some(facts), relay.losses().unwrap_or_default());
    collected.partial = !relay.usage_is_final();
    collected
}
