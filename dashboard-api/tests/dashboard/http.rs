//! Whom the server answers, on raw sockets: addresses, hosts, origins, headers, files, stopping.

use crate::common::Server;
use andon_dashboard_api::WebApp;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn an_address_that_is_not_loopback_is_refused_in_words() {
    for addr in ["0.0.0.0:0", "[::]:0", "192.0.2.1:7401"] {
        let refused = Server::start_with(|a| a.addr = addr.parse().unwrap()).await;
        let message = refused.err().expect(addr).to_string();
        assert!(
            message.contains("no sign-in") && message.contains("127.0.0.1:7401"),
            "{message}"
        );
    }
    let bad = Server::start_with(|a| a.public_url = Some("andon".into())).await;
    assert!(bad.err().unwrap().to_string().contains("public URL"));
    let taken = Server::start().await;
    let addr = taken.client.0;
    let message = Server::start_with(|a| a.addr = addr).await.err().unwrap().to_string();
    assert!(message.contains(&addr.to_string()), "{message}");
    taken.stop().await;
}

#[tokio::test]
async fn other_hosts_and_other_sites_are_turned_away() {
    let s = Server::start().await;
    let query = "{\"query\":\"{ viewer { name } }\"}".to_owned();
    let own = format!("http://{}", s.client.0);
    let json = ("content-type", "application/json");
    for (headers, status) in [
        (vec![json], 200),
        (vec![json, ("origin", own.as_str())], 200),
        (
            vec![json, ("host", "localhost:7401"), ("origin", "http://localhost:7401")],
            200,
        ),
        (
            vec![
                json,
                ("host", "andon.plant.example"),
                ("origin", "https://andon.plant.example"),
            ],
            200,
        ),
        (vec![json, ("host", "evil.example")], 421),
        (
            vec![json, ("host", "evil.example"), ("origin", "http://evil.example")],
            421,
        ),
        (vec![json, ("origin", "https://evil.example")], 403),
        (vec![json, ("origin", "null")], 403),
        (vec![json, ("sec-fetch-site", "cross-site")], 403),
    ] {
        let answer = s.client.send("POST", "/graphql", &headers, query.clone()).await;
        assert_eq!(answer.status, status, "{headers:?}");
    }
    let socket = "/socket.io/?EIO=4&transport=polling";
    let evil = [("origin", "https://evil.example")];
    assert_eq!(s.client.send("GET", socket, &evil, String::new()).await.status, 403);
    assert_eq!(s.client.get(socket).await.status, 200);
    assert_eq!(
        s.client
            .send("GET", "/health/live", &[("host", "andon")], String::new())
            .await
            .status,
        200
    );
    s.stop().await;
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_keep_it_safe() {
    let s = Server::start().await;
    for (path, status) in [
        ("/", 404),
        ("/export.ndjson", 200),
        ("/export.csv?x=1", 400),
        ("/graphql", 405),
        ("/health/live", 200),
        ("/socket.io/?EIO=4&transport=polling", 200),
        ("/socket.io/?EIO=9", 400),
    ] {
        let a = s.client.get(path).await;
        assert_eq!(a.status, status, "{path}");
        let csp = a.header("content-security-policy");
        assert!(
            csp.contains("default-src 'none'") && csp.contains("frame-ancestors 'none'"),
            "{path}: {csp}"
        );
        assert!(!csp.contains("unsafe"), "{csp}");
        assert_eq!(a.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(a.header("referrer-policy"), "no-referrer", "{path}");
        assert_ne!(a.header("cache-control"), "", "{path}");
    }
    s.stop().await;
}

#[tokio::test]
async fn health_and_metrics_answer() {
    let s = Server::start().await;
    assert_eq!(s.client.get("/health/ready").await.json()["ready"], true);
    assert_eq!(s.client.get("/metrics").await.text(), "andon_up 1\n");
    s.plant.full.store(true, Ordering::SeqCst);
    let unready = s.client.get("/health/ready").await;
    assert_eq!(
        (unready.status, unready.json()["reason"].as_str()),
        (503, Some("the journal is full"))
    );
    assert_eq!(s.client.get("/health/live").await.status, 200);
    s.stop().await;
    let bare = Server::start_with(|a| a.metrics = None).await.unwrap();
    assert_eq!(bare.client.get("/metrics").await.status, 404);
    bare.stop().await;
}

#[tokio::test]
async fn the_web_app_s_files_are_served_and_its_pages_are_its_index() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("assets")).unwrap();
    std::fs::write(dir.path().join("index.html"), "<!doctype html>app").unwrap();
    std::fs::write(dir.path().join("assets/index-1a2b.js"), "export {};").unwrap();
    let secret = dir
        .path()
        .parent()
        .unwrap()
        .join(format!("andon-secret-{}", std::process::id()));
    std::fs::write(&secret, "secret").unwrap();
    let up = format!("/../{}", secret.file_name().unwrap().to_str().unwrap());
    let s = Server::start_with(|a| a.web = WebApp::Directory(dir.path().to_owned()))
        .await
        .unwrap();
    for page in ["/", "/index.html", "/incidents/00?token=x", "/board/pick", "/unknown"] {
        let a = s
            .client
            .send("GET", page, &[("accept", "text/html,*/*;q=0.8")], String::new())
            .await;
        assert_eq!((a.status, a.text()), (200, "<!doctype html>app"), "{page}");
        assert_eq!(a.header("cache-control"), "no-cache");
        assert!(a.header("content-type").starts_with("text/html"), "{page}");
    }
    let script = s.client.get("/assets/index-1a2b.js").await;
    assert_eq!((script.status, script.text()), (200, "export {};"));
    assert!(script.header("cache-control").contains("immutable"));
    assert!(script.header("content-type").contains("javascript"));
    let encoded = up.replace("..", "%2e%2e");
    for missing in ["/assets/gone.js", "/favicon.ico", "/assets/%00"] {
        assert_eq!(s.client.get(missing).await.status, 404, "{missing}");
    }
    for outside in [up.as_str(), encoded.as_str()] {
        assert!(!s.client.get(outside).await.text().contains("secret"), "{outside}");
    }
    assert_eq!(s.client.send("POST", "/", &[], String::new()).await.status, 405);
    assert_eq!(s.client.send("HEAD", "/", &[], String::new()).await.body.len(), 0);
    s.stop().await;
    std::fs::remove_file(secret).unwrap();
}

#[tokio::test]
async fn a_file_is_sent_as_small_as_the_browser_takes_it_and_only_one_named_by_its_content_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("assets")).unwrap();
    for (name, whole) in [
        ("index.html", "<!doctype html>app"),
        ("assets/index-1a2b.js", "export {};"),
    ] {
        std::fs::write(dir.path().join(name), whole).unwrap();
        for encoding in ["br", "gz"] {
            // Not really compressed: the service has only to choose.
            std::fs::write(dir.path().join(format!("{name}.{encoding}")), encoding).unwrap();
        }
    }
    let s = Server::start_with(|a| a.web = WebApp::Directory(dir.path().to_owned()))
        .await
        .unwrap();
    for (accepted, encoding, body) in [
        ("gzip, deflate, br, zstd", "br", "br"),
        ("gzip, br;q=0", "gzip", "gz"),
        ("gzip", "gzip", "gz"),
        ("br;q=1.0, gzip;q=0.5, *;q=0", "br", "br"),
        ("identity", "", ""),
        ("gzip;q=0", "", ""),
        ("nonsense;;q=x", "", ""),
    ] {
        let headers = [("accept-encoding", accepted), ("accept", "text/html")];
        for (path, whole, kind) in [
            ("/", "<!doctype html>app", "text/html"),
            ("/incidents/00", "<!doctype html>app", "text/html"),
            ("/assets/index-1a2b.js", "export {};", "text/javascript"),
        ] {
            let a = s.client.send("GET", path, &headers, String::new()).await;
            let body = if body.is_empty() { whole } else { body };
            assert_eq!((a.status, a.text()), (200, body), "{accepted} {path}");
            assert_eq!(a.header("content-encoding"), encoding, "{accepted} {path}");
            assert!(a.header("content-type").starts_with(kind), "{accepted} {path}");
            assert_eq!(a.header("vary"), "accept-encoding", "{accepted} {path}");
        }
    }
    let script = s.client.get("/assets/index-1a2b.js").await;
    assert_eq!(script.header("cache-control"), "public, max-age=31536000, immutable");

    // Another build: its page has the same size and, in an image whose files all have one time, the same age.
    let page = dir.path().join("index.html");
    let before = s.client.get("/").await;
    let age = std::fs::metadata(&page).unwrap().modified().unwrap();
    std::fs::write(&page, "<!doctype html>new").unwrap();
    let file = std::fs::File::options().write(true).open(&page).unwrap();
    file.set_modified(age).unwrap();
    let validators = [("if-none-match", "etag"), ("if-modified-since", "last-modified")].map(|(ask, say)| match before
        .header(say)
    {
        "" => (ask, "\"none\""),
        value => (ask, value),
    });
    let after = s.client.send("GET", "/", &validators, String::new()).await;
    assert_eq!((after.status, after.text()), (200, "<!doctype html>new"));
    assert_eq!(after.header("cache-control"), "no-cache");
    s.stop().await;
}

#[tokio::test]
async fn what_is_not_http_ends_its_own_connection_only() {
    let s = Server::start().await;
    for junk in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(s.client.0).await.unwrap();
        stream.write_all(junk).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(
            !answer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(s.client.get("/health/live").await.status, 200);
    s.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_accepts_no_more_and_ends_though_a_connection_idles() {
    let s = Server::start().await;
    let addr = s.client.0;
    let mut idle = TcpStream::connect(addr).await.unwrap();
    idle.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut head = [0; 15];
    idle.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    s.stop().await;
    assert!(TcpStream::connect(addr).await.is_err());
}
