//! Which path is what: the data plane's table of contents.

use http::{HeaderMap, Method, Uri};
use shared::{
    account::AccountType,
    wire::{Platform, Wire},
};

use crate::{pipeline::RouteError, provider::Operation, scheduler::Pin};

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Call {
        operation: Operation,
        pin: Option<Pin>,
    },
    Models {
        pin: Option<Pin>,
    },
    Model {
        pin: Option<Pin>,
        name: &'a str,
    },
    /// A call of Google's API: the model is part of the path.
    Google {
        operation: Operation,
        pin: Option<Pin>,
        model: &'a str,
        stream: bool,
    },
    /// The upgrade to a WebSocket that Codex tries first.
    ResponsesSocket,
    /// What clients look at to see that somebody is there.
    Root,
    Health,
    Ready,
    Metrics,
}

pub(super) fn route<'a>(method: &Method, path: &'a str) -> Result<Route<'a>, RouteError> {
    let (pin, rest) = pinned(path);
    let call = |operation| Ok((Route::Call { operation, pin }, "POST"));
    let found = match rest {
        "/v1/chat/completions" => call(Operation::Chat),
        "/v1/embeddings" => call(Operation::Embeddings),
        "/v1/messages" | "/api/v1/messages" => call(Operation::Messages),
        "/v1/messages/count_tokens" | "/api/v1/messages/count_tokens" => call(Operation::CountTokens),
        "/v1/models" | "/v1beta/models" => Ok((Route::Models { pin }, "GET, HEAD")),
        "/v1/responses" if *method == Method::GET => Ok((Route::ResponsesSocket, "GET")),
        "/v1/responses" => call(Operation::Responses),
        "/" | "" => Ok((Route::Root, "HEAD, GET")),
        "/healthz" if pin.is_none() => Ok((Route::Health, "GET, HEAD")),
        "/readyz" if pin.is_none() => Ok((Route::Ready, "GET, HEAD")),
        "/metrics" if pin.is_none() => Ok((Route::Metrics, "GET, HEAD")),
        _ => model(rest, pin),
    };
    let (route, allowed) = found?;
    if allowed.split(", ").any(|allowed| allowed == method.as_str()) {
        Ok(route)
    } else {
        Err(RouteError::MethodNotAllowed(allowed))
    }
}

/// `/v1/models/{name}`, or Google's `/v1beta/models/{name}:{method}`.
fn model<'a>(path: &'a str, pin: Option<Pin>) -> Result<(Route<'a>, &'static str), RouteError> {
    let name = path.strip_prefix("/v1/models/").or_else(|| path.strip_prefix("/v1beta/models/"));
    let name = name.filter(|name| !name.is_empty()).ok_or(RouteError::NotFound)?;
    let google = |operation, model, stream| Ok((Route::Google { operation, pin, model, stream }, "POST"));
    match name.rsplit_once(':') {
        Some((model, "generateContent")) => google(Operation::Gemini, model, false),
        Some((model, "streamGenerateContent")) => google(Operation::Gemini, model, true),
        Some((model, "countTokens")) => google(Operation::CountContents, model, false),
        _ => Ok((Route::Model { pin, name }, "GET, HEAD")),
    }
}

/// Takes the prefix off that names a platform or an account type.
fn pinned(path: &str) -> (Option<Pin>, &str) {
    const PREFIXES: [(&str, Pin); 5] = [
        ("/claude", Pin::Platform(Platform::Claude)),
        ("/openai", Pin::Platform(Platform::OpenAi)),
        ("/gemini", Pin::Platform(Platform::Gemini)),
        ("/azure", Pin::Type(AccountType::AzureOpenai)),
        ("/droid", Pin::Type(AccountType::Droid)),
    ];
    for (prefix, pin) in PREFIXES {
        match path.strip_prefix(prefix) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => return (Some(pin), rest),
            _ => {}
        }
    }
    (None, path)
}

/// In which wire a client that asks for this expects an error, or a list.
pub(super) fn wire_of(uri: &Uri, headers: &HeaderMap) -> Wire {
    let path = uri.path();
    if path.contains("/messages") {
        Wire::Messages
    } else if path.contains("/chat/") || path.ends_with("/embeddings") {
        Wire::Chat
    } else if path.ends_with("/responses") {
        Wire::Responses
    } else if is_google(uri, headers) {
        Wire::Gemini
    } else if headers.contains_key("anthropic-version") {
        Wire::Messages
    } else {
        Wire::Chat
    }
}

fn is_google(uri: &Uri, headers: &HeaderMap) -> bool {
    let path = uri.path();
    let keyed = |query: &str| query.split('&').any(|pair| pair.starts_with("key="));
    path.contains("/v1beta/")
        || path.contains(":generateContent")
        || path.contains(":streamGenerateContent")
        || headers.contains_key("x-goog-api-key")
        || uri.query().is_some_and(keyed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAUDE: Option<Pin> = Some(Pin::Platform(Platform::Claude));

    #[test]
    fn the_paths_that_clients_know() {
        let call = |operation, pin| Ok(Route::Call { operation, pin });
        let post = |path| route(&Method::POST, path);
        assert_eq!(post("/v1/chat/completions"), call(Operation::Chat, None));
        assert_eq!(post("/v1/embeddings"), call(Operation::Embeddings, None));
        assert_eq!(post("/v1/messages"), call(Operation::Messages, None));
        assert_eq!(post("/api/v1/messages"), call(Operation::Messages, None));
        assert_eq!(post("/api/v1/messages/count_tokens"), call(Operation::CountTokens, None));
        assert_eq!(post("/claude/v1/messages"), call(Operation::Messages, CLAUDE));
        let azure = Some(Pin::Type(AccountType::AzureOpenai));
        assert_eq!(post("/azure/v1/chat/completions"), call(Operation::Chat, azure));
        assert_eq!(post("/v1/responses"), call(Operation::Responses, None));
        let google =
            |operation, stream| Ok(Route::Google { operation, pin: None, model: "gemini-3", stream });
        assert_eq!(post("/v1beta/models/gemini-3:streamGenerateContent"), google(Operation::Gemini, true));
        assert_eq!(post("/v1/models/gemini-3:generateContent"), google(Operation::Gemini, false));
        assert_eq!(post("/v1beta/models/gemini-3:countTokens"), google(Operation::CountContents, false));
        let get = |path| route(&Method::GET, path);
        assert_eq!(get("/v1/models"), Ok(Route::Models { pin: None }));
        assert_eq!(get("/claude/v1/models/a/b"), Ok(Route::Model { pin: CLAUDE, name: "a/b" }));
        assert_eq!(get("/v1/responses"), Ok(Route::ResponsesSocket));
        assert_eq!(get("/healthz"), Ok(Route::Health));
        assert_eq!(route(&Method::HEAD, "/"), Ok(Route::Root));
        assert_eq!(route(&Method::HEAD, "/claude"), Ok(Route::Root));
    }

    #[test]
    fn what_is_not_there_and_what_is_asked_wrongly() {
        assert_eq!(route(&Method::POST, "/v1/nothing"), Err(RouteError::NotFound));
        assert_eq!(route(&Method::POST, "/claudette/v1/messages"), Err(RouteError::NotFound));
        assert_eq!(route(&Method::GET, "/v1/models/"), Err(RouteError::NotFound));
        assert_eq!(route(&Method::GET, "/v1/messages"), Err(RouteError::MethodNotAllowed("POST")));
        assert_eq!(route(&Method::GET, "/claude/healthz"), Err(RouteError::NotFound));
    }

    #[test]
    fn the_wire_of_an_error_is_the_clients() {
        let headers = |name: Option<&'static str>| -> HeaderMap {
            name.map(|name| (http::HeaderName::from_static(name), http::HeaderValue::from_static("x")))
                .into_iter()
                .collect()
        };
        let wire = |path: &'static str, header| wire_of(&Uri::from_static(path), &headers(header));
        assert_eq!(wire("/v1/messages/unknown", None), Wire::Messages);
        assert_eq!(wire("/v1/models", None), Wire::Chat);
        assert_eq!(wire("/v1/models", Some("anthropic-version")), Wire::Messages);
        assert_eq!(wire("/v1/models", Some("x-goog-api-key")), Wire::Gemini);
        assert_eq!(wire("/v1beta/models", None), Wire::Gemini);
        assert_eq!(wire("/v1/models?key=sk-1", None), Wire::Gemini);
        assert_eq!(wire("/nowhere", None), Wire::Chat);
        assert_eq!(wire("/openai/v1/responses", None), Wire::Responses);
    }
}
