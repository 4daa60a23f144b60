//! Tools, and the choice among them.

use std::{borrow::Cow, collections::HashSet};

use serde_json::Value;

use super::{Fit, search};
use crate::{
    canonical::{Block, Opaque, Request, Tool, ToolChoice, ToolKind},
    convert::capabilities::Format,
    loss::{LossCode, Rejected},
};

/// What a custom tool takes where only functions are known.
const FREE_TEXT: &str = r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}"#;

impl Fit<'_> {
    pub(super) fn tools(&mut self, request: &mut Request<'_>) -> Result<(), Rejected> {
        let mut kept = Vec::with_capacity(request.tools.len());
        let mut left_out = Vec::new();
        let has_functions =
            request.tools.iter().any(|tool| matches!(tool, Tool::Function { .. } | Tool::Custom { .. }));
        // Gemini 2.5 refuses both in one request, and later ones want parts back that other wires can't hold.
        let searches_too = self.target.format != Format::Gemini || !has_functions;
        for tool in std::mem::take(&mut request.tools) {
            match tool {
                Tool::Function { name, description, parameters, strict, namespace, cache } => {
                    kept.push(self.function(name, description, parameters, strict, namespace, cache));
                }
                Tool::Custom { name, description, format, namespace } if self.can.custom_tools => {
                    let (name, namespace) = self.sent(name, namespace, ToolKind::Custom);
                    kept.push(Tool::Custom { name, description, format, namespace });
                }
                Tool::Custom { name, description, format, namespace } => {
                    if format.is_some() {
                        self.losses.add(LossCode::Strictness, "tools.format");
                    }
                    let (name, _) = self.sent(name, namespace, ToolKind::Custom);
                    kept.push(Tool::Function {
                        name,
                        description,
                        parameters: Some(Cow::Borrowed(FREE_TEXT)),
                        strict: None,
                        namespace: None,
                        cache: None,
                    });
                }
                Tool::WebSearch(tool) => {
                    let can = self.is_own(tool.origin)
                        || (self.can.web_search && searches_too && !search::is_kept_inside(&tool));
                    match self.target.server_tools && can {
                        true => kept.push(Tool::WebSearch(self.search(tool))),
                        false => left_out.push(tool),
                    }
                }
                Tool::Server(tool) if self.is_own(tool.origin) => kept.push(Tool::Server(tool)),
                Tool::Server(tool) => left_out.push(tool),
            }
        }
        request.tools = kept;
        self.leave_out(request, &left_out)?;
        self.choice(request);
        self.calls(request);
        if request.tools.is_empty() && matches!(self.target.format, Format::Messages | Format::Converse) {
            self.remember(request);
        }
        Ok(())
    }

    /// Anthropic and AWS want the tools of a history described, also where no tool is offered any more.
    fn remember(&mut self, request: &mut Request<'_>) {
        let (mut names, mut known) = (Vec::new(), HashSet::new());
        for block in request.turns.iter().flat_map(|turn| &turn.blocks) {
            if let Block::ToolCall(call) = block
                && known.insert(&*call.name)
            {
                names.push(call.name.clone());
            }
        }
        if !names.is_empty() && self.can.choice_none {
            request.tool_choice = Some(ToolChoice::None);
        }
        request.tools.extend(names.into_iter().map(|name| Tool::Function {
            name,
            description: None,
            parameters: None,
            strict: None,
            namespace: None,
            cache: None,
        }));
    }

    /// The model can do without: it just doesn't search, draw or run code. But what it is made to call must be there.
    fn leave_out(&mut self, request: &Request<'_>, tools: &[Opaque<'_>]) -> Result<(), Rejected> {
        for tool in tools {
            self.losses.add_named(LossCode::ServerTool, &tool.kind);
            let is_forced = match &request.tool_choice {
                Some(ToolChoice::Required) => request.tools.is_empty(),
                Some(ToolChoice::Allowed { names, required: true }) => names.is_empty(),
                Some(ToolChoice::Named(name)) => has_name(tool, name),
                _ => self.forced.as_deref() == Some(&*tool.kind),
            };
            if is_forced {
                return Err(no_counterpart(&tool.kind));
            }
        }
        Ok(())
    }

    fn function<'a>(
        &mut self,
        name: Cow<'a, str>,
        description: Option<Cow<'a, str>>,
        mut parameters: Option<Cow<'a, str>>,
        mut strict: Option<bool>,
        namespace: Option<Cow<'a, str>>,
        mut cache: Option<crate::canonical::CacheMark>,
    ) -> Tool<'a> {
        if !self.can.strict_tools && strict.take() == Some(true) {
            self.losses.add(LossCode::Strictness, "tools.strict");
        }
        if strict == Some(true) {
            parameters = parameters.map(|schema| self.closed(schema, "tools.parameters"));
        }
        if !self.can.cache_marks && cache.take().is_some() {
            self.losses.add(LossCode::CacheMark, "tools");
        }
        let (name, namespace) = self.sent(name, namespace, ToolKind::Function);
        Tool::Function { name, description, parameters, strict, namespace, cache }
    }

    /// The name to send, and the namespace where the target knows such.
    pub(super) fn sent<'a>(
        &mut self,
        name: Cow<'a, str>,
        namespace: Option<Cow<'a, str>>,
        kind: ToolKind,
    ) -> (Cow<'a, str>, Option<Cow<'a, str>>) {
        let kept = namespace.clone().filter(|_| self.can.namespaces);
        let flattened = namespace.filter(|_| kept.is_none());
        let before = name.clone();
        let sent = self.names.send(name, flattened.as_deref(), kind, self.can.tool_name_max);
        if sent != before {
            self.losses.add(LossCode::Renamed, "tools.name");
        }
        (sent, kept)
    }

    fn choice(&mut self, request: &mut Request<'_>) {
        if request.tools.is_empty() {
            // Wires refuse a choice among nothing.
            request.tool_choice = None;
            request.parallel_tools = None;
            return;
        }
        match request.tool_choice.take() {
            Some(ToolChoice::Named(name)) => {
                request.tool_choice = Some(ToolChoice::Named(self.names.chosen(name)));
            }
            Some(ToolChoice::Allowed { names, required }) if self.can.allowed_tools => {
                let names = names.into_iter().map(|name| self.names.chosen(name));
                request.tool_choice = Some(ToolChoice::Allowed { names: names.collect(), required });
            }
            Some(ToolChoice::Allowed { names, required }) => self.allowed(request, &names, required),
            Some(ToolChoice::None) if !self.can.choice_none => request.tools.clear(),
            choice => request.tool_choice = choice,
        }
        if !self.can.parallel_flag && request.parallel_tools.take() == Some(false) {
            self.losses.add(LossCode::ParallelTools, "parallel_tool_calls");
        }
    }

    /// Where some tools can't be named, the others are not offered.
    fn allowed(&mut self, request: &mut Request<'_>, names: &[Cow<'_, str>], required: bool) {
        self.losses.add(LossCode::ToolChoice, "tool_choice");
        let names: HashSet<_> = names.iter().map(|name| self.names.chosen(name.clone())).collect();
        request.tools.retain(|tool| match tool {
            Tool::Function { name, .. } | Tool::Custom { name, .. } => names.contains(name),
            Tool::WebSearch(_) | Tool::Server(_) => false,
        });
        request.tool_choice = Some(if required { ToolChoice::Required } else { ToolChoice::Auto });
        if request.tools.is_empty() {
            request.tool_choice = None;
        }
    }
}

fn has_name(tool: &Opaque<'_>, name: &str) -> bool {
    let fields: Value = serde_json::from_str(tool.value.get()).unwrap_or_default();
    fields["name"] == name
}

fn no_counterpart(kind: &str) -> Rejected {
    let message = format!(
        "the tool `{kind}` is run by its own provider, and the account that serves this model has none like it; leave \
         it out, or use a model of that provider"
    );
    Rejected::new("tools", message)
}
