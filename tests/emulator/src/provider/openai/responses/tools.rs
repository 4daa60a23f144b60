//! The tools of a request and the choice among them.

use serde_json::{Map, Value, json};

use crate::{
    provider::{
        Failure,
        openai::{
            invalid, missing,
            model::Model,
            responses::{
                field::{Fields, unknown_value, wrong_type},
                schema,
            },
        },
    },
    turn::{Choice, Tool},
};

/// Tools that the provider runs by itself. They are taken, and never called.
const HOSTED: &[&str] = &[
    "apply_patch",
    "code_interpreter",
    "computer",
    "computer_use_preview",
    "file_search",
    "image_generation",
    "local_shell",
    "mcp",
    "shell",
    SEARCH,
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
];
const SEARCH: &str = "tool_search";
const IN_NAMESPACE: &[&str] = &["function", "custom"];
const SYNTAXES: &[&str] = &["lark", "regex"];

/// A tool that the client runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Declared {
    pub name: String,
    pub namespace: Option<String>,
    pub kind: Kind,
    schema: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Function,
    /// Takes any text.
    Custom,
}

/// What the model may call, and how it chooses.
#[derive(Debug, Default)]
pub(super) struct Toolbox {
    pub declared: Vec<Declared>,
    pub choice: Choice,
    /// The names that an `allowed_tools` choice leaves.
    allowed: Option<Vec<String>>,
    /// Tools are looked for as they are needed.
    searches: bool,
}

impl Toolbox {
    pub(super) fn read(body: Fields<'_>) -> Result<Self, Failure> {
        let mut declared = Vec::new();
        let tools = body.list("tools")?.unwrap_or_default();
        for (index, tool) in tools.iter().enumerate() {
            read_tool(Fields::of(tool, &format!("tools[{index}]"))?, &mut declared)?;
        }
        let searches = tools.iter().any(|tool| tool["type"] == SEARCH);
        let mut toolbox = Self { declared, searches, ..Self::default() };
        if let Some(choice) = body.get("tool_choice") {
            toolbox.read_choice(choice, tools)?;
        }
        Ok(toolbox)
    }

    /// Some tools are not for every model.
    pub(super) fn check_offer(&self, model: &str) -> Result<(), Failure> {
        if !self.searches || Model::of(model).searches_tools() {
            return Ok(());
        }
        Err(invalid(format!("Tool '{SEARCH}' is not supported with {model}.")).with_param("tools"))
    }

    /// Takes up the tools that came among the items.
    pub(super) fn add(&mut self, items: &[Value]) -> Result<(), Failure> {
        for item in items.iter().filter(|item| item["type"] == "additional_tools") {
            for tool in item["tools"].as_array().into_iter().flatten() {
                read_tool(Fields::of(tool, "input.tools")?, &mut self.declared)?;
            }
        }
        Ok(())
    }

    /// As the model has them: those that it may not call come last, without a name to call them by.
    pub(super) fn prompt_tools(&self) -> Vec<Tool> {
        let allowed = |tool: &&Declared| self.allowed.as_ref().is_none_or(|names| names.contains(&tool.name));
        let (open, closed): (Vec<&Declared>, Vec<&Declared>) = self.declared.iter().partition(allowed);
        let named =
            open.into_iter().map(|tool| Tool { name: tool.name.clone(), schema: tool.schema.clone() });
        named.chain(closed.into_iter().map(|_| Tool { name: String::new(), schema: Value::Null })).collect()
    }

    fn read_choice(&mut self, choice: &Value, tools: &[Value]) -> Result<(), Failure> {
        match choice {
            Value::String(mode) => self.choice = mode_choice(mode, "tool_choice")?,
            Value::Object(map) => self.read_object(Fields { map, path: "tool_choice" })?,
            other => return Err(wrong_type("tool_choice", "one of an object or string", other)),
        }
        if self.choice == Choice::Any && tools.is_empty() {
            return Err(refused_choice("Tool choice 'required' must be specified with 'tools' parameter."));
        }
        Ok(())
    }

    fn read_object(&mut self, choice: Fields<'_>) -> Result<(), Failure> {
        match choice.need_text("type")? {
            kind @ ("function" | "custom") => {
                let name = choice.need_text("name")?;
                let kind = if kind == "custom" { Kind::Custom } else { Kind::Function };
                self.must_have(kind, name)?;
                self.choice = Choice::Named(name.to_owned());
            }
            "allowed_tools" => {
                let mode = choice.one_of("mode", &["auto", "required"])?;
                let mode = mode.ok_or_else(|| missing(&choice.param("mode")))?;
                let tools = choice.list("tools")?.ok_or_else(|| missing(&choice.param("tools")))?;
                let mut names = Vec::new();
                for (index, tool) in tools.iter().enumerate() {
                    let path = format!("{}[{index}]", choice.param("tools"));
                    let tool = Fields::of(tool, &path)?;
                    let kind = match tool.need_text("type")? {
                        "function" => Kind::Function,
                        "custom" => Kind::Custom,
                        _ => continue,
                    };
                    let name = tool.need_text("name")?;
                    self.must_have(kind, name)?;
                    names.push(name.to_owned());
                }
                self.choice = mode_choice(mode, "tool_choice.mode")?;
                self.allowed = Some(names);
            }
            // The model is not made to call what runs elsewhere.
            hosted if HOSTED.contains(&hosted) => {}
            other => {
                let known: Vec<&str> = ["allowed_tools", "custom", "function"]
                    .into_iter()
                    .chain(HOSTED.iter().copied())
                    .collect();
                return Err(unknown_value("tool_choice.type", other, &known));
            }
        }
        Ok(())
    }

    fn must_have(&self, kind: Kind, name: &str) -> Result<(), Failure> {
        if self.declared.iter().any(|tool| tool.kind == kind && tool.name == name) {
            return Ok(());
        }
        let kind = if kind == Kind::Custom { "custom" } else { "function" };
        Err(refused_choice(&format!("Tool choice '{kind}' not found in 'tools' parameter.")))
    }
}

fn refused_choice(message: &str) -> Failure {
    invalid(message).with_param("tool_choice")
}

fn mode_choice(mode: &str, param: &str) -> Result<Choice, Failure> {
    match mode {
        "auto" => Ok(Choice::Auto),
        "none" => Ok(Choice::None),
        "required" => Ok(Choice::Any),
        other => Err(unknown_value(param, other, &["none", "auto", "required"])),
    }
}

fn read_tool(tool: Fields<'_>, declared: &mut Vec<Declared>) -> Result<(), Failure> {
    match tool.need_text("type")? {
        "function" => declared.push(function(tool, None)?),
        "custom" => declared.push(custom(tool, None)?),
        "namespace" => {
            let namespace = tool.need_name("name")?;
            tool.text("description")?;
            let path = tool.param("tools");
            let tools = tool.list("tools")?.ok_or_else(|| missing(&path))?;
            for (index, inner) in tools.iter().enumerate() {
                let path = format!("{path}[{index}]");
                let inner = Fields::of(inner, &path)?;
                declared.push(match inner.need_text("type")? {
                    "function" => function(inner, Some(namespace))?,
                    "custom" => custom(inner, Some(namespace))?,
                    other => return Err(unknown_value(&inner.param("type"), other, IN_NAMESPACE)),
                });
            }
        }
        hosted if HOSTED.contains(&hosted) => {}
        other => {
            let known: Vec<&str> =
                ["custom", "function", "namespace"].into_iter().chain(HOSTED.iter().copied()).collect();
            return Err(unknown_value(&tool.param("type"), other, &known));
        }
    }
    Ok(())
}

fn function(tool: Fields<'_>, namespace: Option<&str>) -> Result<Declared, Failure> {
    let name = tool.need_name("name")?;
    tool.text("description")?;
    let strict = tool.flag("strict")? == Some(true);
    let param = tool.param("parameters");
    let schema = tool.get("parameters").cloned().unwrap_or_else(|| json!({}));
    let schema = match schema {
        Value::Object(map) => map,
        other => return Err(wrong_type(&param, "an object", &other)),
    };
    let kind = schema.get("type").and_then(Value::as_str);
    let fault = match kind {
        Some("object") if strict => schema::strict_fault(&Value::Object(schema.clone())),
        Some("object") => None,
        None if schema.is_empty() && !strict => None,
        kind => {
            let given = kind.unwrap_or("None");
            Some(format!("schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{given}\"'."))
        }
    };
    if let Some(fault) = fault {
        let message = format!("Invalid schema for function '{name}': {fault}");
        return Err(invalid(message).with_param(param).with_code("invalid_function_parameters"));
    }
    Ok(Declared {
        name: name.to_owned(),
        namespace: namespace.map(str::to_owned),
        kind: Kind::Function,
        schema: Value::Object(schema),
    })
}

fn custom(tool: Fields<'_>, namespace: Option<&str>) -> Result<Declared, Failure> {
    let name = tool.need_name("name")?;
    tool.text("description")?;
    let path = tool.param("format");
    if let Some(format) = tool.inner("format", &path)?
        && format.one_of("type", &["text", "grammar"])? == Some("grammar")
    {
        format.need_text("definition")?;
        format.one_of("syntax", SYNTAXES)?.ok_or_else(|| missing(&format.param("syntax")))?;
    }
    Ok(Declared {
        name: name.to_owned(),
        namespace: namespace.map(str::to_owned),
        kind: Kind::Custom,
        schema: json!({"type": "string"}),
    })
}

/// The tools as an answer repeats them: with what was left out filled in.
pub(super) fn echo(tools: Option<&Value>) -> Value {
    let tools = tools.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    tools.iter().map(echo_one).collect()
}

fn echo_one(tool: &Value) -> Value {
    let mut tool: Map<String, Value> = tool.as_object().cloned().unwrap_or_default();
    match tool.get("type").and_then(Value::as_str) {
        Some("function") => {
            for (name, default) in
                [("description", Value::Null), ("parameters", Value::Null), ("strict", true.into())]
            {
                let given = tool.entry(name).or_insert(Value::Null);
                if given.is_null() {
                    *given = default;
                }
            }
        }
        Some("custom") => {
            tool.entry("description").or_insert(Value::Null);
            tool.entry("format").or_insert_with(|| json!({"type": "text"}));
        }
        Some("namespace") => {
            let inner = echo(tool.get("tools"));
            tool.insert("tools".to_owned(), inner);
        }
        _ => {}
    }
    Value::Object(tool)
}
