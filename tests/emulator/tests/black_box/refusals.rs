//! How each provider says that it does not serve an account.

use emulator::{Behaviour, Credential, Emulator, Refusal};
use serde_json::{Value, json};

use crate::client::{Answer, call, chat_body, emulator, message_body};

/// Where a provider is asked, and how its credential goes along.
struct Door {
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    key: &'static str,
    body: Value,
}

const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

fn door(
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    key: &'static str,
    body: Value,
) -> Door {
    Door { path, headers, key, body }
}

fn anthropic() -> Door {
    door("/v1/messages", &[("x-api-key", "sk-ant-1"), VERSION], "sk-ant-1", message_body("Hi", true))
}

fn openai() -> Door {
    door("/v1/chat/completions", &[("authorization", "Bearer sk-1")], "sk-1", chat_body("Hi", false))
}

fn azure() -> Door {
    let path = "/azure/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
    door(path, &[("api-key", "az-1")], "az-1", chat_body("Hi", false))
}

fn gemini() -> Door {
    let path = "/v1beta/models/gemini-3-pro:generateContent";
    door(path, &[("x-goog-api-key", "AIza-1")], "AIza-1", json!({"contents": [{"parts": [{"text": "Hi"}]}]}))
}

fn bedrock() -> Door {
    let path = "/model/us.anthropic.claude-opus-4-8/invoke";
    door(path, &[("authorization", "Bearer ABSK-1")], "ABSK-1", json!({}))
}

fn droid() -> Door {
    let headers = &[("authorization", "Bearer fk-1"), VERSION];
    door("/droid/a/v1/messages", headers, "fk-1", message_body("Hi", false))
}

fn chatgpt() -> Door {
    let headers = &[("authorization", "Bearer token-1"), ("chatgpt-account-id", "acc")];
    let body = json!({"model": "gpt-4o", "input": [], "store": false, "stream": true});
    door("/chatgpt/responses", headers, "token-1", body)
}

fn compatible() -> Door {
    let headers = &[("authorization", "Bearer sk-2")];
    door("/compatible/v1/chat/completions", headers, "sk-2", chat_body("Hi", false))
}

async fn refused(emulator: &Emulator, door: &Door, refusal: Refusal) -> Answer {
    let credential: &Credential = &emulator.credential(door.key);
    credential.next(Behaviour::refused(refusal)).unwrap();
    let answer = Box::pin(call(emulator, "POST", door.path, door.headers, &door.body.to_string())).await;
    assert_eq!(credential.counters().queued, 0, "{} {refusal:?}", door.path);
    answer
}

/// The status, and what the provider tells its errors apart by.
fn told(answer: &Answer) -> (u16, Value, Value, String) {
    let body = answer.json();
    let error = body.get("error").unwrap_or(&body);
    let kind = error.get("type").or_else(|| error.get("status")).cloned().unwrap_or_default();
    let exception = answer.head.header("x-amzn-errortype").map(|name| json!(name.split(':').next()));
    let message = error.get("message").or_else(|| error.get("detail")).cloned().unwrap_or_default();
    let text = message.as_str().map_or_else(|| message.to_string(), ToOwned::to_owned);
    (answer.status(), exception.unwrap_or(kind), error.get("code").cloned().unwrap_or_default(), text)
}

#[tokio::test]
async fn each_provider_refuses_an_account_in_its_own_form() {
    use Refusal::{
        AccountDisabled, CredentialExpired, KeyInvalid, ModelForbidden, ModelUnknown, NoCredit,
        RegionUnsupported,
    };
    let emulator = emulator().await;
    let (invalid, denied) = (json!("invalid_request_error"), json!("AccessDeniedException"));
    let none = || Value::Null;
    for (door, refusal, status, kind, code, message) in [
        (
            anthropic(),
            NoCredit,
            400,
            invalid.clone(),
            none(),
            "Your credit balance is too low to access the Anthropic API.",
        ),
        (anthropic(), ModelForbidden, 404, json!("not_found_error"), none(), "model: claude-sonnet-4-5"),
        (anthropic(), KeyInvalid, 401, json!("authentication_error"), none(), "invalid x-api-key"),
        (anthropic(), AccountDisabled, 400, invalid.clone(), none(), "This organization has been disabled."),
        (anthropic(), RegionUnsupported, 403, json!("forbidden"), none(), "Request not allowed"),
        (
            openai(),
            NoCredit,
            429,
            json!("insufficient_quota"),
            json!("insufficient_quota"),
            "You exceeded your current quota",
        ),
        (
            openai(),
            ModelForbidden,
            403,
            invalid.clone(),
            json!("model_not_found"),
            "Project `proj_emulator` does not have access to model `gpt-4o`",
        ),
        (
            openai(),
            ModelUnknown,
            404,
            invalid.clone(),
            json!("model_not_found"),
            "The model `gpt-4o` does not exist",
        ),
        (openai(), KeyInvalid, 401, invalid.clone(), json!("invalid_api_key"), "Incorrect API key provided"),
        (
            openai(),
            AccountDisabled,
            401,
            invalid.clone(),
            json!("account_deactivated"),
            "The OpenAI account associated",
        ),
        (
            openai(),
            RegionUnsupported,
            403,
            json!("request_forbidden"),
            json!("unsupported_country_region_territory"),
            "Country",
        ),
        (
            compatible(),
            ModelUnknown,
            404,
            json!("NotFoundError"),
            none(),
            "The model `gpt-4o` does not exist.",
        ),
        (
            azure(),
            ModelUnknown,
            404,
            none(),
            json!("DeploymentNotFound"),
            "The API deployment for this resource",
        ),
        (azure(), KeyInvalid, 401, none(), json!("401"), "Access denied due to invalid subscription key"),
        (azure(), AccountDisabled, 403, none(), json!("403"), "Your resource has been temporarily blocked"),
        (
            gemini(),
            NoCredit,
            402,
            json!("RESOURCE_EXHAUSTED"),
            json!(402),
            "Your prepayment credits are depleted.",
        ),
        (
            gemini(),
            ModelUnknown,
            404,
            json!("NOT_FOUND"),
            json!(404),
            "models/gemini-3-pro is not found for API version v1beta",
        ),
        (gemini(), KeyInvalid, 400, json!("INVALID_ARGUMENT"), json!(400), "API key not valid."),
        (gemini(), CredentialExpired, 400, json!("INVALID_ARGUMENT"), json!(400), "API key expired."),
        (
            gemini(),
            AccountDisabled,
            403,
            json!("PERMISSION_DENIED"),
            json!(403),
            "Permission denied: Consumer",
        ),
        (
            gemini(),
            RegionUnsupported,
            400,
            json!("FAILED_PRECONDITION"),
            json!(400),
            "User location is not supported",
        ),
        (
            bedrock(),
            NoCredit,
            403,
            denied.clone(),
            none(),
            "Model access is denied due to INVALID_PAYMENT_INSTRUMENT",
        ),
        (bedrock(), ModelForbidden, 403, denied.clone(), none(), "You don't have access to the model"),
        (
            bedrock(),
            ModelUnknown,
            400,
            json!("ValidationException"),
            none(),
            "The provided model identifier is invalid.",
        ),
        (bedrock(), KeyInvalid, 403, json!("UnrecognizedClientException"), none(), "The security token"),
        (bedrock(), CredentialExpired, 403, json!("ExpiredTokenException"), none(), "The security token"),
        (bedrock(), AccountDisabled, 403, denied.clone(), none(), "Your account is not authorized"),
        (
            bedrock(),
            RegionUnsupported,
            404,
            json!("ResourceNotFoundException"),
            none(),
            "Could not resolve the foundation model",
        ),
        (droid(), NoCredit, 402, json!(402), none(), "Ready to get started?"),
        (droid(), KeyInvalid, 401, json!("authentication_error"), none(), "Invalid API key"),
        (droid(), ModelUnknown, 404, json!("not_found_error"), none(), "model: claude-sonnet-4-5"),
        (chatgpt(), NoCredit, 429, json!("usage_not_included"), none(), "Codex is not included"),
        (chatgpt(), ModelForbidden, 400, none(), none(), "The 'gpt-4o' model is not supported"),
        (
            chatgpt(),
            CredentialExpired,
            401,
            invalid.clone(),
            json!("token_expired"),
            "Provided authentication token",
        ),
        (chatgpt(), AccountDisabled, 402, none(), none(), "{\"code\":\"deactivated_workspace\"}"),
    ] {
        let told = told(&refused(&emulator, &door, refusal).await);
        let shown = format!("{} {refusal:?}: {told:?}", door.path);
        assert_eq!((told.0, &told.1, &told.2), (status, &kind, &code), "{shown}");
        assert!(told.3.starts_with(message), "{shown}");
    }
}

#[tokio::test]
async fn googles_doors_name_the_reason_in_the_errors_details() {
    let emulator = emulator().await;
    let vertex = "/v1/projects/p/locations/global/publishers/google/models/gemini-3-pro:generateContent";
    for (path, refusal, reason) in [
        (vertex, Refusal::NoCredit, "BILLING_DISABLED"),
        (vertex, Refusal::KeyInvalid, "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
        (vertex, Refusal::CredentialExpired, "ACCESS_TOKEN_EXPIRED"),
        ("/v1internal:generateContent", Refusal::NoCredit, "SUBSCRIPTION_REQUIRED"),
    ] {
        let headers = &[("authorization", "Bearer ya29.1")];
        let answer = refused(&emulator, &door(path, headers, "ya29.1", json!({})), refusal).await;
        assert_eq!(answer.json()["error"]["details"][0]["reason"], reason, "{path} {refusal:?}");
    }
    let wrong = refused(&emulator, &gemini(), Refusal::KeyInvalid).await;
    assert_eq!(wrong.json()["error"]["details"][0]["reason"], "API_KEY_INVALID");
    let headers = &[("authorization", "Bearer ya29.1")];
    let missing =
        refused(&emulator, &door(vertex, headers, "ya29.1", json!({})), Refusal::ModelUnknown).await;
    let message = missing.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("Publisher Model `projects/p/locations/global/publishers/google/models/gemini-3-pro` was not found"), "{message}");
}

#[tokio::test]
async fn a_refusal_is_scripted_over_http_for_one_credential() {
    let emulator = emulator().await;
    for refusal in Refusal::ALL {
        let script = json!({"fault": {"refused": refusal}}).to_string();
        let queued = call(&emulator, "PUT", "/_emulator/credentials/sk-ant-1/default", &[], &script).await;
        assert_eq!(queued.status(), 200, "{}", queued.text());
        let door = anthropic();
        let ask = async |key: &str| {
            let headers = [("x-api-key", key), VERSION];
            Box::pin(call(&emulator, "POST", door.path, &headers, &door.body.to_string())).await
        };
        let refused = ask("sk-ant-1").await;
        assert!((400..500).contains(&refused.status()), "{refusal:?}");
        assert_eq!(refused.json()["type"], "error");
        assert!(refused.head.header("request-id").is_some());
        assert_eq!(ask("sk-ant-2").await.status(), 200, "another credential is served");
    }
}
