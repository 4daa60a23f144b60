//! How every refusal looks to a caller: problem+json (RFC 9457) with a stable `code`.

use std::time::Duration;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::again::TurnedAway;
use crate::{domain::fault::Faults, ops::Refusal, store::StoreError};

/// The code of [`StoreError::Busy`].
const DATABASE_BUSY: &str = "database_busy";

pub type ApiResult<T> = Result<T, Problem>;

/// What a handler answers where it can't do what was asked. `detail` is for the person; what only we need is logged.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
}

/// One field of the body or the query, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Path of the field, such as `credentials.api_key` or `group_ids[2]`. Empty: the body as a whole.
    pub field: String,
    pub message: String,
}

/// `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// The words of the HTTP status.
    title: &'static str,
    /// The HTTP status again.
    status: u16,
    /// Stable, in snake case: what a program decides by.
    code: &'static str,
    /// What a person can do about it. May change.
    detail: String,
    /// The fields at fault; left out where none is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), retry_after: None }
    }

    /// 404, also where the thing exists and is not the caller's.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is no such thing, or it is not yours")
    }

    /// 403: the caller's role does not allow it.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "your role does not allow this")
    }

    /// 401 with the reason as `code`.
    pub fn unauthorized(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail)
    }

    /// 409: the request is well-formed, and the present state forbids it.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 422 for one field.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid_fields(vec![FieldError { field: field.into(), message: message.into() }])
    }

    /// 422 for several fields.
    pub fn invalid_fields(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] if one.field.is_empty() => one.message.clone(),
            [one] => format!("{}: {}", one.field, one.message),
            several => format!("{} fields are not valid", several.len()),
        };
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_fields", detail) }
    }

    /// 429: try again after `wait`.
    pub fn too_many_requests(code: &'static str, detail: impl Into<String>, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..Self::new(StatusCode::TOO_MANY_REQUESTS, code, detail) }
    }

    /// 503: try again in a moment.
    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
        }
    }

    /// 500. `context` is logged and not shown.
    pub fn internal(context: impl std::fmt::Display) -> Self {
        tracing::error!(%context, "a request failed inside");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something failed inside; the log says what")
    }

    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::not_found(),
            StoreError::Conflict { what } => Self::conflict("conflict", format!("{what} is taken already")),
            StoreError::Missing { what } => {
                Self::conflict("missing_reference", format!("{what} does not exist"))
            }
            StoreError::Stale => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "stale_revision",
                "it was changed meanwhile: read it again, then repeat your change with its new ETag",
            ),
            StoreError::Busy(_) => {
                Self::unavailable(DATABASE_BUSY, "the database is busy; try again in a moment")
            }
            StoreError::Unavailable(source) => {
                tracing::warn!(error = %source, "the database can't be reached");
                Self::unavailable(
                    "database_unavailable",
                    "the database can't be reached; try again in a moment",
                )
            }
            StoreError::Database(source) => Self::internal(format_args!("database: {source}")),
            other => Self::internal(other),
        }
    }
}

impl From<Faults> for Problem {
    fn from(faults: Faults) -> Self {
        let errors =
            faults.0.into_iter().map(|fault| FieldError { field: fault.field, message: fault.message });
        Self::invalid_fields(errors.collect())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::not_found(),
            Refusal::Forbidden => Self::forbidden(),
            Refusal::Unauthorized { code, detail } => Self::unauthorized(code, detail),
            Refusal::Disabled { code, detail } => Self::new(StatusCode::FORBIDDEN, code, detail),
            Refusal::Invalid(faults) => faults.into(),
            Refusal::Conflict { code, detail } => Self::conflict(code, detail),
            Refusal::TooMany { code, detail, wait } => Self::too_many_requests(code, detail, wait),
            Refusal::Unavailable { code, detail } => Self::unavailable(code, detail),
            Refusal::NodeRefused(reason) => Self::new(StatusCode::BAD_GATEWAY, "node_refused", reason),
            Refusal::NodeSilent(node) => {
                let detail = format!("the node {node} did not answer in time");
                Self::new(StatusCode::GATEWAY_TIMEOUT, "node_silent", detail)
            }
            Refusal::Store(error) => error.into(),
            Refusal::Internal(context) => Self::internal(context),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail,
            errors: self.errors,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.code == DATABASE_BUSY {
            response.extensions_mut().insert(TurnedAway);
        }
        response
    }
}
