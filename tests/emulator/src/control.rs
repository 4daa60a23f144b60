//! The script over HTTP, for tests in other processes. All bodies are JSON; a key in a path is percent-encoded.
//!
//! | method and path under `/_emulator` | does |
//! |---|---|
//! | GET `/credentials` | `{key: counters}` of all credentials; the empty key stands for calls without one |
//! | GET `/credentials/{key}` | its [counters](crate::Counters) |
//! | DELETE `/credentials/{key}` | forgets script, profile, counters and calls |
//! | PUT `/credentials/{key}/default` | sets the default [behaviour](crate::Behaviour) |
//! | POST `/credentials/{key}/next` | queues a behaviour, or a list of them |
//! | PUT `/credentials/{key}/profile` | sets the [profile](crate::Profile) |
//! | POST `/credentials/{key}/release` | lets go on what is held: `{"released": n}` |
//! | GET `/credentials/{key}/calls` | the last [calls](crate::CallRecord), oldest first, bodies in base64 |
//! | POST `/credentials/{key}/wait` | takes a [condition](crate::Condition) and `timeout_ms` (default 5000, at most 60000); gives the counters when it holds (200) or when the time is up (408) |
//! | GET `/health` | `{"ok": true}` |

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;

use crate::{
    body::AnswerBody,
    credential::{Condition, Credential, NotReached},
    registry::Registry,
    script::{Behaviour, ScriptError},
    service::MAX_BODY,
};

pub(crate) const PREFIX: &str = "/_emulator";

const DEFAULT_WAIT_MS: u64 = 5_000;
const MAX_WAIT_MS: u64 = 60_000;

type Answered = Result<Response<AnswerBody>, (StatusCode, String)>;

#[derive(Deserialize)]
struct Wait {
    #[serde(default)]
    timeout_ms: Option<u64>,
    #[serde(flatten)]
    condition: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<serde_json::Value>),
    One(serde_json::Value),
}

pub(crate) async fn handle(
    registry: &Registry,
    path: &str,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    let method = request.method().clone();
    let body = match Limited::new(request.into_body(), MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    match dispatch(registry, &method, path, &body).await {
        Ok(response) => response,
        Err((status, message)) => refusal(status, &message),
    }
}

async fn dispatch(registry: &Registry, method: &Method, path: &str, body: &Bytes) -> Answered {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (method.as_str(), segments.as_slice()) {
        ("GET", ["health"]) => Ok(json(StatusCode::OK, &json!({"ok": true}))),
        ("GET", ["credentials"]) => {
            let all = registry.all();
            let counters: serde_json::Map<_, _> =
                all.iter().map(|one| (one.key().to_owned(), json!(one.counters()))).collect();
            Ok(json(StatusCode::OK, &counters))
        }
        (_, ["credentials", key, rest @ ..]) => {
            let key = decoded(key).ok_or_else(|| bad_request("the key is not percent-encoded UTF-8"))?;
            one(&registry.credential(&key), method, rest, body).await
        }
        _ => Err(unknown(method, path)),
    }
}

async fn one(credential: &Credential, method: &Method, rest: &[&str], body: &Bytes) -> Answered {
    match (method.as_str(), rest) {
        ("GET", []) => {}
        ("DELETE", []) => credential.reset(),
        ("PUT", ["default"]) => credential.set_default(read(body)?).map_err(|error| refused(&error))?,
        ("POST", ["next"]) => {
            let behaviours = match read(body)? {
                OneOrMany::Many(many) => {
                    many.into_iter().map(value).collect::<Result<Vec<Behaviour>, _>>()?
                }
                OneOrMany::One(one) => vec![value(one)?],
            };
            credential.next_all(behaviours).map_err(|error| refused(&error))?;
        }
        ("PUT", ["profile"]) => credential.set_profile(read(body)?),
        ("POST", ["release"]) => {
            return Ok(json(StatusCode::OK, &json!({"released": credential.release()})));
        }
        ("GET", ["calls"]) => return Ok(json(StatusCode::OK, &credential.calls())),
        ("POST", ["wait"]) => return wait(credential, read(body)?).await,
        _ => return Err(unknown(method, &rest.join("/"))),
    }
    Ok(json(StatusCode::OK, &credential.counters()))
}

async fn wait(credential: &Credential, wait: Wait) -> Answered {
    let condition: Condition = value(wait.condition)?;
    let at_most = Duration::from_millis(wait.timeout_ms.unwrap_or(DEFAULT_WAIT_MS).min(MAX_WAIT_MS));
    match credential.wait_for(condition, at_most).await {
        Ok(counters) => Ok(json(StatusCode::OK, &counters)),
        Err(NotReached(counters)) => Ok(json(StatusCode::REQUEST_TIMEOUT, &counters)),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, (StatusCode, String)> {
    serde_json::from_slice(body).map_err(|error| bad_request(&error.to_string()))
}

fn value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, (StatusCode, String)> {
    serde_json::from_value(value).map_err(|error| bad_request(&error.to_string()))
}

fn bad_request(message: &str) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, message.to_owned())
}

fn refused(error: &ScriptError) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, error.to_string())
}

fn unknown(method: &Method, path: &str) -> (StatusCode, String) {
    (StatusCode::NOT_FOUND, format!("the emulator has no {method} {path}"))
}

fn refusal(status: StatusCode, message: &str) -> Response<AnswerBody> {
    json(status, &json!({"error": message}))
}

fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<AnswerBody> {
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(AnswerBody::plain(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A path segment without its percent signs.
pub(crate) fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_percent_decoded() {
        assert_eq!(decoded("sk-ant%2Fx%C3%A9").as_deref(), Some("sk-ant/xé"));
        assert_eq!(decoded("sk-%2"), None);
        assert_eq!(decoded("sk-%zz"), None);
    }
}
