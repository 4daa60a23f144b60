//! Clients that look for their tools themselves, as Codex does: the model is offered a tool of its provider's own for it,
//! which not all models know.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::json;

static TOOL_SEARCH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"tool_search\""));

/// Whether a Responses request offers a search which the client runs, and builds on nothing that the provider keeps:
/// such a request may be put as one with a function, and its answer given under an id of the gateway's.
#[must_use]
pub fn searches_itself(body: &[u8]) -> bool {
    if TOOL_SEARCH.find(body).is_none() {
        return false;
    }
    let (mut forgets, mut searches) = (false, false);
    let text = std::str::from_utf8(body).unwrap_or_default();
    // What is no such body offers nothing.
    let _ = json::object(text.strip_prefix('\u{feff}').unwrap_or(text).trim_ascii(), |field| {
        match &*field.name() {
            "store" => forgets = field.value == "false",
            "tools" => {
                let _ = json::array(field.value, |tool| searches |= is_clients_search(tool));
            }
            _ => {}
        }
    });
    forgets && searches
}

fn is_clients_search(tool: &str) -> bool {
    let (mut kind, mut execution) = (None, None);
    let _ = json::object(tool, |field| match &*field.name() {
        "type" => kind = json::string(field.value),
        "execution" => execution = json::string(field.value),
        _ => {}
    });
    kind.as_deref() == Some("tool_search") && execution.as_deref() == Some("client")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_of_the_clients_own_is_told_from_the_providers() {
        let search = r#"{"type":"tool_search","execution":"client"}"#;
        for (body, expected) in [
            (format!(r#"{{"store":false,"tools":[{{"type":"function"}},{search}]}}"#), true),
            (format!(r#"{{"tools":[{search}]}}"#), false),
            (format!(r#"{{"store":true,"tools":[{search}]}}"#), false),
            (r#"{"store":false,"tools":[{"type":"tool_search"}]}"#.to_owned(), false),
            (r#"{"store":false,"tools":[{"type":"tool_search","execution":"server"}]}"#.to_owned(), false),
            (format!(r#"{{"store":false,"input":[{search}]}}"#), false),
            (format!(r#"{{"store":false,"tools":[{search}"#), false),
            (r#"{"store":false,"tools":"tool_search"}"#.to_owned(), false),
        ] {
            assert_eq!(searches_itself(body.as_bytes()), expected, "{body}");
        }
    }
}
