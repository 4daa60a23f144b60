//! A client so plain that nothing of what the emulator sends is smoothed over.

use std::{net::SocketAddr, time::Duration};

use emulator::{Emulator, EmulatorOptions};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Every wait has an end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const ANTHROPIC_KEY: &str = "sk-ant-test";
pub(crate) const OPENAI_KEY: &str = "sk-test";

pub(crate) async fn emulator() -> Emulator {
    Emulator::start(EmulatorOptions::default()).await.unwrap()
}

pub(crate) fn message_body(text: &str, stream: bool) -> Value {
    json!({"model": "claude-sonnet-4-5", "max_tokens": 1024, "stream": stream,
           "messages": [{"role": "user", "content": text}]})
}

pub(crate) fn chat_body(text: &str, stream: bool) -> Value {
    json!({"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": text}]})
}

pub(crate) struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Cleanly,
    /// The connection was closed before the body was complete.
    Closed,
}

#[derive(Debug)]
pub(crate) struct Head {
    pub status: u16,
    headers: Vec<(String, String)>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub head: Head,
    /// As they were framed: an HTTP chunk each, or the whole body.
    pub chunks: Vec<Vec<u8>>,
    pub ended: Ended,
}

impl Head {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes()).unwrap()
    }

    /// The data of each event of a stream; those that are no JSON are strings.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = self.text().replace("\r\n", "\n").replace('\r', "\n");
        text.lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(|data| serde_json::from_str(data).unwrap_or_else(|_| Value::String(data.to_owned())))
            .collect()
    }
}

impl Raw {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(addr).await.unwrap(), buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: emulator\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.stream.write_all(head.as_bytes()).await.unwrap();
        self.stream.write_all(body).await.unwrap();
    }

    pub(crate) async fn send_messages(&mut self, body: &Value) {
        let headers = [("x-api-key", ANTHROPIC_KEY), ("anthropic-version", "2023-06-01")];
        self.send("POST", "/v1/messages", &headers, body.to_string().as_bytes()).await;
    }

    pub(crate) async fn send_chat(&mut self, body: &Value) {
        let bearer = format!("Bearer {OPENAI_KEY}");
        let headers = [("authorization", bearer.as_str())];
        self.send("POST", "/v1/chat/completions", &headers, body.to_string().as_bytes()).await;
    }

    /// False at the end of the connection.
    async fn more(&mut self) -> bool {
        // On the heap: a long test holds many of these futures.
        let mut piece = vec![0; 65_536];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut piece)).await.unwrap();
        let count = read.unwrap_or(0);
        self.buffer.extend_from_slice(piece.get(..count).unwrap());
        count > 0
    }

    /// Nothing comes any more, neither bytes nor an end, for as long as a short time.
    pub(crate) async fn is_silent(&mut self) -> bool {
        let mut piece = [0; 1];
        tokio::time::timeout(Duration::from_millis(100), self.stream.peek(&mut piece)).await.is_err()
    }

    async fn take_until(&mut self, mark: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(mark.len()).position(|window| window == mark) {
                let rest = self.buffer.split_off(at + mark.len());
                let mut taken = std::mem::replace(&mut self.buffer, rest);
                taken.truncate(at);
                return Some(taken);
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            if !self.more().await {
                return None;
            }
        }
        let rest = self.buffer.split_off(count);
        Some(std::mem::replace(&mut self.buffer, rest))
    }

    /// None if the connection was closed without a word.
    pub(crate) async fn head(&mut self) -> Option<Head> {
        let head = String::from_utf8(self.take_until(b"\r\n\r\n").await?).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        };
        Some(Head { status, headers: lines.map(header).collect() })
    }

    /// The next HTTP chunk: None when the connection is closed, empty at the clean end.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = self.take_until(b"\r\n").await?;
        let size = usize::from_str_radix(std::str::from_utf8(&size).unwrap(), 16).unwrap();
        let chunk = self.take(size).await?;
        self.take(2).await?;
        Some(chunk)
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        let head = self.head().await.unwrap();
        let mut chunks = Vec::new();
        let ended = if let Some(length) = head.header("content-length") {
            match self.take(length.parse().unwrap()).await {
                Some(body) => {
                    chunks.push(body);
                    Ended::Cleanly
                }
                None => {
                    chunks.push(std::mem::take(&mut self.buffer));
                    Ended::Closed
                }
            }
        } else {
            loop {
                match self.chunk().await {
                    None => break Ended::Closed,
                    Some(chunk) if chunk.is_empty() => break Ended::Cleanly,
                    Some(chunk) => chunks.push(chunk),
                }
            }
        };
        Answer { head, chunks, ended }
    }
}

pub(crate) async fn messages(emulator: &Emulator, body: &Value) -> Answer {
    let mut raw = Raw::connect(emulator.addr()).await;
    raw.send_messages(body).await;
    raw.answer().await
}

pub(crate) async fn chat(emulator: &Emulator, body: &Value) -> Answer {
    let mut raw = Raw::connect(emulator.addr()).await;
    raw.send_chat(body).await;
    raw.answer().await
}

pub(crate) async fn call(
    emulator: &Emulator,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut raw = Raw::connect(emulator.addr()).await;
    raw.send(method, path, headers, body.as_bytes()).await;
    raw.answer().await
}
