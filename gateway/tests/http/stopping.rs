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
async fn a_body_that_is_on_its_way_is_waited_for() {
    let mut server = start().await;
    let mut client = server.connect().await;
    client
        .send(request(
            &format!("Expect: 100-continue\r\nContent-Length: {}\r\n", GOOD.len()),
            b"",
        ))
        .await;
    assert_eq!(
        client.answer().await.unwrap().status,
        100,
        "the server reads the body by now"
    );
    let addr = server.addr;
    server.begin_stop();
    while TcpStream::connect(addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    client.send(GOOD).await;
    assert_eq!(client.answer().await.unwrap().status, 202);
    client.is_closed().await;
    assert_eq!(server.journal.messages().len(), 1);
    assert_eq!(server.stopped().await, Stopped { cut: 0 });
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
