//! Calls of the tool with which the client itself searches for tools: in its wire they are items of their own, whole.

use std::borrow::Cow;

use serde_json::{json, value::to_raw_value};
use shared::wire::Wire;
use smallvec::SmallVec;

use crate::{
    canonical::{Delta, Opaque, Opening, ToolCall},
    convert::names::{Names, TOOL_SEARCH},
};

pub(super) fn is_one(name: &str, names: &Names) -> bool {
    names.searches && name == TOOL_SEARCH
}

/// The item. None: never, as it is JSON.
pub(super) fn call(call: &ToolCall<'_>) -> Option<Opaque<'static>> {
    let arguments: serde_json::Value = serde_json::from_str(&call.object()).unwrap_or_default();
    let item = json!({
        "type": "tool_search_call",
        "id": format!("tsc_{}", call.id),
        "call_id": call.id,
        "status": "completed",
        "execution": "client",
        "arguments": arguments,
    });
    let value = to_raw_value(&item).ok()?;
    Some(Opaque {
        origin: Wire::Responses,
        kind: Cow::Borrowed("tool_search_call"),
        value: Cow::Owned(value),
    })
}

/// Those of a stream that are open, by choice: they go out when their arguments are there.
#[derive(Debug, Default)]
pub(super) struct Searches(SmallVec<[(u32, ToolCall<'static>); 1]>);

impl Searches {
    /// None: it waits.
    pub(super) fn open<'a>(
        &mut self,
        choice: u32,
        opening: Opening<'a>,
        names: &Names,
    ) -> Option<Opening<'a>> {
        match opening {
            Opening::ToolCall { id, name, kind, signature: _, namespace: None } if is_one(&name, names) => {
                let id = Cow::Owned(id.into_owned());
                let (name, arguments) = (Cow::Borrowed(TOOL_SEARCH), Cow::Borrowed(""));
                let call =
                    ToolCall { id, name, kind, arguments, namespace: None, signature: None, cache: None };
                self.0.push((choice, call));
                None
            }
            opening => Some(opening),
        }
    }

    /// None: it belongs to one that waits.
    pub(super) fn delta<'a>(&mut self, choice: u32, delta: Delta<'a>) -> Option<Delta<'a>> {
        let waiting = self.0.iter_mut().find(|(open, _)| *open == choice);
        match (waiting, delta) {
            (Some((_, call)), Delta::Arguments(text)) => {
                call.arguments.to_mut().push_str(&text);
                None
            }
            (Some(_), _) => None,
            (None, delta) => Some(delta),
        }
    }

    pub(super) fn close(&mut self, choice: u32) -> Option<Opaque<'static>> {
        let at = self.0.iter().position(|(open, _)| *open == choice)?;
        call(&self.0.remove(at).1)
    }
}
