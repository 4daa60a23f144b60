//! What a proxy test asks the data plane for: a path from a fixed table.

use shared::{model::ModelPattern, wire::Wire};

use super::fault::Faults;

/// Segments of a path below the data plane's address, and its query.
#[derive(Debug, PartialEq, Eq)]
pub struct TestPath {
    pub wire: Wire,
    pub segments: Vec<String>,
    pub query: Option<&'static str>,
}

impl TestPath {
    /// `model` and `stream` are of the wire `gemini` alone; the others have them in the body.
    ///
    /// # Errors
    /// What belongs to `gemini` is missing there, or given elsewhere.
    pub fn of(wire: Wire, model: Option<&str>, stream: Option<bool>) -> Result<Self, Faults> {
        let plain = |segments: &[&str]| {
            let given = model.map(|_| "model").or(stream.map(|_| "stream"));
            let in_body = "only the wire gemini has it in the query; this one has it in the body";
            match given {
                Some(field) => Err(fault(field, in_body)),
                None => {
                    let segments = segments.iter().map(|&segment| segment.into()).collect();
                    Ok(Self { wire, segments, query: None })
                }
            }
        };
        match wire {
            Wire::Chat => plain(&["v1", "chat", "completions"]),
            Wire::Responses => plain(&["v1", "responses"]),
            Wire::Messages => plain(&["v1", "messages"]),
            Wire::Gemini => {
                let needed = || fault("model", "the wire gemini needs the model in the query");
                let model = model.ok_or_else(needed)?;
                ModelPattern::new(model).map_err(|error| fault("model", error.to_string()))?;
                let (method, query) = match stream {
                    Some(true) => ("streamGenerateContent", Some("alt=sse")),
                    _ => ("generateContent", None),
                };
                let segments = vec!["v1beta".into(), "models".into(), format!("{model}:{method}")];
                Ok(Self { wire, segments, query })
            }
        }
    }
}

fn fault(field: &str, message: impl Into<String>) -> Faults {
    let mut faults = Faults::default();
    faults.push(field, message);
    faults
}
