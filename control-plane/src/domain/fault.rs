//! What is wrong with an input, field by field.

/// One field and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Path of the field, such as `credentials.api_key`.
    pub field: String,
    /// For a person; never repeats the value.
    pub message: String,
}

/// All that is wrong, so that a person need not find it out one at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    pub fn push(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Fault { field: field.into(), message: message.into() });
    }

    /// The value, where there is one; its fault is noted otherwise.
    pub fn take<T, E: std::fmt::Display>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.push(field, error.to_string())).ok()
    }

    /// Free text for people, of several lines.
    pub fn description(&mut self, text: String) -> String {
        const MOST: usize = 1000;
        if text.chars().count() > MOST {
            self.push("description", format!("at most {MOST} characters"));
        }
        if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            self.push("description", "must not hold control characters");
        }
        text
    }

    /// # Errors
    /// Itself, where there is a fault.
    pub fn none(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}
