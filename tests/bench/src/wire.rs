//! The two wires that requests are measured in.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Chat,
    Messages,
}

impl Wire {
    pub(crate) const BOTH: [Self; 2] = [Self::Chat, Self::Messages];

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Chat => Self::Messages,
            Self::Messages => Self::Chat,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Messages => "messages",
        }
    }

    /// The key of the gateway's account, and of those who go round the gateway.
    pub(crate) const fn upstream_key(self) -> &'static str {
        match self {
            Self::Chat => "sk-bench-upstream",
            Self::Messages => "sk-ant-bench-upstream",
        }
    }

    /// A model of the platform whose own wire this is.
    pub(crate) const fn model(self) -> &'static str {
        match self {
            Self::Chat => "gpt-4o",
            Self::Messages => "claude-sonnet-4-5",
        }
    }

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
        }
    }

    pub(crate) fn headers(self, key: &str) -> Vec<(String, String)> {
        let headers = match self {
            Self::Chat => vec![("authorization", format!("Bearer {key}"))],
            Self::Messages => {
                vec![("x-api-key", key.to_owned()), ("anthropic-version", "2023-06-01".to_owned())]
            }
        };
        let common = [("content-type", "application/json".to_owned()), ("user-agent", "bench".to_owned())];
        headers.into_iter().chain(common).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Frames of a provider's stream that are not text: role, finish, usage and [DONE]; or start, ping, block start and
    /// stop, delta, stop.
    pub(crate) const fn frames_around(self) -> u32 {
        match self {
            Self::Chat => 4,
            Self::Messages => 6,
        }
    }
}
