//! The order of messages: who may say what, and that each tool call is answered at once.

use serde_json::Value;

use super::{
    content,
    field::{Fields, at_most, empty_array, unknown_value},
};
use crate::provider::{Failure, openai::invalid};

/// The longest identifier of a tool call.
const LONGEST_ID: usize = 40;

pub(super) fn check(messages: &[Value]) -> Result<(), Failure> {
    if messages.is_empty() {
        return Err(empty_array("messages"));
    }
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let path = format!("messages[{index}]");
        let message = Fields::of(message, path.clone())?;
        let role = message.need_text("role")?;
        check_role(role, &message.param("role"))?;
        if role == "tool" {
            take_result(&message, &mut open)?;
        } else {
            check_answered(&open)?;
        }
        if role == "function" {
            message.need_text("name")?;
        }
        match message.get("content") {
            Some(said) => content::check(said, role, &path)?,
            None => check_silent(&message, role, index)?,
        }
        if role == "assistant" {
            open = calls(&message)?;
        }
    }
    check_answered(&open)
}

fn check_role(role: &str, param: &str) -> Result<(), Failure> {
    let known = ["system", "assistant", "user", "function", "tool", "developer"];
    if known.contains(&role) { Ok(()) } else { Err(unknown_value(param, role, &known)) }
}

/// Only an assistant may say nothing, and only with something in place of it.
fn check_silent(message: &Fields<'_>, role: &str, index: usize) -> Result<(), Failure> {
    let instead = ["tool_calls", "function_call", "audio", "refusal"];
    if role == "assistant" && instead.iter().any(|name| message.get(name).is_some()) {
        return Ok(());
    }
    Err(invalid("Invalid value for 'content': expected a string, got null.")
        .with_param(format!("messages.[{index}].content")))
}

/// The identifiers of an assistant's calls.
fn calls<'b>(message: &Fields<'b>) -> Result<Vec<&'b str>, Failure> {
    let path = message.param("tool_calls");
    let Some(calls) = message.list("tool_calls")? else { return Ok(Vec::new()) };
    if calls.is_empty() {
        return Err(empty_array(&path));
    }
    let mut ids = Vec::with_capacity(calls.len());
    for (index, call) in calls.iter().enumerate() {
        let call = Fields::of(call, format!("{path}[{index}]"))?;
        let id = call.need_text("id")?;
        at_most(&call.param("id"), id, LONGEST_ID)?;
        let kind = call.need_one_of("type", &["function", "custom"])?;
        let called = call.need_inner(kind)?;
        called.need_name()?;
        called.need_text(if kind == "custom" { "input" } else { "arguments" })?;
        ids.push(id);
    }
    Ok(ids)
}

fn take_result(message: &Fields<'_>, open: &mut Vec<&str>) -> Result<(), Failure> {
    let id = message.need_text("tool_call_id")?;
    at_most(&message.param("tool_call_id"), id, LONGEST_ID)?;
    match open.iter().position(|waiting| *waiting == id) {
        Some(at) => {
            open.remove(at);
            Ok(())
        }
        None => Err(invalid("Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.")
            .with_param("messages")),
    }
}

fn check_answered(open: &[&str]) -> Result<(), Failure> {
    if open.is_empty() {
        return Ok(());
    }
    let message = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: {}",
        open.join(", ")
    );
    Err(invalid(message).with_param("messages"))
}
