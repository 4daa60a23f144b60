//! Our words as the contract with the control plane has them.

use proto::v1::{AccountType, Usage, Wire};
use shared::{account, usage, wire};

pub(crate) const fn wire_message(wire: wire::Wire) -> Wire {
    match wire {
        wire::Wire::Chat => Wire::Chat,
        wire::Wire::Responses => Wire::Responses,
        wire::Wire::Messages => Wire::Messages,
        wire::Wire::Gemini => Wire::Gemini,
    }
}

pub(crate) const fn type_message(kind: account::AccountType) -> AccountType {
    match kind {
        account::AccountType::ClaudeOfficial => AccountType::ClaudeOfficial,
        account::AccountType::ClaudeConsole => AccountType::ClaudeConsole,
        account::AccountType::Bedrock => AccountType::Bedrock,
        account::AccountType::Ccr => AccountType::Ccr,
        account::AccountType::Openai => AccountType::Openai,
        account::AccountType::OpenaiResponses => AccountType::OpenaiResponses,
        account::AccountType::AzureOpenai => AccountType::AzureOpenai,
        account::AccountType::Gemini => AccountType::Gemini,
        account::AccountType::GeminiApi => AccountType::GeminiApi,
        account::AccountType::Droid => AccountType::Droid,
    }
}

pub(crate) const fn usage_message(usage: usage::Usage) -> Usage {
    let usage::Usage { input, cache_read, cache_write_5m, cache_write_1h, output, reasoning } = usage;
    Usage { input, cache_read, cache_write_5m, cache_write_1h, output, reasoning }
}
