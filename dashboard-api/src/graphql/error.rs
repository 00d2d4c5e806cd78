//! Errors of GraphQL: each with a code that a program can act on.

use super::{COMPLEXITY_MAX, READS_MAX};
use andon_storage::ports::StoreError;
use async_graphql::{Error, ErrorExtensions, Response, ServerError, Value};

/// `extensions.code` of an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    BadInput,
    NotFound,
    /// The state of the incident does not allow it.
    Conflict,
    Forbidden,
    Unauthenticated,
    LinkInvalid,
    LinkExpired,
    /// A store or the journal cannot take it now: try again.
    Unavailable,
    Internal,
    /// The query does not parse or does not fit the schema.
    GraphqlInvalid,
    /// Depth, complexity or number of directives.
    TooComplex,
}

impl Code {
    pub fn as_str(self) -> &'static str {
        match self {
            Code::BadInput => "BAD_INPUT",
            Code::NotFound => "NOT_FOUND",
            Code::Conflict => "CONFLICT",
            Code::Forbidden => "FORBIDDEN",
            Code::Unauthenticated => "UNAUTHENTICATED",
            Code::LinkInvalid => "LINK_INVALID",
            Code::LinkExpired => "LINK_EXPIRED",
            Code::Unavailable => "UNAVAILABLE",
            Code::Internal => "INTERNAL",
            Code::GraphqlInvalid => "GRAPHQL_INVALID",
            Code::TooComplex => "TOO_COMPLEX",
        }
    }
}

pub fn fail(code: Code, message: impl Into<String>) -> Error {
    Error::new(message).extend_with(|_, e| e.set("code", code.as_str()))
}

/// A store's failure as the asker sees it. What went wrong inside goes to the log, once, here.
pub fn store(error: StoreError) -> Error {
    if let StoreError::Refused { reason, .. } = error {
        return bad_input(reason);
    }
    if error.is_temporary() {
        tracing::warn!(%error, "a store did not answer a query");
        fail(Code::Unavailable, "a store cannot be reached: try again")
    } else {
        tracing::error!(%error, "a store failed a query");
        fail(Code::Internal, "the query failed inside Andon: its log says why")
    }
}

pub fn bad_input(message: impl Into<String>) -> Error {
    fail(Code::BadInput, message)
}

/// Gives a code to the errors that GraphQL itself raised before any resolver ran.
pub fn with_codes(mut response: Response) -> Response {
    for error in &mut response.errors {
        if has_code(error) {
            continue;
        }
        let code = match error.message.as_str() {
            "Query is too complex." => {
                error.message = format!(
                    "the query asks for too much at once: more than {READS_MAX} reads, or pages and fields that come to more than \
                     {COMPLEXITY_MAX}. Ask for less, or send several queries"
                );
                Code::TooComplex
            }
            "Query is nested too deep." => Code::TooComplex,
            m if m.contains("recursion") || m.contains("directives") => Code::TooComplex,
            _ => Code::GraphqlInvalid,
        };
        error.extensions.get_or_insert_default().set("code", code.as_str());
    }
    response
}

fn has_code(error: &ServerError) -> bool {
    error
        .extensions
        .as_ref()
        .and_then(|e| e.get("code"))
        .is_some_and(|v| matches!(v, Value::String(_)))
}
