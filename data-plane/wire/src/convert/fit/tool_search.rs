//! Tools that are told of in the conversation. Codex's newest models are offered theirs in an item of their own,
//! `additional_tools`. And Codex looks for tools itself: it offers `tool_search` with `execution: client`, and what it
//! finds it tells in the conversation, from where on these tools are offered. Elsewhere that is a function like others,
//! and all tools stand in one place.

use std::{borrow::Cow, collections::HashSet};

use serde_json::{Value, value::RawValue};
use shared::wire::Wire;

use super::Fit;
use crate::{
    canonical::{Block, Opaque, Request, Tool, ToolCall, ToolKind, ToolResult},
    convert::names::TOOL_SEARCH,
    json,
    responses::decode::found_tools,
};

impl Fit<'_> {
    pub(super) fn tool_search(&mut self, request: &mut Request<'_>) {
        if self.is_own(Wire::Responses) && self.target.tool_search {
            return;
        }
        self.additional_tools(request);
        let taken = request
            .tools
            .iter()
            .any(|tool| matches!(tool, Tool::Function { name, namespace: None, .. } if name == TOOL_SEARCH));
        for tool in &mut request.tools {
            if let Tool::Server(opaque) = tool
                && !taken
                && let Some(fields) = clients(opaque, "tool_search")
            {
                *tool = function(&fields);
                self.names.searches = true;
            }
        }
        if !self.names.searches {
            return;
        }
        let mut found = Vec::new();
        for block in request.turns.iter_mut().flat_map(|turn| &mut turn.blocks) {
            let Block::Opaque(opaque) = block else { continue };
            if let Some(fields) = clients(opaque, "tool_search_call") {
                *block = call(&fields);
            } else if let Some(fields) = clients(opaque, "tool_search_output") {
                found.extend(tools_of(&opaque.value, &mut self.losses));
                *block = result(&fields);
            }
        }
        offer(request, found);
    }

    fn additional_tools(&mut self, request: &mut Request<'_>) {
        let is_one = |block: &Block<'_>| match block {
            Block::Opaque(opaque) => opaque.origin == Wire::Responses && opaque.kind == "additional_tools",
            _ => false,
        };
        if !request.turns.iter().flat_map(|turn| &turn.blocks).any(is_one) {
            return;
        }
        let mut found = Vec::new();
        for turn in std::mem::take(&mut request.turns) {
            let (tools, others): (Vec<_>, Vec<_>) = turn.blocks.into_iter().partition(is_one);
            for block in &tools {
                if let Block::Opaque(opaque) = block {
                    found.extend(tools_of(&opaque.value, &mut self.losses));
                }
            }
            request.push(turn.role, others);
        }
        offer(request, found);
    }
}

/// Beside those that are offered already.
fn offer<'a>(request: &mut Request<'a>, found: Vec<Tool<'a>>) {
    if found.is_empty() {
        return;
    }
    let mut known: HashSet<_> = request.tools.iter().filter_map(key).collect();
    request.tools.extend(found.into_iter().filter(|tool| key(tool).is_none_or(|key| known.insert(key))));
}

/// The fields, where the value is of this type and the client's own affair.
fn clients(opaque: &Opaque<'_>, kind: &str) -> Option<Value> {
    if opaque.origin != Wire::Responses || opaque.kind != kind {
        return None;
    }
    let fields: Value = serde_json::from_str(opaque.value.get()).ok()?;
    (fields["execution"] == "client").then_some(fields)
}

fn text(value: &Value) -> Option<Cow<'static, str>> {
    value.as_str().map(|text| Cow::Owned(text.to_owned()))
}

fn function(fields: &Value) -> Tool<'static> {
    Tool::Function {
        name: Cow::Borrowed(TOOL_SEARCH),
        description: text(&fields["description"]),
        parameters: fields.get("parameters").map(|schema| Cow::Owned(schema.to_string())),
        strict: None,
        namespace: None,
        cache: None,
    }
}

fn call(fields: &Value) -> Block<'static> {
    Block::ToolCall(ToolCall {
        id: text(&fields["call_id"]).unwrap_or_default(),
        name: Cow::Borrowed(TOOL_SEARCH),
        kind: ToolKind::Function,
        arguments: fields.get("arguments").map_or(Cow::Borrowed("{}"), |it| Cow::Owned(it.to_string())),
        namespace: None,
        signature: None,
        cache: None,
    })
}

/// What the model is told of it: what the tools take stands with the tools.
fn result(fields: &Value) -> Block<'static> {
    let mut names = Vec::new();
    for tool in fields["tools"].as_array().into_iter().flatten() {
        let name = |tool: &Value| tool["name"].as_str().unwrap_or_default().to_owned();
        match tool["tools"].as_array() {
            Some(group) => names.extend(group.iter().map(|inner| format!("{}.{}", name(tool), name(inner)))),
            None => names.push(name(tool)),
        }
    }
    let told = match names.is_empty() {
        true => "No tools were found.".to_owned(),
        false => format!("These tools can be called now: {}", names.join(", ")),
    };
    Block::ToolResult(ToolResult {
        id: text(&fields["call_id"]).unwrap_or_default(),
        name: Some(Cow::Borrowed(TOOL_SEARCH)),
        kind: ToolKind::Function,
        content: vec![Block::text(told)],
        is_error: false,
        cache: None,
    })
}

fn tools_of<'a>(value: &Cow<'a, RawValue>, losses: &mut crate::loss::Losses) -> Vec<Tool<'a>> {
    let Cow::Borrowed(value) = *value else { return Vec::new() };
    let mut list = Vec::new();
    // What is no list of tools names none.
    let _ = json::object(value.get(), |field| {
        if field.name() == "tools" {
            list = serde_json::from_str(field.value).unwrap_or_default();
        }
    });
    found_tools(list, losses)
}

/// What a tool is called; of those that have a name of their own.
fn key(tool: &Tool<'_>) -> Option<(String, Option<String>)> {
    match tool {
        Tool::Function { name, namespace, .. } | Tool::Custom { name, namespace, .. } => {
            Some((name.clone().into_owned(), namespace.as_deref().map(str::to_owned)))
        }
        Tool::WebSearch(_) | Tool::Server(_) => None,
    }
}
