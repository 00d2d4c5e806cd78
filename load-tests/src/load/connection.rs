//! One kept-alive HTTP/1.1 connection, by hyper itself: nothing between the clock and the socket.

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

const ANSWER_BYTES_MAX: usize = 1 << 20;
/// An answer that takes longer counts as none, and the connection is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// Where to send.
#[derive(Debug)]
pub(super) struct Target {
    authority: String,
    path: String,
    host: HeaderValue,
    authorization: HeaderValue,
}

impl Target {
    pub(super) fn new(url: &str, key: &str) -> anyhow::Result<Self> {
        let url = reqwest::Url::parse(url).with_context(|| format!("{url} is not an address"))?;
        ensure!(
            url.scheme() == "http",
            "load is sent over plain http only; {url} is not"
        );
        let host = url.host_str().context("the address names no host")?;
        let authority = format!("{host}:{}", url.port_or_known_default().unwrap_or(80));
        Ok(Self {
            path: format!("{}/v1/records", url.path().trim_end_matches('/')),
            host: HeaderValue::from_str(&authority).context("the host cannot be a header")?,
            authority,
            authorization: HeaderValue::from_str(&format!("Bearer {key}")).context("the key cannot be a header")?,
        })
    }
}

/// How a request ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Acknowledged {
        records: u64,
    },
    /// By status, or by what went wrong after the connection stood.
    Failed(String),
    /// There was no connection to send it on.
    Unreachable(String),
}

#[derive(Debug)]
pub(super) struct Connection {
    target: Arc<Target>,
    open: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    pub(super) fn new(target: Arc<Target>) -> Self {
        Self { target, open: None }
    }

    pub(super) async fn post(&mut self, body: Bytes) -> Outcome {
        let mut send = match self.open.take() {
            Some(send) if !send.is_closed() => send,
            _ => match self.connect().await {
                Ok(send) => send,
                Err(e) => return Outcome::Unreachable(format!("{e:#}")),
            },
        };
        let exchange = async {
            send.ready().await?;
            let request = Request::builder()
                .method(Method::POST)
                .uri(&self.target.path)
                .header(HOST, &self.target.host)
                .header(AUTHORIZATION, &self.target.authorization)
                .header(CONTENT_TYPE, "application/x-ndjson")
                .body(Full::new(body))?;
            let response = send.send_request(request).await?;
            let status = response.status();
            let answer = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
                .collect()
                .await
                .map_err(anyhow::Error::from_boxed)?;
            Ok::<_, anyhow::Error>((status, answer.to_bytes()))
        };
        match tokio::time::timeout(GIVE_UP_AFTER, exchange).await {
            Ok(Ok((status, answer))) => {
                self.open = Some(send);
                outcome(status, &answer)
            }
            Ok(Err(e)) => Outcome::Failed(format!("{e:#}")),
            Err(_) => Outcome::Failed(format!("no answer within {GIVE_UP_AFTER:?}")),
        }
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(&self.target.authority)
            .await
            .context("cannot connect")?;
        stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
        let (send, connection) = handshake(TokioIo::new(stream)).await.context("cannot start HTTP")?;
        // Ends with its connection; what it fails of, the request reports.
        tokio::spawn(connection);
        Ok(send)
    }
}

fn outcome(status: StatusCode, answer: &[u8]) -> Outcome {
    if status != StatusCode::ACCEPTED {
        return Outcome::Failed(status.to_string());
    }
    #[derive(serde::Deserialize)]
    struct Acknowledgement {
        accepted: u64,
        #[serde(default)]
        duplicates: u64,
    }
    match serde_json::from_slice::<Acknowledgement>(answer) {
        Ok(a) => Outcome::Acknowledged {
            records: a.accepted + a.duplicates,
        },
        Err(e) => Outcome::Failed(format!("a 202 that cannot be read: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_202_that_says_how_many_acknowledges() {
        let ok = StatusCode::ACCEPTED;
        assert_eq!(
            outcome(ok, br#"{"accepted":3,"duplicates":1,"rejected":[]}"#),
            Outcome::Acknowledged { records: 4 }
        );
        assert!(matches!(outcome(ok, b""), Outcome::Failed(_)));
        assert_eq!(
            outcome(StatusCode::SERVICE_UNAVAILABLE, b"{}"),
            Outcome::Failed("503 Service Unavailable".into())
        );
    }

    #[test]
    fn an_address_of_another_scheme_is_refused_before_anything_is_sent() {
        assert!(Target::new("https://127.0.0.1:7400", "k").is_err());
        assert!(Target::new("127.0.0.1:7400", "k").is_err());
        assert_eq!(Target::new("http://127.0.0.1:7400/", "k").unwrap().path, "/v1/records");
    }
}
