//! A small client of the control plane's own REST API: what `demo` and a first start do, they do as any admin would.

use serde_json::{Value, json};
use shared::secret::Secret;

/// A call to the control plane's REST API did not work.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("the control plane can't be reached: {0}")]
    Transport(#[from] reqwest::Error),
    #[error("the control plane refused {call}: {status} {body}")]
    Refused { call: &'static str, status: u16, body: String },
    #[error("the control plane's answer to {call} has no `{field}`")]
    Answer { call: &'static str, field: &'static str },
}

/// Logged in as one user.
#[derive(Debug)]
pub struct AdminClient {
    http: reqwest::Client,
    base_url: String,
    access_token: Secret,
}

impl AdminClient {
    /// # Errors
    /// See [`AdminError`]; a wrong password is `Refused` with 401.
    pub async fn log_in(base_url: String, username: &str, password: &Secret) -> Result<Self, AdminError> {
        // The listener is this process's own, and its certificate is made out to the name that people use.
        let http = reqwest::Client::builder().no_proxy().danger_accept_invalid_certs(true).build()?;
        let credentials = json!({ "username": username, "password": password.expose() });
        let answer = http.post(format!("{base_url}/api/auth/login")).json(&credentials).send().await?;
        let answer = checked("the login", answer).await?;
        let access_token = Secret::new(text(&answer, "the login", "access_token")?);
        Ok(Self { http, base_url, access_token })
    }

    /// Makes an account and returns its id. `account` is the body of POST /api/admin/accounts.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn create_account(&self, account: &Value) -> Result<String, AdminError> {
        let answer = self.post("the new account", "/api/admin/accounts", account).await?;
        text(&answer, "the new account", "id")
    }

    /// Makes an API key of one's own and returns it, the only time it is shown.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn create_key(&self, name: &str) -> Result<Secret, AdminError> {
        let answer = self.post("the new key", "/api/api-keys", &json!({ "name": name })).await?;
        text(&answer, "the new key", "key").map(Secret::new)
    }

    /// The latest records of the ledger, newest first.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn records(&self) -> Result<Vec<Value>, AdminError> {
        let url = format!("{}/api/admin/usage/records", self.base_url);
        let answer = self.http.get(url).bearer_auth(self.access_token.expose()).send().await?;
        match checked("the records", answer).await?.get_mut("records").map(Value::take) {
            Some(Value::Array(records)) => Ok(records),
            _ => Err(AdminError::Answer { call: "the records", field: "records" }),
        }
    }

    async fn post(&self, call: &'static str, path: &str, body: &Value) -> Result<Value, AdminError> {
        let request = self.http.post(format!("{}{path}", self.base_url)).json(body);
        checked(call, request.bearer_auth(self.access_token.expose()).send().await?).await
    }
}

async fn checked(call: &'static str, answer: reqwest::Response) -> Result<Value, AdminError> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer.json().await?);
    }
    Err(AdminError::Refused { call, status: status.as_u16(), body: answer.text().await? })
}

fn text(answer: &Value, call: &'static str, field: &'static str) -> Result<String, AdminError> {
    answer.get(field).and_then(Value::as_str).map(Into::into).ok_or(AdminError::Answer { call, field })
}
