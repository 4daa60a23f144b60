//! What is refused, or done without, and why: nothing else may be.

use crate::{
    columns::{COLUMNS, WIRES},
    results::Outcome,
};

#[derive(Debug)]
pub(crate) struct Exception {
    /// Empty: all of them.
    pub(crate) wires: &'static [&'static str],
    /// Empty: all of them.
    pub(crate) columns: &'static [&'static str],
    pub(crate) features: &'static [&'static str],
    pub(crate) outcome: Outcome,
    /// What the SDK is told has this in it.
    pub(crate) says: &'static str,
    /// For people, under the table; the same words are one note.
    pub(crate) why: &'static str,
}

/// Columns whose upstream is asked for chat completions.
const CHAT: &[&str] = &["openai", "azure-openai", "droid-common"];
/// Columns whose upstream is asked for responses.
const RESPONSES: &[&str] = &["openai-login", "openai-responses", "droid-openai"];
/// Columns whose upstream is asked for messages.
const MESSAGES: &[&str] = &["claude-official", "claude-console", "ccr", "bedrock", "droid-anthropic"];

const NO_FETCHING: &str = "Bedrock fetches nothing: images are to be sent by value.";
const SECRET: &str = "OpenAI's chat completions show nothing of what the model thinks; it is counted.";

pub(crate) const EXCEPTIONS: &[Exception] = &[
    Exception {
        wires: &["chat", "responses", "gemini"],
        columns: &["bedrock", "bedrock-converse"],
        features: &["url_images"],
        outcome: Outcome::Refused,
        says: "fetches nothing from URLs",
        why: NO_FETCHING,
    },
    Exception {
        wires: &["messages"],
        columns: &["bedrock-converse"],
        features: &["url_images"],
        outcome: Outcome::Refused,
        says: "fetches nothing from URLs",
        why: NO_FETCHING,
    },
    Exception {
        wires: &["messages"],
        columns: &["bedrock"],
        features: &["url_images"],
        outcome: Outcome::Refused,
        says: "Input tag 'url'",
        why: NO_FETCHING,
    },
    Exception {
        wires: &["chat", "responses", "messages"],
        columns: &[
            "bedrock-converse",
            "gemini",
            "gemini-vertex",
            "gemini-code-assist",
            "gemini-api",
            "gemini-api-2.5",
        ],
        features: &["one_call"],
        outcome: Outcome::Absent,
        says: "as many tools at a time",
        why: "Neither Google nor Converse can be told to have one tool called at a time.",
    },
    Exception {
        wires: &[],
        columns: &["openai-login"],
        features: &["stop_length"],
        outcome: Outcome::Absent,
        says: "as long as it would be",
        why: "The backend behind ChatGPT logins takes no limit of output.",
    },
    Exception {
        wires: &["chat", "messages", "gemini"],
        columns: RESPONSES,
        features: &["stop_sequence"],
        outcome: Outcome::Absent,
        says: "goes on behind",
        why: "The Responses API has no stop sequences.",
    },
    Exception {
        wires: &["chat"],
        columns: CHAT,
        features: &["reasoning"],
        outcome: Outcome::Absent,
        says: "shows nothing of it",
        why: SECRET,
    },
    Exception {
        wires: &["responses", "messages", "gemini"],
        columns: &["droid-common"],
        features: &["reasoning"],
        outcome: Outcome::Absent,
        says: "shows nothing of it",
        why: SECRET,
    },
    Exception {
        wires: &["chat"],
        columns: RESPONSES,
        features: &["reasoning"],
        outcome: Outcome::Absent,
        says: "shows nothing of it",
        why: "The Responses API shows thoughts to who asks for a summary, for which chat completions have no word.",
    },
    Exception {
        wires: &[],
        columns: &["bedrock-converse"],
        features: &["reasoning"],
        outcome: Outcome::Absent,
        says: "does not think",
        why: "How a model is asked to think is each one's own in Converse: it is asked for the answer only.",
    },
    Exception {
        wires: &["messages"],
        columns: MESSAGES,
        features: &["system_mid"],
        outcome: Outcome::Refused,
        says: "role 'system' is not supported on this model",
        why: "Claude takes system prompts in mid-conversation from Opus 4.8 on, and none on Bedrock.",
    },
];

impl Exception {
    pub(crate) fn cells(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        let wires = WIRES.into_iter().filter(|wire| self.wires.is_empty() || self.wires.contains(wire));
        let columns = || COLUMNS.iter().map(|column| column.name);
        let columns = move || columns().filter(|name| self.columns.is_empty() || self.columns.contains(name));
        wires.flat_map(move |wire| {
            columns()
                .flat_map(move |column| self.features.iter().map(move |feature| (wire, column, *feature)))
        })
    }
}
