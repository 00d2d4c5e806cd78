//! The web app's files.

use crate::http::Fault;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use std::path::PathBuf;
use tower_http::services::ServeDir;

/// Where the built web app comes from.
#[derive(Clone, Debug)]
pub enum WebApp {
    /// A directory with `index.html` and `assets/`. A file may have a `.br` and a `.gz` copy beside it, which the build makes.
    Directory(PathBuf),
    /// None: `/` says so. For a service that only scripts use.
    Absent,
}

/// A file of the app; for a page's address that is no file, `index.html`, whose script knows the page.
pub(crate) async fn serve(app: &WebApp, request: Request<Body>) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Fault::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "METHOD_NOT_ALLOWED",
            "only GET is answered here",
        )
        .into_response();
    }
    let WebApp::Directory(dir) = app else {
        return absent();
    };
    let (mut parts, _) = request.into_parts();
    let is_page = wants_page(parts.uri.path(), &parts.headers);
    let named_by_content = parts.uri.path().starts_with("/assets/");
    if !named_by_content {
        always_whole(&mut parts.headers);
    }
    let mut found = from_directory(dir, &parts).await;
    if found.is_none() && is_page {
        parts.uri = Uri::from_static("/");
        found = from_directory(dir, &parts).await;
    }
    let Some(mut response) = found else {
        return Fault::new(StatusCode::NOT_FOUND, "NOT_FOUND", "there is nothing at this address").into_response();
    };
    let headers = response.headers_mut();
    let cache = if named_by_content {
        "public, max-age=31536000, immutable"
    } else {
        headers.remove(header::ETAG);
        headers.remove(header::LAST_MODIFIED);
        "no-cache"
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

/// Takes away what would let a browser keep an old copy. Validators are made of a file's time and size, and the `index.html` of another
/// build may have both: an old one names scripts that are gone. The files are small.
fn always_whole(headers: &mut HeaderMap) {
    for name in [
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_MATCH,
        header::IF_UNMODIFIED_SINCE,
    ] {
        headers.remove(name);
    }
}

/// Is this the address of a page, opened by a browser, rather than of a file that ought to be there?
fn wants_page(path: &str, headers: &HeaderMap) -> bool {
    let accepts_html = headers
        .get(header::ACCEPT)
        .and_then(|a| a.to_str().ok())
        .is_none_or(|a| a.contains("text/html") || a.contains("*/*"));
    let file = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    let browser_opens_it = headers
        .get(header::ACCEPT)
        .is_some_and(|a| a.as_bytes().starts_with(b"text/html"));
    accepts_html && !path.starts_with("/assets/") && (!file || browser_opens_it)
}

async fn from_directory(dir: &PathBuf, parts: &axum::http::request::Parts) -> Option<Response> {
    let request = Request::from_parts(parts.clone(), Body::empty());
    let mut files = ServeDir::new(dir).precompressed_br().precompressed_gzip();
    let response = files.try_call(request).await;
    match response {
        Ok(r) if r.status() == StatusCode::NOT_FOUND => None,
        // A directory without a slash at its end: the app has no such pages.
        Ok(r) if r.status().is_redirection() && r.status() != StatusCode::NOT_MODIFIED => None,
        Ok(r) => Some(r.map(Body::new)),
        // `/incidents/…` is a page of the app, not a file.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(%error, path = parts.uri.path(), "a file of the web app could not be read");
            None
        }
    }
}

fn absent() -> Response {
    let page = "<!doctype html><title>Andon</title><p>This dashboard service was started without the web app. \
                GraphQL is at /graphql, the live feed at /socket.io, exports at /export.ndjson and /export.csv.";
    (StatusCode::NOT_FOUND, Html(page)).into_response()
}
