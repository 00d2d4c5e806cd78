//! A stop loses nothing that was acknowledged, and does not wait for ever.

use crate::harness::*;
use andon_gateway::{Config, Stopped};
use std::time::Duration;
use tokio::net::TcpStream;

#[tokio::test]
async fn a_request_in_flight_is_finished_and_nothing_new_is_taken() {
    let mut server = start().await;
    let mut idle = server.connect().await;
    idle.send(request("", GOOD.as_bytes())).await;
    assert_eq!(idle.answer().await.unwrap().status, 202);
    let fresh = server.connect().await;
    server.journal.set(Mode::Hold);
    let mut busy = server.connect().await;
    busy.send(request("", GOOD.as_bytes())).await;
    server.journal.begun(2).await;
    let addr = server.addr;
    server.begin_stop();
    // Both are closed without waiting for the one that is busy.
    idle.is_closed().await;
    { fresh }.is_closed().await;
    assert!(TcpStream::connect(addr).await.is_err(), "the port is closed");
    server.journal.set(Mode::Take);
    let answer = busy.answer().await.unwrap();
    assert_eq!(answer.status, 202);
    busy.is_closed().await;
    let journal = server.journal.clone();
    assert_eq!(server.stopped().await, Stopped { cut: 0 });
    assert_eq!(journal.messages().len(), 2);
}

#[tokio::test]
async fn a_body_half_sent_may_be_finished_and_is_then_answered() {
    let mut server = start().await;
    let whole = request("", GOOD.as_bytes());
    let (head, tail) = whole.split_at(whole.len() - 10);
    let mut client = server.connect().await;
    client.send(head).await;
    // Another answer on the same server says that the first head has been read by now: both sockets are served in turn.
    assert_eq!(server.get("/health/live").await.status, 200);
    server.begin_stop();
    client.send(tail).await;
    let answer = client.answer().await;
    // Its head came before the stop (202) or just with it (503): never silence.
    assert!(
        matches!(answer.as_ref().map(|a| a.status), Some(202 | 503)) || answer.is_none(),
        "{answer:?}"
    );
    let stored = server.journal.messages().len();
    assert_eq!(stored, usize::from(answer.is_some_and(|a| a.status == 202)));
    assert_eq!(server.stopped().await.cut, 0);
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut() {
    let mut server = start_with(
        Config {
            stop_deadline: Duration::from_millis(200),
            ..config()
        },
        |g| g,
    )
    .await;
    server.journal.set(Mode::Hold);
    let mut stuck = server.connect().await;
    stuck.send(request("", GOOD.as_bytes())).await;
    server.journal.begun(1).await;
    server.begin_stop();
    assert!(stuck.answer().await.is_none());
    assert_eq!(server.stopped().await, Stopped { cut: 1 });
}
