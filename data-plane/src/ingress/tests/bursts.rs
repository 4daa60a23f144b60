//! How many system calls a burst costs.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{TcpListener, TcpStream},
};

use super::{
    gateway::{Gateway, KEY, claude},
    upstream::{Step, Upstream, chunk, sse_head},
};
use crate::ingress::{ServerSettings, connection::serve_io, server::Server};

/// Counts what would be `write` and `writev`.
struct Counted {
    stream: TcpStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n";
const DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n";
const STOP: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":9}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

/// What a client reads until its answer's end, and the writes that brought it.
async fn writes_for(script: Vec<Step>, body: &str) -> (String, usize) {
    let upstream = Upstream::always(script).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let writes = Arc::new(AtomicUsize::new(0));
    let counted = Counted { stream, writes: Arc::clone(&writes) };
    let server = Server::new(Arc::clone(&gateway.proxy), ServerSettings::default());
    let serving = gateway.tasks.spawn(serve_io(server, TokioIo::new(counted), false));
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    serving.await.unwrap();
    (answer, writes.load(Ordering::Relaxed))
}

/// A single worker is the worst case: every task has to wait for its turn.
#[tokio::test]
async fn a_burst_of_twenty_frames_costs_at_most_two_writes() {
    let frames = [chunk(START), chunk(DELTA).repeat(18), chunk(STOP), b"0\r\n\r\n".to_vec()].concat();
    let Step::Send(head) = sse_head() else { unreachable!() };
    let script = vec![Step::Send([head, frames].concat())];
    let body = r#"{"model":"claude-opus-5","stream":true,"messages":[],"max_tokens":1}"#;
    let (answer, writes) = writes_for(script, body).await;
    assert_eq!(answer.matches("content_block_delta\n").count(), 18, "{answer}");
    assert!(answer.ends_with("0\r\n\r\n"));
    assert!((1..=2).contains(&writes), "{writes} writes");
}

#[tokio::test]
async fn an_answer_that_is_no_stream_costs_one_write() {
    let body = r#"{"model":"claude-opus-5","messages":[],"max_tokens":1}"#;
    let (answer, writes) = writes_for(super::upstream::json(200, r#"{"usage":{}}"#), body).await;
    assert!(answer.ends_with(r#"{"usage":{}}"#), "{answer}");
    assert_eq!(writes, 1);
}
