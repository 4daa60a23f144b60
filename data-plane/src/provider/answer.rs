//! An error as an upstream answered with it, and what may be believed of its words.
//!
//! Providers repeat what a client sent: an unknown key, a value that does not fit, the name of a model or a file. So words
//! decide last, behind statuses, types and codes, and only in a place that is the provider's own: a sentence that is the
//! whole message or begins it, with the model that was asked for where it names one. What merely stands somewhere in a
//! message ([`ErrorAnswer::holds`]) may make it the request's fault, and never the account's.

use http::HeaderMap;
use wire::error::upstream::UpstreamError;

/// No documented sentence is as long, in bytes. A longer message may have lost its end, which would tell whose words it
/// begins with.
const SENTENCE_MAX: usize = 1024;

/// All that providers tell their errors apart by.
#[derive(Debug, Clone, Copy)]
pub struct ErrorAnswer<'a> {
    /// The answer's, or what an error in a stream stands for.
    pub status: u16,
    pub headers: &'a HeaderMap,
    pub said: &'a UpstreamError,
    /// As the upstream knows it.
    pub model: &'a str,
    /// See [`super::Provider::names_only_the_model`].
    pub only_model: bool,
}

impl ErrorAnswer<'_> {
    pub(super) fn kind(&self) -> &str {
        self.said.kind.as_deref().unwrap_or_default()
    }

    pub(super) fn code(&self) -> &str {
        self.said.code.as_deref().unwrap_or_default()
    }

    /// Whether the message is one of these sentences, with its full stop or without.
    pub(super) fn is(&self, sentences: &[&str]) -> bool {
        let message = self.said.message.trim_end_matches('.');
        sentences.iter().any(|sentence| message == sentence.trim_end_matches('.'))
    }

    /// Whether the message begins as one of these sentences, in the provider's own words.
    pub(super) fn begins(&self, sentences: &[&str]) -> bool {
        !self.may_echo() && sentences.iter().any(|sentence| self.said.message.starts_with(sentence))
    }

    /// Whether the message begins and ends so, in the provider's own words.
    pub(super) fn is_between(&self, start: &str, end: &str) -> bool {
        self.begins(&[start]) && self.said.message.trim_end_matches('.').ends_with(end)
    }

    /// Whether the message says this of the model that was asked for: it begins with the first part, the model, and the
    /// second, and either ends there or goes on with another sentence.
    pub(super) fn is_of_model(&self, before: &str, behind: &str) -> bool {
        let rest = self.said.message.strip_prefix(before).and_then(|rest| rest.strip_prefix(self.model));
        let rest = rest.and_then(|rest| rest.strip_prefix(behind));
        !self.may_echo() && rest.is_some_and(|rest| rest.is_empty() || rest == "." || rest.starts_with(". "))
    }

    /// Whether this stands in the message. It may be the client's own: only for what makes an error the request's.
    pub(super) fn holds(&self, words: &str) -> bool {
        self.said.message.contains(words)
    }

    /// Whether the client's words may come first: a key that a validator does not know, as in
    /// `context_management: Extra inputs are not permitted`, or a model's name. Elsewhere a provider's own are ahead of them.
    fn may_echo(&self) -> bool {
        let message = &self.said.message;
        message.len() > SENTENCE_MAX
            || message.starts_with(self.model)
            || matches!(self.status, 400 | 422) && message.contains(": ")
    }
}
