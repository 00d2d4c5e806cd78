//! Answers: one place decides which cause gets which status, code and headers.

use andon_engine::intake::Rejected;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT_ENCODING, ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde::Serialize;
use std::time::Duration;

use crate::body::BodyError;
use crate::config::{IDEMPOTENCY_KEY_BYTES_MAX, RETRY_AFTER_SECS};
use crate::decode::{DecodeError, LeftOut};
use crate::ports::IntakeError;

pub(crate) type Reply = Response<Full<Bytes>>;

/// Rejected records that an answer names; all of them are in quarantine.
pub(crate) const REJECTED_NAMED_MAX: usize = 100;

/// Why a request is refused as a whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("there is nothing at this path: records go to POST /v1/records")]
    NotFound,
    #[error("this path takes {allow} only")]
    Method { allow: &'static str },
    #[error("an HTTP/1.1 request must have exactly one Host header")]
    Host,
    #[error("a request must not have both Content-Length and Transfer-Encoding")]
    AmbiguousLength,
    #[error("a key is needed: send the header Authorization: Bearer <key>")]
    NoKey,
    #[error("the key is unknown or has been revoked")]
    WrongKey,
    #[error(
        "the key is not among those known, and new keys cannot be read now; nothing of the request was taken: send it again"
    )]
    KeysAway,
    #[error("too many requests without a known key run on this connection: wait for their answers")]
    Unknown,
    #[error("this key may not send records: it needs the scope ingest")]
    NotForIngest,
    #[error("Content-Type {0:?} is not known: send application/json or application/x-ndjson, in UTF-8")]
    ContentType(String),
    #[error("Content-Encoding {0:?} is not known: send gzip, zstd or none")]
    ContentEncoding(String),
    #[error("Idempotency-Key must be one header of 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters")]
    IdempotencyKey,
    #[error("Andon-History must be true or false")]
    History,
    #[error("the body has {length} bytes, more than the {max} allowed: send it in several requests")]
    ContentLength { length: u64, max: usize },
    #[error("over this key's rate; nothing of the request was taken: send it again after {} s", secs_up(*.0))]
    Rate(Duration),
    #[error(
        "this Idempotency-Key was used for another body within the last 10 minutes; nothing of this request was taken: send each body with a key of its own, or without one"
    )]
    OtherBody,
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Intake(#[from] IntakeError),
    #[error(
        "a fault of ours; records of the request may have been taken: send it again with the same ids or Idempotency-Key"
    )]
    Internal,
}

fn secs_up(d: Duration) -> u64 {
    (d.as_secs() + u64::from(d.subsec_nanos() > 0)).max(1)
}

impl Refused {
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Refused::NotFound => (S::NOT_FOUND, "not_found"),
            Refused::Method { .. } => (S::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Refused::Host => (S::BAD_REQUEST, "bad_host"),
            Refused::AmbiguousLength => (S::BAD_REQUEST, "ambiguous_length"),
            Refused::NoKey => (S::UNAUTHORIZED, "no_key"),
            Refused::WrongKey => (S::UNAUTHORIZED, "wrong_key"),
            Refused::KeysAway => (S::SERVICE_UNAVAILABLE, "keys"),
            Refused::Unknown => (S::SERVICE_UNAVAILABLE, "busy"),
            Refused::NotForIngest => (S::FORBIDDEN, "scope"),
            Refused::ContentType(_) => (S::UNSUPPORTED_MEDIA_TYPE, "content_type"),
            Refused::ContentEncoding(_) => (S::UNSUPPORTED_MEDIA_TYPE, "content_encoding"),
            Refused::IdempotencyKey => (S::BAD_REQUEST, "idempotency_key"),
            Refused::History => (S::BAD_REQUEST, "history"),
            Refused::ContentLength { .. } | Refused::Body(BodyError::TooLarge(_)) => {
                (S::PAYLOAD_TOO_LARGE, "too_large")
            }
            Refused::Rate(_) => (S::TOO_MANY_REQUESTS, "rate"),
            Refused::OtherBody => (S::UNPROCESSABLE_ENTITY, "idempotency_reused"),
            Refused::Body(BodyError::NoRoom) => (S::SERVICE_UNAVAILABLE, "busy"),
            Refused::Body(BodyError::TooSlow) => (S::REQUEST_TIMEOUT, "too_slow"),
            Refused::Body(BodyError::Broken(_)) => (S::BAD_REQUEST, "broken_body"),
            Refused::Body(BodyError::Undecodable(_)) => (S::BAD_REQUEST, "bad_encoding"),
            Refused::Decode(DecodeError::Empty) => (S::BAD_REQUEST, "empty"),
            Refused::Decode(DecodeError::Malformed { .. }) => (S::BAD_REQUEST, "malformed"),
            Refused::Decode(DecodeError::Forbidden { .. }) => (S::FORBIDDEN, "not_allowed"),
            Refused::Decode(DecodeError::TooMany) => (S::PAYLOAD_TOO_LARGE, "too_many_records"),
            Refused::Intake(IntakeError::Full) => (S::SERVICE_UNAVAILABLE, "journal_full"),
            Refused::Intake(IntakeError::Failed) => (S::SERVICE_UNAVAILABLE, "journal_failed"),
            Refused::Intake(IntakeError::TooLarge) => (S::PAYLOAD_TOO_LARGE, "too_large"),
            Refused::Intake(IntakeError::Stopping) => (S::SERVICE_UNAVAILABLE, "stopping"),
            Refused::Internal => (S::SERVICE_UNAVAILABLE, "internal"),
        }
    }

    /// The answer. `close` says that the rest of the body stays unread.
    pub(crate) fn reply(&self, close: bool) -> Reply {
        let (status, code) = self.status_and_code();
        let mut reply = json(status, error_body(code, &self.to_string()));
        let headers = reply.headers_mut();
        match self {
            Refused::Method { allow } => {
                headers.insert(ALLOW, HeaderValue::from_static(allow));
            }
            Refused::NoKey | Refused::WrongKey => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"andon\""));
            }
            Refused::ContentEncoding(_) => {
                headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd"));
            }
            Refused::Rate(wait) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(secs_up(*wait)));
            }
            _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS));
            }
            _ => {}
        }
        if close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        reply
    }
}

pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    text(status, "application/json", body)
}

pub(crate) fn text(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct Named<'a> {
    index: u32,
    field: &'a str,
    reason: &'a str,
}

#[derive(Serialize)]
struct Outcome<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody<'a>>,
    accepted: u32,
    duplicates: u32,
    rejected: Vec<Named<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<Named<'a>>,
}

#[derive(Serialize)]
struct OnlyError<'a> {
    error: ErrorBody<'a>,
}

pub(crate) fn error_body(code: &str, message: &str) -> Vec<u8> {
    serde_json::to_vec(&OnlyError {
        error: ErrorBody { code, message },
    })
    .expect("strings become JSON")
}

/// What became of the records of a request: 202, or 400 when none was acceptable. For a body that was not JSON `whole` says why.
pub(crate) fn outcome(
    accepted: u32,
    duplicates: u32,
    rejected: &[Rejected],
    left_out: &LeftOut,
    whole: Option<&DecodeError>,
) -> (StatusCode, Vec<u8>) {
    if let Some(e) = whole {
        return (StatusCode::BAD_REQUEST, error_body("malformed", &e.to_string()));
    }
    let named: Vec<_> = rejected
        .iter()
        .take(REJECTED_NAMED_MAX)
        .map(|r| Named {
            index: r.index,
            field: &r.field,
            reason: &r.reason,
        })
        .collect();
    let left_out = left_out
        .named
        .iter()
        .map(|l| Named {
            index: l.index,
            field: &l.field,
            reason: &l.reason,
        })
        .collect();
    let nothing = accepted == 0 && duplicates == 0;
    let message = rejected.first().filter(|_| nothing).map(|first| {
        let place = if first.field.is_empty() {
            String::new()
        } else {
            format!(", {}", first.field)
        };
        format!(
            "none of the records was acceptable; record {}{place}: {}",
            first.index, first.reason
        )
    });
    let error = message.as_deref().map(|message| ErrorBody {
        code: "nothing_acceptable",
        message,
    });
    let status = if nothing && error.is_some() {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::ACCEPTED
    };
    let body = Outcome {
        error,
        accepted,
        duplicates,
        rejected: named,
        left_out,
    };
    (
        status,
        serde_json::to_vec(&body).expect("strings and numbers become JSON"),
    )
}
