//! A call as it was made and answered, byte for byte.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, request::Parts};
use parking_lot::Mutex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A recorded call. In JSON, bodies are base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// Counts all calls to this emulator; it is also in the answer's identifiers.
    pub number: u64,
    pub method: String,
    /// Path and query, as they came.
    pub target: String,
    /// In the order they came, names in lower case.
    pub headers: Vec<(String, String)>,
    #[serde(serialize_with = "encode", deserialize_with = "decode")]
    pub body: Bytes,
    /// Absent as long as no head has been sent.
    pub answer: Option<AnswerRecord>,
    pub end: End,
}

/// What was answered so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerRecord {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    #[serde(serialize_with = "encode", deserialize_with = "decode")]
    pub body: Bytes,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    #[default]
    InFlight,
    /// As the script wanted it.
    Served,
    /// The client left.
    Disconnected,
}

impl CallRecord {
    /// The first value of a request header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// A call while it happens.
#[derive(Debug)]
pub(crate) struct Recording {
    number: u64,
    method: String,
    target: String,
    headers: HeaderMap,
    body: Bytes,
    answer: Mutex<Answer>,
}

#[derive(Debug, Default)]
struct Answer {
    head: Option<(StatusCode, HeaderMap)>,
    writes: Vec<Bytes>,
    end: End,
}

impl Recording {
    pub(crate) fn new(number: u64, parts: &Parts, body: Bytes) -> Self {
        Self {
            number,
            method: parts.method.to_string(),
            target: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            headers: parts.headers.clone(),
            body,
            answer: Mutex::default(),
        }
    }

    pub(crate) fn body_bytes(&self) -> usize {
        self.body.len()
    }

    pub(crate) fn head(&self, status: StatusCode, headers: &HeaderMap) {
        self.answer.lock().head = Some((status, headers.clone()));
    }

    pub(crate) fn wrote(&self, bytes: &Bytes) {
        self.answer.lock().writes.push(bytes.clone());
    }

    pub(crate) fn ended(&self, end: End) {
        self.answer.lock().end = end;
    }

    pub(crate) fn read(&self) -> CallRecord {
        let answer = self.answer.lock();
        CallRecord {
            number: self.number,
            method: self.method.clone(),
            target: self.target.clone(),
            headers: pairs(&self.headers),
            body: self.body.clone(),
            answer: answer.head.as_ref().map(|(status, headers)| AnswerRecord {
                status: status.as_u16(),
                headers: pairs(headers),
                body: answer.writes.concat().into(),
            }),
            end: answer.end,
        }
    }
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect()
}

fn encode<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map(Bytes::from).map_err(serde::de::Error::custom)
}
