mod files;

use super::*;
use clap::Parser;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    send: SendArgs,
}

fn args(line: &[&str]) -> SendArgs {
    Command::try_parse_from(["send"].iter().chain(line))
        .unwrap_or_else(|e| panic!("{e}"))
        .send
}

/// A request as a server got it.
#[derive(Clone, Debug)]
struct Got {
    head: String,
    body: Vec<u8>,
}

impl Got {
    fn records(&self) -> Vec<Value> {
        self.body
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
            .map(|l| serde_json::from_slice(l).unwrap())
            .collect()
    }
}

/// What the server does with the next request.
#[derive(Clone, Debug)]
enum Then {
    /// Takes all.
    Take,
    Answer(&'static str, &'static str, String),
    /// Reads it and hangs up.
    HangUp,
}

/// A server that follows a script, then takes everything.
struct Server {
    url: String,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Server {
    async fn start(script: Vec<Then>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let got = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(VecDeque::from(script)));
        let seen = got.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, seen.clone(), script.clone()));
            }
        });
        Self { url, got }
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, got: Arc<Mutex<Vec<Got>>>, script: Arc<Mutex<VecDeque<Then>>>) {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let head = String::from_utf8(buffer[..end].to_vec()).unwrap().to_ascii_lowercase();
        let length: usize = head
            .lines()
            .find_map(|l| l.strip_prefix("content-length: ")?.parse().ok())
            .unwrap();
        while buffer.len() < end + length {
            assert!(stream.read_buf(&mut buffer).await.unwrap() > 0);
        }
        let request = Got {
            head,
            body: buffer[end..end + length].to_vec(),
        };
        buffer.drain(..end + length);
        let lines = request.body.iter().filter(|b| **b == b'\n').count();
        got.lock().unwrap().push(request);
        let then = script.lock().unwrap().pop_front().unwrap_or(Then::Take);
        let (status, extra, body) = match then {
            Then::HangUp => return,
            Then::Answer(status, extra, body) => (status, extra, body),
            Then::Take => (
                "202 Accepted",
                "",
                json!({ "accepted": lines, "duplicates": 0, "rejected": [] }).to_string(),
            ),
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\n{extra}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn file(dir: &Path, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = dir.join(name);
    std::fs::File::create(&path)
        .unwrap()
        .write_all(content.as_ref())
        .unwrap();
    path.to_str().unwrap().to_owned()
}

/// Sends, and gives what `run` reports to itself.
async fn send(line: &[&str]) -> (anyhow::Result<()>, Summary) {
    let args = args(line);
    let (state, reader) = match open(&args) {
        Ok(opened) => opened,
        Err(e) => return (Err(e), Summary::default()),
    };
    let plan = shape::Shape::of(&args);
    let after = state.as_ref().map_or(0, State::line);
    let (tx, mut rx) = mpsc::channel(QUEUE);
    std::thread::spawn(move || reader.run(plan, after, &tx));
    let patience = Duration::from_secs(args.give_up_after);
    let delivery = Delivery::new(&args.url, &args.key, args.history, args.compress, patience).unwrap();
    let mut summary = Summary::default();
    let result = pump(
        &mut rx,
        &delivery,
        state,
        args.batch as usize,
        &ProgressBar::hidden(),
        &mut summary,
    )
    .await;
    (result, summary)
}

const CSV: &str = "timestamp,value,note\n2013-12-02 21:15:00,73.96732207,a\n2013-12-02 21:20:00,hot,b\n2013-12-02 21:25:00,,c\n2013-12-02 21:30:00,78.5\n2013-12-02 21:35:00,79,\"d, e\"\n";

#[tokio::test]
async fn a_csv_becomes_readings_in_the_zone_and_bad_rows_are_named_by_line() {
    let server = Server::start(vec![]).await;
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "nab.csv", CSV);
    let (result, s) = send(&[
        &path,
        "--url",
        &server.url,
        "--key",
        "secret",
        "--csv",
        "--time-column",
        "timestamp",
        "--time-zone",
        "UTC",
        "--reading",
        "temperature=value",
        "--field",
        "note",
        "--device",
        "press-1",
        "--history",
    ])
    .await;
    result.unwrap();
    let got = server.got();
    let records = got[0].records();
    assert!(got[0].head.contains("authorization: bearer secret") && got[0].head.contains("andon-history: true"));
    assert_eq!(records.len(), 3);
    assert_eq!(records[0]["timestamp"], "2013-12-02T21:15:00Z");
    assert_eq!(records[0]["readings"], json!({ "temperature": 73.96732207 }));
    assert_eq!(
        (&records[2]["device_id"], &records[2]["fields"]),
        (&json!("press-1"), &json!({ "note": "d, e" }))
    );
    assert_eq!((s.records, s.accepted, s.rejected), (5, 3, 2));
    assert_eq!(s.rejections.iter().map(|r| r.line).collect::<Vec<_>>(), [3, 4]);
    // Excel leaves out empty cells at the end of a row.
    assert_eq!(
        (&records[1]["readings"], records[1].get("fields")),
        (&json!({ "temperature": 78.5 }), None)
    );
    assert_eq!(s.rejections[0].field.as_deref(), Some("temperature"));
}

#[tokio::test]
async fn what_is_sent_again_has_the_same_ids_and_only_the_answer_counts() {
    let server = Server::start(vec![
        Then::HangUp,
        Then::Answer("503 Service Unavailable", "retry-after: 0\r\n", "{}".into()),
        Then::Answer("429 Too Many Requests", "", "{}".into()),
        Then::Answer(
            "202 Accepted",
            "",
            r#"{"accepted":1,"duplicates":1,"rejected":[]}"#.into(),
        ),
    ])
    .await;
    let dir = tempfile::tempdir().unwrap();
    let path = file(
        dir.path(),
        "a.ndjson",
        "{\"message\":\"a\",\"application\":\"x\"}\n\n{}\n",
    );
    let (result, s) = send(&[&path, "--url", &server.url, "--key", "k"]).await;
    result.unwrap();
    assert_eq!((s.accepted, s.duplicates, s.rejected, s.retries), (1, 1, 0, 3));
    let got = server.got();
    assert_eq!(got.len(), 4);
    assert!(got.iter().all(|g| g.body == got[0].body));
    let ids: Vec<Value> = got[0].records().iter().map(|r| r["id"].clone()).collect();
    assert!(ids[0].as_str().unwrap().starts_with("send-") && ids[0] != ids[1]);
}

#[tokio::test]
async fn rejected_records_are_named_by_their_line_and_the_rest_counted() {
    let rejected: Vec<Value> = (0..100)
        .map(|i| json!({ "index": i, "field": "message", "reason": "missing" }))
        .collect();
    let answer = json!({ "accepted": 5, "duplicates": 0, "rejected": rejected }).to_string();
    let server = Server::start(vec![Then::Answer("202 Accepted", "", answer)]).await;
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "a.ndjson", "\n".to_owned() + &"{}\n".repeat(125));
    let (result, s) = send(&[&path, "--url", &server.url, "--key", "k"]).await;
    result.unwrap();
    assert_eq!((s.accepted, s.rejected, s.rejections.len()), (5, 120, NAMED_MAX));
    assert_eq!((s.rejections[0].line, s.rejections[0].reason.as_str()), (2, "missing"));
}

#[tokio::test]
async fn a_run_goes_on_where_the_one_before_it_was_broken_off() {
    let refuse = || Then::Answer("401 Unauthorized", "", r#"{"error":{"message":"no such key"}}"#.into());
    let server = Server::start(vec![Then::Take, refuse()]).await;
    let dir = tempfile::tempdir().unwrap();
    let content: String = (0..10)
        .map(|i| format!("{{\"message\":\"{i}\",\"application\":\"x\"}}\n"))
        .collect();
    let path = file(dir.path(), "a.ndjson", content);
    let state = dir.path().join("state.json");
    let line = [
        &path,
        "--url",
        &server.url,
        "--key",
        "k",
        "--batch",
        "4",
        "--state",
        state.to_str().unwrap(),
    ];
    let (result, s) = send(&line).await;
    let error = result.unwrap_err();
    assert_eq!((exit::of(&error), s.accepted), (exit::NO_PERMISSION, 4));
    assert!(error.to_string().contains("no such key"), "{error}");
    let (result, s) = send(&line).await;
    result.unwrap();
    assert_eq!((s.skipped, s.records, s.accepted), (4, 6, 6));
    let got = server.got();
    // The refused batch goes out again with the ids that it had.
    assert_eq!(got[1].body, got[2].body);
    let texts: Vec<Value> = [0, 2, 3]
        .iter()
        .flat_map(|i: &usize| got[*i].records())
        .map(|r| r["message"].clone())
        .collect();
    assert_eq!(texts, (0..10).map(|i| json!(i.to_string())).collect::<Vec<_>>());
}

#[tokio::test]
async fn too_large_is_halved_and_no_json_goes_out_as_it_is() {
    let large = || {
        Then::Answer(
            "413 Content Too Large",
            "",
            r#"{"error":{"message":"over 16 MiB"}}"#.into(),
        )
    };
    let server = Server::start(vec![large(), Then::Take, large()]).await;
    let dir = tempfile::tempdir().unwrap();
    let path = file(
        dir.path(),
        "a.ndjson",
        b"{\"message\":\"caf\xE9\",\"application\":\"x\"}\nnot json\n",
    );
    let (result, s) = send(&[&path, "--url", &server.url, "--key", "k"]).await;
    result.unwrap();
    assert_eq!((s.accepted, s.rejected), (1, 1));
    assert_eq!(
        (s.rejections[0].line, s.rejections[0].reason.as_str()),
        (2, "over 16 MiB")
    );
    let got = server.got();
    assert!(
        got[1].body.starts_with(b"{\"id\":\"send-") && got[1].body.ends_with(b"\"caf\xE9\",\"application\":\"x\"}\n")
    );
    assert_eq!(got[2].body, b"not json\n");
}

#[tokio::test]
async fn bodies_can_be_compressed() {
    use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
    let server = Server::start(vec![]).await;
    let dir = tempfile::tempdir().unwrap();
    let path = file(
        dir.path(),
        "a.ndjson",
        "{\"message\":\"a\",\"application\":\"x\",\"id\":\"mine\"}\n",
    );
    for how in ["gzip", "zstd"] {
        send(&[&path, "--url", &server.url, "--key", "k", "--compress", how])
            .await
            .0
            .unwrap();
    }
    let got = server.got();
    let (mut gzip, mut zstd) = (String::new(), String::new());
    GzipDecoder::new(&got[0].body[..])
        .read_to_string(&mut gzip)
        .await
        .unwrap();
    ZstdDecoder::new(&got[1].body[..])
        .read_to_string(&mut zstd)
        .await
        .unwrap();
    assert!(got[0].head.contains("content-encoding: gzip") && got[1].head.contains("content-encoding: zstd"));
    assert_eq!(
        (gzip.as_str(), &gzip),
        ("{\"message\":\"a\",\"application\":\"x\",\"id\":\"mine\"}\n", &zstd)
    );
}

#[tokio::test]
async fn the_server_that_is_not_there_is_given_up_and_mistakes_of_the_command_line_are_usage() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "nab.csv", CSV);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{closed}");
    let base = [&path, "--url", &url, "--key", "k", "--csv", "--give-up-after", "1"];
    let code = async |more: &[&str]| exit::of(&send(&[&base, more].concat()).await.0.unwrap_err());
    assert_eq!(
        code(&["--message-column", "note", "--device", "d"]).await,
        exit::UNAVAILABLE
    );
    assert_eq!(
        code(&["--message-column", "absent", "--device", "d"]).await,
        exit::USAGE
    );
    assert_eq!(code(&["--device", "d"]).await, exit::USAGE);
    assert_eq!(code(&["--message-column", "note"]).await, exit::USAGE);
    assert_eq!(
        code(&[
            "--message-column",
            "note",
            "--device",
            "d",
            "--time-column",
            "timestamp"
        ])
        .await,
        exit::USAGE
    );
    assert_eq!(
        exit::of(&send(&["/nonexistent", "--key", "k"]).await.0.unwrap_err()),
        exit::IO
    );
}

#[tokio::test]
async fn a_quote_that_is_never_closed_does_not_make_one_row_of_the_file() {
    let server = Server::start(vec![]).await;
    let dir = tempfile::tempdir().unwrap();
    let rows = "1,x\n".repeat(300_000);
    let path = file(dir.path(), "open.csv", format!("a,b\n1,ok\n2,\"never closed\n{rows}"));
    let (result, _) = send(&[
        &path,
        "--url",
        &server.url,
        "--key",
        "k",
        "--csv",
        "--message-column",
        "b",
        "--device",
        "d",
    ])
    .await;
    assert_eq!(exit::of(&result.unwrap_err()), exit::IO);
}

#[tokio::test]
async fn ndjson_gets_defaults_and_local_stamps_and_keeps_everything_else() {
    let server = Server::start(vec![]).await;
    let dir = tempfile::tempdir().unwrap();
    let lines = "{\"time\":\"2026-07-01 12:00:00\",\"message\":\"a\",\"n\":1.10}\n{\"ts\":1790000000,\"message\":\"b\",\"host.name\":\"h\",\"n\":1.10}\n";
    let path = file(dir.path(), "a.ndjson", lines);
    send(&[
        &path,
        "--url",
        &server.url,
        "--key",
        "k",
        "--device",
        "d",
        "--time-zone",
        "Europe/Berlin",
    ])
    .await
    .0
    .unwrap();
    let got = server.got();
    let records = got[0].records();
    assert_eq!(
        (&records[0]["timestamp"], &records[0]["device_id"]),
        (&json!("2026-07-01T10:00:00Z"), &json!("d"))
    );
    assert!(records[0].get("time").is_none() && records[1].get("device_id").is_none());
    assert!(String::from_utf8_lossy(&got[0].body).contains("\"host.name\":\"h\",\"n\":1.10}"));
}
