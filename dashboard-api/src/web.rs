//! The web app's files.

use crate::http::Fault;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use std::fmt;
use std::path::PathBuf;
use tower_http::services::ServeDir;

/// Where the built web app comes from.
#[derive(Clone)]
pub enum WebApp {
    /// A directory with `index.html` and `assets/`.
    Directory(PathBuf),
    /// Built into the binary: gives the bytes of a path such as `assets/index-1a2b.js`.
    Embedded(fn(&str) -> Option<&'static [u8]>),
    /// None: `/` says so. For a service that only scripts use.
    Absent,
}

impl fmt::Debug for WebApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WebApp::Directory(path) => write!(f, "Directory({})", path.display()),
            WebApp::Embedded(_) => f.write_str("Embedded"),
            WebApp::Absent => f.write_str("Absent"),
        }
    }
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
    let path = request.uri().path().to_owned();
    let is_page = wants_page(&path, request.headers());
    let head = request.method() == Method::HEAD;
    let found = match app {
        WebApp::Absent => return absent(),
        WebApp::Directory(dir) => {
            let (mut parts, _) = request.into_parts();
            let file = from_directory(dir, &parts).await;
            if file.is_none() && is_page {
                parts.uri = axum::http::Uri::from_static("/");
                from_directory(dir, &parts).await.map(|r| (r, "/".to_owned()))
            } else {
                file.map(|r| (r, path))
            }
        }
        WebApp::Embedded(get) => {
            let name = if path == "/" {
                "index.html"
            } else {
                path.trim_start_matches('/')
            };
            match get(name) {
                Some(bytes) => Some((embedded(name, bytes, head), path)),
                None if is_page => get("index.html").map(|bytes| (embedded("index.html", bytes, head), "/".to_owned())),
                None => None,
            }
        }
    };
    let Some((mut response, path)) = found else {
        return Fault::new(StatusCode::NOT_FOUND, "NOT_FOUND", "there is nothing at this address").into_response();
    };
    // What the build names by its content never changes; everything else is asked for anew.
    let cache = match path.starts_with("/assets/") {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
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
    let response = ServeDir::new(dir).try_call(request).await;
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

fn embedded(name: &str, bytes: &'static [u8], head: bool) -> Response {
    let kind = match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript",
        "css" => "text/css",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    };
    let body = if head { Body::empty() } else { Body::from(bytes) };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_LENGTH, bytes.len().into()),
    ];
    (headers, body).into_response()
}

fn absent() -> Response {
    let page = "<!doctype html><title>Andon</title><p>This dashboard service was started without the web app. \
                GraphQL is at /graphql, the live feed at /socket.io, exports at /export.ndjson and /export.csv.";
    (StatusCode::NOT_FOUND, Html(page)).into_response()
}
