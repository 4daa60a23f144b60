//! Stage 5: the request as the account's upstream wants it. Same wire in and out: the body stays bytes, save for stated
//! edits. Other wire: through the canonical form.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, Method, Request};
use proto::v1::gemini_options::Form;
use shared::{account::AccountType, clock::Millis, id::RequestId};
use wire::{
    canonical::RefusedProofs,
    convert::{self, Ask, Conversion, ConvertError, Format, Memo, Replayed, Target, searches_itself},
    count, embeddings,
    loss::{LossCode, Losses},
    raw::{envelope, foreign, invoke::to_invoke, splice::Splices, watch::StreamEdits},
    relay::Framing,
};

use super::{
    conversion_memory::{self, NoRoom},
    filter::Admitted,
    translation::{Errors, Translation},
};
use crate::{
    budget::Budget,
    compute::NotDone,
    faults::{self, Place},
    provider::{
        self, Asked, Endpoint, Front, Operation, Passage, Provider, Unaddressable, bedrock_knows,
        client_betas, fresh_request_headers, passage::passage,
    },
    proxy::Proxy,
    snapshot::{Account, Options},
    upstream::RequestBody,
};

/// Output tokens to allow where the upstream's wire wants a limit, the client named none, and the model's own is not
/// known.
const DEFAULT_MAX_OUTPUT: u64 = 8192;

/// What does not change from account to account.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    headers: HeaderMap,
    query: Option<String>,
    id: RequestId,
    /// As text, once it is needed.
    id_text: OnceLock<String>,
    now: Millis,
    /// The client was told that the answer has begun, perhaps under an upstream's id.
    resumed: Option<Option<String>>,
    /// An upstream refused the history's reasoning.
    without_reasoning: bool,
    /// An upstream does not know the client's search for tools.
    searches_by_function: bool,
    /// An upstream does not count for the model.
    estimates: bool,
    /// What the client does not send back of its conversation; none: nobody has looked yet.
    memos: Option<Vec<Memo>>,
}

/// What goes to the upstream, and how its answer is read.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) request: Request<RequestBody>,
    pub(super) translation: Translation,
    pub(super) endpoint: Endpoint,
    /// A stream is asked for, whatever the client wants.
    pub(super) stream: bool,
    /// There is another endpoint, where the server lacks this one.
    pub(super) falls_back: bool,
    pub(super) without_reasoning: bool,
    pub(super) losses: Losses,
}

#[derive(Debug)]
pub(super) enum Adapted {
    Send(Box<Outgoing>),
    /// The gateway answers by itself.
    Answer(Bytes),
}

#[derive(Debug, thiserror::Error)]
pub(super) enum AdaptError {
    #[error(transparent)]
    Unaddressable(#[from] Unaddressable),
    #[error(transparent)]
    Unconvertible(#[from] ConvertError),
    #[error("the account can't serve this: {0}")]
    Refused(&'static str),
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    #[error(transparent)]
    Failed(#[from] NotDone),
}

/// One account's way of being asked.
struct Way<'a> {
    admitted: &'a Admitted,
    account: &'a Account,
    front: Front,
    /// As the upstream knows it.
    model: &'a str,
    replayed: Replayed<'a>,
    /// The model knows the client's search for tools.
    tool_search: bool,
}

/// What is sent, and what is to come back.
struct Body {
    body: RequestBody,
    translation: Translation,
    losses: Losses,
    endpoint: Endpoint,
    /// The upstream streams.
    stream: bool,
    /// The request is the client's own: its headers and its query go along.
    native: bool,
}

impl Prepared {
    /// `headers`: the client's.
    pub(super) fn of(admitted: &Admitted, mut headers: HeaderMap, now: Millis) -> Self {
        crate::provider::strip_request_headers(&mut headers);
        let query = admitted.call.uri.query().and_then(without_key);
        Self {
            headers,
            query,
            id: admitted.call.id,
            id_text: OnceLock::new(),
            now,
            resumed: None,
            without_reasoning: false,
            searches_by_function: false,
            estimates: false,
            memos: None,
        }
    }

    /// From now on answers go on with one that has begun. `answer_id`: what the client was told, where that is not the
    /// gateway's own.
    pub(super) fn resume(&mut self, answer_id: Option<&str>) {
        self.resumed.get_or_insert_with(|| answer_id.map(str::to_owned));
    }

    /// From now on no reasoning is sent along with the history. False: none was.
    pub(super) const fn drop_reasoning(&mut self) -> bool {
        !std::mem::replace(&mut self.without_reasoning, true)
    }

    /// From now on the client's search for tools is a function like others. False: it was.
    pub(super) const fn search_by_function(&mut self) -> bool {
        !std::mem::replace(&mut self.searches_by_function, true)
    }

    /// What the request proves its reasoning with, for a model that refused it. None are found where there is no room to
    /// look for them.
    pub(super) fn proofs(&self, admitted: &Admitted, requests: &Arc<Budget>, model: &str) -> RefusedProofs {
        let Ok(_room) = conversion_memory::reserve(requests, &admitted.body, || true) else {
            return RefusedProofs::default();
        };
        convert::proofs(&self.ask(admitted), model)
    }

    /// Looks up what the client does not send back of its conversation, ahead of the first conversion of it.
    pub(super) async fn recall(&mut self, admitted: &Admitted, proxy: &Proxy) {
        let live = &proxy.live;
        let remembers = admitted.caller.snapshot.policy.remember_reasoning && live.remembers();
        if self.memos.is_some() || !remembers {
            return;
        }
        let (wire, user) = (admitted.call.operation.wire(), admitted.caller.key.user_id);
        let body = admitted.body.clone();
        let looking = proxy.compute.run_if_large(body.len(), move || convert::remembered_calls(wire, &body));
        // Where that fails, the conversion does, and says so.
        let calls = looking.await.unwrap_or_default();
        let recalled = join_all(calls.iter().map(|call| live.recall(user, call))).await;
        let memo =
            |(call_id, reasoning): (String, Option<String>)| Some(Memo { call_id, reasoning: reasoning? });
        self.memos = Some(calls.into_iter().zip(recalled).filter_map(memo).collect());
    }

    /// From now on the node counts by itself. False: it did.
    pub(super) const fn estimate(&mut self) -> bool {
        !std::mem::replace(&mut self.estimates, true)
    }

    /// `requests`: what the request is taken apart in.
    ///
    /// # Errors
    /// The account's settings make no request, what is asked for can't be said there, or there is no room to say it.
    pub(super) fn adapt(
        &self,
        admitted: &Admitted,
        requests: &Arc<Budget>,
        provider: &dyn Provider,
        account: &Account,
        model: &str,
    ) -> Result<Adapted, AdaptError> {
        faults::reach(Place::Adapt);
        let (_, asked) = shared::model::split_account_type(&admitted.view.model);
        let front = provider::front(provider, account, model, asked, self.now);
        let model = provider.model(account, model);
        let operation = admitted.call.operation;
        let mut passage = passage(operation, front);
        let learned = &account.state.learned;
        let lacks_search = self.searches_by_function || learned.lacks_tool_search(model, self.now);
        let searches = lacks_search && operation == Operation::Responses && searches_itself(&admitted.body);
        if searches && let Passage::Raw(endpoint) = passage {
            passage = Passage::Via(endpoint);
        }
        let refused = learned.refused(self.now);
        let replayed = match self.without_reasoning {
            false => Replayed::Own { refused: refused.as_deref() },
            true => Replayed::Nothing,
        };
        let way = Way { admitted, account, front, model, replayed, tool_search: !searches };
        if operation.counts() && (self.estimates || !provider.counts()) {
            passage = Passage::Estimate;
        }
        // What passes is taken apart only where it may hold foreign reasoning.
        let is_taken_apart = || match passage {
            Passage::Raw(_) if operation == Operation::Embeddings => false,
            Passage::Raw(_) => foreign::takes_apart(replayed, operation.wire(), &admitted.body, model),
            _ => true,
        };
        let _room = conversion_memory::reserve(requests, &admitted.body, is_taken_apart)?;
        let body = match passage {
            Passage::Raw(endpoint) => self.raw(&way, endpoint)?,
            Passage::Via(endpoint) if operation == Operation::Embeddings => embeddings(&way, endpoint)?,
            Passage::Via(endpoint) if operation.counts() => self.counted(&way, endpoint)?,
            Passage::Via(endpoint) => self.converted(&way, endpoint)?,
            Passage::Estimate => {
                let tokens = count::estimate(&self.ask(way.admitted)).map_err(ConvertError::from)?;
                return Ok(Adapted::Answer(count::write(operation.wire(), tokens)));
            }
            Passage::Refused(why) => return Err(AdaptError::Refused(why)),
        };
        self.request(&way, provider, body).map(|outgoing| Adapted::Send(Box::new(outgoing)))
    }

    fn request(
        &self,
        way: &Way<'_>,
        provider: &dyn Provider,
        mut body: Body,
    ) -> Result<Outgoing, AdaptError> {
        let query = self.query.as_deref().filter(|_| body.native);
        let asked = Asked { endpoint: body.endpoint, model: way.model, stream: body.stream, query };
        let uri = provider.url(way.account, &asked)?;
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() =
            if body.native { self.headers.clone() } else { fresh_request_headers(&self.headers) };
        let (mut parts, ()) = request.into_parts();
        provider.sign(way.account, &mut parts, &body.body, self.now)?;
        let request = Request::from_parts(parts, std::mem::take(&mut body.body));
        let Body { translation, endpoint, stream, losses, .. } = body;
        let without_reasoning = self.without_reasoning;
        let falls_back = way.front.falls_back();
        Ok(Outgoing { request, translation, endpoint, stream, falls_back, without_reasoning, losses })
    }

    /// How an answer in the client's own wire is read that comes in another form than it was asked for in. None: this
    /// operation knows no streams.
    pub(super) fn within(&self, admitted: &Admitted) -> Option<Conversion> {
        admitted
            .call
            .operation
            .streams()
            .then(|| Conversion::within(&self.ask(admitted), &admitted.view.model))
    }

    fn ask<'a>(&'a self, admitted: &'a Admitted) -> Ask<'a> {
        let view = &admitted.view;
        Ask {
            wire: admitted.call.operation.wire(),
            body: &admitted.body,
            model: &view.model,
            stream: view.stream,
            wants_usage: view.wants_usage,
            array: admitted.call.path.as_ref().is_some_and(|path| path.array),
            resume: self
                .resumed
                .as_ref()
                .map(|answer_id| convert::Resume { answer_id: answer_id.as_deref() }),
            memos: self.memos.as_deref().unwrap_or_default(),
            id: self.id_text.get_or_init(|| self.id.to_string()),
            now: self.now.0 / 1000,
        }
    }

    fn raw(&self, way: &Way<'_>, endpoint: Endpoint) -> Result<Body, AdaptError> {
        let (view, operation) = (&way.admitted.view, way.admitted.call.operation);
        let mut splices = Splices::new();
        let (mut framing, mut edits) = (Framing::Plain, StreamEdits::default());
        match operation {
            Operation::Gemini | Operation::CountContents => {}
            Operation::Messages if way.front == Front::BedrockClaude => {
                framing = Framing::Invoke;
                let betas = client_betas(&self.headers).filter(|beta| bedrock_knows(beta));
                splices = to_invoke(&way.admitted.body, betas).map_err(ConvertError::from)?;
            }
            _ => view.replace_model(&mut splices, way.model),
        }
        let mut losses = Losses::default();
        let (wire, body) = (operation.wire(), &way.admitted.body);
        if foreign::take_out(&mut splices, way.replayed, wire, body, way.model) > 0 {
            losses.add(LossCode::ForeignReasoning, "reasoning");
        }
        if operation == Operation::Chat {
            edits.hide_usage = !view.wants_usage;
            if view.stream {
                view.ask_for_usage(&mut splices);
            }
        }
        if way.front == Front::ChatGpt {
            envelope::chatgpt(&mut splices, &way.admitted.body);
        }
        let mut bytes = splices.apply(way.admitted.body.clone());
        if way.front == Front::CodeAssist {
            framing = Framing::Wrapped;
            let mut body = Vec::with_capacity(bytes.len() + envelope::ROOM);
            body.extend_from_slice(&bytes);
            if operation.counts() {
                envelope::code_assist_count(&mut body, way.model);
            } else {
                envelope::code_assist(&mut body, way.model, project(way.account));
            }
            bytes = body.into();
        }
        let errors = if way.front == Front::ChatGpt { Errors::Foreign } else { Errors::Native };
        let native = framing == Framing::Plain;
        let translation = match self.another_form(way).then(|| self.within(way.admitted)).flatten() {
            _ if endpoint == Endpoint::CountContents && framing == Framing::Wrapped => Translation::Count,
            Some(conversion) => Translation::Converted { conversion: Box::new(conversion), framing },
            None => Translation::Raw { edits, framing, errors, asked: self.told_name(way) },
        };
        // The backend behind ChatGPT logins gives nothing but streams.
        let stream = view.stream || way.front == Front::ChatGpt;
        Ok(Body { body: bytes.into(), translation, losses, endpoint, stream, native })
    }

    /// Whether the client is given the answer in another form than the upstream gives it.
    fn another_form(&self, way: &Way<'_>) -> bool {
        // The beginning was said by another attempt: this one's is left out, and its ids are that one's.
        self.resumed.is_some()
            // The backend only streams, so a client that wants no stream gets one that was gathered.
            || (way.front == Front::ChatGpt && !way.admitted.view.stream)
            // Upstreams are asked for server-sent events only.
            || way.admitted.call.path.as_ref().is_some_and(|path| path.array)
    }

    /// The name that an answer's model goes by; none: the upstream's own.
    fn told_name(&self, way: &Way<'_>) -> Option<Box<str>> {
        let own = way.admitted.caller.snapshot.policy.served_model_names;
        (!own).then(|| way.admitted.view.model.as_str().into())
    }

    fn converted(&self, way: &Way<'_>, endpoint: Endpoint) -> Result<Body, AdaptError> {
        // The backend behind ChatGPT logins gives nothing but streams.
        let stream = way.admitted.view.stream || way.front == Front::ChatGpt;
        let (ask, target) = (self.ask(way.admitted), way.target(endpoint, stream));
        let mut converted = convert::request(ask, target)?;
        let body = &mut converted.body;
        let mut framing = Framing::Plain;
        match (endpoint, way.front) {
            (Endpoint::Invoke, _) => {
                framing = Framing::Invoke;
                envelope::invoked(body);
            }
            (Endpoint::Converse, _) => framing = Framing::Converse,
            (_, Front::ChatGpt) => {
                let mut splices = Splices::new();
                envelope::chatgpt(&mut splices, body);
                splices.apply_to(body);
            }
            (_, Front::CodeAssist) => {
                framing = Framing::Wrapped;
                envelope::code_assist(body, way.model, project(way.account));
            }
            _ => {}
        }
        let translation = Translation::Converted { conversion: Box::new(converted.conversion), framing };
        let body = converted.excerpts.fill(converted.body, &way.admitted.body).into();
        Ok(Body { body, translation, losses: converted.losses, endpoint, stream, native: false })
    }

    fn counted(&self, way: &Way<'_>, endpoint: Endpoint) -> Result<Body, AdaptError> {
        let format = match (endpoint, way.front) {
            (Endpoint::BedrockCountTokens, Front::BedrockClaude) => Format::Messages,
            _ => endpoint.format(),
        };
        let target = Target { format, ..way.target(endpoint, false) };
        let ask = self.ask(way.admitted);
        let (mut body, losses) = match way.front {
            Front::BedrockClaude => count::request_of_invoke(&ask, target)?,
            front => count::request(&ask, target, front == Front::CodeAssist)?,
        };
        match way.front {
            Front::BedrockClaude => envelope::count_invoke(&mut body),
            Front::BedrockConverse => envelope::count_converse(&mut body),
            Front::Gemini if !is_vertex(way.account) => envelope::count_generate(&mut body, way.model),
            Front::CodeAssist => envelope::code_assist_count(&mut body, way.model),
            _ => {}
        }
        Ok(Body {
            body: body.into(),
            translation: Translation::Count,
            losses,
            endpoint,
            stream: false,
            native: false,
        })
    }
}

fn embeddings(way: &Way<'_>, endpoint: Endpoint) -> Result<Body, AdaptError> {
    let (body, answer) = embeddings::to_gemini(&way.admitted.body, way.model)?;
    let translation = Translation::Embeddings(answer);
    Ok(Body {
        body: body.into(),
        translation,
        losses: Losses::default(),
        endpoint,
        stream: false,
        native: false,
    })
}

impl<'a> Way<'a> {
    fn target(&self, endpoint: Endpoint, stream: bool) -> Target<'a> {
        let snapshot = &self.admitted.caller.snapshot;
        let known = |name: &str| snapshot.model(name)?.max_output;
        let (_, asked) = shared::model::split_account_type(&self.admitted.view.model);
        let max_output = known(self.model).or_else(|| known(asked));
        Target {
            format: endpoint.format(),
            model: self.model,
            stream,
            default_max_output: max_output.unwrap_or(DEFAULT_MAX_OUTPUT),
            max_output,
            fetches_urls: !matches!(self.front, Front::BedrockClaude | Front::BedrockConverse),
            server_tools: !matches!(self.front, Front::BedrockClaude | Front::Chat | Front::Compatible),
            system_turns: matches!(
                self.account.kind,
                Some(AccountType::ClaudeOfficial | AccountType::ClaudeConsole)
            ),
            replayed: self.replayed,
            tool_search: self.tool_search,
            // What a router hands on to, it knows best.
            cache_marks: snapshot.policy.cache_marks && self.account.kind != Some(AccountType::Ccr),
        }
    }
}

fn is_vertex(account: &Account) -> bool {
    matches!(&account.upstream.options, Options::Gemini { form: Form::Vertex, .. })
}

fn project(account: &Account) -> Option<&str> {
    match &account.upstream.options {
        Options::Gemini { project, .. } => project.as_deref(),
        _ => None,
    }
}

/// What providers take from a query as a credential, or as whom to count for: neither is the client's to say.
const WHOSE: [&str; 8] =
    ["key", "api_key", "apikey", "api-key", "access_token", "oauth_token", "quotauser", "userip"];

/// The client's query, without its key.
fn without_key(query: &str) -> Option<String> {
    let says_whose = |pair: &str| {
        url::form_urlencoded::parse(pair.as_bytes())
            .any(|(name, _)| WHOSE.contains(&&*name.to_ascii_lowercase()))
    };
    let kept: Vec<_> = query.split('&').filter(|pair| !pair.is_empty() && !says_whose(pair)).collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_taken_out_of_the_query_and_the_rest_stays() {
        assert_eq!(without_key("beta=true"), Some("beta=true".into()));
        assert_eq!(without_key("key=sk-1"), None);
        assert_eq!(without_key("access_token=ya29.x&alt=sse&quotaUser=me"), Some("alt=sse".into()));
        assert_eq!(without_key("k%65y=sk-1&api_key=sk-1&API-Key=sk-1&b=%20"), Some("b=%20".into()));
        assert_eq!(without_key("keys=1"), Some("keys=1".into()));
        assert_eq!(without_key("a=1&key=sk-1&b=2"), Some("a=1&b=2".into()));
        assert_eq!(without_key(""), None);
    }
}
