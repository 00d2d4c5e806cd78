//! What is said at start, one sentence each, and never the password.

use crate::support::{PASSWORD, Server, Space};
use andon_engine::ids::JournalId;
use andon_storage::redis::{Redis, RedisOptions, StartError};

async fn refused(options: RedisOptions) -> StartError {
    let e = Redis::connect(options).await.expect_err("this server will not do");
    let said = format!("{e} {e:?}");
    assert!(
        !said.contains(PASSWORD) && !said.contains("wrong-one") && !said.contains('\n'),
        "{said}"
    );
    e
}

fn with(server: &Server, user_and_password: &str) -> RedisOptions {
    let url = format!("redis://{user_and_password}@127.0.0.1:{}", server.port);
    RedisOptions::new(url, JournalId(1))
}

#[tokio::test]
async fn a_server_that_will_do_is_taken_and_left_as_it_was() {
    let space = Space::new();
    let redis = space.redis(1).await;
    assert!(redis.is_connected());
    assert!(!format!("{redis:?} {:?}", space.options(1)).contains("redis://"));
    redis.close().await;
    assert_eq!(space.keys().await, Vec::<String>::new());
}

/// Much else starts on the machine at that moment.
#[tokio::test]
async fn a_start_has_more_time_than_a_command() {
    let space = Space::new();
    let options = RedisOptions {
        command_timeout: std::time::Duration::from_nanos(1),
        ..space.options(1)
    };
    let redis = Redis::connect(options).await.expect("it answers, though not at once");
    assert!(redis.set_epoch(1).await.is_ok());
    assert_eq!(redis.stored_epoch().await.unwrap(), 1);
    redis.close().await;
}

#[tokio::test]
async fn a_wrong_address_or_password_is_told() {
    let server = Server::start(&[]).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let e = refused(RedisOptions::new(format!("redis://:{PASSWORD}@{free}"), JournalId(1))).await;
    assert!(
        matches!(&e, StartError::Unreachable { address, .. } if *address == format!("{free}/0")),
        "{e}"
    );
    for credentials in ["", ":wrong-one", "anna:wrong-one"] {
        let e = refused(with(&server, credentials)).await;
        assert!(matches!(e, StartError::SignIn { .. }), "{credentials}: {e}");
    }
    server.freeze();
    let e = refused(server.options()).await;
    assert!(matches!(e, StartError::Unreachable { .. }), "{e}");
    server.thaw();
    let e = refused(RedisOptions::new(format!("{}/99", server.url()), JournalId(1))).await;
    assert!(
        matches!(&e, StartError::Database { reason, .. } if reason.contains("DB index")),
        "{e}"
    );
}

#[tokio::test]
async fn every_command_that_is_not_allowed_is_named() {
    let server = Server::start(&[]).await;
    let user = async |rules: &'static [&'static str]| {
        let mut all = vec!["SETUSER", "anna", "reset", "on", ">wrong-one"];
        all.extend(rules);
        server.send("ACL", &all).await;
        Redis::connect(with(&server, "anna:wrong-one")).await.map(|_| ())
    };
    assert_eq!(user(&["~andon:*", "&andon:*", "+@all"]).await, Ok(()));
    for (rules, want) in [
        (
            &["~andon:*", "&andon:*", "+@all", "-hset", "-xautoclaim"][..],
            "hset, xautoclaim",
        ),
        (&["~andon:*", "&andon:*", "+@all", "-subscribe"], "subscribe"),
        (&["~andon:*", "&andon:*", "+@all", "-info"], "info"),
        (&["~andon:*", "&other:*", "+@all"], "access to the channels"),
        (&["~other:*", "&andon:*", "+@all"], "access to the keys"),
    ] {
        let e = user(rules).await.expect_err(want);
        assert!(!e.to_string().contains("wrong-one"), "{e}");
        assert!(
            matches!(&e, StartError::Permission { commands, .. } if commands.contains(want)),
            "{rules:?}: {e}"
        );
    }
    // The line that the documentation gives is enough, and no more than is asked for.
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/REDIS.md")).unwrap();
    let line = page
        .lines()
        .find(|l| l.starts_with("ACL SETUSER andon "))
        .expect("docs/REDIS.md has the ACL line");
    let rules: Vec<&str> = line.split(' ').skip(3).filter(|r| !r.starts_with('>')).collect();
    let mut all = vec!["SETUSER", "anna", "reset", ">wrong-one"];
    all.extend(&rules);
    server.send("ACL", &all).await;
    Redis::connect(with(&server, "anna:wrong-one")).await.unwrap();
    for rule in rules.iter().filter(|r| r.starts_with('+')) {
        let without = rule.replacen('+', "-", 1);
        server.send("ACL", &["SETUSER", "anna", &without]).await;
        let e = Redis::connect(with(&server, "anna:wrong-one")).await.expect_err(rule);
        assert!(matches!(e, StartError::Permission { .. }), "{rule}: {e}");
        server.send("ACL", &["SETUSER", "anna", rule]).await;
    }
}

#[tokio::test]
async fn a_replica_is_refused_and_a_server_that_drops_keys_is_warned_of() {
    let primary = Server::start(&[]).await;
    let port = primary.port.to_string();
    let replica = Server::start(&["--replicaof", "127.0.0.1", &port, "--masterauth", PASSWORD]).await;
    let e = refused(replica.options()).await;
    assert!(matches!(e, StartError::ReadOnly { .. }), "{e}");
    assert_eq!(primary.redis().await.warnings(), &[] as &[String]);
    primary.send("CONFIG", &["SET", "maxmemory", "100mb"]).await;
    assert_eq!(primary.redis().await.warnings(), &[] as &[String]);
    primary
        .send("CONFIG", &["SET", "maxmemory-policy", "allkeys-lru"])
        .await;
    let redis = primary.redis().await;
    assert!(matches!(redis.warnings(), [w] if w.contains("allkeys-lru") && w.contains("noeviction")));
    primary.send("CONFIG", &["SET", "maxmemory-policy", "noeviction"]).await;
    primary.send("CONFIG", &["SET", "maxmemory", "1"]).await;
    assert!(matches!(primary.redis().await.warnings(), [w] if w.contains("is full")));
}

#[tokio::test]
async fn a_cluster_is_refused() {
    let server = Server::start(&["--cluster-enabled", "yes"]).await;
    let e = refused(server.options()).await;
    assert!(matches!(e, StartError::Cluster { .. }), "{e}");
}
