//! The one table of wires and upstreams: how each thing that clients ask for reaches each kind of upstream.

use wire::{convert::Format, error::upstream::UpstreamError};

use super::Operation;

/// A kind of upstream, by the endpoints that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Front {
    /// Anthropic's API, and routers that speak it.
    Anthropic,
    /// A Claude model on Bedrock: Anthropic's bodies in AWS's frames.
    BedrockClaude,
    /// Any other model on Bedrock.
    BedrockConverse,
    /// OpenAI's API: chat, responses and embeddings.
    OpenAi,
    /// The same, for a model that thinks: chat takes no tools beside reasoning there, and keeps no reasoning.
    OpenAiThinking,
    /// A server that speaks OpenAI's language and has no Responses API.
    Compatible,
    /// Only the Responses API.
    Responses,
    /// The backend behind ChatGPT logins: the Responses API, streams only, nothing stored.
    ChatGpt,
    /// Only chat completions.
    Chat,
    Azure,
    /// The same, for a model that thinks.
    AzureThinking,
    /// Google's API, by key or login, and Vertex.
    Gemini,
    /// Google's API in an envelope.
    CodeAssist,
}

/// What is called at an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    ChatCompletions,
    Embeddings,
    Responses,
    /// Counts a Responses request's input.
    InputTokens,
    Messages,
    /// Counts a Messages request's input.
    CountTokens,
    GenerateContent,
    /// Counts a Gemini request's input.
    CountContents,
    EmbedContents,
    /// Bedrock, with a Messages body.
    Invoke,
    Converse,
    /// Counts what an [`Endpoint::Invoke`] or [`Endpoint::Converse`] would read.
    BedrockCountTokens,
}

impl Endpoint {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat/completions",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
            Self::InputTokens => "responses/input_tokens",
            Self::Messages => "messages",
            Self::CountTokens => "messages/count_tokens",
            Self::GenerateContent => "generateContent",
            Self::CountContents => "countTokens",
            Self::EmbedContents => "batchEmbedContents",
            Self::Invoke => "invoke",
            Self::Converse => "converse",
            Self::BedrockCountTokens => "count-tokens",
        }
    }

    /// The form of its request and answer.
    #[must_use]
    pub const fn format(self) -> Format {
        match self {
            Self::ChatCompletions | Self::Embeddings => Format::Chat,
            Self::Responses | Self::InputTokens => Format::Responses,
            Self::Messages | Self::CountTokens | Self::Invoke => Format::Messages,
            Self::GenerateContent | Self::CountContents | Self::EmbedContents => Format::Gemini,
            Self::Converse | Self::BedrockCountTokens => Format::Converse,
        }
    }
}

impl Front {
    /// Whether chat is asked where the server turns out to have no Responses API.
    #[must_use]
    pub const fn falls_back(self) -> bool {
        matches!(self, Self::OpenAi | Self::OpenAiThinking | Self::Azure | Self::AzureThinking)
    }
}

/// Whether a refusal says that the server has no Responses API at all. Only words that servers have for a path are taken
/// for that: what a client names, and is not there, must not cost the account an endpoint. An error that has a code says
/// with it what is not there.
#[must_use]
pub fn lacks_endpoint(endpoint: Endpoint, status: u16, said: &UpstreamError) -> bool {
    const WORDS: [&str; 9] = [
        "not found",
        "404 page not found",
        "resource not found",
        "method not allowed",
        "invalid url (",
        "unknown request url",
        "unknown url",
        "cannot post",
        "no route matched",
    ];
    let words = said.message.trim().to_ascii_lowercase();
    let of_a_path = words.is_empty() && said.code.is_none()
        || WORDS.iter().any(|known| match *known {
            // Alone: with more behind or ahead of it, it is about a thing.
            "not found" | "404 page not found" | "resource not found" | "method not allowed" => {
                words.trim_end_matches('.') == *known
            }
            known => words.starts_with(known),
        });
    endpoint == Endpoint::Responses
        && matches!(status, 404 | 405 | 501)
        && (of_a_path || said.code.as_deref() == Some("unknown_url"))
}

/// How a request gets to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// The same wire: bytes stay bytes.
    Raw(Endpoint),
    /// Through the canonical form.
    Via(Endpoint),
    /// The upstream can't tell; the node estimates.
    Estimate,
    /// There is no way, and why.
    Refused(&'static str),
}

const NO_EMBEDDINGS: &str = "its upstream has no embeddings";

/// The table.
#[must_use]
pub const fn passage(operation: Operation, front: Front) -> Passage {
    use Endpoint::{
        BedrockCountTokens, ChatCompletions, Converse, CountContents, CountTokens, EmbedContents, Embeddings,
        GenerateContent, InputTokens, Invoke, Messages, Responses,
    };
    use Passage::{Estimate, Raw, Refused, Via};
    match operation {
        Operation::Chat => match front {
            Front::Responses | Front::ChatGpt => Via(Responses),
            Front::Anthropic => Via(Messages),
            Front::BedrockClaude => Via(Invoke),
            Front::BedrockConverse => Via(Converse),
            Front::Gemini | Front::CodeAssist => Via(GenerateContent),
            _ => Raw(ChatCompletions),
        },
        Operation::Responses => match front {
            Front::OpenAi
            | Front::OpenAiThinking
            | Front::Responses
            | Front::Azure
            | Front::AzureThinking
            | Front::ChatGpt => Raw(Responses),
            Front::Chat | Front::Compatible => Via(ChatCompletions),
            Front::Anthropic => Via(Messages),
            Front::BedrockClaude => Via(Invoke),
            Front::BedrockConverse => Via(Converse),
            Front::Gemini | Front::CodeAssist => Via(GenerateContent),
        },
        Operation::Messages => match front {
            Front::Anthropic => Raw(Messages),
            Front::BedrockClaude => Raw(Invoke),
            Front::BedrockConverse => Via(Converse),
            // Chat is what every server that speaks OpenAI's language has.
            Front::OpenAi | Front::Compatible | Front::Chat | Front::Azure => Via(ChatCompletions),
            Front::OpenAiThinking | Front::AzureThinking | Front::Responses | Front::ChatGpt => {
                Via(Responses)
            }
            Front::Gemini | Front::CodeAssist => Via(GenerateContent),
        },
        Operation::Gemini => match front {
            Front::Gemini | Front::CodeAssist => Raw(GenerateContent),
            Front::Anthropic => Via(Messages),
            Front::BedrockClaude => Via(Invoke),
            Front::BedrockConverse => Via(Converse),
            Front::OpenAi | Front::Compatible | Front::Chat | Front::Azure => Via(ChatCompletions),
            Front::OpenAiThinking | Front::AzureThinking | Front::Responses | Front::ChatGpt => {
                Via(Responses)
            }
        },
        Operation::Embeddings => match front {
            Front::OpenAi
            | Front::OpenAiThinking
            | Front::Compatible
            | Front::Azure
            | Front::AzureThinking => Raw(Embeddings),
            Front::Gemini => Via(EmbedContents),
            _ => Refused(NO_EMBEDDINGS),
        },
        Operation::CountTokens => match front {
            Front::Anthropic => Raw(CountTokens),
            Front::BedrockClaude | Front::BedrockConverse => Via(BedrockCountTokens),
            Front::Gemini | Front::CodeAssist => Via(CountContents),
            Front::OpenAi | Front::OpenAiThinking | Front::Responses => Via(InputTokens),
            Front::Compatible | Front::Chat | Front::Azure | Front::AzureThinking | Front::ChatGpt => {
                Estimate
            }
        },
        Operation::CountContents => match front {
            Front::Gemini | Front::CodeAssist => Raw(CountContents),
            Front::Anthropic => Via(CountTokens),
            Front::BedrockClaude | Front::BedrockConverse => Via(BedrockCountTokens),
            Front::OpenAi | Front::OpenAiThinking | Front::Responses => Via(InputTokens),
            Front::Compatible | Front::Chat | Front::Azure | Front::AzureThinking | Front::ChatGpt => {
                Estimate
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: Option<&str>, message: &str) -> UpstreamError {
        UpstreamError { code: code.map(Into::into), message: message.into(), ..UpstreamError::default() }
    }

    #[test]
    fn a_server_without_the_responses_api_is_told_from_one_without_the_model() {
        for (status, said) in [
            (404, said(None, "")),
            (404, said(None, "Not Found")),
            (404, said(Some("unknown_url"), "Unknown request URL: POST /openai/v1/responses")),
            (404, said(None, "Invalid URL (POST /v1/responses)")),
            (405, said(None, "Method Not Allowed")),
        ] {
            assert!(lacks_endpoint(Endpoint::Responses, status, &said), "{said:?}");
            assert!(!lacks_endpoint(Endpoint::ChatCompletions, status, &said), "{said:?}");
        }
        for (status, said) in [
            (404, said(Some("model_not_found"), "The model `gpt-9` does not exist")),
            (404, said(None, "The model `llama` does not exist.")),
            (404, said(Some("DeploymentNotFound"), "The API deployment for this resource does not exist.")),
            (404, said(None, "Item with id 'rs_1' not found.")),
            (404, said(None, "Conversation with id 'conv_1' not found.")),
            (404, said(None, "No file found with id 'file_1'.")),
            (404, said(None, "Invalid URL: Not Found")),
            (404, said(Some("previous_response_not_found"), "")),
            (400, said(None, "")),
            (500, said(None, "")),
        ] {
            assert!(!lacks_endpoint(Endpoint::Responses, status, &said), "{said:?}");
        }
    }
}
