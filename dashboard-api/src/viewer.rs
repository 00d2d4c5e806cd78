//! Who asks, and what they may do.
//!
//! Until sign-in exists the dashboard answers on loopback only, and whoever reaches it there is the operator. A script may show
//! a key, a link out of an e-mail a token: either narrows what its request may do, and signs what it does.

use crate::graphql::error::{Code, fail};
use crate::view::scalar::ViewerKind;
use andon_engine::ids::IncidentId;
use andon_engine::rule::Configuration;
use andon_engine::time::Timestamp;
use andon_storage::link_token::{LinkError, LinkTokens};
use andon_storage::ports::keys::{KeyRow, Scope};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use std::sync::Arc;

/// Finds the key that a bearer token belongs to. Shared with the gateway, which keeps the table of keys in memory.
pub type KeyLookup = Arc<dyn Fn(&str) -> Option<Arc<KeyRow>> + Send + Sync>;

/// The header in which the web app sends the token of a link.
pub const LINK_HEADER: &str = "andon-link-token";

#[derive(Clone, Debug)]
pub enum Viewer {
    Loopback,
    Key {
        name: String,
        admin: bool,
    },
    Link {
        name: String,
        incident: IncidentId,
        expires: Timestamp,
    },
    /// Carried to the resolvers, so that the answer is GraphQL's and says which of the two it is.
    BadLink(LinkError),
}

/// Why a request is turned away before anything looks at what it asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    #[error("the key is not known or was revoked: send Authorization: Bearer with a key of scope read or admin")]
    UnknownKey,
    #[error("this key may not read: it needs scope read or admin")]
    Scope,
}

impl Viewer {
    /// Reads the headers. A link's token says more than a key and wins, but a wrong key is refused all the same.
    pub fn of(
        headers: &HeaderMap,
        keys: &KeyLookup,
        links: &LinkTokens,
        configuration: &Configuration,
        now: Timestamp,
    ) -> Result<Viewer, Refusal> {
        let key = bearer(headers, keys)?;
        if let Some(token) = headers.get(LINK_HEADER) {
            return Ok(link(token.to_str().unwrap_or_default(), links, configuration, now));
        }
        Ok(key.unwrap_or(Viewer::Loopback))
    }

    pub fn name(&self) -> &str {
        match self {
            Viewer::Loopback => "operator",
            Viewer::Key { name, .. } | Viewer::Link { name, .. } => name,
            Viewer::BadLink(_) => "",
        }
    }

    pub fn kind(&self) -> ViewerKind {
        match self {
            Viewer::Loopback => ViewerKind::Loopback,
            Viewer::Key { .. } => ViewerKind::Key,
            Viewer::Link { .. } | Viewer::BadLink(_) => ViewerKind::Link,
        }
    }

    /// May it ask at all? A link may not when it is damaged or over.
    pub fn may_ask(&self) -> async_graphql::Result<()> {
        match self {
            Viewer::BadLink(e) => Err(fail(link_code(*e), e.to_string())),
            _ => Ok(()),
        }
    }

    /// May it read everything?
    pub fn may_read(&self) -> async_graphql::Result<()> {
        self.may_ask()?;
        match self {
            Viewer::Link { .. } => Err(fail(
                Code::Forbidden,
                "this link shows one incident only: leave out the header Andon-Link-Token for anything else",
            )),
            _ => Ok(()),
        }
    }

    pub fn may_see(&self, incident: IncidentId) -> async_graphql::Result<()> {
        match self {
            Viewer::Link { incident: own, .. } if *own == incident => Ok(()),
            _ => self.may_read(),
        }
    }

    /// May it do what only an operator may?
    pub fn may_operate(&self) -> async_graphql::Result<()> {
        self.may_read()?;
        match self {
            Viewer::Key { admin: false, .. } => Err(fail(
                Code::Forbidden,
                "this key may only read: a change needs a key of scope admin",
            )),
            _ => Ok(()),
        }
    }

    pub fn may_acknowledge(&self, incident: IncidentId) -> async_graphql::Result<()> {
        match self {
            Viewer::Link { incident: own, .. } if *own == incident => Ok(()),
            _ => self.may_operate(),
        }
    }

    pub fn can_operate(&self) -> bool {
        !matches!(self, Viewer::Key { admin: false, .. } | Viewer::BadLink(_))
    }
}

pub(crate) fn link_code(error: LinkError) -> Code {
    match error {
        LinkError::Invalid => Code::LinkInvalid,
        LinkError::Expired => Code::LinkExpired,
    }
}

fn bearer(headers: &HeaderMap, keys: &KeyLookup) -> Result<Option<Viewer>, Refusal> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let token = value
        .to_str()
        .ok()
        .and_then(|v| v.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or(Refusal::UnknownKey)?;
    let key = keys(token)
        .filter(|k| k.revoked_at.is_none())
        .ok_or(Refusal::UnknownKey)?;
    let admin = key.scopes.contains(&Scope::Admin);
    if !admin && !key.scopes.contains(&Scope::Read) {
        return Err(Refusal::Scope);
    }
    Ok(Some(Viewer::Key {
        name: key.name.clone(),
        admin,
    }))
}

fn link(token: &str, links: &LinkTokens, configuration: &Configuration, now: Timestamp) -> Viewer {
    let grant = match links.verify(token, now) {
        Ok(grant) => grant,
        Err(e) => return Viewer::BadLink(e),
    };
    // Whoever is no longer told must not act on old mail.
    let Some(person) = configuration
        .recipients
        .iter()
        .find(|r| r.id.as_str() == grant.recipient)
    else {
        return Viewer::BadLink(LinkError::Invalid);
    };
    Viewer::Link {
        name: person.name.to_string(),
        incident: grant.incident,
        expires: grant.expires,
    }
}
