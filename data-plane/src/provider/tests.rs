//! What providers answer, word for word, and whose fault that is.

use http::{HeaderMap, HeaderValue};
use shared::account::AccountType;
use wire::raw::body::facts_of_error;

use super::{
    failure::{Class, ErrorAnswer},
    for_type,
};
use crate::live::MarkKind;

const LIMITED: Class = Class::Limited(MarkKind::RateLimited);

/// `exception`: AWS's header.
fn class_with(kind: AccountType, status: u16, exception: &str, body: &str) -> Class {
    let mut headers = HeaderMap::new();
    if !exception.is_empty() {
        headers.insert("x-amzn-errortype", HeaderValue::from_str(exception).unwrap());
    }
    let said = facts_of_error(body.as_bytes());
    for_type(kind).class(&ErrorAnswer { status, headers: &headers, said: &said, model: "gpt-5" })
}

fn check(kinds: &[AccountType], cases: &[(u16, &str, Class)]) {
    for kind in kinds {
        for (status, body, class) in cases {
            assert_eq!(class_with(*kind, *status, "", body), *class, "{kind:?} {status} {body}");
        }
    }
}

#[test]
fn whatever_says_nothing_more_is_judged_by_its_status() {
    for kind in AccountType::ALL {
        for body in ["", "{}", "<html>", r#"{"error":{}}"#, r#"{"error":{"message":"no model has access"}}"#]
        {
            for (status, class) in [
                (400, Class::Refused),
                (401, Class::Credential),
                (402, Class::Billing),
                (403, Class::Credential),
                (404, Class::Refused),
                (413, Class::Refused),
                (422, Class::Refused),
                (429, LIMITED),
                (500, Class::Transient),
                (503, Class::Limited(MarkKind::Overloaded)),
                (529, Class::Limited(MarkKind::Overloaded)),
            ] {
                assert_eq!(class_with(kind, status, "", body), class, "{kind:?} {status} {body}");
            }
        }
    }
}

fn anthropic(kind: &str, message: &str) -> String {
    format!(
        r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}},"request_id":"req_011CSHoEeqs5C35K2UUqR7Fy"}}"#
    )
}

/// What Anthropic's API answers, and all that speak as it does.
fn anthropics() -> Vec<(u16, String, Class)> {
    let credit = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.";
    let limit = "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.";
    let workspace = "You have reached your specified workspace API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.";
    let cap = r#"{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your account's monthly spend limit. Please try again later.","details":{"error_code":"enforced_spend_limit_reached"}},"request_id":"req_1"}"#;
    vec![
        (400, anthropic("invalid_request_error", credit), Class::Billing),
        (400, anthropic("invalid_request_error", limit), Class::Billing),
        (400, anthropic("invalid_request_error", workspace), Class::Billing),
        (402, anthropic("billing_error", "Payment required"), Class::Billing),
        (429, cap.to_owned(), Class::Billing),
        (
            429,
            anthropic("rate_limit_error", "This request would exceed your organization's rate limit"),
            LIMITED,
        ),
        (400, anthropic("invalid_request_error", "This organization has been disabled."), Class::Credential),
        (401, anthropic("authentication_error", "invalid x-api-key"), Class::Credential),
        (
            403,
            anthropic(
                "permission_error",
                "Your API key does not have permission to use the specified resource.",
            ),
            Class::Credential,
        ),
        (403, anthropic("forbidden", "Request not allowed"), Class::Credential),
        (404, anthropic("not_found_error", "model: claude-opus-5"), Class::ModelDenied),
        (404, anthropic("not_found_error", "File not found: file_011"), Class::Refused),
        (404, anthropic("not_found_error", "Not Found"), Class::Refused),
        // The client's own words in an error of its request.
        (
            400,
            anthropic("invalid_request_error", "messages.0: `Your credit balance is too low`"),
            Class::Refused,
        ),
        (400, anthropic("invalid_request_error", "max_tokens: too many"), Class::Refused),
        (413, anthropic("request_too_large", "Request exceeds the maximum size"), Class::Refused),
        (529, anthropic("overloaded_error", "Overloaded"), Class::Limited(MarkKind::Overloaded)),
    ]
}

#[test]
fn what_anthropic_answers() {
    use AccountType::{Ccr, ClaudeConsole, ClaudeOfficial, Droid};
    let cases = anthropics();
    let cases: Vec<_> = cases.iter().map(|(status, body, class)| (*status, &**body, *class)).collect();
    check(&[ClaudeConsole, ClaudeOfficial, Ccr, Droid], &cases);
}

#[test]
fn what_a_claude_code_router_answers_for_its_providers() {
    let provider = |status: u16, said: &str| {
        format!(
            r#"{{"error":{{"message":"Error from provider(openrouter,anthropic/claude-sonnet-4: {status}): {said}","type":"api_error","code":"provider_response_error"}}}}"#
        )
    };
    let plain = provider(404, r#"{\"error\":{\"message\":\"No endpoints found for x.\",\"code\":404}}"#);
    let flagged =
        provider(403, r#"{\"error\":{\"message\":\"x requires moderation. Your input was flagged\"}}"#);
    let image = provider(404, "No endpoints found that support image input");
    check(
        &[AccountType::Ccr],
        &[
            (401, &provider(401, "User not found."), Class::ModelDenied),
            (402, &provider(402, "Insufficient credits"), Class::ModelDenied),
            (403, &provider(403, "Key limit exceeded"), Class::ModelDenied),
            (404, &plain, Class::ModelDenied),
            (403, &flagged, Class::Refused),
            (404, &image, Class::Refused),
            (400, &provider(400, "Bad Request"), Class::Refused),
            (429, &provider(429, "Too many"), LIMITED),
            (500, &provider(500, "Internal"), Class::Transient),
            (
                404,
                r#"{"error":{"message":"Provider 'x' not found","type":"api_error","code":"provider_not_found"}}"#,
                Class::ModelDenied,
            ),
            (401, "Invalid API key", Class::Credential),
        ],
    );
}

#[test]
fn what_openai_answers() {
    use AccountType::{AzureOpenai, Droid, Openai, OpenaiResponses};
    let quota = "You exceeded your current quota, please check your plan and billing details. For more information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.";
    let error = |kind: &str, code: &str, message: &str| {
        format!(r#"{{"error":{{"message":"{message}","type":"{kind}","param":null,"code":"{code}"}}}}"#)
    };
    let uncoded = |message: &str| {
        format!(
            r#"{{"error":{{"message":"{message}","type":"invalid_request_error","param":null,"code":null}}}}"#
        )
    };
    let no_access = "Project `proj_1` does not have access to model `gpt-4.1-2025-04-14`";
    let missing = "The model `gpt-5` does not exist or you do not have access to it.";
    check(
        &[Openai, OpenaiResponses, AzureOpenai, Droid],
        &[
            (429, &error("insufficient_quota", "insufficient_quota", quota), Class::Billing),
            (429, &error("insufficient_quota", "credit_balance_exhausted", quota), Class::Billing),
            (429, &error("insufficient_quota", "project_spend_limit_exceeded", quota), Class::Billing),
            (429, &error("insufficient_quota", "organization_usage_limit_exceeded", quota), Class::Billing),
            (
                400,
                &error(
                    "invalid_request_error",
                    "billing_hard_limit_reached",
                    "Billing hard limit has been reached",
                ),
                Class::Billing,
            ),
            (
                429,
                &error(
                    "billing_not_active",
                    "billing_not_active",
                    "Your account is not active, please check your billing details on our website.",
                ),
                Class::Billing,
            ),
            (
                429,
                &error(
                    "requests",
                    "rate_limit_exceeded",
                    "Rate limit reached for gpt-5 in organization org-1 on requests per min (RPM): Limit 3, Used 3, Requested 1.",
                ),
                LIMITED,
            ),
            (
                429,
                &error(
                    "tokens",
                    "rate_limit_exceeded",
                    "Request too large for gpt-5 in organization org-1 on tokens per min (TPM): Limit 30000, Requested 50000.",
                ),
                Class::Refused,
            ),
            (403, &error("invalid_request_error", "model_not_found", no_access), Class::ModelDenied),
            (404, &error("invalid_request_error", "model_not_found", missing), Class::ModelDenied),
            (
                400,
                &error(
                    "invalid_request_error",
                    "model_not_found",
                    "The requested model 'gpt-5' does not exist.",
                ),
                Class::ModelDenied,
            ),
            (
                403,
                &uncoded(
                    "Your organization must be verified to use the model `gpt-5`. Please go to: https://platform.openai.com/settings/organization/general and click on Verify Organization.",
                ),
                Class::ModelDenied,
            ),
            // A tool's.
            (
                403,
                &uncoded("Your organization must be verified to use the model `gpt-image-1`."),
                Class::Credential,
            ),
            (403, &uncoded("You are not allowed to generate embeddings from this model"), Class::ModelDenied),
            (
                404,
                &uncoded(
                    "This is not a chat model and thus not supported in the v1/chat/completions endpoint.",
                ),
                Class::Refused,
            ),
            (
                401,
                &error("invalid_request_error", "invalid_api_key", "Incorrect API key provided: sk-1."),
                Class::Credential,
            ),
            (
                401,
                &error(
                    "invalid_request_error",
                    "account_deactivated",
                    "The OpenAI account associated with this API key has been deactivated.",
                ),
                Class::Credential,
            ),
            (
                401,
                &uncoded(
                    "You have insufficient permissions for this operation. Missing scopes: model.request.",
                ),
                Class::Credential,
            ),
            (
                403,
                &error(
                    "request_forbidden",
                    "unsupported_country_region_territory",
                    "Country, region, or territory not supported",
                ),
                Class::Credential,
            ),
            (
                403,
                &error(
                    "invalid_request_error",
                    "content_policy_violation",
                    "Your request was rejected by the safety system.",
                ),
                Class::Refused,
            ),
            (
                400,
                &error(
                    "invalid_request_error",
                    "invalid_prompt",
                    "Invalid prompt: we've limited access to this content for safety reasons.",
                ),
                Class::Refused,
            ),
            (
                400,
                &error(
                    "invalid_request_error",
                    "unsupported_parameter",
                    "Unsupported parameter: 'temperature' is not supported with this model.",
                ),
                Class::Refused,
            ),
        ],
    );
}

#[test]
fn what_servers_answer_that_speak_as_openai_does() {
    check(
        &[AccountType::Openai],
        &[
            // Groq
            (
                403,
                r#"{"error":{"message":"The model `x` is blocked at the organization level.","type":"permissions_error","code":"model_permission_blocked_org"}}"#,
                Class::ModelDenied,
            ),
            (
                400,
                r#"{"error":{"message":"Organization has been restricted. Please reach out to support if you believe this was in error.","type":"invalid_request_error","code":"organization_restricted"}}"#,
                Class::Credential,
            ),
            // vLLM
            (
                404,
                r#"{"error":{"message":"The model `x` does not exist.","type":"NotFoundError","param":"model","code":404}}"#,
                Class::ModelDenied,
            ),
            (
                404,
                r#"{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","param":null,"code":404}"#,
                Class::ModelDenied,
            ),
            // Ollama
            (
                404,
                r#"{"error":{"message":"model \"x\" not found, try pulling it first","type":"api_error","param":null,"code":null}}"#,
                Class::ModelDenied,
            ),
            // DeepSeek
            (
                400,
                r#"{"error":{"message":"Model Not Exist","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#,
                Class::ModelDenied,
            ),
            (
                402,
                r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}"#,
                Class::Billing,
            ),
            // Mistral
            (
                400,
                r#"{"error":{"message":"Invalid model: x","type":"invalid_model","param":null,"code":"1500"}}"#,
                Class::ModelDenied,
            ),
            // OpenRouter
            (
                403,
                r#"{"error":{"code":403,"message":"x requires moderation on y. Your input was flagged for \"violence\". No credits were charged."}}"#,
                Class::Refused,
            ),
            // ChatGPT's backend
            (
                400,
                r#"{"detail":"The 'gpt-4o' model is not supported when using Codex with a ChatGPT account."}"#,
                Class::ModelDenied,
            ),
            (
                429,
                r#"{"error":{"type":"usage_not_included","message":"m","plan_type":"free"}}"#,
                Class::Billing,
            ),
            (
                429,
                r#"{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","plan_type":"plus","resets_in_seconds":13872}}"#,
                LIMITED,
            ),
            (402, r#"{"detail":{"code":"deactivated_workspace"}}"#, Class::Billing),
            (401, r#"{"detail":"Unauthorized"}"#, Class::Credential),
        ],
    );
}

#[test]
fn what_azure_answers() {
    check(
        &[AccountType::AzureOpenai],
        &[
            (
                404,
                r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again."}}"#,
                Class::ModelDenied,
            ),
            (404, r#"{"error":{"code":"404","message":"Resource not found"}}"#, Class::ModelDenied),
            (
                400,
                r#"{"error":{"code":"OperationNotSupported","message":"The chatCompletion operation does not work with the specified model, text-embedding-ada-002. Please choose different model and try again."}}"#,
                Class::ModelDenied,
            ),
            (
                400,
                r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
                Class::Refused,
            ),
            (
                401,
                r#"{"error":{"code":"401","message":"Access denied due to invalid subscription key or wrong API endpoint."}}"#,
                Class::Credential,
            ),
            (
                403,
                r#"{"error":{"code":"403","message":"Access denied due to Virtual Network/Firewall rules."}}"#,
                Class::Credential,
            ),
            (
                403,
                r#"{"error":{"code":"403","message":"Your resource has been temporarily blocked because we detected behavior that may violate our content policy."}}"#,
                Class::Credential,
            ),
            (
                429,
                r#"{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation have exceeded token rate limit of your current OpenAI S0 pricing tier."}}"#,
                LIMITED,
            ),
        ],
    );
}

#[test]
fn what_bedrock_answers() {
    let coral = ":http://internal.amazon.com/coral/com.amazon.bedrock/";
    let user = "User: arn:aws:iam::1:user/x is not authorized to perform: ";
    let invoke = format!(
        "{user}bedrock:InvokeModel on resource: arn:aws:bedrock:us-east-1::foundation-model/x because no identity-based policy allows the bedrock:InvokeModel action"
    );
    let token = format!("{user}bedrock:CallWithBearerToken on resource: arn:aws:bedrock:us-east-1:1:*");
    for (status, exception, message, class) in [
        (
            403,
            "AccessDeniedException",
            "You don't have access to the model with the specified model ID.",
            Class::ModelDenied,
        ),
        (
            403,
            "AccessDeniedException",
            "Model access is denied due to IAM user or service role is not authorized to perform the required AWS Marketplace actions (aws-marketplace:ViewSubscriptions, aws-marketplace:Subscribe) to enable access to this model.",
            Class::ModelDenied,
        ),
        (403, "AccessDeniedException", invoke.as_str(), Class::ModelDenied),
        (403, "AccessDeniedException", token.as_str(), Class::Credential),
        (
            403,
            "AccessDeniedException",
            "Your account is not authorized to invoke this API operation.",
            Class::Credential,
        ),
        (
            403,
            "AccessDeniedException",
            "Authentication failed: Please make sure your API Key is valid.",
            Class::Credential,
        ),
        (403, "AccessDeniedException", "Bearer Token has expired", Class::Credential),
        (
            403,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
            Class::Credential,
        ),
        (
            403,
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided.",
            Class::Credential,
        ),
        (
            403,
            "ExpiredTokenException",
            "The security token included in the request is expired",
            Class::Credential,
        ),
        (
            400,
            "ExpiredTokenException",
            "The security token included in the request is expired",
            Class::Credential,
        ),
        (
            400,
            "IncompleteSignature",
            "The request signature does not conform to AWS standards.",
            Class::Credential,
        ),
        (400, "ValidationException", "The provided model identifier is invalid.", Class::ModelDenied),
        (
            400,
            "ValidationException",
            "Invocation of model ID anthropic.claude-sonnet-4-5-20250929-v1:0 with on-demand throughput isn\u{2019}t supported. Retry your request with the ID or ARN of an inference profile that contains this model.",
            Class::ModelDenied,
        ),
        (400, "ValidationException", "Operation not allowed", Class::ModelDenied),
        (
            400,
            "ValidationException",
            "Access to Bedrock models is not allowed for this account.",
            Class::Credential,
        ),
        (
            400,
            "ValidationException",
            "Malformed input request: #: required key [messages] not found, please reformat your input and try again.",
            Class::Refused,
        ),
        (400, "ValidationException", "Input is too long for requested model.", Class::Refused),
        (
            404,
            "ResourceNotFoundException",
            "Could not resolve the foundation model from the provided model identifier.",
            Class::ModelDenied,
        ),
        (
            404,
            "ResourceNotFoundException",
            "Model use case details have not been submitted for this account. Fill out the Anthropic use case details form before using the model.",
            Class::ModelDenied,
        ),
        (
            404,
            "ResourceNotFoundException",
            "Access denied. This Model is marked by provider as Legacy and you have not been actively using the model in the last 15 days.",
            Class::ModelDenied,
        ),
        (404, "UnknownOperationException", "Unknown operation", Class::Refused),
        (
            400,
            "ServiceQuotaExceededException",
            "Your request exceeds the service quota for your account.",
            LIMITED,
        ),
        (429, "ThrottlingException", "Too many tokens per day, please wait before trying again.", LIMITED),
        (429, "ModelNotReadyException", "Model is not ready for inference.", Class::Transient),
        (
            424,
            "ModelErrorException",
            "The system encountered an unexpected error during processing.",
            Class::Transient,
        ),
    ] {
        let body = format!("{{\"message\":{}}}", serde_json::Value::from(message));
        for named in [exception.to_owned(), format!("{exception}{coral}")] {
            let found = class_with(AccountType::Bedrock, status, &named, &body);
            assert_eq!(found, class, "{status} {named} {message}");
        }
    }
}

#[test]
fn what_google_answers() {
    use AccountType::{Gemini, GeminiApi};
    let error = |code: u16, status: &str, message: &str, reason: &str| {
        let details = match reason {
            "" => String::new(),
            reason => format!(
                r#","details":[{{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"{reason}","domain":"googleapis.com"}},{{"@type":"type.googleapis.com/google.rpc.LocalizedMessage","locale":"en-US","message":"m"}}]"#
            ),
        };
        format!(r#"{{"error":{{"code":{code},"message":"{message}","status":"{status}"{details}}}}}"#)
    };
    let (invalid, denied, missing) = ("INVALID_ARGUMENT", "PERMISSION_DENIED", "NOT_FOUND");
    let (precondition, exhausted) = ("FAILED_PRECONDITION", "RESOURCE_EXHAUSTED");
    check(
        &[Gemini, GeminiApi],
        &[
            (
                400,
                &error(400, invalid, "API key not valid. Please pass a valid API key.", "API_KEY_INVALID"),
                Class::Credential,
            ),
            (400, &error(400, invalid, "API key expired. Please renew the API key.", ""), Class::Credential),
            (400, &error(400, invalid, "Request contains an invalid argument.", ""), Class::Refused),
            (
                400,
                &error(
                    400,
                    invalid,
                    "Invalid JSON payload received. Unknown name \\\"API key not valid\\\"",
                    "",
                ),
                Class::Refused,
            ),
            (
                400,
                &error(400, precondition, "User location is not supported for the API use.", ""),
                Class::Credential,
            ),
            (
                400,
                &error(
                    400,
                    precondition,
                    "User location is not supported for the API use without a billing account linked.",
                    "",
                ),
                Class::Billing,
            ),
            (
                400,
                &error(
                    400,
                    precondition,
                    "Gemini API free tier is not available in your country. Please enable billing on your project in Google AI Studio.",
                    "",
                ),
                Class::Billing,
            ),
            (
                401,
                &error(
                    401,
                    "UNAUTHENTICATED",
                    "Request had invalid authentication credentials.",
                    "ACCESS_TOKEN_EXPIRED",
                ),
                Class::Credential,
            ),
            (
                402,
                &error(
                    402,
                    exhausted,
                    "Your prepayment credits are depleted. Please go to AI Studio at https://ai.studio/projects to manage your project and billing.",
                    "",
                ),
                Class::Billing,
            ),
            (429, &error(429, exhausted, "Your prepayment credits are depleted.", ""), Class::Billing),
            // It means a rate.
            (
                429,
                &error(
                    429,
                    exhausted,
                    "You exceeded your current quota, please check your plan and billing details.",
                    "",
                ),
                LIMITED,
            ),
            (
                403,
                &error(403, denied, "This API method requires billing to be enabled.", "BILLING_DISABLED"),
                Class::Billing,
            ),
            (
                403,
                &error(
                    403,
                    denied,
                    "Gemini API has not been used in project 1 before or it is disabled.",
                    "SERVICE_DISABLED",
                ),
                Class::Credential,
            ),
            (
                403,
                &error(
                    403,
                    denied,
                    "You are currently configured to use a Google Cloud Project but lack a Gemini Code Assist license. (#3501)",
                    "SUBSCRIPTION_REQUIRED",
                ),
                Class::Credential,
            ),
            (403, &error(403, denied, "The caller does not have permission", ""), Class::Credential),
            (
                403,
                &error(
                    403,
                    denied,
                    "You do not have permission to access the File abc or it may not exist.",
                    "",
                ),
                Class::Refused,
            ),
            (403, &error(403, denied, "CachedContent not found (or permission denied)", ""), Class::Refused),
            (
                404,
                &error(
                    404,
                    missing,
                    "models/gemini-x is not found for API version v1beta, or is not supported for generateContent. Call ListModels to see the list of available models and their supported methods.",
                    "",
                ),
                Class::ModelDenied,
            ),
            (
                404,
                &error(
                    404,
                    missing,
                    "Publisher Model `projects/p/locations/l/publishers/google/models/x` was not found or your project does not have access to it.",
                    "",
                ),
                Class::ModelDenied,
            ),
            (
                400,
                &error(
                    400,
                    precondition,
                    "Publisher Model `projects/p/locations/l/publishers/google/models/x` is not servable in region us-east1.",
                    "",
                ),
                Class::ModelDenied,
            ),
            (
                404,
                &error(404, missing, "The requested URL /v1beta/x was not found on this server.", ""),
                Class::Refused,
            ),
        ],
    );
    let nothing = error(404, missing, "Requested entity was not found.", "");
    check(&[Gemini], &[(404, &nothing, Class::ModelDenied)]);
    check(&[GeminiApi], &[(404, &nothing, Class::Refused)]);
}

#[test]
fn what_droid_answers_of_its_own() {
    check(
        &[AccountType::Droid],
        &[
            (
                402,
                r#"{"detail":"Ready to get started? Subscribe at https://app.factory.ai/settings/billing","status":402,"title":"Payment Required","requestId":"iad1::b7bgq"}"#,
                Class::Billing,
            ),
            (
                401,
                r#"{"error":{"type":"authentication_error","message":"Invalid API key"}}"#,
                Class::Credential,
            ),
        ],
    );
}
