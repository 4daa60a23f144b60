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
            Tool::Function { namespace: Some(group), .. } => {
                if !groups.contains(&&**group) {
                    groups.push(group);
                    namespace(a, group, tools);
                }
            }
            Tool::Function { .. } => function(a, tool),
            Tool::Custom { name, description, format } => a.object(|o| {
                o.string("type", "custom");
                o.string("name", name);
                o.some_string("description", description.as_deref());
                o.some_raw("format", format.as_deref());
            }),
            Tool::WebSearch(own) | Tool::Server(own) if own.origin == Wire::Responses => {
                a.raw(own.value.get());
            }
            Tool::WebSearch(_) | Tool::Server(_) => {}
        }
    }
}

/// All functions of a group, where its first one stands. The API wants a description: its name must do.
fn namespace(a: &mut Array<'_>, group: &str, tools: &[Tool<'_>]) {
    a.object(|o| {
        o.string("type", "namespace");
        o.string("name", group);
        o.string("description", group);
        o.array("tools", |a| {
            for tool in tools {
                if matches!(tool, Tool::Function { namespace: Some(name), .. } if name == group) {
                    function(a, tool);
                }
            }
        });
    });
}

fn function(a: &mut Array<'_>, tool: &Tool<'_>) {
    let Tool::Function { name, description, parameters, strict, .. } = tool else { return };
    a.object(|o| {
        o.string("type", "function");
        o.string("name", name);
        o.some_string("description", description.as_deref());
        o.raw("parameters", parameters.as_deref().unwrap_or(NO_PARAMETERS));
        // Left out it would mean true here.
        o.value("strict", &strict.unwrap_or(false));
    });
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
