//! The one table of wires and upstreams: how each thing that clients ask for reaches each kind of upstream.

use wire::convert::Format;

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
    /// Only the Responses API.
    Responses,
    /// The backend behind ChatGPT logins: the Responses API, streams only, nothing stored.
    ChatGpt,
    /// Only chat completions.
    Chat,
    Azure,
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
            Front::OpenAi | Front::Chat | Front::Azure => Raw(ChatCompletions),
            Front::Responses | Front::ChatGpt => Via(Responses),
            Front::Anthropic => Via(Messages),
            Front::BedrockClaude => Via(Invoke),
            Front::BedrockConverse => Via(Converse),
            Front::Gemini | Front::CodeAssist => Via(GenerateContent),
        },
        Operation::Responses => match front {
            Front::OpenAi | Front::Responses | Front::Azure | Front::ChatGpt => Raw(Responses),
            Front::Chat => Via(ChatCompletions),
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
            Front::OpenAi | Front::Chat | Front::Azure => Via(ChatCompletions),
            Front::Responses | Front::ChatGpt => Via(Responses),
            Front::Gemini | Front::CodeAssist => Via(GenerateContent),
        },
        Operation::Gemini => match front {
            Front::Gemini | Front::CodeAssist => Raw(GenerateContent),
            Front::Anthropic => Via(Messages),
            Front::BedrockClaude => Via(Invoke),
            Front::BedrockConverse => Via(Converse),
            Front::OpenAi | Front::Chat | Front::Azure => Via(ChatCompletions),
            Front::Responses | Front::ChatGpt => Via(Responses),
        },
        Operation::Embeddings => match front {
            Front::OpenAi | Front::Azure => Raw(Embeddings),
            Front::Gemini => Via(EmbedContents),
            _ => Refused(NO_EMBEDDINGS),
        },
        Operation::CountTokens => match front {
            Front::Anthropic => Raw(CountTokens),
            Front::BedrockClaude | Front::BedrockConverse => Via(BedrockCountTokens),
            Front::Gemini | Front::CodeAssist => Via(CountContents),
            Front::OpenAi | Front::Responses => Via(InputTokens),
            Front::Chat | Front::Azure | Front::ChatGpt => Estimate,
        },
        Operation::CountContents => match front {
            Front::Gemini | Front::CodeAssist => Raw(CountContents),
            Front::Anthropic => Via(CountTokens),
            Front::BedrockClaude | Front::BedrockConverse => Via(BedrockCountTokens),
            Front::OpenAi | Front::Responses => Via(InputTokens),
            Front::Chat | Front::Azure | Front::ChatGpt => Estimate,
        },
    }
}
