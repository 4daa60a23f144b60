//! What form the answer is to have.

use serde_json::Value;

use super::{field::Fields, prompt::text_of, schema};
use crate::{
    provider::{Failure, openai::invalid},
    turn::Format,
};

pub(super) fn read(body: &Fields<'_>, messages: &[Value]) -> Result<Format, Failure> {
    let Some(asked) = body.inner("response_format")? else { return Ok(Format::Text) };
    match asked.need_one_of("type", &["json_object", "json_schema", "text"])? {
        "text" => Ok(Format::Text),
        "json_object" => {
            let said = |message: &Value| message.get("content").map(text_of).unwrap_or_default();
            if messages.iter().any(|message| said(message).to_lowercase().contains("json")) {
                return Ok(Format::Json);
            }
            Err(invalid("'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.")
                .with_param("messages"))
        }
        _ => by_schema(&asked.need_inner("json_schema")?),
    }
}

fn by_schema(format: &Fields<'_>) -> Result<Format, Failure> {
    let name = format.need_name()?;
    let schema = format.need("schema")?;
    let strict = format.flag("strict")?.unwrap_or_default();
    let Some(fault) = schema::format_fault(schema, strict) else {
        return Ok(Format::Schema(schema.clone()));
    };
    let message = format!("Invalid schema for response_format '{name}': {fault}");
    Err(invalid(message).with_param("response_format"))
}
