//! Entries of `reasoning_details`.

use crate::canonical::{Block, Reasoning, Signature, SignatureKind};
use crate::json::write::{Array, Object};

/// Between the texts of two reasonings that are read as one.
pub(super) const SEPARATOR: &str = "\n\n";

/// Everything in the blocks that is reasoning or its proof, with its number. A proof of a text stands for itself.
pub(super) fn entries<'b>(
    blocks: &'b [Block<'_>],
) -> impl Iterator<Item = (usize, &'b str, Option<&'b Signature<'b>>)> {
    let parts = blocks.iter().filter_map(|block| match block {
        Block::Reasoning(Reasoning { text, signature }) => Some((&**text, signature.as_ref())),
        Block::Text(text) => Some(("", Some(text.signature.as_ref()?))),
        _ => None,
    });
    parts
        .filter(|(text, signature)| !text.is_empty() || signature.is_some())
        .enumerate()
        .map(|(index, (text, signature))| (index, text, signature))
}

/// The texts of all reasoning, as one.
pub(super) fn joined(blocks: &[Block<'_>]) -> String {
    let mut all = String::new();
    for block in blocks {
        if let Block::Reasoning(reasoning) = block
            && !reasoning.text.is_empty()
        {
            if !all.is_empty() {
                all.push_str(SEPARATOR);
            }
            all.push_str(&reasoning.text);
        }
    }
    all
}

/// One entry: whole, or in a stream a piece of it.
pub(super) fn entry(a: &mut Array<'_>, index: usize, text: &str, signature: Option<&Signature<'_>>) {
    a.object(|o| {
        match signature {
            Some(signature) if signature.kind == SignatureKind::Encrypted => {
                o.string("type", "reasoning.encrypted");
                o.string("data", &signature.packed());
                if !text.is_empty() {
                    o.string("summary", text);
                }
            }
            signature => {
                o.string("type", "reasoning.text");
                o.string("text", text);
                if let Some(signature) = signature {
                    o.string("signature", &signature.packed());
                }
            }
        }
        o.value("index", &index);
    });
}

/// `reasoning_details` with one entry.
pub(super) fn detail(o: &mut Object<'_>, index: usize, text: &str, signature: Option<&Signature<'_>>) {
    o.array("reasoning_details", |a| entry(a, index, text, signature));
}
