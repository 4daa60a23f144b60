//! What each upstream wire can say: the one table that fitting a request goes by.

use crate::canonical::Origin;
use shared::wire::Wire;

/// A wire that upstreams speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Chat,
    Responses,
    Messages,
    Gemini,
    /// Bedrock's own, for models that are not Claude.
    Converse,
}

impl Format {
    pub const ALL: [Self; 5] = [Self::Chat, Self::Responses, Self::Messages, Self::Gemini, Self::Converse];

    /// The client wire of the same shape.
    #[must_use]
    pub const fn wire(self) -> Option<Wire> {
        match self {
            Self::Chat => Some(Wire::Chat),
            Self::Responses => Some(Wire::Responses),
            Self::Messages => Some(Wire::Messages),
            Self::Gemini => Some(Wire::Gemini),
            Self::Converse => None,
        }
    }

    #[must_use]
    pub const fn of(wire: Wire) -> Self {
        match wire {
            Wire::Chat => Self::Chat,
            Wire::Responses => Self::Responses,
            Wire::Messages => Self::Messages,
            Wire::Gemini => Self::Gemini,
        }
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::Gemini => "gemini",
            Self::Converse => "converse",
        }
    }
}

/// What a format has a place for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Capabilities {
    /// A system prompt in mid-conversation.
    pub(super) system_in_turns: bool,
    /// `developer` besides `system`.
    pub(super) developer: bool,
    /// Tools that take free text.
    pub(super) custom_tools: bool,
    pub(super) namespaces: bool,
    pub(super) tool_name_max: usize,
    pub(super) tool_id_max: usize,
    /// No two calls may have the same id.
    pub(super) unique_ids: bool,
    /// A choice among some tools.
    pub(super) allowed_tools: bool,
    /// The choice of no tool, with tools given.
    pub(super) choice_none: bool,
    pub(super) strict_tools: bool,
    pub(super) parallel_flag: bool,
    pub(super) json_object: bool,
    pub(super) json_schema: bool,
    /// Schemas that are enforced must close their objects, and limit nothing.
    pub(super) closed_schemas: bool,
    /// Ten times the highest temperature.
    pub(super) temperature_max_tenths: u32,
    pub(super) top_k: bool,
    pub(super) seed: bool,
    pub(super) penalties: bool,
    pub(super) logprobs: bool,
    pub(super) n: bool,
    /// 0: none.
    pub(super) stop_max: usize,
    pub(super) web_search: bool,
    pub(super) media_by_url: bool,
    pub(super) audio: bool,
    pub(super) video: bool,
    pub(super) image_detail: bool,
    pub(super) text_documents: bool,
    pub(super) tool_result_media: bool,
    /// That a tool failed.
    pub(super) tool_errors: bool,
    /// A call's arguments are an object, not text.
    pub(super) object_arguments: bool,
    pub(super) cache_marks: bool,
    pub(super) cache_key: bool,
    pub(super) user: bool,
    pub(super) metadata: bool,
    pub(super) verbosity: bool,
    pub(super) store: bool,
    /// A limit of output must be given.
    pub(super) needs_max_output: bool,
    /// Whose reasoning may be sent back. None: nobody's.
    pub(super) reasoning_of: Option<Origin>,
}

const CHAT: Capabilities = Capabilities {
    system_in_turns: true,
    developer: true,
    custom_tools: true,
    namespaces: false,
    tool_name_max: 64,
    tool_id_max: 40,
    unique_ids: false,
    allowed_tools: true,
    choice_none: true,
    strict_tools: true,
    parallel_flag: true,
    json_object: true,
    json_schema: true,
    closed_schemas: false,
    temperature_max_tenths: 20,
    top_k: false,
    seed: true,
    penalties: true,
    logprobs: true,
    n: true,
    stop_max: 4,
    web_search: false,
    media_by_url: true,
    audio: true,
    video: false,
    image_detail: true,
    text_documents: false,
    tool_result_media: false,
    tool_errors: false,
    object_arguments: false,
    cache_marks: false,
    cache_key: true,
    user: true,
    metadata: true,
    verbosity: true,
    store: true,
    needs_max_output: false,
    reasoning_of: None,
};

const RESPONSES: Capabilities = Capabilities {
    namespaces: true,
    tool_id_max: 64,
    seed: false,
    penalties: false,
    // Said by `include`, which the answer's shape depends on.
    logprobs: false,
    n: false,
    stop_max: 0,
    web_search: true,
    audio: false,
    tool_result_media: true,
    reasoning_of: Some(Origin::OpenAi),
    ..CHAT
};

const MESSAGES: Capabilities = Capabilities {
    system_in_turns: true,
    developer: false,
    custom_tools: false,
    namespaces: false,
    tool_name_max: 128,
    tool_id_max: 128,
    unique_ids: true,
    allowed_tools: false,
    choice_none: true,
    strict_tools: true,
    parallel_flag: true,
    json_object: false,
    json_schema: true,
    closed_schemas: true,
    temperature_max_tenths: 10,
    top_k: true,
    seed: false,
    penalties: false,
    logprobs: false,
    n: false,
    stop_max: usize::MAX,
    web_search: true,
    media_by_url: true,
    audio: false,
    video: false,
    image_detail: false,
    text_documents: true,
    tool_result_media: true,
    tool_errors: true,
    object_arguments: true,
    cache_marks: true,
    cache_key: false,
    user: true,
    metadata: false,
    verbosity: false,
    store: false,
    needs_max_output: true,
    reasoning_of: Some(Origin::Claude),
};

const GEMINI: Capabilities = Capabilities {
    system_in_turns: false,
    developer: false,
    custom_tools: false,
    namespaces: false,
    tool_name_max: 64,
    tool_id_max: usize::MAX,
    unique_ids: false,
    allowed_tools: true,
    choice_none: true,
    strict_tools: false,
    parallel_flag: false,
    json_object: true,
    json_schema: true,
    closed_schemas: false,
    temperature_max_tenths: 20,
    top_k: true,
    seed: true,
    penalties: true,
    logprobs: true,
    n: true,
    stop_max: 5,
    web_search: true,
    media_by_url: true,
    audio: true,
    video: true,
    image_detail: false,
    text_documents: false,
    tool_result_media: false,
    tool_errors: true,
    object_arguments: true,
    cache_marks: false,
    cache_key: false,
    user: false,
    metadata: false,
    verbosity: false,
    store: false,
    needs_max_output: false,
    reasoning_of: Some(Origin::Gemini),
};

const CONVERSE: Capabilities = Capabilities {
    choice_none: false,
    parallel_flag: false,
    tool_name_max: 64,
    tool_id_max: 64,
    system_in_turns: false,
    stop_max: 4,
    web_search: false,
    media_by_url: false,
    text_documents: false,
    user: false,
    needs_max_output: false,
    ..MESSAGES
};

pub(super) const fn of(format: Format) -> &'static Capabilities {
    match format {
        Format::Chat => &CHAT,
        Format::Responses => &RESPONSES,
        Format::Messages => &MESSAGES,
        Format::Gemini => &GEMINI,
        Format::Converse => &CONVERSE,
    }
}
