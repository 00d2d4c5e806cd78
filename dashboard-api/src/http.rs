//! What holds for every request: whom the server answers, and how it says no.

use andon_storage::ports::StoreError;
use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::net::IpAddr;

/// An answer that says what is wrong, for everything but GraphQL.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }
    pub(crate) fn bad_input(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_INPUT", message)
    }
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", message)
    }
    pub(crate) fn store(error: StoreError) -> Self {
        if let StoreError::Refused { reason, .. } = error {
            return Self::bad_input(reason);
        }
        if error.is_temporary() {
            tracing::warn!(%error, "a store did not answer a request");
            return Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "UNAVAILABLE",
                "a store cannot be reached: try again",
            );
        }
        tracing::error!(%error, "a store failed a request");
        let message = "the request failed inside Andon: its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", message)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "code": self.code, "message": self.message } });
        (self.status, Json(body)).into_response()
    }
}

/// The names under which this server may be called. Any other `Host` is a page that made its own name resolve to us
/// (DNS rebinding), and would read the answers as its own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    /// `scheme://host[:port]` of the public URL, in lower case.
    public_origin: Option<String>,
    public_authority: Option<String>,
}

impl Names {
    /// `None` when the URL is not one of http or https with a host.
    pub(crate) fn new(public_url: Option<&str>) -> Option<Self> {
        let Some(url) = public_url else {
            return Some(Self::default());
        };
        let uri: Uri = url.parse().ok()?;
        let scheme = uri.scheme_str().filter(|s| matches!(*s, "http" | "https"))?;
        let authority = uri.authority()?.as_str().to_ascii_lowercase();
        Some(Self {
            public_origin: Some(format!("{scheme}://{authority}")),
            public_authority: Some(authority),
        })
    }

    fn is_ours(&self, authority: &str) -> bool {
        let authority = authority.to_ascii_lowercase();
        if self.public_authority.as_deref() == Some(authority.as_str()) {
            return true;
        }
        let Ok(uri) = authority.parse::<axum::http::uri::Authority>() else {
            return false;
        };
        if authority.contains('@') {
            return false;
        }
        let host = uri.host().trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Refuses a request that another site's page may have sent.
    pub(crate) fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Fault> {
        let path = uri.path();
        if path.starts_with("/health/") || path == "/metrics" {
            return Ok(());
        }
        let host = one(headers, header::HOST).or_else(|| uri.authority().map(|a| a.as_str()));
        let Some(host) = host.filter(|h| self.is_ours(h)) else {
            return Err(Fault::new(
                StatusCode::MISDIRECTED_REQUEST,
                "MISDIRECTED",
                "this server does not answer under that Host: use localhost, or the host of --public-url",
            ));
        };
        let changes = !matches!(*method, Method::GET | Method::HEAD) || path.starts_with("/socket.io");
        if changes && headers.contains_key(header::ORIGIN) {
            let origin = one(headers, header::ORIGIN).unwrap_or_default().to_ascii_lowercase();
            let own = origin
                .split_once("://")
                .is_some_and(|(_, a)| a.eq_ignore_ascii_case(host));
            if !own && self.public_origin.as_deref() != Some(origin.as_str()) {
                return Err(Fault::forbidden("this request comes from a page of another site"));
            }
        }
        let data = changes || path.starts_with("/export.") || path.starts_with("/tail.");
        let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        let navigates = headers
            .get("sec-fetch-mode")
            .is_some_and(|m| m.as_bytes() == b"navigate");
        if data && site == Some(b"cross-site") && (changes || !navigates) {
            return Err(Fault::forbidden("this request comes from a page of another site"));
        }
        Ok(())
    }
}

/// The value of a header that is there once.
fn one(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut all = headers.get_all(name).iter();
    let value = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(value)
}

/// Nothing from elsewhere, nothing inline, no frame; the address of a page (it may hold a token) is told to nobody.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
         manifest-src 'self'; worker-src 'self'; media-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Adds what every answer carries; answers with data are kept by nobody.
pub(crate) fn secure(response: &mut Response) {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &Names, method: Method, path: &str, headers: &[(&'static str, &str)]) -> StatusCode {
        let mut map = HeaderMap::new();
        for (n, v) in headers {
            map.append(*n, HeaderValue::from_str(v).unwrap());
        }
        names
            .check(&method, &path.parse().unwrap(), &map)
            .map_or_else(|f| f.status, |()| StatusCode::OK)
    }

    #[test]
    fn only_our_own_names_and_pages_are_answered() {
        let names = Names::new(Some("https://andon.plant.example/app")).unwrap();
        let (ok, misdirected, forbidden) = (StatusCode::OK, StatusCode::MISDIRECTED_REQUEST, StatusCode::FORBIDDEN);
        let get = |h: &str| check(&names, Method::GET, "/", &[("host", h)]);
        for (host, want) in [
            ("localhost:7401", ok),
            ("LOCALHOST", ok),
            ("127.0.0.1:7401", ok),
            ("127.8.8.8", ok),
            ("[::1]:7401", ok),
            ("andon.plant.example", ok),
            ("andon.plant.example:80", misdirected),
            ("evil.example", misdirected),
            ("localhost.evil.example", misdirected),
            ("127.0.0.1.evil.example", misdirected),
            ("10.0.0.1", misdirected),
            ("user@localhost", misdirected),
            ("", misdirected),
        ] {
            assert_eq!(get(host), want, "{host:?}");
        }
        assert_eq!(check(&names, Method::GET, "/", &[]), misdirected);
        assert_eq!(
            check(&names, Method::GET, "/", &[("host", "localhost"), ("host", "evil")]),
            misdirected
        );
        assert_eq!(
            check(&names, Method::GET, "/health/live", &[("host", "evil.example")]),
            ok
        );
        let post = |origin: &str| {
            check(
                &names,
                Method::POST,
                "/graphql",
                &[("host", "localhost:7401"), ("origin", origin)],
            )
        };
        for (origin, want) in [
            ("http://localhost:7401", ok),
            ("https://andon.plant.example", ok),
            ("http://andon.plant.example", forbidden),
            ("http://localhost:3000", forbidden),
            ("https://evil.example", forbidden),
            ("null", forbidden),
            ("", forbidden),
        ] {
            assert_eq!(post(origin), want, "{origin:?}");
        }
        let evil = [("host", "localhost"), ("origin", "https://evil.example")];
        assert_eq!(check(&names, Method::GET, "/socket.io/?EIO=4", &evil), forbidden);
        let embedded = [
            ("host", "localhost"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "no-cors"),
        ];
        assert_eq!(check(&names, Method::GET, "/export.csv", &embedded), forbidden);
        let followed = [
            ("host", "localhost"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
        ];
        assert_eq!(check(&names, Method::GET, "/export.csv", &followed), ok);
        assert_eq!(check(&names, Method::GET, "/incidents/1?token=x", &followed), ok);
    }

    #[test]
    fn a_public_url_must_be_one() {
        for bad in ["andon", "ftp://x", "/x", "https://"] {
            assert!(Names::new(Some(bad)).is_none(), "{bad}");
        }
    }
}
