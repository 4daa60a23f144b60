//! A client of the data plane, at the level of HTTP; the real SDKs are in `clients/`.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use reqwest::{Response, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use crate::eventually;

/// A base URL and a key.
#[derive(Debug, Clone)]
pub struct Caller {
    pub http: reqwest::Client,
    pub url: String,
    pub key: String,
}

/// A whole answer.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// False: the connection broke off within the body.
    pub whole: bool,
}

impl Reply {
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Caller {
    #[must_use]
    pub fn new(url: &str, key: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
        Self { http, url: url.to_owned(), key: key.to_owned() }
    }

    /// Waits until the node takes the key.
    pub async fn admitted(&self) {
        eventually("the node to know the key", async || {
            let models =
                self.http.get(format!("{}/v1/models", self.url)).bearer_auth(&self.key).send().await.ok()?;
            models.status().is_success().then_some(())
        })
        .await;
    }

    /// Waits until a model of the name is offered to the key, so that its account is known too.
    pub async fn offered(&self, model: &str) {
        eventually(&format!("the node to offer {model}"), async || {
            let url = format!("{}/v1/models/{model}", self.url);
            let found = self.http.get(url).bearer_auth(&self.key).send().await.ok()?;
            found.status().is_success().then_some(())
        })
        .await;
    }

    /// The head of the answer to a POST; the body follows as it comes.
    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Response {
        self.http
            .post(format!("{}{path}", self.url))
            .header("x-api-key", &self.key)
            .header("anthropic-version", "2023-06-01")
            .header("content-type", "application/json")
            .body(body.into())
            .send()
            .await
            .unwrap()
    }

    pub async fn ask(&self, path: &str, body: &Value) -> Reply {
        read(self.post(path, serde_json::to_vec(body).unwrap()).await).await
    }

    pub async fn messages(&self, body: &Value) -> Reply {
        self.ask("/v1/messages", body).await
    }

    pub async fn chat(&self, body: &Value) -> Reply {
        self.ask("/v1/chat/completions", body).await
    }
}

/// Reads the answer to its end, also one that breaks off.
pub async fn read(response: Response) -> Reply {
    let (status, headers) = (response.status(), response.headers().clone());
    let (mut body, mut whole) = (Vec::new(), true);
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(chunk) => body.extend_from_slice(&chunk),
            Err(_) => whole = false,
        }
    }
    Reply { status, headers, body: body.into(), whole }
}

/// A Messages body that asks for `text` to be echoed.
#[must_use]
pub fn messages_body(text: &str, stream: bool) -> Value {
    json!({
        "model": "claude-sonnet-5",
        "max_tokens": 256,
        "stream": stream,
        "messages": [{ "role": "user", "content": text }],
    })
}

/// A Chat Completions body that asks for `text` to be echoed.
#[must_use]
pub fn chat_body(text: &str, stream: bool) -> Value {
    json!({ "model": "gpt-4o", "stream": stream, "messages": [{ "role": "user", "content": text }] })
}
