//! Tools, and which of them the model is to use.

use shared::wire::Wire;

use crate::{
    canonical::{Opaque, Request, Tool, ToolChoice},
    json::write::{Array, Object},
};

/// What a tool that takes free text takes here.
const FREE_TEXT: &str = r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#;

pub(super) fn tools(o: &mut Object<'_>, tools: &[Tool<'_>]) {
    let has_functions = tools.iter().any(is_function);
    if !has_functions && !tools.iter().any(is_server) {
        return;
    }
    o.array("tools", |a| {
        if has_functions {
            a.object(|o| {
                o.array("functionDeclarations", |a| tools.iter().for_each(|tool| function(a, tool)))
            });
        }
        tools.iter().for_each(|tool| server(a, tool));
    });
}

const fn is_function(tool: &Tool<'_>) -> bool {
    matches!(tool, Tool::Function { .. } | Tool::Custom { .. })
}

fn is_server(tool: &Tool<'_>) -> bool {
    match tool {
        Tool::WebSearch(_) => true,
        Tool::Server(opaque) => opaque.origin == Wire::Gemini,
        _ => false,
    }
}

fn function(a: &mut Array<'_>, tool: &Tool<'_>) {
    let (name, description, parameters) = match tool {
        Tool::Function { name, description, parameters, .. } => (name, description, parameters.as_deref()),
        Tool::Custom { name, description, .. } => (name, description, Some(FREE_TEXT)),
        Tool::WebSearch(_) | Tool::Server(_) => return,
    };
    a.object(|o| {
        o.string("name", name);
        o.some_string("description", description.as_deref());
        if let Some(parameters) = parameters {
            o.raw("parametersJsonSchema", parameters);
        }
    });
}

fn server(a: &mut Array<'_>, tool: &Tool<'_>) {
    match tool {
        Tool::WebSearch(Opaque { origin: Wire::Gemini, value, .. })
        | Tool::Server(Opaque { origin: Wire::Gemini, value, .. }) => a.raw(value.get()),
        Tool::WebSearch(_) => a.object(|o| o.object("googleSearch", |_| {})),
        _ => {}
    }
}

pub(super) fn config(o: &mut Object<'_>, request: &Request<'_>) {
    if let Some(choice) = &request.tool_choice {
        let (mode, names) = match choice {
            ToolChoice::Auto => ("AUTO", &[][..]),
            ToolChoice::None => ("NONE", &[][..]),
            ToolChoice::Required => ("ANY", &[][..]),
            ToolChoice::Named(name) => ("ANY", std::slice::from_ref(name)),
            ToolChoice::Allowed { names, required: true } => ("ANY", names.as_slice()),
            ToolChoice::Allowed { names, required: false } => ("VALIDATED", names.as_slice()),
        };
        o.object("functionCallingConfig", |o| {
            o.string("mode", mode);
            if !names.is_empty() {
                o.value("allowedFunctionNames", names);
            }
        });
    }
}
