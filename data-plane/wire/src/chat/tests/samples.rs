//! What the tests of this wire share.

use crate::canonical::{Delta, Event, Opening, ToolKind};

/// An event in few words.
pub(crate) fn brief(event: &Event<'_>) -> String {
    match event {
        Event::Start { id, model } => format!("start {id} {model}"),
        Event::Open { choice, index, opening } => format!("open {choice}.{index} {}", opened(opening)),
        Event::Delta { choice, index, delta } => {
            let grown = match delta {
                Delta::Text(text) | Delta::Arguments(text) => text.to_string(),
                Delta::Signature(signature) => format!("signature {}", signature.value),
                Delta::Annotation(opaque) => format!("annotation {}", opaque.value),
                Delta::Logprobs(opaque) => format!("logprobs {}", opaque.value),
            };
            format!("{choice}.{index} {grown}")
        }
        Event::Close { choice, index } => format!("close {choice}.{index}"),
        Event::Stop { choice, stop } => format!("stop {choice} {:?}", stop.reason),
        Event::Usage(usage) => format!("usage {} {}", usage.input, usage.output),
        Event::ServiceTier(tier) => format!("tier {tier}"),
        Event::Ping => "ping".to_owned(),
        Event::Error(error) => format!("error {}", error.message),
        Event::End => "end".to_owned(),
    }
}

fn opened(opening: &Opening<'_>) -> String {
    match opening {
        Opening::Text => "text".to_owned(),
        Opening::Reasoning => "reasoning".to_owned(),
        Opening::Refusal => "refusal".to_owned(),
        Opening::ToolCall { id, name, kind, signature, .. } => {
            let kind = if *kind == ToolKind::Custom { "custom" } else { "call" };
            let proof = signature.as_ref().map(|it| format!(" signed {}", it.value)).unwrap_or_default();
            format!("{kind} {id} {name}{proof}")
        }
        Opening::Opaque(opaque) => format!("opaque {}", opaque.kind),
    }
}

/// Requests as clients write them.
pub(crate) const REQUESTS: [&str; 8] = [
    r#"{"model":"gpt-5","messages":[{"role":"system","content":"be brief"},{"role":"developer","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},{"role":"user","content":"hi"}]}"#,
    r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":[
        {"type":"text","text":"what is it?"},
        {"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0=","detail":"low"}},
        {"type":"image_url","image_url":"https://example.test/a.png"},
        {"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}},
        {"type":"file","file":{"file_data":"data:application/pdf;base64,JVBERi0=","filename":"a.pdf"}},
        {"type":"file","file":{"file_id":"file-1"}},
        {"type":"hologram","hologram":{"x":1}}]}]}"#,
    r#"{"model":"m","messages":[{"role":"user","content":"weather?"},
        {"role":"assistant","content":null,"reasoning_content":"think","tool_calls":[
            {"id":"a","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Köln\"}"},"extra_content":{"google":{"thought_signature":"c2ln"}}},
            {"index":1,"id":"b","type":"custom","custom":{"name":"sh","input":"ls -l\n"}}]},
        {"role":"tool","tool_call_id":"a","content":"12°"},
        {"role":"tool","tool_call_id":"b","content":[{"type":"text","text":"x"},{"type":"text","text":"y"}]},
        {"role":"user","content":"and?"}],
        "tools":[{"type":"function","function":{"name":"weather","description":"d","parameters":{"type":"object","properties":{"city":{"type":"string"}}},"strict":true}},
            {"type":"custom","custom":{"name":"sh","format":{"type":"grammar","grammar":{"syntax":"lark","definition":"start: /a/"}}}},
            {"type":"telepathy","depth":3}],
        "tool_choice":{"type":"custom","custom":{"name":"sh"}},"parallel_tool_calls":false}"#,
    r#"{"model":"m","messages":[{"role":"user","content":"q","name":"eve"},
        {"role":"assistant","content":"","function_call":{"name":"f","arguments":"{}"}},
        {"role":"function","name":"f","content":"1"},
        {"role":"assistant","content":null,"function_call":{"name":"f","arguments":""}},
        {"role":"function","name":"f","content":"2"},
        {"role":"assistant","content":[{"type":"refusal","refusal":"no"}],"annotations":[]}],
        "functions":[{"name":"f","parameters":{"type":"object"}}],"function_call":{"name":"f"}}"#,
    r#"{"model":"m","messages":[{"role":"user","content":"q"},
        {"role":"assistant","content":"a","reasoning_content":"one\n\ntwo","reasoning_details":[
            {"type":"reasoning.text","text":"o","index":0},{"type":"reasoning.text","text":"ne","index":0},
            {"type":"reasoning.text","text":"","signature":"sy1.claude.proof..p1","index":0},
            {"type":"reasoning.encrypted","data":"sy1.openai.encrypted.rs_1.blob","summary":"two","index":1},
            {"type":"reasoning.text","text":"","signature":"sy1.gemini.proof..g1","index":2}]},
        {"role":"assistant","audio":{"id":"audio_1"}},{"role":"user","content":"b"}]}"#,
    r#"{"model":"m","messages":[{"role":"user","content":"q"}],"max_tokens":10,"max_completion_tokens":20,"temperature":0.7,
        "top_p":1,"top_k":40,"seed":-3,"presence_penalty":0.5,"frequency_penalty":-0.5,"stop":["a","b"],"n":2,
        "logprobs":true,"top_logprobs":3,"reasoning_effort":"high","user":"u","safety_identifier":"s",
        "prompt_cache_key":"k","service_tier":"flex","verbosity":"low","store":false,"metadata":{"a":"b"},
        "logit_bias":{"50256":-100},"modalities":["text"],"prediction":{"type":"content","content":"x"},"moderation":null}"#,
    r#"{"model":"m","messages":[{"role":"user","content":"q"}],"stop":"x","reasoning_effort":"none","web_search_options":{"search_context_size":"low"},
        "response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"},"strict":true}},
        "tools":[{"type":"function","function":{"name":"f"}}],
        "tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"f"}}]}}}"#,
    r#"{"model":"m","messages":[],"response_format":{"type":"json_object"},"tool_choice":"required"}"#,
];

/// Answers as servers write them.
pub(crate) const RESPONSES: [&str; 6] = [
    r#"{"id":"c1","object":"chat.completion","created":1,"model":"gpt-5","choices":[{"index":0,"message":{"role":"assistant","content":"hi","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":5},"completion_tokens_details":{"reasoning_tokens":1}},"service_tier":"default","system_fingerprint":"fp_1"}"#,
    r#"{"id":"c2","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"reasoning_content":"hm","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"},"extra_content":{"google":{"thought_signature":"s"}}},{"id":"b","type":"function","function":{"name":"g","arguments":""}},{"id":"c","type":"custom","custom":{"name":"sh","input":"ls"}}]},"finish_reason":"tool_calls"}]}"#,
    r#"{"id":"c3","model":"m","choices":[{"index":1,"message":{"role":"assistant","content":"b"},"finish_reason":"length"},{"index":0,"message":{"role":"assistant","content":"a","annotations":[{"type":"url_citation","url_citation":{"url":"https://x.test"}}]},"logprobs":{"content":[{"token":"a","logprob":-0.1}],"refusal":null},"finish_reason":"content_filter"}]}"#,
    r#"{"id":"c4","model":"","choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":"I can't"},"finish_reason":"stop"}]}"#,
    r#"{"id":"c5","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"a","reasoning_content":"one\n\ntwo","reasoning_details":[{"type":"reasoning.text","text":"one","signature":"sy1.claude.proof..p1","index":0},{"type":"reasoning.encrypted","data":"sy1.openai.encrypted.rs_1.blob","summary":"two","index":1},{"type":"reasoning.encrypted","data":"sy1.claude.encrypted..r","index":2}]},"finish_reason":"stop"}]}"#,
    r#"{"id":"c6","model":"m","choices":[]}"#,
];
