//! Requests and answers as any wire could say them.

use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{Index, select},
};
use serde_json::{Number, Value};
use shared::usage::Usage;

use crate::canonical::{
    Block, CacheMark, Choice, Effort, Format, Hints, Media, MediaKind, Origin, Reasoning, Request, Response,
    Role, Sampling, Show, Signature, SignatureKind, Source, Stop, StopReason, Text, Thinking, ThinkingMode,
    Tool, ToolCall, ToolChoice, ToolKind, ToolResult,
};

pub(super) fn words() -> impl Strategy<Value = String> {
    "[ -~é\u{1f602}\n]{1,12}"
}

/// An object's JSON text.
fn object() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        words().prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec(("[a-z]{1,5}", inner), 0..3).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    vec(("[a-z]{1,5}", value), 0..3)
        .prop_map(|fields| Value::Object(fields.into_iter().collect()).to_string())
}

fn arguments() -> impl Strategy<Value = String> {
    prop_oneof![6 => object(), 1 => select(vec!["", "[1]", "{\"x\":", "null"]).prop_map(str::to_owned)]
}

fn text_block() -> impl Strategy<Value = Block<'static>> {
    let mark = option::weighted(0.2, select(vec![CacheMark::FiveMinutes, CacheMark::OneHour]));
    (words(), mark)
        .prop_map(|(text, cache)| Block::Text(Text { text: text.into(), cache, ..Text::default() }))
}

fn media_block() -> impl Strategy<Value = Block<'static>> {
    let base64 = |kind: &'static str, data: String| Source::Base64 {
        media_type: kind.into(),
        data: format!("{data}==").into(),
    };
    let source = prop_oneof![
        "[a-zA-Z0-9]{6}".prop_map(move |data| (MediaKind::Image, base64("image/png", data))),
        "[a-zA-Z0-9]{6}".prop_map(move |data| (MediaKind::Document, base64("application/pdf", data))),
        "[a-z]{4,8}".prop_map(|name| {
            let url = format!("https://example.test/{name}.png").into();
            (MediaKind::Image, Source::Url { url, media_type: None })
        }),
        words().prop_map(|text| (MediaKind::Document, Source::Text { text: text.into() })),
    ];
    let name = option::of("[a-z]{3,9}".prop_map(|name| format!("{name}.pdf")));
    let detail = option::of(select(vec!["low", "high", "auto"]));
    (source, name, detail).prop_map(|((kind, source), name, detail)| {
        Block::Media(Media {
            kind,
            source,
            name: name.filter(|_| kind == MediaKind::Document).map(Into::into),
            detail: detail.filter(|_| kind == MediaKind::Image).map(Into::into),
            cache: None,
        })
    })
}

/// Tools of every kind, by their place in the list.
fn tools() -> impl Strategy<Value = Vec<Tool<'static>>> {
    let name = prop_oneof![
        4 => "[a-z][a-z_]{0,8}",
        1 => "[a-z]{4}[a-z_.:/é]{1,9}",
        1 => "[a-z]{65,120}",
    ];
    let tool = (name, option::of(words()), option::of(object()), option::of(any::<bool>()), 0..8_u8);
    vec(tool, 0..4).prop_map(|tools| {
        let each =
            (0..).zip(tools).map(|(index, (name, description, parameters, strict, kind)): (u32, _)| {
                // No two share a name.
                let name = format!("{name}{index}").into();
                let description = description.map(Into::into);
                let namespace = matches!(kind, 1 | 2).then(|| "files".into());
                if matches!(kind, 0 | 1) {
                    return Tool::Custom { name, description, format: None, namespace };
                }
                let parameters = parameters.map(|_| r#"{"type":"object","properties":{}}"#.into());
                Tool::Function { name, description, parameters, strict, namespace, cache: None }
            });
        each.collect()
    })
}

fn call(tools: &[Tool<'static>], index: Index, id: usize, arguments: String) -> Option<ToolCall<'static>> {
    let tool = tools.get(index.index(tools.len().max(1)))?;
    let (name, namespace, kind) = match tool {
        Tool::Function { name, namespace, .. } => (name.clone(), namespace.clone(), ToolKind::Function),
        Tool::Custom { name, namespace, .. } => (name.clone(), namespace.clone(), ToolKind::Custom),
        Tool::WebSearch(_) | Tool::Server(_) => return None,
    };
    let (id, arguments) = (format!("call_{id}").into(), arguments.into());
    Some(ToolCall { id, name, kind, arguments, namespace, signature: None, cache: None })
}

type Exchange = (Vec<Block<'static>>, Vec<Block<'static>>, Vec<(Index, String, Vec<Block<'static>>, bool)>);

fn exchange() -> impl Strategy<Value = Exchange> {
    let asked = vec(prop_oneof![3 => text_block(), 1 => media_block()], 1..3);
    let result = vec(prop_oneof![3 => text_block(), 1 => media_block()], 0..3);
    let calls = vec((any::<Index>(), arguments(), result, any::<bool>()), 0..3);
    (asked, vec(text_block(), 0..2), calls)
}

fn conversation(tools: &[Tool<'static>], exchanges: Vec<Exchange>, request: &mut Request<'static>) {
    let mut results: Vec<Block<'static>> = Vec::new();
    for (number, (asked, answered, calls)) in exchanges.into_iter().enumerate() {
        request.push(Role::User, results.drain(..).chain(asked));
        let mut answer = answered;
        for (place, (index, arguments, content, is_error)) in calls.into_iter().enumerate() {
            let Some(call) = call(tools, index, number * 10 + place, arguments) else { continue };
            let result = ToolResult {
                id: call.id.clone(),
                name: None,
                kind: call.kind,
                content,
                is_error,
                cache: None,
            };
            answer.push(Block::ToolCall(call));
            // In any order.
            results.insert(results.len() * usize::from(place % 2 == 0), Block::ToolResult(result));
        }
        request.push(Role::Assistant, answer);
    }
    request.push(Role::User, results);
}

fn number(most: u32) -> impl Strategy<Value = Option<Number>> {
    option::weighted(0.3, (0..=most * 4).prop_filter_map("finite", |n| Number::from_f64(f64::from(n) / 4.0)))
}

fn sampling() -> impl Strategy<Value = Sampling<'static>> {
    let some = |range: std::ops::Range<u64>| option::weighted(0.3, range);
    let numbers = (number(2), number(1), some(1..50), option::weighted(0.3, any::<i32>()), number(1));
    let rest = (vec("[a-z]{1,3}", 0..7), some(1..4), option::weighted(0.3, 0..5_u64));
    (numbers, rest).prop_map(|((temperature, top_p, top_k, seed, penalty), (stop, n, logprobs))| Sampling {
        temperature,
        top_p,
        top_k,
        seed: seed.map(i64::from),
        presence_penalty: penalty.clone(),
        frequency_penalty: penalty,
        stop: stop.into_iter().map(Into::into).collect(),
        n,
        logprobs: logprobs.map(|_| true),
        top_logprobs: logprobs,
    })
}

fn thinking() -> impl Strategy<Value = Thinking> {
    let mode = option::of(select(vec![ThinkingMode::Off, ThinkingMode::On, ThinkingMode::Adaptive]));
    let show = option::of(select(vec![Show::Hidden, Show::Auto]));
    (mode, option::of(select(Effort::ALL.to_vec())), option::of(1024..40_000_u64), show).prop_map(
        |(mode, effort, budget, show)| match mode {
            Some(ThinkingMode::Off) => Thinking { mode, ..Thinking::default() },
            _ => Thinking { mode, effort, budget, show, encrypted: false },
        },
    )
}

fn format() -> impl Strategy<Value = Format<'static>> {
    let schema = r#"{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}"#;
    prop_oneof![
        4 => Just(Format::Text),
        1 => Just(Format::JsonObject),
        1 => option::of(any::<bool>()).prop_map(move |strict| Format::JsonSchema {
            name: Some("n".into()), description: None, schema: schema.into(), strict
        }),
    ]
}

fn hints() -> impl Strategy<Value = Hints<'static>> {
    let word = || option::weighted(0.3, "[a-z]{1,8}");
    let tier = option::weighted(0.3, select(vec!["auto", "flex", "standard_only"]));
    (word(), word(), tier, option::weighted(0.3, any::<bool>())).prop_map(|(user, key, tier, store)| Hints {
        user: user.map(Into::into),
        cache_key: key.map(Into::into),
        service_tier: tier.map(Into::into),
        store,
        ..Hints::default()
    })
}

/// What any client may ask, before it is fitted to its own wire.
pub(super) fn request() -> impl Strategy<Value = Request<'static>> {
    let content = (tools(), vec(exchange(), 1..4), vec(text_block(), 0..2), option::of(words()));
    let wishes = (sampling(), thinking(), format(), hints(), option::of(1..30_000_u64));
    let choice = (0..8_u8, any::<Index>(), option::of(any::<bool>()));
    (content, wishes, choice).prop_map(
        |((tools, exchanges, system, mid), wishes, (choice, index, parallel))| {
            let (sampling, thinking, format, hints, max_output) = wishes;
            let mut request =
                Request { system, sampling, thinking, format, hints, max_output, ..Request::default() };
            conversation(&tools, exchanges, &mut request);
            if let Some(text) = mid {
                let at = index.index(request.turns.len() + 1);
                let turn = crate::canonical::Turn { role: Role::System, blocks: vec![Block::text(text)] };
                request.turns.insert(at, turn);
            }
            let named = call(&tools, index, 0, String::new()).map(|call| call.name);
            request.tool_choice = match (choice, named) {
                (0, _) => Some(ToolChoice::Auto),
                (1, _) => Some(ToolChoice::None),
                (2, _) => Some(ToolChoice::Required),
                (3, Some(name)) => Some(ToolChoice::Named(name)),
                (4, Some(name)) => Some(ToolChoice::Allowed { names: vec![name], required: true }),
                _ => None,
            };
            request.parallel_tools = parallel;
            request.tools = tools;
            number_texts(&mut request);
            request
        },
    )
}

/// Makes every text one of its kind, so that each can be found again.
fn number_texts(request: &mut Request<'static>) {
    let mut next = 0;
    let mut number = |blocks: &mut Vec<Block<'static>>| {
        for block in blocks {
            if let Block::Text(text) = block {
                next += 1;
                text.text = format!("{}<{next}>", text.text).into();
            }
        }
    };
    number(&mut request.system);
    for turn in &mut request.turns {
        number(&mut turn.blocks);
        for block in &mut turn.blocks {
            if let Block::ToolResult(result) = block {
                number(&mut result.content);
            }
        }
    }
}

/// A signature as the provider makes it: what it takes to check, or the reasoning itself.
pub(super) fn signature(origin: Origin) -> impl Strategy<Value = Signature<'static>> {
    // Long enough to be found by chance nowhere.
    let id = "rs_[a-z0-9]{6}".prop_map(move |id| (origin == Origin::OpenAi).then(|| id.into()));
    let kind = match origin {
        Origin::Claude => select(vec![SignatureKind::Proof, SignatureKind::Encrypted]),
        Origin::OpenAi => select(vec![SignatureKind::Encrypted]),
        Origin::Gemini => select(vec![SignatureKind::Proof]),
    };
    (kind, id, "[a-zA-Z0-9+/]{15,16}={0,1}").prop_map(move |(kind, id, value)| Signature {
        origin,
        kind,
        id,
        value: value.into(),
    })
}

fn reasoning(origin: Origin) -> BoxedStrategy<Block<'static>> {
    let block = |text: String, signature| Block::Reasoning(Reasoning { text: text.into(), signature });
    match origin {
        // Gemini signs what follows.
        Origin::Gemini => words().prop_map(move |text| block(text, None)).boxed(),
        _ => (option::of(words()), signature(origin))
            .prop_map(move |(text, signature)| {
                let hidden = signature.origin == Origin::Claude && signature.kind == SignatureKind::Encrypted;
                block(text.filter(|_| !hidden).unwrap_or_default(), Some(signature))
            })
            .boxed(),
    }
}

/// What a model of this origin answers: reasoning, words, calls.
pub(super) fn answer(origin: Origin) -> impl Strategy<Value = Response<'static>> {
    let gemini = move || {
        option::of(signature(Origin::Gemini)).prop_map(move |it| it.filter(|_| origin == Origin::Gemini))
    };
    let text = (words(), gemini())
        .prop_map(|(text, signature)| Block::Text(Text { text: text.into(), signature, ..Text::default() }));
    let call = ("[a-z]{1,6}", object(), gemini()).prop_map(|(name, arguments, signature)| ToolCall {
        id: "".into(),
        name: name.into(),
        kind: ToolKind::Function,
        arguments: arguments.into(),
        namespace: None,
        signature,
        cache: None,
    });
    let reasons = select(vec![
        StopReason::End,
        StopReason::Length,
        StopReason::Sequence,
        StopReason::ContentFilter,
        StopReason::Refusal,
    ]);
    let usage = option::of((0..1000_u64, 0..1000_u64, 0..1000_u64));
    (vec(reasoning(origin), 0..3), vec(text, 0..2), vec(call, 0..3), reasons, usage).prop_map(
        |(mut blocks, texts, calls, reason, usage)| {
            let reason = if calls.is_empty() { reason } else { StopReason::ToolUse };
            blocks.extend(texts);
            blocks.extend((0..).zip(calls).map(|(number, call): (u32, _)| {
                Block::ToolCall(ToolCall { id: format!("call_up{number}").into(), ..call })
            }));
            let usage = usage.map(|(input, cache_read, output)| Usage {
                input,
                cache_read,
                output,
                ..Usage::default()
            });
            Response {
                id: "up".into(),
                model: "served".into(),
                choices: vec![Choice { blocks, stop: Stop::of(reason), logprobs: None }],
                usage,
                ..Response::default()
            }
        },
    )
}
