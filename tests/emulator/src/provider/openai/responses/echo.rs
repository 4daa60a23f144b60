//! What an answer repeats of its request.

use serde_json::{Map, Value, json};

use crate::provider::openai::responses::{request::Checked, tools};

impl Checked {
    /// With what was left out filled in.
    pub(super) fn echo(&self) -> Map<String, Value> {
        let given = |name: &str| self.body.get(name).cloned().unwrap_or_default();
        let or = |name: &str, default: Value| match given(name) {
            Value::Null => default,
            given => given,
        };
        let part = |name: &str, inner: &str| given(name).get(inner).cloned().unwrap_or_default();
        let verbosity = match part("text", "verbosity") {
            Value::Null => "medium".into(),
            given => given,
        };
        let echo = json!({
            "instructions": given("instructions"),
            "max_output_tokens": given("max_output_tokens"),
            "max_tool_calls": given("max_tool_calls"),
            "metadata": or("metadata", json!({})),
            "parallel_tool_calls": or("parallel_tool_calls", true.into()),
            "previous_response_id": given("previous_response_id"),
            "prompt_cache_key": given("prompt_cache_key"),
            "prompt_cache_retention": given("prompt_cache_retention"),
            "reasoning": {"effort": part("reasoning", "effort"), "summary": part("reasoning", "summary")},
            "safety_identifier": given("safety_identifier"),
            "store": self.store,
            "temperature": or("temperature", 1.0.into()),
            "text": {"format": self.echo_format(), "verbosity": verbosity},
            "tool_choice": or("tool_choice", "auto".into()),
            "tools": tools::echo(self.body.get("tools")),
            "top_logprobs": or("top_logprobs", 0.into()),
            "top_p": or("top_p", 1.0.into()),
            "truncation": or("truncation", "disabled".into()),
            "user": given("user"),
        });
        match echo {
            Value::Object(echo) => echo,
            _ => Map::new(),
        }
    }

    fn echo_format(&self) -> Value {
        let given =
            self.body.get("text").and_then(|text| text.get("format")).filter(|given| !given.is_null());
        let mut format = given.cloned().unwrap_or_else(|| json!({"type": "text"}));
        if let Some(map) = format.as_object_mut().filter(|map| map.contains_key("schema")) {
            map.entry("description").or_insert(Value::Null);
            map.entry("strict").or_insert(false.into());
        }
        format
    }
}
