//! generationConfig, and what of it shapes the answer.

use serde_json::{Value, json};

use super::{
    Surface, invalid,
    request::{Model, refuse_fields},
    schema::{self, list},
};
use crate::{
    provider::Failure,
    turn::{Format, Thinking},
};

const MOST_CANDIDATES: i64 = 8;
const MOST_STOPS: usize = 5;
const MOST_SAID: i64 = 65_536;
const PLAIN: &str = "text/plain";
const JSON: &str = "application/json";
const MIME_TYPES: &[&str] = &[PLAIN, JSON, "application/xml", "application/yaml", "text/x.enum"];

/// What was asked for.
#[derive(Debug, Default)]
pub(super) struct Config {
    pub max_tokens: Option<u64>,
    pub stop: Vec<String>,
    pub format: Format,
    /// The first of the values that the answer must be one of.
    pub value: Option<String>,
    pub thinking: Thinking,
    pub candidates: u64,
    pub logprobs: bool,
}

/// A config of null is as good as none.
pub(super) fn read(config: &Value, has_tools: bool, model: &Model<'_>) -> Result<Config, Failure> {
    let mut wrong = Vec::new();
    ranges(config, &mut wrong);
    let schema = schema(config, &mut wrong);
    refuse_fields(model.surface, wrong)?;
    check_most(config, model)?;
    let mime_type = config["response_mime_type"].as_str().unwrap_or(PLAIN);
    if mime_type == JSON && has_tools && !model.is_third {
        return Err(invalid("Function calling with a response mime type: 'application/json' is unsupported"));
    }
    let first = schema.as_ref().and_then(|schema| schema["enum"][0].as_str()).map(str::to_owned);
    Ok(Config {
        max_tokens: config["max_output_tokens"].as_u64(),
        stop: list(&config["stop_sequences"]).iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        value: first.filter(|_| mime_type == "text/x.enum"),
        format: match schema {
            _ if mime_type != JSON => Format::Text,
            Some(schema) => Format::Schema(schema),
            None => Format::Json,
        },
        thinking: thinking(&config["thinking_config"], model)?,
        candidates: config["candidate_count"].as_u64().unwrap_or(1),
        logprobs: config["response_logprobs"] == true,
    })
}

/// One door passes over it in silence when more is asked for than models say.
fn check_most(config: &Value, model: &Model<'_>) -> Result<(), Failure> {
    let asked = config["max_output_tokens"].as_i64().filter(|asked| *asked > MOST_SAID);
    match asked.filter(|_| model.surface != Surface::Gemini) {
        None => Ok(()),
        Some(asked) => Err(invalid(format!(
            "Unable to submit request because it has a maxOutputTokens value of {asked} but the supported range is from 1 (inclusive) to {} (exclusive). Update the value and try again.",
            MOST_SAID + 1
        ))),
    }
}

/// The schema of the answer in either of its fields, as JSON Schema.
fn schema(config: &Value, wrong: &mut Vec<(String, String)>) -> Option<Value> {
    let mut refuse =
        |field: &str, why: &str| wrong.push((format!("generation_config.{field}"), why.to_owned()));
    let mime_type = config["response_mime_type"].as_str().unwrap_or(PLAIN);
    if !MIME_TYPES.contains(&mime_type) {
        refuse(
            "response_mime_type",
            "allowed mimetypes are `text/plain`, `application/json`, `application/xml`, `application/yaml` and `text/x.enum`.",
        );
    }
    let given = |name: &str| Some(&config[name]).filter(|schema| !schema.is_null());
    let typed = given("response_schema");
    let free = given("response_json_schema").or(given("_response_json_schema"));
    if typed.is_some() && free.is_some() {
        refuse("response_json_schema", "response_schema and response_json_schema are mutually exclusive.");
    }
    if typed.or(free).is_some() && mime_type == PLAIN {
        refuse(
            "response_schema",
            "only allowed when response_mime_type is `application/json` or `text/x.enum`.",
        );
    }
    if let Some(typed) = typed {
        schema::check(typed, "generation_config.response_schema", wrong);
    }
    typed.map(schema::as_json_schema).or_else(|| free.cloned())
}

fn ranges(config: &Value, wrong: &mut Vec<(String, String)>) {
    let mut refuse = |field: &str, why: String| wrong.push((format!("generation_config.{field}"), why));
    if config["logprobs"].is_i64() && config["response_logprobs"] != true {
        refuse("logprobs", "only allowed when response_logprobs is true.".to_owned());
    }
    for (field, least, most) in [
        ("temperature", 0.0, 2.0),
        ("top_p", 0.0, 1.0),
        ("presence_penalty", -2.0, 2.0),
        ("frequency_penalty", -2.0, 2.0),
        ("logprobs", 0.0, 20.0),
    ] {
        if config[field].as_f64().is_some_and(|given| !(least..=most).contains(&given)) {
            refuse(field, format!("{field} must be in the range [{least:.1}, {most:.1}]."));
        }
    }
    for field in ["max_output_tokens", "top_k"] {
        if config[field].as_f64().is_some_and(|given| given < 1.0) {
            refuse(field, format!("{field} must be positive."));
        }
    }
    if config["candidate_count"].as_i64().is_some_and(|given| !(1..=MOST_CANDIDATES).contains(&given)) {
        refuse("candidate_count", format!("candidate_count must be in the range [1, {MOST_CANDIDATES}]."));
    }
    let stops = list(&config["stop_sequences"]);
    if stops.len() > MOST_STOPS {
        refuse("stop_sequences", format!("must have at most {MOST_STOPS} stop sequences."));
    }
    if let Some(index) = stops.iter().position(|stop| *stop == json!("")) {
        refuse(&format!("stop_sequences[{index}]"), "stop sequences cannot be empty.".to_owned());
    }
}

fn thinking(config: &Value, model: &Model<'_>) -> Result<Thinking, Failure> {
    if config.is_null() {
        return Ok(Thinking::None);
    }
    let budget = config["thinking_budget"].as_i64();
    let level = config["thinking_level"].as_str().filter(|level| *level != "THINKING_LEVEL_UNSPECIFIED");
    let shown = config["include_thoughts"] == true;
    if budget.is_some() && level.is_some() {
        return Err(invalid("You can only set only one of thinking budget and thinking level."));
    }
    if level.is_some() && !model.is_third {
        return Err(invalid("Thinking level is not supported for this model."));
    }
    if let Some(level) = level.filter(|level| !model.has_level(level)) {
        return Err(invalid(format!(
            "Thinking level {level} is not supported for this model. Please retry with other thinking level."
        )));
    }
    if let Some(budget) = budget {
        check_budget(budget, model.name)?;
    }
    match (budget, shown) {
        (Some(0), true) => Err(invalid(
            "Unable to submit request because thinking_config.include_thoughts is only enabled when thinking is enabled.",
        )),
        (Some(0), false) => Ok(Thinking::None),
        (_, true) => Ok(Thinking::Shown),
        (_, false) => Ok(Thinking::Hidden),
    }
}

/// A budget of -1 leaves it to the model.
fn check_budget(budget: i64, model: &str) -> Result<(), Failure> {
    let (least, most) = match model {
        _ if model.contains("pro") => (128, 32_768),
        _ if model.contains("lite") => (512, 24_576),
        _ => (1, 24_576),
    };
    match budget {
        -1 => Ok(()),
        0 if !model.contains("pro") => Ok(()),
        0 => Err(invalid("Budget 0 is invalid. This model only works in thinking mode.")),
        _ if (least..=most).contains(&budget) => Ok(()),
        _ => Err(invalid(format!(
            "The thinking budget {budget} is invalid. Please choose a value between {least} and {most}."
        ))),
    }
}
