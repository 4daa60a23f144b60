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
    control,
    credential::{Credential, in_flight::InFlight, record::Recording},
    memory::Memory,
    playback::{FaultFrames, plan},
    provider::{Call, Failure, Profile, Provider, set},
    registry::Registry,
    route::{self, Route},
    script::{Behaviour, ErrorText, Fault, LineEnds},
    template::{Frame, Role, Template, ended, identifier},
};

/// The providers' own limit.
pub(crate) const MAX_BODY: usize = 32 << 20;

/// A call that has been read, and where its answer goes.
struct Exchange {
    provider: &'static dyn Provider,
    number: u64,
    behaviour: Arc<Behaviour>,
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
    let (provider, route) = route::find(&parts.method, parts.uri.path(), &parts.headers);
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
    let mut exchange = Exchange { provider, number, behaviour: Arc::default(), call };
    let profile = registry.profile(&credential);
    match admit(&parts, presented, &profile, provider, route) {
        Ok(_) if too_large => Ok(exchange.refuse(provider.failure(413), None)),
        Ok(route) => exchange.answer(&parts, &body, &route, &credential, &profile).await,
        Err(failure) => {
            // A refused credential has no script to follow.
            exchange.behaviour = Arc::default();
            Ok(exchange.refuse(failure, None))
        }
    }
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
            Some(Fault::Status { status, retry_after, error }) => {
                return Ok(self.scripted_refusal(*status, retry_after.as_deref(), error.as_ref()));
            }
            _ => {}
        }
        let path = parts.uri.path();
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
        let content_type =
            if filled.stream { "text/event-stream; charset=utf-8" } else { "application/json" };
        let mut headers = self.headers(200, None, content_type);
        if filled.stream {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        self.call.head(StatusCode::OK, &headers);
        let plan = plan(filled, &self.behaviour, &self.fault_frames());
        let mut response = Response::new(AnswerBody::play(plan, self.call));
        *response.headers_mut() = headers;
        response
    }

    fn fault_frames(&self) -> FaultFrames {
        let line_ends = self.behaviour.line_ends;
        let framed = |bytes| ended(Frame { role: Role::Structure, bytes }, line_ends).bytes;
        match &self.behaviour.fault {
            Some(Fault::ErrorEvent { status, error, .. }) => {
                let failure = self.provider.failure(*status).reworded(error.as_ref());
                let event = self.provider.error_event(&failure, &self.request_id());
                FaultFrames { error: framed(event), malformed: Vec::new() }
            }
            Some(Fault::Malformed(_)) => {
                FaultFrames { error: Vec::new(), malformed: framed(self.provider.malformed_event()) }
            }
            _ => FaultFrames { error: Vec::new(), malformed: Vec::new() },
        }
    }

    fn scripted_refusal(
        self,
        status: u16,
        retry_after: Option<&str>,
        error: Option<&ErrorText>,
    ) -> Response<AnswerBody> {
        let failure = self.provider.failure(status).reworded(error);
        self.refuse(failure, retry_after)
    }

    fn refuse(self, failure: Failure, retry_after: Option<&str>) -> Response<AnswerBody> {
        let status = StatusCode::from_u16(failure.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = self.headers(failure.status, retry_after, "application/json");
        let body = self.provider.error_body(&failure, &self.request_id());
        self.call.head(status, &headers);
        let frame = Frame { role: Role::Content, bytes: body };
        let template = Template::new(crate::template::Draft::Json(frame.bytes), LineEnds::Lf);
        let plan = plan(template.fill(self.number), &Behaviour::default(), &self.fault_frames());
        let mut response = Response::new(AnswerBody::play(plan, self.call));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    fn request_id(&self) -> String {
        format!("req_{}", identifier(self.number))
    }

    fn headers(&self, status: u16, retry_after: Option<&str>, content_type: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(16);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Ok(id) = HeaderValue::try_from(self.request_id()) {
            headers.insert(self.provider.request_id_header(), id);
        }
        self.provider.limits(status, retry_after.and_then(|text| text.parse().ok()), &mut headers);
        if let Some(retry_after) = retry_after {
            set(&mut headers, "retry-after", retry_after);
        }
        for (name, value) in &self.behaviour.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
        headers
    }
}
