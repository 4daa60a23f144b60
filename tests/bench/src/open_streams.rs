//! Measures what open streams take of the node's memory.

use std::{io, time::Duration};

use emulator::{Behaviour, Writes};

use crate::{
    body::Content,
    catalogue::OpenStreams,
    child::Process,
    job::{Call, Held, Hold, Order},
    rounds::Target,
    upstream::Upstream,
    wire::Wire,
};

/// Pause between the frames of a stream.
const PACE: Duration = Duration::from_secs(5);
/// Pieces of text in a stream: more than come while it is held.
const PIECES: u32 = 200;
const PIECE_CHARS: u32 = 40;
/// How often memory is read while each stream gets a frame.
const READINGS: u32 = 10;
/// Open files of the node that are no streams.
const OTHER_FILES: u64 = 500;

/// What the streams took.
#[derive(Debug, Clone)]
pub(crate) struct Occupied {
    pub asked: OpenStreams,
    /// Resident memory of the node in KiB, before and with the streams.
    pub before: u64,
    pub with: u64,
    pub held: Held,
}

impl Occupied {
    /// Bytes for each stream.
    pub(crate) fn per_stream(&self) -> f64 {
        (self.with.saturating_sub(self.before) * 1024) as f64 / f64::from(self.asked.streams.max(1))
    }
}

/// Open files that the node needs: a stream has a connection on either side.
pub(crate) fn files(asked: OpenStreams) -> u64 {
    2 * u64::from(asked.streams) + OTHER_FILES
}

/// Opens all streams, waits until each has come to rest, and reads the node's memory meanwhile.
pub(crate) async fn measure(
    asked: OpenStreams,
    node: &Target<'_>,
    upstream: &Upstream,
    load: &mut Process,
) -> io::Result<Occupied> {
    let endless =
        Behaviour::chunked(PIECES).with_chunk_chars(PIECE_CHARS).with_gap(PACE).with_writes(Writes::Frames);
    upstream.answer_as(|_| endless.clone()).await?;
    let wire = Wire::Messages;
    let (process, key) = node
        .process
        .zip(node.key.as_deref())
        .ok_or_else(|| io::Error::other("the node has no process or no key"))?;
    let call = Call {
        addr: node.addr,
        authority: node.authority.clone(),
        path: wire.path().to_owned(),
        headers: wire.headers(key),
        body: Content::Small.body(wire, wire.model(), true),
    };
    let order = Order::Hold(Hold { call, streams: asked.streams });
    let before = process.resident()?;
    load.tell(&serde_json::to_string(&order).map_err(io::Error::other)?).await?;
    load.line().await?;
    tokio::time::sleep(PACE).await;
    let mut with = 0;
    for _ in 0..READINGS {
        tokio::time::sleep(PACE / READINGS).await;
        with = with.max(process.resident()?);
    }
    load.tell("enough").await?;
    let held = serde_json::from_str(&load.line().await?).map_err(io::Error::other)?;
    Ok(Occupied { asked, before, with, held })
}
