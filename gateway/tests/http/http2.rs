//! The same service over HTTP/2 without TLS, by hyper's client.

use crate::harness::*;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

async fn connect(server: &Server) -> (SendRequest<Body>, JoinHandle<()>) {
    let stream = TcpStream::connect(server.addr).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let driver = tokio::spawn(async move {
        let _ = connection.await;
    });
    (sender, driver)
}

fn post(key: &str, body: Body) -> Request<Body> {
    Request::post("http://andon/v1/records")
        .header("authorization", format!("Bearer {key}"))
        .body(body)
        .unwrap()
}

fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).boxed_unsync()
}

async fn text(response: Response<hyper::body::Incoming>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn requests_share_a_connection() {
    let server = start().await;
    let (mut sender, _driver) = connect(&server).await;
    sender.ready().await.unwrap();
    let large = format!("[{}]", vec![GOOD; 40_000].join(","));
    let posts: Vec<_> = (0..20)
        .map(|i| {
            sender.send_request(post(
                "good",
                full(if i == 7 { large.clone() } else { GOOD.to_string() }),
            ))
        })
        .collect();
    for post in posts {
        assert_eq!(text(timeout(LONG, post).await.unwrap().unwrap()).await.0, 202);
    }
    assert_eq!(server.journal.messages().len(), 40_019);
    let answer = text(sender.send_request(post("wrong", full(GOOD))).await.unwrap()).await;
    assert_eq!(answer.0, 401);
    assert!(answer.1.contains("wrong_key"));
    assert_eq!(
        text(
            sender
                .send_request(post("good", full(vec![b' '; 17 << 20])))
                .await
                .unwrap()
        )
        .await
        .0,
        413
    );
    assert_eq!(
        text(sender.send_request(post("good", full(GOOD))).await.unwrap())
            .await
            .0,
        202
    );
}

#[tokio::test]
async fn a_slow_body_is_408_and_its_neighbours_go_on() {
    let config = andon_gateway::Config {
        body_idle_deadline: Duration::from_millis(200),
        ..config()
    };
    let server = start_with(config, |g| g).await;
    let (mut sender, _driver) = connect(&server).await;
    sender.ready().await.unwrap();
    let begins = futures_util::stream::once(async { Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"["))) });
    let never = futures_util::stream::pending();
    let stuck = StreamBody::new(futures_util::StreamExt::chain(begins, never)).boxed_unsync();
    let slow = sender.send_request(post("good", stuck));
    assert_eq!(
        text(sender.send_request(post("good", full(GOOD))).await.unwrap())
            .await
            .0,
        202
    );
    assert_eq!(text(timeout(LONG, slow).await.unwrap().unwrap()).await.0, 408);
    assert_eq!(
        text(sender.send_request(post("good", full(GOOD))).await.unwrap())
            .await
            .0,
        202
    );
}

#[tokio::test]
async fn streams_without_a_key_are_let_go_and_a_large_head_is_431() {
    let server = start().await;
    let (mut sender, _driver) = connect(&server).await;
    sender.ready().await.unwrap();
    let never = || StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>()).boxed_unsync();
    // The client has seen how many streams it may open once it was answered.
    assert_eq!(
        text(sender.send_request(post("wrong", full(GOOD))).await.unwrap())
            .await
            .0,
        401
    );
    let posts: Vec<_> = (0..300).map(|_| sender.send_request(post("wrong", never()))).collect();
    for post in posts {
        let status = text(timeout(LONG, post).await.unwrap().unwrap()).await.0;
        assert!(status == 401 || status == 503, "{status}");
    }
    let mut large = post("good", full(GOOD));
    large.headers_mut().insert("x", "y".repeat(9_000).parse().unwrap());
    assert_eq!(text(sender.send_request(large).await.unwrap()).await.0, 431);
    assert_eq!(
        text(sender.send_request(post("good", full(GOOD))).await.unwrap())
            .await
            .0,
        202
    );
}

#[tokio::test]
async fn an_idle_connection_is_said_goodbye_to() {
    let config = andon_gateway::Config {
        idle_deadline: Duration::from_millis(200),
        ..config()
    };
    let server = start_with(config, |g| g).await;
    let (mut sender, driver) = connect(&server).await;
    sender.ready().await.unwrap();
    assert_eq!(
        text(sender.send_request(post("good", full(GOOD))).await.unwrap())
            .await
            .0,
        202
    );
    timeout(LONG, driver)
        .await
        .expect("the server ends the connection")
        .unwrap();
}

#[tokio::test]
async fn stopping_finishes_the_streams_that_run() {
    let mut server = start().await;
    server.journal.set(Mode::Hold);
    let (mut sender, _driver) = connect(&server).await;
    sender.ready().await.unwrap();
    let held = sender.send_request(post("good", full(GOOD)));
    server.journal.begun(1).await;
    server.begin_stop();
    server.journal.set(Mode::Take);
    assert_eq!(text(timeout(LONG, held).await.unwrap().unwrap()).await.0, 202);
    assert_eq!(server.stopped().await.cut, 0);
}
