//! Streams, in chunks that the data itself chooses.

use bytes::Bytes;
use shared::wire::Wire;
use wire::{
    convert::Format,
    error::{ErrorKind, WireError},
    eventstream,
    raw::watch::{Chunks, FailureCause},
    relay::{Framing, Relay},
};

use crate::{assert_answer, conversion};

/// The first byte says how long chunks are; with converse, each line is the name and the payload of a frame.
pub fn stream(format: Format, data: &[u8]) {
    let Some((&size, data)) = data.split_first() else { return };
    let stream = if format == Format::Converse { messages(data) } else { data.to_vec() };
    for client in Wire::ALL {
        let framing = if format == Format::Converse { Framing::Converse } else { Framing::Plain };
        let relay = || Relay::converted(conversion(client, format, true).stream(), framing);
        let whole = run(relay(), &stream, stream.len());
        let cut = run(relay(), &stream, usize::from(size) + 1);
        assert_eq!(
            String::from_utf8_lossy(&whole),
            String::from_utf8_lossy(&cut),
            "chunking makes a difference to {client}"
        );
        assert_read(client, &whole);
        // Gathered, it can be read as one answer.
        let gathering = conversion(client, format, false);
        let mut relay = Relay::converted(gathering.stream(), framing);
        let mut nothing = Chunks::new();
        relay.feed(stream.clone().into(), &mut nothing);
        relay.end(&mut nothing);
        assert!(nothing.is_empty(), "a stream that is gathered goes to nobody");
        if let Some(gathered) = relay.into_converted().and_then(|stream| gathering.gathered(stream)) {
            assert_answer(client, &gathered.body);
        }
    }
}

/// The stream comes to an end that its client knows.
pub(crate) fn assert_read(client: Wire, stream: &[u8]) {
    let mut reader = Relay::converted(conversion(client, Format::of(client), true).stream(), Framing::Plain);
    let mut out = Chunks::new();
    reader.feed(Bytes::copy_from_slice(stream), &mut out);
    reader.end(&mut out);
    let problem = match reader.failure().map(|failure| &failure.cause) {
        Some(FailureCause::Malformed(problem)) => Some(*problem),
        None if !reader.seen().end => Some("it has no end"),
        _ => None,
    };
    assert!(problem.is_none(), "{problem:?} for {client}: {}", String::from_utf8_lossy(stream));
}

fn messages(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in data.split(|byte| *byte == b'\n') {
        let mut parts = line.splitn(2, |byte| *byte == b' ');
        let name = String::from_utf8_lossy(parts.next().unwrap_or_default());
        let headers = match name.ends_with("Exception") {
            true => [(":message-type", "exception"), (":exception-type", &*name)],
            false => [(":message-type", "event"), (":event-type", &*name)],
        };
        eventstream::write(&headers, parts.next().unwrap_or_default(), &mut out);
    }
    out
}

/// All that the client gets, with the end that the gateway makes where the upstream makes none.
fn run(mut relay: Relay, stream: &[u8], size: usize) -> Vec<u8> {
    let mut out = Chunks::new();
    for chunk in stream.chunks(size.max(1)) {
        if relay.feed(Bytes::copy_from_slice(chunk), &mut out).failed {
            relay.release(&mut out);
        }
    }
    let seen = relay.end(&mut out);
    relay.release(&mut out);
    if !(seen.end || seen.stopped || relay.failure().is_some()) {
        let kind = ErrorKind::Api;
        let message = "the upstream broke off";
        out.push(relay.close(&WireError {
            status: 502,
            kind,
            message,
            code: None,
            param: None,
            request_id: "01J",
        }));
    }
    out.concat()
}
