//! What is told of each token of an answer: a piece of the text is one.

use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Logprobs<'a> {
    content: Option<Vec<Token<'a>>>,
    refusal: Option<Vec<Token<'a>>>,
}

#[derive(Serialize)]
struct Token<'a> {
    token: &'a str,
    logprob: f64,
    bytes: &'a [u8],
    top_logprobs: Vec<Alternative>,
}

#[derive(Serialize)]
struct Alternative {
    token: String,
    logprob: f64,
    bytes: Vec<u8>,
}

impl<'a> Logprobs<'a> {
    /// `top` alternatives are told of for each piece, the piece itself first.
    pub(super) fn new(pieces: &'a [String], top: u64, refused: bool) -> Self {
        let tokens = Some(pieces.iter().map(|piece| Token::new(piece, top)).collect());
        if refused {
            Self { content: None, refusal: tokens }
        } else {
            Self { content: tokens, refusal: None }
        }
    }
}

impl<'a> Token<'a> {
    fn new(token: &'a str, top: u64) -> Self {
        let alternative = |rank| {
            let token = if rank == 0 { token.to_owned() } else { format!("{token}~{rank}") };
            Alternative { logprob: logprob(rank), bytes: token.clone().into_bytes(), token }
        };
        let ranks = 0..u32::try_from(top).unwrap_or(u32::MAX);
        Self {
            token,
            logprob: logprob(0),
            bytes: token.as_bytes(),
            top_logprobs: ranks.map(alternative).collect(),
        }
    }
}

/// Each rank is half as likely as the one before.
fn logprob(rank: u32) -> f64 {
    -f64::from(rank + 1) * std::f64::consts::LN_2
}
