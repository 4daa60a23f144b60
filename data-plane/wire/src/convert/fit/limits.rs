//! Numbers: sampling, stop sequences, the output's limit, the answer's form.

use serde_json::Number;

use super::Fit;
use crate::{
    canonical::{Format as Form, Request},
    convert::capabilities::Format,
    loss::LossCode,
};

/// OpenAI refuses less.
const RESPONSES_MIN_OUTPUT: u64 = 16;

impl Fit<'_> {
    pub(super) fn limits(&mut self, request: &mut Request<'_>) {
        let sampling = &mut request.sampling;
        let most = f64::from(self.can.temperature_max_tenths) / 10.0;
        if let Some(temperature) = &mut sampling.temperature
            && temperature.as_f64().is_some_and(|asked| asked > most)
            && let Some(most) = Number::from_f64(most)
        {
            *temperature = most;
            self.losses.add(LossCode::Clamped, "temperature");
        }
        self.drop_unless(self.can.top_k, &mut sampling.top_k, "top_k");
        self.drop_unless(self.can.seed, &mut sampling.seed, "seed");
        self.drop_unless(self.can.penalties, &mut sampling.presence_penalty, "presence_penalty");
        self.drop_unless(self.can.penalties, &mut sampling.frequency_penalty, "frequency_penalty");
        if !self.can.logprobs && (sampling.logprobs.take() == Some(true) || sampling.top_logprobs.is_some()) {
            sampling.top_logprobs = None;
            self.losses.add(LossCode::Field, "logprobs");
        }
        if !self.can.n && sampling.n.take().is_some_and(|n| n > 1) {
            self.losses.add(LossCode::Field, "n");
        }
        if sampling.stop.len() > self.can.stop_max {
            let code = if self.can.stop_max == 0 { LossCode::Field } else { LossCode::Clamped };
            self.losses.add(code, "stop");
            sampling.stop.truncate(self.can.stop_max);
        }
        if let (Some(most), Some(asked)) = (self.target.max_output, request.max_output)
            && asked > most
        {
            request.max_output = Some(most);
            self.losses.add(LossCode::Clamped, "max_output_tokens");
        }
        if self.can.needs_max_output && request.max_output.is_none() {
            request.max_output = Some(self.target.default_max_output);
        }
        if self.target.format == Format::Responses
            && let Some(most) = request.max_output.as_mut().filter(|most| **most < RESPONSES_MIN_OUTPUT)
        {
            *most = RESPONSES_MIN_OUTPUT;
            self.losses.add(LossCode::Clamped, "max_tokens");
        }
        self.format(request);
    }

    fn format(&mut self, request: &mut Request<'_>) {
        match &mut request.format {
            Form::JsonObject if !self.can.json_object => {
                self.losses.add(LossCode::Strictness, "response_format");
                request.format = Form::Text;
            }
            Form::JsonSchema { .. } if !self.can.json_schema => {
                self.losses.add(LossCode::Strictness, "response_format");
                request.format = Form::Text;
            }
            Form::JsonSchema { name, schema, .. } => {
                // OpenAI's wires want a name.
                name.get_or_insert_with(|| "answer".into());
                *schema = self.closed(std::mem::take(schema), "response_format");
            }
            _ => {}
        }
    }
}
