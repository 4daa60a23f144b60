//! messages: `input_tokens` excludes what was read from and written to caches. A stream restates counts as it goes:
//! they are totals, the last value of each holds.

use shared::usage::Usage;

use crate::json;

/// Counts as reported so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    input: Option<u64>,
    cache_read: Option<u64>,
    /// All writes, whatever they live.
    cache_write: Option<u64>,
    cache_write_5m: Option<u64>,
    cache_write_1h: Option<u64>,
    output: Option<u64>,
}

impl Counts {
    /// Takes the counts that a `usage` object states; the others stay. Whether it states the output.
    pub(crate) fn restate(&mut self, usage: &str) -> bool {
        let mut now = Self::default();
        let read = json::object(usage, |field| match &*field.name() {
            "input_tokens" => now.input = json::count(field.value),
            "cache_read_input_tokens" => now.cache_read = json::count(field.value),
            "cache_creation_input_tokens" => now.cache_write = json::count(field.value),
            "cache_creation" => now.split(field.value),
            "output_tokens" => now.output = json::count(field.value),
            _ => {}
        });
        if read.is_err() {
            return false;
        }
        self.input = now.input.or(self.input);
        self.cache_read = now.cache_read.or(self.cache_read);
        self.output = now.output.or(self.output);
        if now.cache_write_5m.is_some() || now.cache_write_1h.is_some() {
            // A split without a total is a total too.
            self.cache_write = now.cache_write;
            self.cache_write_5m = now.cache_write_5m;
            self.cache_write_1h = now.cache_write_1h;
        } else {
            self.cache_write = now.cache_write.or(self.cache_write);
        }
        now.output.is_some()
    }

    fn split(&mut self, cache_creation: &str) {
        let _ = json::object(cache_creation, |field| match &*field.name() {
            "ephemeral_5m_input_tokens" => self.cache_write_5m = json::count(field.value),
            "ephemeral_1h_input_tokens" => self.cache_write_1h = json::count(field.value),
            _ => {}
        });
    }

    /// None: nothing was reported.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let written = self.cache_write.or(self.cache_write_5m).or(self.cache_write_1h);
        self.input.or(self.output).or(self.cache_read).or(written)?;
        let split = (self.cache_write_5m.unwrap_or(0), self.cache_write_1h.unwrap_or(0));
        let total = self.cache_write.unwrap_or(split.0.saturating_add(split.1));
        let cache_write_1h = split.1.min(total);
        Some(Usage {
            input: self.input.unwrap_or(0),
            cache_read: self.cache_read.unwrap_or(0),
            // Writes of unstated life count as the shorter.
            cache_write_5m: total - cache_write_1h,
            cache_write_1h,
            output: self.output.unwrap_or(0),
            reasoning: 0,
        })
    }
}
