//! The messages of requests, as the public protobuf definitions have them.

use super::proto::{Kind, Message};

const TEXTS: Kind = Kind::List(&Kind::Text);

pub(super) static GENERATE: Message = Message {
    name: "GenerateContentRequest",
    fields: &[
        ("model", Kind::Text),
        ("contents", Kind::List(&Kind::Message(&CONTENT))),
        ("system_instruction", Kind::Message(&CONTENT)),
        ("tools", Kind::List(&Kind::Message(&TOOL))),
        ("tool_config", Kind::Message(&TOOL_CONFIG)),
        ("generation_config", Kind::Message(&GENERATION_CONFIG)),
        ("safety_settings", Kind::List(&Kind::Message(&SAFETY_SETTING))),
        ("cached_content", Kind::Text),
    ],
};

pub(super) static VERTEX_GENERATE: Message = Message {
    name: "GenerateContentRequest",
    fields: &[
        ("model", Kind::Text),
        ("contents", Kind::List(&Kind::Message(&CONTENT))),
        ("system_instruction", Kind::Message(&CONTENT)),
        ("tools", Kind::List(&Kind::Message(&TOOL))),
        ("tool_config", Kind::Message(&TOOL_CONFIG)),
        ("generation_config", Kind::Message(&GENERATION_CONFIG)),
        ("safety_settings", Kind::List(&Kind::Message(&SAFETY_SETTING))),
        ("cached_content", Kind::Text),
        ("labels", Kind::Map(&Kind::Text)),
    ],
};

pub(super) static CODE_ASSIST_GENERATE: Message = Message {
    name: "GenerateContentRequest",
    fields: &[
        ("model", Kind::Text),
        ("project", Kind::Text),
        ("user_prompt_id", Kind::Text),
        ("request", Kind::Message(&CODE_ASSIST_REQUEST)),
        ("enabled_credit_types", TEXTS),
    ],
};

static CODE_ASSIST_REQUEST: Message = Message {
    name: "VertexGenerateContentRequest",
    fields: &[
        ("contents", Kind::List(&Kind::Message(&CONTENT))),
        ("system_instruction", Kind::Message(&CONTENT)),
        ("tools", Kind::List(&Kind::Message(&TOOL))),
        ("tool_config", Kind::Message(&TOOL_CONFIG)),
        ("generation_config", Kind::Message(&GENERATION_CONFIG)),
        ("safety_settings", Kind::List(&Kind::Message(&SAFETY_SETTING))),
        ("cached_content", Kind::Text),
        ("labels", Kind::Map(&Kind::Text)),
        ("session_id", Kind::Text),
    ],
};

pub(super) static COUNT_TOKENS: Message = Message {
    name: "CountTokensRequest",
    fields: &[
        ("model", Kind::Text),
        ("contents", Kind::List(&Kind::Message(&CONTENT))),
        ("generate_content_request", Kind::Message(&GENERATE)),
    ],
};

pub(super) static VERTEX_COUNT_TOKENS: Message = Message {
    name: "CountTokensRequest",
    fields: &[
        ("model", Kind::Text),
        ("contents", Kind::List(&Kind::Message(&CONTENT))),
        ("system_instruction", Kind::Message(&CONTENT)),
        ("tools", Kind::List(&Kind::Message(&TOOL))),
        ("generation_config", Kind::Message(&GENERATION_CONFIG)),
    ],
};

pub(super) static CODE_ASSIST_COUNT_TOKENS: Message =
    Message { name: "CountTokensRequest", fields: &[("request", Kind::Message(&CODE_ASSIST_COUNTED))] };

static CODE_ASSIST_COUNTED: Message = Message {
    name: "VertexCountTokensRequest",
    fields: &[("model", Kind::Text), ("contents", Kind::List(&Kind::Message(&CONTENT)))],
};

pub(super) static EMBED: Message = Message {
    name: "EmbedContentRequest",
    fields: &[
        ("model", Kind::Text),
        ("content", Kind::Message(&CONTENT)),
        (
            "task_type",
            Kind::Enum(
                "TaskType",
                &[
                    "TASK_TYPE_UNSPECIFIED",
                    "RETRIEVAL_QUERY",
                    "RETRIEVAL_DOCUMENT",
                    "SEMANTIC_SIMILARITY",
                    "CLASSIFICATION",
                    "CLUSTERING",
                    "QUESTION_ANSWERING",
                    "FACT_VERIFICATION",
                    "CODE_RETRIEVAL_QUERY",
                ],
            ),
        ),
        ("title", Kind::Text),
        ("output_dimensionality", Kind::Int),
    ],
};

pub(super) static EMBED_BATCH: Message = Message {
    name: "BatchEmbedContentsRequest",
    fields: &[("requests", Kind::List(&Kind::Message(&EMBED)))],
};

static CONTENT: Message = Message {
    name: "Content",
    fields: &[("role", Kind::Text), ("parts", Kind::List(&Kind::Message(&PART)))],
};

static PART: Message = Message {
    name: "Part",
    fields: &[
        ("text", Kind::Text),
        ("inline_data", Kind::Message(&BLOB)),
        ("file_data", Kind::Message(&FILE_DATA)),
        ("function_call", Kind::Message(&FUNCTION_CALL)),
        ("function_response", Kind::Message(&FUNCTION_RESPONSE)),
        ("tool_call", Kind::Struct),
        ("tool_response", Kind::Struct),
        ("executable_code", Kind::Struct),
        ("code_execution_result", Kind::Struct),
        ("thought", Kind::Bool),
        ("thought_signature", Kind::Bytes),
        ("video_metadata", Kind::Struct),
        ("media_resolution", Kind::Struct),
        ("part_metadata", Kind::Struct),
    ],
};

static BLOB: Message = Message {
    name: "Blob",
    fields: &[("mime_type", Kind::Text), ("data", Kind::Bytes), ("display_name", Kind::Text)],
};

static FILE_DATA: Message = Message {
    name: "FileData",
    fields: &[("mime_type", Kind::Text), ("file_uri", Kind::Text), ("display_name", Kind::Text)],
};

static FUNCTION_CALL: Message = Message {
    name: "FunctionCall",
    fields: &[("id", Kind::Text), ("name", Kind::Text), ("args", Kind::Struct)],
};

static FUNCTION_RESPONSE: Message = Message {
    name: "FunctionResponse",
    fields: &[
        ("id", Kind::Text),
        ("name", Kind::Text),
        ("response", Kind::Struct),
        ("parts", Kind::List(&Kind::Message(&FUNCTION_RESPONSE_PART))),
        ("will_continue", Kind::Bool),
        (
            "scheduling",
            Kind::Enum("Scheduling", &["SCHEDULING_UNSPECIFIED", "SILENT", "WHEN_IDLE", "INTERRUPT"]),
        ),
    ],
};

static FUNCTION_RESPONSE_PART: Message = Message {
    name: "FunctionResponsePart",
    fields: &[("inline_data", Kind::Message(&BLOB)), ("file_data", Kind::Message(&FILE_DATA))],
};

static TOOL: Message = Message {
    name: "Tool",
    fields: &[
        ("function_declarations", Kind::List(&Kind::Message(&FUNCTION_DECLARATION))),
        ("google_search", Kind::Struct),
        ("google_search_retrieval", Kind::Struct),
        ("url_context", Kind::Struct),
        ("code_execution", Kind::Struct),
        ("google_maps", Kind::Struct),
        ("computer_use", Kind::Struct),
        ("file_search", Kind::Struct),
    ],
};

static FUNCTION_DECLARATION: Message = Message {
    name: "FunctionDeclaration",
    fields: &[
        ("name", Kind::Text),
        ("description", Kind::Text),
        ("parameters", Kind::Message(&SCHEMA)),
        ("parameters_json_schema", Kind::Any),
        ("response", Kind::Message(&SCHEMA)),
        ("response_json_schema", Kind::Any),
        ("behavior", Kind::Enum("Behavior", &["UNSPECIFIED", "BLOCKING", "NON_BLOCKING"])),
    ],
};

/// The part of OpenAPI's schema that the provider knows.
pub(super) static SCHEMA: Message = Message {
    name: "Schema",
    fields: &[
        (
            "type",
            Kind::Enum(
                "Type",
                &["TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"],
            ),
        ),
        ("format", Kind::Text),
        ("title", Kind::Text),
        ("description", Kind::Text),
        ("nullable", Kind::Bool),
        ("enum", TEXTS),
        ("items", Kind::Message(&SCHEMA)),
        ("max_items", Kind::Int),
        ("min_items", Kind::Int),
        ("properties", Kind::Map(&Kind::Message(&SCHEMA))),
        ("required", TEXTS),
        ("min_properties", Kind::Int),
        ("max_properties", Kind::Int),
        ("minimum", Kind::Float),
        ("maximum", Kind::Float),
        ("min_length", Kind::Int),
        ("max_length", Kind::Int),
        ("pattern", Kind::Text),
        ("example", Kind::Any),
        ("any_of", Kind::List(&Kind::Message(&SCHEMA))),
        ("property_ordering", TEXTS),
        ("default", Kind::Any),
    ],
};

static TOOL_CONFIG: Message = Message {
    name: "ToolConfig",
    fields: &[
        ("function_calling_config", Kind::Message(&FUNCTION_CALLING_CONFIG)),
        ("retrieval_config", Kind::Struct),
        ("include_server_side_tool_invocations", Kind::Bool),
    ],
};

static FUNCTION_CALLING_CONFIG: Message = Message {
    name: "FunctionCallingConfig",
    fields: &[
        ("mode", Kind::Enum("Mode", &["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"])),
        ("allowed_function_names", TEXTS),
    ],
};

static GENERATION_CONFIG: Message = Message {
    name: "GenerationConfig",
    fields: &[
        ("temperature", Kind::Float),
        ("top_p", Kind::Float),
        ("top_k", Kind::Float),
        ("candidate_count", Kind::Int),
        ("max_output_tokens", Kind::Int),
        ("stop_sequences", TEXTS),
        ("response_mime_type", Kind::Text),
        ("response_schema", Kind::Message(&SCHEMA)),
        ("response_json_schema", Kind::Any),
        // An older spelling of the same, with its underscore.
        ("_response_json_schema", Kind::Any),
        (
            "response_modalities",
            Kind::List(&Kind::Enum("Modality", &["MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "AUDIO"])),
        ),
        ("seed", Kind::Int),
        ("presence_penalty", Kind::Float),
        ("frequency_penalty", Kind::Float),
        ("response_logprobs", Kind::Bool),
        ("logprobs", Kind::Int),
        ("enable_enhanced_civic_answers", Kind::Bool),
        ("speech_config", Kind::Struct),
        ("thinking_config", Kind::Message(&THINKING_CONFIG)),
        ("image_config", Kind::Struct),
        (
            "media_resolution",
            Kind::Enum(
                "MediaResolution",
                &[
                    "MEDIA_RESOLUTION_UNSPECIFIED",
                    "MEDIA_RESOLUTION_LOW",
                    "MEDIA_RESOLUTION_MEDIUM",
                    "MEDIA_RESOLUTION_HIGH",
                ],
            ),
        ),
    ],
};

static THINKING_CONFIG: Message = Message {
    name: "ThinkingConfig",
    fields: &[
        ("include_thoughts", Kind::Bool),
        ("thinking_budget", Kind::Int),
        (
            "thinking_level",
            Kind::Enum("ThinkingLevel", &["THINKING_LEVEL_UNSPECIFIED", "LOW", "MEDIUM", "HIGH", "MINIMAL"]),
        ),
    ],
};

static SAFETY_SETTING: Message = Message {
    name: "SafetySetting",
    fields: &[
        (
            "category",
            Kind::Enum(
                "HarmCategory",
                &[
                    "HARM_CATEGORY_UNSPECIFIED",
                    "HARM_CATEGORY_HARASSMENT",
                    "HARM_CATEGORY_HATE_SPEECH",
                    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
                    "HARM_CATEGORY_DANGEROUS_CONTENT",
                    "HARM_CATEGORY_CIVIC_INTEGRITY",
                ],
            ),
        ),
        (
            "threshold",
            Kind::Enum(
                "HarmBlockThreshold",
                &[
                    "HARM_BLOCK_THRESHOLD_UNSPECIFIED",
                    "BLOCK_LOW_AND_ABOVE",
                    "BLOCK_MEDIUM_AND_ABOVE",
                    "BLOCK_ONLY_HIGH",
                    "BLOCK_NONE",
                    "OFF",
                ],
            ),
        ),
    ],
};
