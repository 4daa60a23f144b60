//! Our words as the contract with the control plane has them.

use proto::v1::{AccountType, Attempt, OpenRecord, Usage, Wire};
use shared::{account, id::GroupId, usage, wire};

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

pub(crate) fn group_bytes(groups: &[GroupId]) -> Vec<Vec<u8>> {
    groups.iter().map(|group| group.to_bytes().to_vec()).collect()
}

/// Moves out of the open record whom the request goes to first: a close record says it of the attempt. `None`: it is said
/// no more, or never was.
pub(crate) fn first_attempt(open: &mut OpenRecord) -> Option<Attempt> {
    (!open.account_id.is_empty()).then(|| Attempt {
        account_id: std::mem::take(&mut open.account_id),
        model_mapped: std::mem::take(&mut open.model_mapped),
        group_ids: std::mem::take(&mut open.group_ids),
        region: std::mem::take(&mut open.region),
        ..Attempt::default()
    })
}
