//! An upstream that answers as scripted, byte by byte.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, oneshot},
};

/// What it received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Request line and headers, names in lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }

    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    /// Goes on once the test says so.
    Wait(Gate),
    /// For tests under paused time.
    Sleep(Duration),
    /// Says nothing more until the other side hangs up.
    Hang,
    /// Hangs up.
    Cut,
}

/// Opened by the test.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    pub(crate) fn open(&self) {
        self.0.add_permits(1);
    }
}

pub(crate) type Script = Vec<Step>;

pub(crate) fn json(status: u16, body: &str) -> Script {
    json_with(status, "", body)
}

/// `headers`: whole lines.
pub(crate) fn json_with(status: u16, headers: &str, body: &str) -> Script {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    vec![Step::Send([head.as_bytes(), body.as_bytes()].concat())]
}

pub(crate) fn sse_head() -> Step {
    Step::Send(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(),
    )
}

pub(crate) fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

pub(crate) fn send(text: &str) -> Step {
    Step::Send(chunk(text))
}

pub(crate) fn end() -> Step {
    Step::Send(b"0\r\n\r\n".to_vec())
}

/// Head, frames and end.
pub(crate) fn sse(frames: &[&str]) -> Script {
    [sse_head()].into_iter().chain(frames.iter().map(|frame| send(frame))).chain([end()]).collect()
}

pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    hung_up: Arc<Semaphore>,
    connections: Arc<AtomicUsize>,
    _stop: oneshot::Sender<()>,
}

impl Upstream {
    /// Answers the n-th request (from 0) by `script(n, request)`.
    pub(crate) async fn start(script: impl Fn(usize, &Received) -> Script + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let hung_up = Arc::new(Semaphore::new(0));
        let (stop, mut stopped) = oneshot::channel::<()>();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let (seen, gone, script) = (Arc::clone(&received), Arc::clone(&hung_up), Arc::new(script));
        let accepting = async move {
            let mut conversations = tokio::task::JoinSet::new();
            loop {
                tokio::select! {
                    _ = &mut stopped => return,
                    accepted = listener.accept() => {
                        let (stream, _) = accepted.unwrap();
                        counted.fetch_add(1, Ordering::Relaxed);
                        conversations.spawn(converse(stream, Arc::clone(&seen), Arc::clone(&gone), Arc::clone(&script)));
                    }
                }
            }
        };
        #[expect(clippy::disallowed_methods, reason = "a test's server ends with its runtime")]
        tokio::spawn(accepting);
        Self { address, received, hung_up, connections, _stop: stop }
    }

    /// Answers every request in the same way.
    pub(crate) async fn always(script: Script) -> Self {
        Self::start(move |_, _| script.clone()).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Waits until a connection was closed by the other side while it was being answered.
    pub(crate) async fn hung_up(&self) {
        let waiting = self.hung_up.acquire();
        tokio::time::timeout(super::gateway::PATIENCE, waiting)
            .await
            .expect("the upstream is still connected")
            .unwrap()
            .forget();
    }
}

async fn converse(
    mut stream: TcpStream,
    seen: Arc<Mutex<Vec<Received>>>,
    hung_up: Arc<Semaphore>,
    script: Arc<impl Fn(usize, &Received) -> Script>,
) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = Vec::new();
    while let Some(received) = request(&mut stream, &mut buffer).await {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(received.clone());
            seen.len() - 1
        };
        for step in script(number, &received) {
            let sent = match step {
                Step::Send(bytes) => stream.write_all(&bytes).await.is_ok(),
                Step::Wait(gate) => {
                    let mut byte = [0];
                    tokio::select! {
                        permit = gate.0.acquire() => { permit.unwrap().forget(); true }
                        _ = stream.read(&mut byte) => false,
                    }
                }
                Step::Sleep(pause) => {
                    let mut byte = [0];
                    tokio::select! {
                        () = tokio::time::sleep(pause) => true,
                        _ = stream.read(&mut byte) => false,
                    }
                }
                Step::Hang => {
                    _ = stream.read(&mut [0]).await;
                    false
                }
                Step::Cut => return,
            };
            if !sent {
                hung_up.add_permits(1);
                return;
            }
        }
    }
}

async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Received> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
    let length: usize =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    while buffer.len() < end + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer[end..end + length].to_vec();
    buffer.drain(..end + length);
    Some(Received { head, body })
}
