//! Makes a gateway ready for clients: an account for each platform, and a key.

use std::{io, time::Duration};

use serde_json::{Value, json};

use crate::{
    child::{Process, eventually},
    dialer::Dialer,
    http_client,
    wire::Wire,
};

const START: Duration = Duration::from_secs(30);
pub(crate) const PASSWORD: &str = "bench-admin-password-1";

/// Makes an account for each platform and a key, which it gives. The model's name picks the account, and so whether a
/// request passes raw or is converted.
pub(crate) async fn configure(process: &mut Process, admin: &Dialer, upstream: &str) -> io::Result<String> {
    let credentials = json!({"username": "admin", "password": PASSWORD});
    let signed_in = eventually("sign in", START, || {
        let alive = process.alive();
        let credentials = &credentials;
        async move {
            alive?;
            http_client::json(admin, "POST", "/api/auth/login", &[], credentials).await
        }
    })
    .await?;
    let bearer = format!("Bearer {}", text(&signed_in, "access_token")?);
    let headers = [("authorization", bearer.as_str())];
    for (kind, wire) in [("openai", Wire::Chat), ("claude-console", Wire::Messages)] {
        let account = json!({"name": format!("bench {kind}"), "type": kind, "base_url": upstream,
            "credentials": {"api_key": wire.upstream_key()}});
        http_client::json(admin, "POST", "/api/admin/accounts", &headers, &account).await?;
    }
    let created =
        http_client::json(admin, "POST", "/api/api-keys", &headers, &json!({"name": "bench"})).await?;
    text(&created, "key")
}

/// Waits until the key works on both platforms.
pub(crate) async fn admitted(process: &mut Process, clients: &Dialer, key: &str) -> io::Result<()> {
    for wire in Wire::BOTH {
        eventually("the key works", START, || {
            let alive = process.alive();
            async move {
                alive?;
                probe(clients, wire, key).await
            }
        })
        .await?;
    }
    Ok(())
}

async fn probe(clients: &Dialer, wire: Wire, key: &str) -> io::Result<()> {
    let body =
        json!({"model": wire.model(), "max_tokens": 16, "messages": [{"role": "user", "content": "Hi"}]});
    let headers = wire.headers(key);
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    http_client::json(clients, "POST", wire.path(), &headers, &body).await.map(|_| ())
}

fn text(answer: &Value, name: &str) -> io::Result<String> {
    let value = answer.get(name).and_then(Value::as_str).map(str::to_owned);
    value.ok_or_else(|| io::Error::other(format!("no `{name}` in {answer}")))
}
