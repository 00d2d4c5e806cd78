//! A plain HTTP client that sends what it is told to, wrong headers included.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::net::SocketAddr;

#[derive(Clone, Copy, Debug)]
pub struct Client(pub SocketAddr);

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: hyper::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
    pub fn lines(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}")))
            .collect()
    }
}

impl Client {
    pub fn new(addr: SocketAddr) -> Self {
        Self(addr)
    }

    /// Sends one request on a connection of its own; the body of the answer is still to be read.
    pub async fn open(&self, method: &str, path: &str, headers: &[(&str, &str)], body: String) -> Response<Incoming> {
        let stream = tokio::net::TcpStream::connect(self.0).await.unwrap();
        let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("host")) {
            request = request.header("host", self.0.to_string());
        }
        for (n, v) in headers {
            request = request.header(*n, *v);
        }
        send.send_request(request.body(Full::new(Bytes::from(body))).unwrap())
            .await
            .unwrap()
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: String) -> Answer {
        let response = self.open(method, path, headers, body).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], String::new()).await
    }

    /// A GraphQL request; the whole answer.
    pub async fn graphql_with(&self, headers: &[(&str, &str)], query: &str, variables: Value) -> Answer {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        let body = json!({ "query": query, "variables": variables }).to_string();
        self.send("POST", "/graphql", &all, body).await
    }

    /// A GraphQL request that must succeed; its data.
    pub async fn graphql(&self, query: &str) -> Value {
        let mut answer = self.graphql_with(&[], query, json!({})).await.json();
        assert!(answer.get("errors").is_none(), "{answer}");
        answer["data"].take()
    }

    /// A GraphQL request that must fail; the code of its first error.
    pub async fn graphql_code(&self, headers: &[(&str, &str)], query: &str) -> String {
        let answer = self.graphql_with(headers, query, json!({})).await.json();
        let code = answer["errors"][0]["extensions"]["code"].as_str();
        code.unwrap_or_else(|| panic!("no code in {answer}")).to_owned()
    }
}
