//! A request, from its head to its answer.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts,
};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

use crate::{
    body::AnswerBody,
    coding::{self, encoded},
    control,
    credential::{Credential, in_flight::InFlight, record::Recording},
    memory::Memory,
    playback::{ScriptFrames, place, plan},
    provider::{Call, Failure, Profile, Provider, set},
    refusal::Refused,
    registry::Registry,
    route::{self, Route},
    script::{Behaviour, ErrorText, Fault, LineEnds},
    template::{Draft, Filled, Form, Frame, Role, Template},
};

/// The providers' own limit.
pub(crate) const MAX_BODY: usize = 32 << 20;

/// A call that has been read, and where its answer goes.
struct Exchange {
    provider: &'static dyn Provider,
    number: u64,
    behaviour: Arc<Behaviour>,
    lists_errors: bool,
    call: InFlight,
}

pub(crate) async fn handle(
    registry: Arc<Registry>,
    request: Request<Incoming>,
) -> io::Result<Response<AnswerBody>> {
    if let Some(path) = request.uri().path().strip_prefix(control::PREFIX) {
        let path = path.to_owned();
        return Ok(control::handle(&registry, &path, request).await);
    }
    let (parts, body) = request.into_parts();
    // Clients ask whether anybody is there.
    if parts.method == Method::HEAD {
        return Ok(Response::new(AnswerBody::plain(Bytes::new())));
    }
    let (provider, route) = route::find(&parts);
    let presented = provider.credential(&parts);
    let credential = registry.credential(presented.as_deref().unwrap_or_default());
    let read = Limited::new(body, MAX_BODY).collect().await;
    let too_large = read.as_ref().is_err_and(|error| error.is::<http_body_util::LengthLimitError>());
    let body = match read {
        Ok(body) => body.to_bytes(),
        Err(_) if too_large => Bytes::new(),
        Err(error) => return Err(io::Error::other(error)),
    };
    let number = registry.next_number();
    let call = InFlight::begin(Arc::clone(&credential), || Recording::new(number, &parts, body.clone()));
    let lists_errors = provider.lists_errors(&parts);
    let mut exchange = Exchange { provider, number, behaviour: Arc::default(), lists_errors, call };
    let profile = registry.profile(&credential);
    let admitted = admit(&parts, presented, &profile, provider, route).and_then(|route| match too_large {
        true => Err(provider.failure(413)),
        false if coding::is_said(&parts.headers) => Err(provider.failure(415)),
        false => provider.verify(&parts, &body, &profile).map(|()| route),
    });
    match admitted {
        Ok(route) => exchange.answer(&parts, &body, &route, &credential, &profile).await,
        Err(failure) => {
            // A refused credential has no script to follow.
            exchange.behaviour = Arc::default();
            Ok(exchange.refuse(failure, None))
        }
    }
}

/// The model that the path names, or the body.
fn asked_model(route: &Route<'_>, body: &[u8]) -> String {
    if let Some(name) = route.name {
        return control::decoded(name).unwrap_or_default();
    }
    let body = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
    body.get("model").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

fn admit<'p>(
    parts: &'p Parts,
    presented: Result<String, Failure>,
    profile: &Profile,
    provider: &dyn Provider,
    route: Option<Route<'p>>,
) -> Result<Route<'p>, Failure> {
    let key = presented?;
    if !profile.known {
        return Err(provider.unknown_credential(&key));
    }
    provider.check_credential(parts, &key)?;
    route.ok_or_else(|| provider.no_such_path(parts))
}

impl Exchange {
    async fn answer(
        mut self,
        parts: &Parts,
        body: &Bytes,
        route: &Route<'_>,
        credential: &Credential,
        profile: &Profile,
    ) -> io::Result<Response<AnswerBody>> {
        let mut is_default = false;
        if route.scripted {
            (self.behaviour, is_default) = credential.take_behaviour();
        }
        let behaviour = Arc::clone(&self.behaviour);
        if behaviour.head_delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(behaviour.head_delay_ms)).await;
        }
        match &behaviour.fault {
            Some(Fault::HangBeforeHead) => std::future::pending().await,
            Some(Fault::CloseBeforeHead) => {
                self.call.served();
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Some(Fault::Refused(refusal)) => {
                let (path, model) = (parts.uri.path(), asked_model(route, body));
                let failure = self.provider.refuses(Refused { refusal: *refusal, path, model: &model });
                return Ok(self.refuse(failure, None));
            }
            Some(Fault::Status { status, retry_after, error }) => {
                return Ok(self.scripted_refusal(*status, retry_after.as_deref(), error.as_ref()));
            }
            _ => {}
        }
        let path = parts.uri.path_and_query().map_or(parts.uri.path(), |target| target.as_str());
        let prepared = if is_default { credential.template(path, body) } else { None };
        let template = match prepared {
            // The head is checked each time: it is not part of what the answer is kept under.
            Some(template) => self.provider.check_head(parts).map(|()| template),
            None => {
                let memory = Memory::new(credential, self.number);
                self.prepare(parts, body, route, profile, memory).map(|(template, reusable)| {
                    if is_default && reusable {
                        credential.keep_template(path, body, &behaviour, &template);
                    }
                    template
                })
            }
        };
        match template {
            Err(failure) => Ok(self.refuse(failure, None)),
            Ok(template) => match &behaviour.fault {
                Some(Fault::ErrorEvent { status, error, .. }) if !template.stream => {
                    Ok(self.scripted_refusal(*status, None, error.as_ref()))
                }
                _ => {
                    if let Some(kept) = &template.kept {
                        credential.keep(self.number, Arc::clone(kept));
                    }
                    Ok(self.send(&template))
                }
            },
        }
    }

    /// The answer, and whether it may be given again to the same body.
    fn prepare(
        &self,
        parts: &Parts,
        body: &Bytes,
        route: &Route<'_>,
        profile: &Profile,
        memory: Memory<'_>,
    ) -> Result<(Arc<Template>, bool), Failure> {
        self.provider.check_head(parts)?;
        let behaviour = &*self.behaviour;
        let call = Call { parts, body, behaviour, profile, name: route.name, memory: &memory };
        let draft = (route.answer)(&call)?;
        let mut template = Template::new(draft, behaviour.line_ends);
        let reusable = !memory.was_used();
        template.kept = memory.into_kept();
        Ok((Arc::new(template), reusable))
    }

    fn send(self, template: &Template) -> Response<AnswerBody> {
        let filled = template.fill(self.number);
        let mut headers = self.headers(200, None, template.form.content_type());
        if matches!(template.form, Form::Events(_)) {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        for (name, value) in &template.headers {
            if !self.behaviour.headers.contains_key(*name) {
                set(&mut headers, name, value);
            }
        }
        self.call.head(StatusCode::OK, &headers);
        let faults = self.script_frames(template.form, &filled);
        let plan = encoded(plan(filled, &self.behaviour, &faults), self.behaviour.coding);
        let mut response = Response::new(AnswerBody::play(plan, self.call));
        *response.headers_mut() = headers;
        response
    }

    fn script_frames(&self, form: Form, filled: &Filled<'_>) -> ScriptFrames {
        let line_ends = self.behaviour.line_ends;
        let framed = |bytes| form.ended(Frame { role: Role::Structure, bytes }, line_ends).bytes;
        let mut frames = ScriptFrames::default();
        if self.behaviour.pings.is_some() && matches!(form, Form::Events(_)) {
            frames.ping = framed(self.provider.ping_event());
        }
        match &self.behaviour.fault {
            Some(Fault::ErrorEvent { at, status, error }) => {
                let failure = self.provider.failure(*status).reworded(error.as_ref());
                frames.error = match form {
                    Form::Array => {
                        let before: &[u8] = if place(*at, filled) == 0 { b"[" } else { b",\r\n" };
                        let body = self.provider.error_body(&failure, &self.request_id());
                        [before, &body, b"\n]"].concat()
                    }
                    _ => framed(self.provider.error_event(&failure, &self.request_id())),
                };
            }
            Some(Fault::Malformed(_)) => frames.malformed = framed(self.provider.malformed_event()),
            _ => {}
        }
        frames
    }

    fn scripted_refusal(
        self,
        status: u16,
        retry_after: Option<&str>,
        error: Option<&ErrorText>,
    ) -> Response<AnswerBody> {
        let mut failure = self.provider.failure(status).reworded(error);
        failure.retry_after = retry_after.and_then(|text| text.parse().ok());
        self.refuse(failure, retry_after)
    }

    fn refuse(self, failure: Failure, retry_after: Option<&str>) -> Response<AnswerBody> {
        let status = StatusCode::from_u16(failure.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut headers = self.headers(failure.status, retry_after, "application/json");
        self.provider.refusal_headers(&failure, &mut headers);
        let mut body = self.provider.error_body(&failure, &self.request_id());
        if self.lists_errors {
            body = [b"[", body.as_slice(), b"\n]"].concat();
        }
        self.call.head(status, &headers);
        let template = Template::new(Draft::Json(body), LineEnds::Usual);
        let faults = ScriptFrames::default();
        let plan = plan(template.fill(self.number), &Behaviour::default(), &faults);
        let plan = encoded(plan, self.behaviour.coding);
        let mut response = Response::new(AnswerBody::play(plan, self.call));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    fn request_id(&self) -> String {
        self.provider.request_id(self.number)
    }

    fn headers(&self, status: u16, retry_after: Option<&str>, content_type: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(16);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        let id = self.request_id();
        if !id.is_empty()
            && let Ok(id) = HeaderValue::try_from(id)
        {
            headers.insert(self.provider.request_id_header(), id);
        }
        self.provider.limits(status, retry_after.and_then(|text| text.parse().ok()), &mut headers);
        if let Some(retry_after) = retry_after.filter(|_| self.provider.has_retry_after()) {
            set(&mut headers, "retry-after", retry_after);
        }
        if let Some(coding) = self.behaviour.coding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        }
        for (name, value) in &self.behaviour.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
        headers
    }
}
