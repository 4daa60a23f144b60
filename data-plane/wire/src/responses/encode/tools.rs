//! Tools, and which of them may or must be called.

use shared::wire::Wire;

use crate::{
    canonical::{Request, Tool, ToolChoice},
    json::write::{Array, Object},
};

/// Schema of a function that takes nothing.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

pub(super) fn write(o: &mut Object<'_>, request: &Request<'_>) {
    if !request.tools.is_empty() {
        o.array("tools", |a| tools(a, &request.tools));
    }
    if let Some(choice) = &request.tool_choice {
        tool_choice(o, choice, &request.tools);
    }
    o.some("parallel_tool_calls", request.parallel_tools.as_ref());
}

fn tools(a: &mut Array<'_>, tools: &[Tool<'_>]) {
    let mut groups: Vec<&str> = Vec::new();
    for tool in tools {
        match tool {
            Tool::Function { namespace: Some(group), .. } | Tool::Custom { namespace: Some(group), .. } => {
                if !groups.contains(&&**group) {
                    groups.push(group);
                    namespace(a, group, tools);
                }
            }
            Tool::Function { .. } | Tool::Custom { .. } => own(a, tool),
            Tool::WebSearch(own) | Tool::Server(own) if own.origin == Wire::Responses => {
                a.raw(own.value.get());
            }
            Tool::WebSearch(_) | Tool::Server(_) => {}
        }
    }
}

/// All tools of a group, where its first one stands. The API wants a description: its name must do.
fn namespace(a: &mut Array<'_>, group: &str, tools: &[Tool<'_>]) {
    a.object(|o| {
        o.string("type", "namespace");
        o.string("name", group);
        o.string("description", group);
        o.array("tools", |a| {
            for tool in tools {
                if let Tool::Function { namespace: Some(name), .. }
                | Tool::Custom { namespace: Some(name), .. } = tool
                    && name == group
                {
                    own(a, tool);
                }
            }
        });
    });
}

/// A tool that the client runs.
fn own(a: &mut Array<'_>, tool: &Tool<'_>) {
    match tool {
        Tool::Function { name, description, parameters, strict, .. } => a.object(|o| {
            o.string("type", "function");
            o.string("name", name);
            o.some_string("description", description.as_deref());
            o.raw("parameters", parameters.as_deref().unwrap_or(NO_PARAMETERS));
            // Left out it would mean true here.
            o.value("strict", &strict.unwrap_or(false));
        }),
        Tool::Custom { name, description, format, .. } => a.object(|o| {
            o.string("type", "custom");
            o.string("name", name);
            o.some_string("description", description.as_deref());
            o.some_raw("format", format.as_deref());
        }),
        Tool::WebSearch(_) | Tool::Server(_) => {}
    }
}

fn tool_choice(o: &mut Object<'_>, choice: &ToolChoice<'_>, tools: &[Tool<'_>]) {
    match choice {
        ToolChoice::Auto => o.string("tool_choice", "auto"),
        ToolChoice::None => o.string("tool_choice", "none"),
        ToolChoice::Required => o.string("tool_choice", "required"),
        ToolChoice::Named(name) => o.object("tool_choice", |o| named(o, name, tools)),
        ToolChoice::Allowed { names, required } => o.object("tool_choice", |o| {
            o.string("type", "allowed_tools");
            o.string("mode", if *required { "required" } else { "auto" });
            o.array("tools", |a| {
                for name in names {
                    a.object(|o| named(o, name, tools));
                }
            });
        }),
    }
}

fn named(o: &mut Object<'_>, name: &str, tools: &[Tool<'_>]) {
    let is_custom = tools.iter().any(|tool| matches!(tool, Tool::Custom { name: own, .. } if own == name));
    o.string("type", if is_custom { "custom" } else { "function" });
    o.string("name", name);
}
