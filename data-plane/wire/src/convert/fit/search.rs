//! Searching the web: a tool that several providers run, each under its own name.

use std::borrow::Cow;

use serde_json::{Map, Value, json, value::to_raw_value};
use shared::wire::Wire;

use super::Fit;
use crate::{canonical::Opaque, convert::capabilities::Format, loss::LossCode};

impl Fit<'_> {
    /// The target's own search in place of another provider's. To which sites it is limited goes along where it can.
    pub(super) fn search<'a>(&mut self, tool: Opaque<'a>) -> Opaque<'a> {
        let Some(origin) = self.target.format.wire().filter(|own| *own != tool.origin) else { return tool };
        let (kind, mut own) = match self.target.format {
            Format::Messages => {
                ("web_search_20250305", json!({ "type": "web_search_20250305", "name": "web_search" }))
            }
            Format::Responses => ("web_search", json!({ "type": "web_search" })),
            Format::Gemini => ("googleSearch", json!({ "googleSearch": {} })),
            Format::Chat | Format::Converse => return tool,
        };
        let mut asked = options(&tool);
        match (asked.remove("allowed_domains"), self.target.format) {
            (Some(sites), Format::Messages) => own["allowed_domains"] = sites,
            (Some(sites), Format::Responses) => own["filters"] = json!({ "allowed_domains": sites }),
            (Some(sites), _) => {
                asked.insert("allowed_domains".to_owned(), sites);
            }
            (None, _) => {}
        }
        for name in asked.keys() {
            self.losses.add_named(LossCode::Field, &format!("tools.web_search.{name}"));
        }
        match to_raw_value(&own) {
            Ok(value) => Opaque { origin, kind: Cow::Borrowed(kind), value: Cow::Owned(value) },
            Err(_) => tool,
        }
    }
}

/// OpenAI can search what it has read before, and not go out to the web. Who asks for that gets no other search.
pub(super) fn is_kept_inside(tool: &Opaque<'_>) -> bool {
    options(tool).get("external_web_access") == Some(&Value::Bool(false))
}

/// What was asked of the search, without the words that only name it.
fn options(tool: &Opaque<'_>) -> Map<String, Value> {
    let mut fields: Map<String, Value> = serde_json::from_str(tool.value.get()).unwrap_or_default();
    fields.retain(|name, value| !value.is_null() && name != "type" && name != "name");
    if tool.origin == Wire::Gemini {
        // `{"googleSearch": {…}}`
        let inner = fields.values_mut().next().map(Value::take);
        return match inner {
            Some(Value::Object(inner)) => inner,
            _ => Map::new(),
        };
    }
    if let Some(filters) = fields.remove("filters") {
        match filters {
            Value::Object(filters) => fields.extend(filters),
            filters => {
                fields.insert("filters".to_owned(), filters);
            }
        }
    }
    fields
}
