//! Tools, and which of them may or must be called.

use std::collections::{HashMap, HashSet};

use shared::wire::Wire;

use crate::{
    canonical::{Request, Tool, ToolChoice, customs},
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
    let mut groups: HashMap<&str, Vec<&Tool<'_>>> = HashMap::new();
    for tool in tools {
        if let Some(group) = group(tool) {
            groups.entry(group).or_default().push(tool);
        }
    }
    for tool in tools {
        match tool {
            Tool::Function { namespace: Some(group), .. } | Tool::Custom { namespace: Some(group), .. } => {
                if let Some(all) = groups.remove(&**group) {
                    namespace(a, group, &all);
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
fn namespace(a: &mut Array<'_>, group: &str, tools: &[&Tool<'_>]) {
    a.object(|o| {
        o.string("type", "namespace");
        o.string("name", group);
        o.string("description", group);
        o.array("tools", |a| tools.iter().for_each(|tool| own(a, tool)));
    });
}

fn group<'t>(tool: &'t Tool<'_>) -> Option<&'t str> {
    match tool {
        Tool::Function { namespace, .. } | Tool::Custom { namespace, .. } => namespace.as_deref(),
        Tool::WebSearch(_) | Tool::Server(_) => None,
    }
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
        ToolChoice::Named(name) => o.object("tool_choice", |o| named(o, name, &customs(tools))),
        ToolChoice::Allowed { names, required } => o.object("tool_choice", |o| {
            o.string("type", "allowed_tools");
            o.string("mode", if *required { "required" } else { "auto" });
            o.array("tools", |a| {
                let customs = customs(tools);
                for name in names {
                    a.object(|o| named(o, name, &customs));
                }
            });
        }),
    }
}

fn named(o: &mut Object<'_>, name: &str, customs: &HashSet<&str>) {
    o.string("type", if customs.contains(name) { "custom" } else { "function" });
    o.string("name", name);
}
