//! `reasoning_details`: a list of reasoning, in whole entries or, when a client gathered a stream's, in pieces.

use std::borrow::Cow;

use super::lose;
use crate::canonical::{Reasoning, Signature};
use crate::json::record::{Str, record};
use crate::loss::{LossCode, Losses};

record! {
    /// One entry, or a piece of one: pieces of the same `index` belong together.
    pub(super) struct Detail {
        kind: Str<'a> = "type",
        text: Str<'a> = "text",
        summary: Str<'a> = "summary",
        signature: Str<'a> = "signature",
        data: Str<'a> = "data",
        index: u64 = "index",
    }
}

impl<'a> Detail<'a> {
    /// Its words, and its proof if it was packed here. Whose another proof is can't be known, so it is of no use.
    pub(super) fn parts(self) -> (Cow<'a, str>, Option<Signature<'static>>) {
        let Str(text) = self.text.or(self.summary).unwrap_or_default();
        let proof = self.signature.or(self.data).and_then(|Str(proof)| Signature::unpacked(&proof));
        (text, proof)
    }

    /// Names what is not read of it; `place`: of its message.
    pub(super) fn lose(&self, place: &str, losses: &mut Losses) {
        lose(losses, place, "reasoning_details.", &self.unknown);
        if self.has_foreign_proof() {
            losses.add_path(LossCode::ForeignReasoning, &[place, ".reasoning_details"]);
        }
    }

    /// It has a proof that was not packed here.
    fn has_foreign_proof(&self) -> bool {
        let proof = self.signature.as_ref().or(self.data.as_ref());
        proof.is_some_and(|Str(proof)| !proof.is_empty() && Signature::unpacked(proof).is_none())
    }
}

/// Puts pieces together. Reasoning that has neither words nor proof is left out.
pub(super) fn gathered<'a>(details: Vec<Detail<'a>>) -> Vec<Reasoning<'a>> {
    let mut all: Vec<Reasoning<'a>> = Vec::new();
    let mut last = None;
    for detail in details {
        let index = detail.index;
        let (text, signature) = detail.parts();
        match all.last_mut() {
            Some(reasoning) if index.is_some() && last == index => {
                if reasoning.text.is_empty() {
                    reasoning.text = text;
                } else {
                    reasoning.text.to_mut().push_str(&text);
                }
                reasoning.signature = signature.or(reasoning.signature.take());
            }
            _ => all.push(Reasoning { text, signature }),
        }
        last = index;
    }
    all.retain(|reasoning| !reasoning.text.is_empty() || reasoning.signature.is_some());
    all
}
