//! A conversation that is longer than the model can read. Clients make it shorter and try again, if they are told so in
//! the words of their own provider.

use std::borrow::Cow;

use shared::wire::Wire;

use super::upstream::UpstreamError;

/// The status that goes with it, whatever the upstream's was.
pub const STATUS: u16 = 400;
/// OpenAI's word for it.
const CODE: &str = "context_length_exceeded";

/// How long it is, and how long it may be, where that is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Overflow {
    /// Tokens.
    pub tokens: Option<u64>,
    pub most: Option<u64>,
}

/// What providers say, in small letters.
const WORDS: [&str; 12] = [
    // Anthropic.
    "prompt is too long",
    BOTH,
    // OpenAI, and servers that speak as it does.
    "exceeds the context window",
    "maximum context length is",
    "exceeds the model's maximum context length",
    "longer than the model's context length",
    "input tokens exceed the configured limit",
    // Google.
    "exceeds the maximum number of tokens allowed",
    // AWS.
    "input is too long for requested model",
    "input is too long for the requested model",
    "number of input tokens exceeds maximum length",
    // llama.cpp.
    "exceeds the available context size",
];
/// Anthropic's where the answer's limit is what makes it too long: clients ask for a shorter answer then.
const BOTH: &str = "input length and `max_tokens` exceed context limit";

impl Overflow {
    /// None: the error is about something else.
    #[must_use]
    pub fn of(error: &UpstreamError) -> Option<Self> {
        let words = error.message.to_ascii_lowercase();
        let is_it = error.code.as_deref() == Some(CODE) || WORDS.iter().any(|known| words.contains(known));
        if !is_it {
            return None;
        }
        let numbers = numbers(&words);
        Some(match *numbers {
            [input, output, most, ..] if words.contains(BOTH) => {
                Self { tokens: input.checked_add(output), most: Some(most) }
            }
            // Providers name them in either order, and what follows are parts of the sum.
            [one, other, ..] => Self { tokens: Some(one.max(other)), most: Some(one.min(other)) },
            [most] => Self { tokens: None, most: Some(most) },
            [] => Self::default(),
        })
    }

    /// The message and the code in the client's wire. `said`: by the upstream, for where numbers are missing.
    #[must_use]
    pub fn words(self, client: Wire, said: &str) -> (Cow<'_, str>, Option<&'static str>) {
        let both = self.tokens.zip(self.most);
        match client {
            Wire::Messages => {
                let own =
                    said.get(..TOO_LONG.len()).is_some_and(|start| start.eq_ignore_ascii_case(TOO_LONG));
                let message = match both {
                    _ if own || said.contains(BOTH) => Cow::Borrowed(said),
                    Some((tokens, most)) => format!("{TOO_LONG}: {tokens} tokens > {most} maximum").into(),
                    None if said.is_empty() => TOO_LONG.into(),
                    None => format!("{TOO_LONG}: {said}").into(),
                };
                (message, None)
            }
            Wire::Chat => {
                let message = match both {
                    Some((tokens, most)) => format!(
                        "This model's maximum context length is {most} tokens. However, your messages resulted in \
                         {tokens} tokens. Please reduce the length of the messages."
                    )
                    .into(),
                    None if said.is_empty() => WINDOW.into(),
                    None => said.into(),
                };
                (message, Some(CODE))
            }
            Wire::Responses => {
                let message = match both {
                    Some((tokens, most)) => {
                        format!("{WINDOW} It has {tokens} tokens, of {most} at most.").into()
                    }
                    None => WINDOW.into(),
                };
                (message, Some(CODE))
            }
            Wire::Gemini => {
                let (tokens, most) = (in_brackets(self.tokens), in_brackets(self.most));
                let message = format!(
                    "The input token count{tokens} exceeds the maximum number of tokens allowed{most}."
                );
                (message.into(), None)
            }
        }
    }
}

const TOO_LONG: &str = "prompt is too long";
const WINDOW: &str =
    "Your input exceeds the context window of this model. Please adjust your input and try again.";

fn in_brackets(number: Option<u64>) -> String {
    number.map_or_else(String::new, |number| format!(" ({number})"))
}

/// Those that can be counts of tokens: names of models and fields have smaller ones.
fn numbers(text: &str) -> Vec<u64> {
    let text = text.replace(',', "");
    let parsed = text.split(|letter: char| !letter.is_ascii_digit()).filter_map(|digits| digits.parse().ok());
    parsed.filter(|number| *number >= 1000).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: Option<&str>, message: &str) -> UpstreamError {
        UpstreamError {
            code: code.map(str::to_owned),
            message: message.to_owned(),
            ..UpstreamError::default()
        }
    }

    #[test]
    fn every_providers_words_are_known() {
        for (message, tokens, most) in [
            ("prompt is too long: 219898 tokens > 200000 maximum", Some(219_898), Some(200_000)),
            (
                "input length and `max_tokens` exceed context limit: 180000 + 32000 > 200000, decrease input length or `max_tokens` and try again",
                Some(212_000),
                Some(200_000),
            ),
            (
                "Your input exceeds the context window of this model. Please adjust your input and try again.",
                None,
                None,
            ),
            (
                "This model's maximum context length is 128000 tokens. However, your messages resulted in 130001 tokens (129000 in the messages, 1001 in the functions). Please reduce the length of the messages or functions.",
                Some(130_001),
                Some(128_000),
            ),
            (
                "This model's maximum context length is 65536 tokens. However, you requested 70000 tokens (66000 in the messages, 4000 in the completion).",
                Some(70_000),
                Some(65_536),
            ),
            (
                "Requested token count exceeds the model's maximum context length of 262144 tokens. You requested a total of 270000 tokens: 238000 tokens from the input messages and 32000 tokens for the completion.",
                Some(270_000),
                Some(262_144),
            ),
            (
                "The input (345516 tokens) is longer than the model's context length (262144 tokens).",
                Some(345_516),
                Some(262_144),
            ),
            (
                "Input tokens exceed the configured limit of 922000 tokens. Your messages resulted in 1860900 tokens. Please reduce the length of the messages.",
                Some(1_860_900),
                Some(922_000),
            ),
            (
                "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).",
                Some(1_200_293),
                Some(1_048_576),
            ),
            (
                "The input token count exceeds the maximum number of tokens allowed 1,048,576.",
                None,
                Some(1_048_576),
            ),
            ("Input is too long for requested model.", None, None),
            (
                "Input Tokens Exceeded: Number of input tokens exceeds maximum length. Please update the input to try again.",
                None,
                None,
            ),
            ("the request exceeds the available context size, try increasing it", None, None),
            (
                "request (9001 tokens) exceeds the available context size (4096 tokens), try increasing it",
                Some(9001),
                Some(4096),
            ),
        ] {
            assert_eq!(Overflow::of(&error(None, message)), Some(Overflow { tokens, most }), "{message}");
        }
        assert_eq!(Overflow::of(&error(Some(CODE), "too much")), Some(Overflow::default()));
        for other in [
            "max_tokens: 70000 > 64000, which is the maximum allowed number of output tokens",
            "",
            "too long",
        ] {
            assert_eq!(Overflow::of(&error(Some("x"), other)), None, "{other}");
        }
    }

    #[test]
    fn each_client_is_told_in_its_providers_words() {
        let all = Overflow { tokens: Some(7000), most: Some(5000) };
        let words = |overflow: Overflow, said: &str| {
            Wire::ALL.map(|wire| {
                let (message, code) = overflow.words(wire, said);
                // It is taken for what it is, however many gateways it passes.
                assert!(Overflow::of(&error(None, &message)).is_some() || code == Some(CODE), "{message}");
                format!("{wire} {message} {}", code.unwrap_or("-"))
            })
        };
        let found = words(all, "x").join("\\n");
        assert!(found.contains("messages prompt is too long: 7000 tokens > 5000 maximum -"), "{found}");
        assert!(
            found.contains(
                "gemini The input token count (7000) exceeds the maximum number of tokens allowed (5000). -"
            ),
            "{found}"
        );
        assert!(
            found.contains("maximum context length is 5000 tokens. However, your messages resulted in 7000")
        );
        let found = words(Overflow::default(), "Input is too long for requested model.").join("\\n");
        assert!(
            found.contains("messages prompt is too long: Input is too long for requested model. -"),
            "{found}"
        );
        assert!(found.contains(&format!("responses {WINDOW} {CODE}")), "{found}");
        let said = "input length and `max_tokens` exceed context limit: 180000 + 32000 > 200000, decrease";
        assert_eq!(all.words(Wire::Messages, said).0, said, "Claude Code reads the numbers itself");
    }
}
