//! OpenAI's endpoints, by deployment in the path and by deployment as the model.

use crate::{
    provider::{
        Answer, Call, Failure, Profile,
        azure::{FILTER, deployment, filter, filtered, model, with_model},
        openai,
    },
    template::Draft,
};

/// POST /openai/deployments/{deployment}/chat/completions
pub(crate) fn deployment_chat(call: &Call<'_>) -> Result<Draft, Failure> {
    of_deployment(call, call.name.unwrap_or_default(), openai::chat::answer).map(filter::chat)
}

/// POST /openai/deployments/{deployment}/embeddings
pub(crate) fn deployment_embeddings(call: &Call<'_>) -> Result<Draft, Failure> {
    of_deployment(call, call.name.unwrap_or_default(), openai::embeddings::answer)
}

/// POST /openai/v1/chat/completions
pub(crate) fn chat(call: &Call<'_>) -> Result<Draft, Failure> {
    of_deployment(call, &deployment(call), openai::chat::answer).map(filter::chat)
}

/// POST /openai/v1/embeddings
pub(crate) fn embeddings(call: &Call<'_>) -> Result<Draft, Failure> {
    of_deployment(call, &deployment(call), openai::embeddings::answer)
}

/// POST /openai/v1/responses
pub(crate) fn responses(call: &Call<'_>) -> Result<Draft, Failure> {
    of_deployment(call, &deployment(call), openai::responses::answer)
}

/// POST /openai/v1/responses/input_tokens
pub(crate) fn input_tokens(call: &Call<'_>) -> Result<Draft, Failure> {
    of_deployment(call, &deployment(call), openai::responses::input_tokens)
}

fn of_deployment(call: &Call<'_>, deployment: &str, answer: Answer) -> Result<Draft, Failure> {
    let model = model(deployment, call.profile)?;
    if memchr::memmem::find(call.body, FILTER.as_bytes()).is_some() {
        return Err(filtered());
    }
    let body = with_model(call.body, model);
    // Which deployments there are has been asked; the models behind them are all there.
    let profile = Profile { models: Some(vec![model.to_owned()]), ..call.profile.clone() };
    answer(&Call { body: &body, profile: &profile, ..*call })
}
