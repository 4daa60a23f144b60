//! The load client: a closed loop over a fixed number of connections.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use memchr::memmem;
use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    task::JoinSet,
};

use crate::{
    hold::Streams,
    job::{Job, Order, Outcome},
    percentiles::Percentiles,
};

/// No request may take longer.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// A connection gives up after so many failures.
const MOST_FAILURES: u64 = 20;
/// Connections opened at the same time.
const CONNECTING_AT_ONCE: usize = 64;

pub(crate) async fn serve() -> io::Result<ExitCode> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line).map_err(io::Error::other)? {
            Order::Repeat(job) => tell(&measure(Arc::new(job)).await?)?,
            Order::Hold(hold) => {
                let mut streams = Streams::open(&hold).await?;
                tell(&streams.held())?;
                lines.next_line().await?;
                tell(&streams.held())?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(what: &impl Serialize) -> io::Result<()> {
    let line = serde_json::to_string(what).map_err(io::Error::other)?;
    let mut stdout = io::stdout();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

#[derive(Debug, Default)]
struct Samples {
    sent: u64,
    failures: u64,
    first_failure: Option<String>,
    first_byte: Vec<u32>,
    whole: Vec<u32>,
    gap: Vec<u32>,
}

/// One connection and what it has seen.
struct Worker {
    job: Arc<Job>,
    request: Request<Full<Bytes>>,
    sender: SendRequest<Full<Bytes>>,
    samples: Samples,
}

pub(crate) async fn measure(job: Arc<Job>) -> io::Result<Outcome> {
    let dialer = job.call.dialer()?;
    let mut connections = JoinSet::new();
    let mut workers = Vec::new();
    while workers.len() < job.concurrency as usize {
        let mut opening = JoinSet::new();
        for _ in 0..CONNECTING_AT_ONCE.min(job.concurrency as usize - workers.len()) {
            let dialer = dialer.clone();
            opening.spawn(async move { dialer.dial().await });
        }
        while let Some(opened) = opening.join_next().await {
            let stream = opened.map_err(io::Error::other)??;
            let (sender, connection) =
                http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
            connections.spawn(connection);
            workers.push(Worker::new(&job, sender)?);
        }
    }
    // The first request of a connection warms what is behind it, and is not measured.
    let warmed = each(workers, |mut worker| async move {
        worker.request().await;
        worker.forget_times();
        worker
    })
    .await?;
    let start = Instant::now();
    let deadline = start + Duration::from_millis(job.millis);
    let finished = each(warmed, move |mut worker| async move {
        while Instant::now() < deadline && worker.samples.failures < MOST_FAILURES {
            worker.request().await;
        }
        worker
    })
    .await?;
    let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    connections.shutdown().await;
    Ok(outcome(finished, micros))
}

async fn each<F, T>(workers: Vec<Worker>, work: impl Fn(Worker) -> F) -> io::Result<Vec<T>>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let mut running: JoinSet<T> = workers.into_iter().map(work).collect();
    let mut finished = Vec::with_capacity(running.len());
    while let Some(worker) = running.join_next().await {
        finished.push(worker.map_err(io::Error::other)?);
    }
    Ok(finished)
}

fn outcome(workers: Vec<Worker>, micros: u64) -> Outcome {
    let mut all = Samples::default();
    for worker in workers {
        let samples = worker.samples;
        all.sent += samples.sent;
        all.failures += samples.failures;
        all.first_failure = all.first_failure.or(samples.first_failure);
        all.first_byte.extend(samples.first_byte);
        all.whole.extend(samples.whole);
        all.gap.extend(samples.gap);
    }
    Outcome {
        sent: all.sent,
        measured: all.whole.len() as u64,
        failures: all.failures,
        first_failure: all.first_failure,
        micros,
        first_byte: Percentiles::of(all.first_byte),
        whole: Percentiles::of(all.whole),
        gap: Percentiles::of(all.gap),
    }
}

impl Worker {
    fn new(job: &Arc<Job>, sender: SendRequest<Full<Bytes>>) -> io::Result<Self> {
        let request = job.call.request()?;
        Ok(Self { job: Arc::clone(job), request, sender, samples: Samples::default() })
    }

    fn forget_times(&mut self) {
        self.samples.first_byte.clear();
        self.samples.whole.clear();
        self.samples.gap.clear();
    }

    /// Sends one request and reads its answer to the end.
    async fn request(&mut self) {
        self.samples.sent += 1;
        let failure = match tokio::time::timeout(REQUEST_LIMIT, self.exchange()).await {
            Ok(Ok(())) => return,
            Ok(Err(failure)) => failure,
            Err(_) => format!("no whole answer within {REQUEST_LIMIT:?}"),
        };
        self.samples.failures += 1;
        self.samples.first_failure.get_or_insert(failure);
    }

    async fn exchange(&mut self) -> Result<(), String> {
        self.sender.ready().await.map_err(|error| error.to_string())?;
        let request = self.request.clone();
        let start = Instant::now();
        let response = self.sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        if status != StatusCode::OK {
            let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
            return Err(format!("{status}: {}", String::from_utf8_lossy(body.get(..400).unwrap_or(&body))));
        }
        self.read(start, response).await
    }

    async fn read(&mut self, start: Instant, response: Response<Incoming>) -> Result<(), String> {
        let mut body = response.into_body();
        let mut last: Option<Instant> = None;
        let mut frames = 0;
        let mut open = false;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| error.to_string())?;
            let Some(bytes) = frame.data_ref().filter(|bytes| !bytes.is_empty()) else {
                continue;
            };
            let now = Instant::now();
            match last.replace(now) {
                None => self.samples.first_byte.push(micros(now - start)),
                Some(before) => self.samples.gap.push(micros(now - before)),
            }
            frames += frame_ends(bytes, &mut open);
        }
        match self.job.frames {
            Some(wanted) if wanted != frames => Err(format!("{frames} frames, not {wanted}")),
            _ => {
                self.samples.whole.push(micros(start.elapsed()));
                Ok(())
            }
        }
    }
}

/// Counts frames that end in these bytes. `open` is whether the bytes before ended with a single line end.
fn frame_ends(bytes: &[u8], open: &mut bool) -> usize {
    let split = usize::from(*open && bytes.starts_with(b"\n"));
    *open = bytes.ends_with(b"\n") && !bytes.ends_with(b"\n\n") && split == 0;
    split + memmem::find_iter(bytes.get(split..).unwrap_or_default(), b"\n\n").count()
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use emulator::{Behaviour, Emulator, EmulatorOptions, TlsFiles};

    use super::*;
    use crate::{certificates::Certificates, job::Call, wire::Wire};

    async fn measured(behaviour: Behaviour, frames: usize) -> Outcome {
        measured_over(None, behaviour, frames).await
    }

    async fn measured_over(tls: Option<&Certificates>, behaviour: Behaviour, frames: usize) -> Outcome {
        let files = tls.map(|Certificates { certificate, key, .. }| TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
        });
        let emulator =
            Emulator::start(EmulatorOptions { tls: files, ..EmulatorOptions::default() }).await.unwrap();
        let key = Wire::Chat.upstream_key();
        emulator.credential(key).set_default(behaviour).unwrap();
        let call = Call {
            addr: emulator.tls_addr().unwrap_or_else(|| emulator.addr()),
            authority: tls.map(|tls| tls.authority.clone()),
            path: Wire::Chat.path().to_owned(),
            headers: Wire::Chat.headers(key),
            body: r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#
                .to_owned(),
        };
        let job = Job { call, concurrency: 3, millis: 50, frames: Some(frames) };
        measure(Arc::new(job)).await.unwrap()
    }

    #[tokio::test]
    async fn streams_are_measured_frame_by_frame() {
        let paced = Behaviour::chunked(4).with_gap(Duration::from_millis(2));
        let outcome = measured(paced, 7).await;
        assert_eq!((outcome.failures, outcome.first_failure), (0, None));
        assert!(
            outcome.measured >= 3 && outcome.sent == outcome.measured + 3,
            "{} {}",
            outcome.sent,
            outcome.measured
        );
        assert!(outcome.gap.p50 >= 1_900, "{:?}", outcome.gap);
        assert!(outcome.whole.p50 >= 6 * 1_900, "{:?}", outcome.whole);
    }

    #[tokio::test]
    async fn streams_over_tls_are_measured_alike() {
        let folder = tempfile::tempdir().unwrap();
        let certificates = Certificates::write(folder.path()).unwrap();
        let outcome = measured_over(Some(&certificates), Behaviour::chunked(4), 7).await;
        assert_eq!((outcome.failures, outcome.first_failure), (0, None));
        assert!(outcome.measured >= 3, "{}", outcome.measured);
    }

    #[tokio::test]
    async fn what_is_not_whole_and_right_is_a_failure() {
        let outcome = measured(Behaviour::chunked(4), 8).await;
        assert_eq!((outcome.measured, outcome.first_failure.as_deref()), (0, Some("7 frames, not 8")));
        let outcome = measured(Behaviour::status(503), 7).await;
        assert!(outcome.failures > 0 && outcome.first_failure.unwrap().starts_with("503"));
    }

    #[test]
    fn frames_are_counted_across_reads() {
        let mut open = false;
        assert_eq!(frame_ends(b"data: a\n\ndata: b\n", &mut open), 1);
        assert_eq!(frame_ends(b"\ndata: c\n\n", &mut open), 2);
        assert_eq!(frame_ends(b"data: d\n\n", &mut open), 1);
    }
}
