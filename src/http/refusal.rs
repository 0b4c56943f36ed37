//! From refusal to answer: one exhaustive map from each error to its status and the reason it is counted under. Bodies are
//! one line of text: what was expected and what came.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONNECTION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, HttpResponseBuilder};
use humantime::FormattedDuration;

use super::coding::{CodingError, UnknownCoding};
use super::path::PathError;
use crate::exposition::format::MediaTypeError;
use crate::ingest::Refusal;
use crate::push::PushError;

/// Why a push is answered with an error.
#[derive(Debug, thiserror::Error)]
pub enum HttpRefusal {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    MediaType(#[from] MediaTypeError),
    #[error(transparent)]
    Encoding(#[from] UnknownCoding),
    #[error(transparent)]
    Compression(#[from] CodingError),
    #[error("expected a body of at most {limit} bytes, got more")]
    BodyTooLarge { limit: usize },
    #[error("expected the whole body within {timeout}, got {received} bytes")]
    BodyTooSlow { timeout: FormattedDuration, received: usize },
    #[error("expected a whole body, got a broken one: {0}")]
    BodyBroken(String),
    #[error("too many bodies are being read, try again later")]
    Busy,
    #[error("expected a user and password that may push")]
    Unauthorized,
    #[error("expected a duration such as 10m, of at most 100 years, as Catchment-TTL, got {0:?}")]
    Lifetime(String),
    #[error(transparent)]
    Push(#[from] Refusal),
    /// The Pushgateway's words for what contradicts itself or the store.
    #[error("pushed metrics are invalid or inconsistent with existing metrics: {0}")]
    Inconsistent(Refusal),
}

/// All reasons, for the counters.
pub const REASONS: &[&str] = &[
    "path",
    "unauthorized",
    "lifetime",
    "media_type",
    "encoding",
    "body_too_large",
    "body_too_slow",
    "body_broken",
    "inflight_full",
    "malformed",
    "type_conflict",
    "name_clash",
    "duplicate_series",
    "invalid_sample",
    "timestamps",
    "owned",
    "store_limit",
    "crowded",
    "shard_full",
    "shard_down",
];

impl HttpRefusal {
    /// The status of the answer, and the reason under which the refusal is counted.
    pub fn status_and_reason(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Path(PathError::NotAGroup(_)) => (StatusCode::NOT_FOUND, "path"),
            Self::Path(_) => (StatusCode::BAD_REQUEST, "path"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Lifetime(_) => (StatusCode::BAD_REQUEST, "lifetime"),
            Self::MediaType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type"),
            Self::Encoding(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoding"),
            Self::Compression(error) => match error {
                CodingError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
                CodingError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "inflight_full"),
                _ => (StatusCode::BAD_REQUEST, "body_broken"),
            },
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::BodyTooSlow { .. } => (StatusCode::REQUEST_TIMEOUT, "body_too_slow"),
            Self::BodyBroken(_) => (StatusCode::BAD_REQUEST, "body_broken"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "inflight_full"),
            Self::Push(refusal) | Self::Inconsistent(refusal) => (status(refusal), refusal.reason()),
        }
    }

    /// Whether the rest of the body is still to come, so that the connection is of no more use.
    fn leaves_body_unread(&self) -> bool {
        match self {
            Self::BodyTooLarge { .. } | Self::BodyTooSlow { .. } | Self::BodyBroken(_) | Self::Busy => true,
            Self::Path(_) | Self::MediaType(_) | Self::Encoding(_) | Self::Unauthorized | Self::Lifetime(_) => true,
            Self::Compression(_) | Self::Push(_) | Self::Inconsistent(_) => false,
        }
    }

    /// A refused push to a group.
    pub fn of_group(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Push(PushError::Malformed(_) | PushError::InvalidSample(_)) => Self::Push(refusal),
            Refusal::Push(_) | Refusal::Collision { .. } | Refusal::Owned { .. } => Self::Inconsistent(refusal),
            other => Self::Push(other),
        }
    }

    /// What is said of it, in one line: names from a push may hold line feeds and worse.
    pub fn line(&self) -> String {
        self.to_string().replace(char::is_control, "\u{fffd}")
    }

    /// The answer.
    pub fn response(&self) -> HttpResponse {
        let (status, _) = self.status_and_reason();
        let mut response = text(HttpResponse::build(status), self.line());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"catchment\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        if self.leaves_body_unread() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Push(_) | Refusal::Owned { .. } | Refusal::Collision { .. } => StatusCode::BAD_REQUEST,
        Refusal::StoreLimit { .. } => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Crowded | Refusal::Shard(_) => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Lost => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// An answer of one line of text.
pub fn text(mut builder: HttpResponseBuilder, line: String) -> HttpResponse {
    builder.content_type("text/plain; charset=utf-8").insert_header(("X-Content-Type-Options", "nosniff"));
    builder.body(line + "\n")
}

/// The answer to a method that a known path does not have.
pub fn wrong_method(methods: &'static str) -> HttpResponse {
    let mut response = text(HttpResponse::MethodNotAllowed(), format!("expected the method {methods}"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}
