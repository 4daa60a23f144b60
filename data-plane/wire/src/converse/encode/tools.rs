//! Tools and the choice among them.

use super::blocks::cache_point;
use crate::{
    canonical::{Block, Request, Tool, ToolChoice},
    json::write::{Array, Object},
};

/// A tool that takes nothing.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// There is no word for "no tools": they are then left out, unless the history calls some, which Bedrock wants to know.
pub(super) fn write(o: &mut Object<'_>, request: &Request<'_>) {
    let any = request.tools.iter().any(|tool| matches!(tool, Tool::Function { .. }));
    if !any || (request.tool_choice == Some(ToolChoice::None) && !calls_tools(request)) {
        return;
    }
    o.object("toolConfig", |o| {
        o.array("tools", |a| request.tools.iter().for_each(|tool| one(a, tool)));
        if let Some(choice) = &request.tool_choice {
            write_choice(o, choice);
        }
    });
}

fn calls_tools(request: &Request<'_>) -> bool {
    let mut blocks = request.turns.iter().flat_map(|turn| &turn.blocks);
    blocks.any(|block| matches!(block, Block::ToolCall(_) | Block::ToolResult(_)))
}

fn one(a: &mut Array<'_>, tool: &Tool<'_>) {
    let Tool::Function { name, description, parameters, strict, cache, .. } = tool else { return };
    a.object(|o| {
        o.object("toolSpec", |o| {
            o.string("name", name);
            o.some_string("description", description.as_deref().filter(|text| !text.is_empty()));
            o.object("inputSchema", |o| o.raw("json", parameters.as_deref().unwrap_or(NO_PARAMETERS)));
            if *strict == Some(true) {
                o.value("strict", &true);
            }
        });
    });
    if let Some(mark) = *cache {
        cache_point(a, mark);
    }
}

fn write_choice(o: &mut Object<'_>, choice: &ToolChoice<'_>) {
    let word = match choice {
        ToolChoice::None => return,
        ToolChoice::Auto | ToolChoice::Allowed { required: false, .. } => "auto",
        ToolChoice::Required | ToolChoice::Allowed { required: true, .. } => "any",
        ToolChoice::Named(_) => "tool",
    };
    o.object("toolChoice", |o| {
        o.object(word, |o| {
            if let ToolChoice::Named(name) = choice {
                o.string("name", name);
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::canonical::{CacheMark, Role, ToolKind, ToolResult};

    fn function<'a>(name: &'a str, parameters: Option<&'a str>, cache: Option<CacheMark>) -> Tool<'a> {
        Tool::Function {
            name: name.into(),
            description: Some(if parameters.is_some() { "Get it." } else { "" }.into()),
            parameters: parameters.map(Into::into),
            strict: Some(parameters.is_some()),
            namespace: None,
            cache,
        }
    }

    fn config(request: &Request<'_>) -> Value {
        let body: Value = serde_json::from_slice(&super::super::request(request, 0)).unwrap();
        body["toolConfig"].clone()
    }

    fn choice(choice: ToolChoice<'_>) -> Value {
        let tools = vec![function("a", None, None)];
        config(&Request { tools, tool_choice: Some(choice), ..Request::default() })["toolChoice"].clone()
    }

    #[test]
    fn tools_are_written_with_their_schemas() {
        let schema = r#"{"type":"object","properties":{"sign":{"type":"string"}},"required":["sign"]}"#;
        let tools = vec![
            function("top_song", Some(schema), Some(CacheMark::FiveMinutes)),
            Tool::Custom { name: "free".into(), description: None, format: None, namespace: None },
            function("now", None, None),
        ];
        let schema: Value = serde_json::from_str(schema).unwrap();
        let spec = json!({
            "name": "top_song", "description": "Get it.", "inputSchema": {"json": schema}, "strict": true,
        });
        let now = json!({"name": "now", "inputSchema": {"json": {"type": "object", "properties": {}}}});
        let mark = json!({"cachePoint": {"type": "default"}});
        let expected = json!({"tools": [{"toolSpec": spec}, mark, {"toolSpec": now}]});
        assert_eq!(config(&Request { tools, ..Request::default() }), expected);
    }

    #[test]
    fn a_choice_is_an_object_with_one_word() {
        assert_eq!(choice(ToolChoice::Auto), json!({"auto": {}}));
        assert_eq!(choice(ToolChoice::Required), json!({"any": {}}));
        assert_eq!(choice(ToolChoice::Named("a".into())), json!({"tool": {"name": "a"}}));
        let allowed = |required| ToolChoice::Allowed { names: vec!["a".into()], required };
        assert_eq!(choice(allowed(true)), json!({"any": {}}));
        assert_eq!(choice(allowed(false)), json!({"auto": {}}));
    }

    #[test]
    fn tools_that_must_not_be_called_are_named_for_the_history_only() {
        let tools = vec![function("a", None, None)];
        let mut request = Request { tools, tool_choice: Some(ToolChoice::None), ..Request::default() };
        assert_eq!(config(&request), Value::Null);
        let result = ToolResult {
            id: "1".into(),
            name: None,
            kind: ToolKind::Function,
            content: vec![],
            is_error: false,
            cache: None,
        };
        request.push(Role::User, [Block::ToolResult(result)]);
        let config = config(&request);
        assert_eq!(config["tools"].as_array().map(Vec::len), Some(1));
        assert_eq!(config["toolChoice"], Value::Null);
    }
}
