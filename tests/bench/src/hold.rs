//! The load client's other work: streams that are open all at once, for what they take of memory.

use std::{io, sync::Arc};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    sync::{
        Semaphore,
        mpsc::{self, UnboundedReceiver, UnboundedSender},
    },
    task::JoinSet,
};

use crate::{
    dialer::Dialer,
    job::{Held, Hold},
};

/// Connections opened at the same time.
const CONNECTING_AT_ONCE: usize = 64;

#[derive(Debug)]
enum Event {
    /// Each stream's first word: its first bytes came, or it failed before them.
    Opened(Result<(), String>),
    /// A stream that was open is no more.
    Ended(String),
}

/// Dropped, they are closed.
#[derive(Debug)]
pub(crate) struct Streams {
    _running: JoinSet<()>,
    events: UnboundedReceiver<Event>,
    held: Held,
}

impl Streams {
    /// Comes back when each of them has either got its first bytes or failed.
    pub(crate) async fn open(hold: &Hold) -> io::Result<Self> {
        let (told, events) = mpsc::unbounded_channel();
        let connecting = Arc::new(Semaphore::new(CONNECTING_AT_ONCE));
        let (dialer, request) = (hold.call.dialer()?, hold.call.request()?);
        let mut running = JoinSet::new();
        for _ in 0..hold.streams {
            let connecting = Arc::clone(&connecting);
            running.spawn(stream(dialer.clone(), request.clone(), connecting, told.clone()));
        }
        let mut streams = Self { _running: running, events, held: Held::default() };
        let mut awaited = hold.streams;
        while awaited > 0
            && let Some(event) = streams.events.recv().await
        {
            awaited -= u32::from(matches!(event, Event::Opened(_)));
            streams.note(event);
        }
        Ok(streams)
    }

    /// As they are now.
    pub(crate) fn held(&mut self) -> Held {
        while let Ok(event) = self.events.try_recv() {
            self.note(event);
        }
        self.held.clone()
    }

    fn note(&mut self, event: Event) {
        let failure = match event {
            Event::Opened(Ok(())) => {
                self.held.open += 1;
                return;
            }
            Event::Opened(Err(failure)) => failure,
            Event::Ended(failure) => {
                self.held.open -= 1;
                failure
            }
        };
        self.held.failures += 1;
        self.held.first_failure.get_or_insert(failure);
    }
}

async fn stream(
    dialer: Dialer,
    request: Request<Full<Bytes>>,
    connecting: Arc<Semaphore>,
    told: UnboundedSender<Event>,
) {
    let mut opened = false;
    let end = match read(&dialer, request, &connecting, || {
        opened = true;
        // Who listens no more has dropped this task too.
        let _ = told.send(Event::Opened(Ok(())));
    })
    .await
    {
        Ok(()) => "a stream came to its end".to_owned(),
        Err(failure) => failure,
    };
    let _ = told.send(if opened { Event::Ended(end) } else { Event::Opened(Err(end)) });
}

/// Reads the answer to its end; `opened` is called at its first bytes.
async fn read(
    dialer: &Dialer,
    request: Request<Full<Bytes>>,
    connecting: &Semaphore,
    opened: impl FnOnce(),
) -> Result<(), String> {
    let permit = connecting.acquire().await.map_err(words)?;
    let connection = dialer.dial().await.map_err(words)?;
    drop(permit);
    let (mut sender, connection) = http1::handshake(TokioIo::new(connection)).await.map_err(words)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(words)?;
        if response.status() != StatusCode::OK {
            return Err(format!("status {}", response.status()));
        }
        let mut body = response.into_body();
        let mut opened = Some(opened);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(words)?;
            if frame.data_ref().is_some_and(|bytes| !bytes.is_empty())
                && let Some(opened) = opened.take()
            {
                opened();
            }
        }
        Ok(())
    };
    tokio::select! {
        answer = answer => answer,
        closed = connection => Err(closed.err().map_or_else(|| "the connection was closed".to_owned(), words)),
    }
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use emulator::{Behaviour, Emulator, EmulatorOptions};

    use super::*;
    use crate::{job::Call, wire::Wire};

    async fn held(behaviour: Behaviour, streams: u32) -> (Emulator, Streams) {
        let emulator = Emulator::start(EmulatorOptions::default()).await.unwrap();
        let key = Wire::Chat.upstream_key();
        emulator.credential(key).set_default(behaviour).unwrap();
        let call = Call {
            addr: emulator.addr(),
            authority: None,
            path: Wire::Chat.path().to_owned(),
            headers: Wire::Chat.headers(key),
            body: r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#
                .to_owned(),
        };
        let streams = Streams::open(&Hold { call, streams }).await.unwrap();
        (emulator, streams)
    }

    #[tokio::test]
    async fn all_are_open_at_once() {
        let slow = Behaviour::chunked(4).with_gap(Duration::from_secs(60));
        let (emulator, mut streams) = held(slow, 200).await;
        let all = streams.held();
        assert_eq!((all.open, all.failures, all.first_failure), (200, 0, None));
        emulator.stop().await;
        while streams.held().open > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(streams.held().failures, 200);
    }

    #[tokio::test]
    async fn a_refusal_is_a_failure() {
        let (_emulator, mut streams) = held(Behaviour::status(503), 3).await;
        let all = streams.held();
        assert_eq!((all.open, all.failures), (0, 3));
        assert!(all.first_failure.unwrap().contains("503"));
    }
}
