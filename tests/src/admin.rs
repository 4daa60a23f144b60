//! A person or a program that uses the control plane's REST API.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

/// Logged in to one control plane.
#[derive(Debug, Clone)]
pub struct Admin {
    http: reqwest::Client,
    base_url: String,
    access_token: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Null where the body is no JSON.
    pub body: Value,
}

impl Answer {
    /// The body, if the call went well.
    ///
    /// # Panics
    /// It did not.
    pub fn ok(self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.body);
        self.body
    }

    /// The `id` of what was made.
    #[must_use]
    pub fn id(self) -> String {
        self.ok()["id"].as_str().unwrap().to_owned()
    }
}

impl Admin {
    pub async fn log_in(base_url: &str, username: &str, password: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        let mut admin = Self { http, base_url: base_url.to_owned(), access_token: String::new() };
        let login = json!({ "username": username, "password": password });
        admin.access_token =
            admin.post("/api/auth/login", login).await.ok()["access_token"].as_str().unwrap().to_owned();
        admin
    }

    /// Where the control plane listens.
    #[must_use]
    pub fn address(&self) -> std::net::SocketAddr {
        self.base_url.trim_start_matches("http://").parse().unwrap()
    }

    /// The same login at another replica.
    #[must_use]
    pub fn at(&self, base_url: &str) -> Self {
        Self { base_url: base_url.to_owned(), ..self.clone() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body), None).await
    }

    /// The head of the answer to a POST; the body follows as it comes.
    pub async fn stream(&self, path: &str, body: &Value) -> Response {
        let request = self.http.post(format!("{}{path}", self.base_url)).bearer_auth(&self.access_token);
        request.json(body).send().await.unwrap()
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None, None).await
    }

    /// Reads, lets `edit` change what was read, and writes it back with its ETag.
    pub async fn edit(&self, path: &str, edit: impl FnOnce(&mut Value)) -> Answer {
        let read = self.get(path).await;
        let etag = read.headers.get("etag").and_then(|tag| tag.to_str().ok()).map(Into::into);
        let mut body = read.ok();
        edit(&mut body);
        self.call(Method::PUT, path, Some(body), etag).await
    }

    /// Writes with the ETag that `read_from` has now.
    pub async fn put(&self, path: &str, read_from: &str, body: Value) -> Answer {
        let read = self.get(read_from).await;
        let etag = read.headers.get("etag").and_then(|tag| tag.to_str().ok()).map(Into::into);
        self.call(Method::PUT, path, Some(body), etag).await
    }

    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        if_match: Option<String>,
    ) -> Answer {
        let mut request =
            self.http.request(method, format!("{}{path}", self.base_url)).bearer_auth(&self.access_token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        if let Some(tag) = if_match {
            request = request.header("if-match", tag);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null);
        Answer { status, headers, body }
    }
}
