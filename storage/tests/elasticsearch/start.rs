//! What is wrong is said at the start, in one sentence without a secret.

use crate::front::{Fate, Front};
use crate::site::{Site, options, server};
use andon_storage::elasticsearch::{ElasticsearchIndex, ElasticsearchOptions};
use andon_storage::ports::StoreError;
use elasticsearch::http::Method;

async fn said(url: &str, options: ElasticsearchOptions) -> StoreError {
    let e = ElasticsearchIndex::open(url, options).await.unwrap_err();
    let text = format!("{e} {e:?}");
    assert!(!text.contains("s3cret") && !text.contains("operator"), "{text}");
    assert!(!e.to_string().contains('\n'), "{e}");
    e
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    for bad in [
        "",
        "localhost",
        "localhost:9200",
        "ftp://h",
        "http://",
        "http://operator:s3c%ret@h",
        "://s3cret",
    ] {
        let e = said(bad, options("andon")).await;
        assert!(matches!(e, StoreError::Refused { .. }), "{bad}: {e:?}");
        assert!(e.to_string().contains("no URL"), "{bad}: {e}");
    }
    let e = said("http://127.0.0.1:1/?password=s3cret", options("andon")).await;
    assert!(e.to_string().contains("nothing after ?"), "{e}");
    let e = said("http://127.0.0.1:1", options("Andon*")).await;
    assert!(e.to_string().contains("prefix"), "{e}");
    for key in ["", "s3cret key", "s3cret\r\nx: y"] {
        let with_key = ElasticsearchOptions {
            api_key: Some(key.to_owned()),
            ..options("andon")
        };
        assert!(!format!("{with_key:?}").contains("s3cret"));
        assert!(
            said("http://127.0.0.1:1", with_key)
                .await
                .to_string()
                .contains("API key")
        );
    }
}

#[tokio::test]
async fn nobody_there_is_said_with_the_address() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let e = said(&format!("http://operator:s3cret@{address}"), options("andon")).await;
    assert!(matches!(e, StoreError::Unavailable { .. }), "{e:?}");
    assert!(e.to_string().contains(&address.to_string()), "{e}");
    assert!(e.to_string().contains("refused"), "{e}");
}

#[tokio::test]
async fn who_answers_is_looked_at() {
    let not_found = r#"{"error":"no handler","status":404}"#;
    let old = r#"{"version":{"number":"7.17.9"},"tagline":"You Know, for Search"}"#;
    let open_search = r#"{"version":{"number":"1.3.0","distribution":"opensearch"}}"#;
    let unauthorised = r#"{"error":{"root_cause":[{"type":"security_exception","reason":"unable to authenticate user [x] for REST request [/]"}],"type":"security_exception","reason":"unable to authenticate user [x] for REST request [/]"},"status":401}"#;
    let forbidden = r#"{"error":{"root_cause":[],"type":"security_exception","reason":"action [cluster:monitor/main] is unauthorized for user [x]"},"status":403}"#;
    for (status, body, want) in [
        (200, "<html>hello</html>", "is not Elasticsearch"),
        (200, "{}", "is not Elasticsearch"),
        (404, not_found, "is not Elasticsearch"),
        (
            200,
            old,
            "this is Elasticsearch 7.17.9; Elasticsearch 8 or later is needed",
        ),
        (200, open_search, "this is opensearch 1.3.0"),
        (401, unauthorised, "wrong (401)"),
        (403, forbidden, "manage_index_templates"),
    ] {
        let front = Front::new(&server(), move |_| Fate::Answer(status, body.to_owned())).await;
        let url = front.url.replace("http://", "http://operator:s3cret@");
        let e = said(&url, options("andon")).await;
        assert!(matches!(e, StoreError::Refused { .. }), "{e:?}");
        assert!(e.to_string().contains(want), "{e}");
    }
}

#[tokio::test]
async fn credentials_reach_the_node_as_they_are_meant() {
    for (user, key, want) in [
        // "operator:s3c/ret", encoded.
        (
            "operator:s3c%2Fret@",
            None,
            "authorization: Basic b3BlcmF0b3I6czNjL3JldA==",
        ),
        ("", Some("abc==".to_owned()), "authorization: ApiKey abc=="),
    ] {
        let front = Front::new(&server(), move |request| {
            let ok = request.head.to_lowercase().contains(&want.to_lowercase());
            Fate::Answer(if ok { 418 } else { 200 }, String::new())
        })
        .await;
        let options = ElasticsearchOptions {
            api_key: key,
            ..options("andon")
        };
        let e = said(&front.url.replace("http://", &format!("http://{user}")), options).await;
        assert!(e.to_string().contains("(418)"), "{e}");
    }
}

#[tokio::test]
async fn a_template_that_cannot_be_put_is_said() {
    Site::with(async |site| {
        let denied = r#"{"error":{"root_cause":[],"type":"security_exception","reason":"action [indices:admin/index_template/put] is unauthorized for user [x]"},"status":403}"#;
        let front = Front::new(&site.url, move |request| match request.is("PUT /_index_template") {
            true => Fate::Answer(403, denied.to_owned()),
            false => Fate::Forward,
        })
        .await;
        let e = said(&front.url, site.options()).await;
        assert!(e.to_string().contains("the index template: a privilege is missing"), "{e}");
    })
    .await;
}

#[tokio::test]
async fn a_template_is_replaced_by_a_newer_one_only() {
    Site::with(async |site| {
        let path = format!("/_index_template/{}-logs", site.prefix);
        drop(site.open().await);
        let mut template = site.done(Method::Get, &path, None).await["index_templates"][0]["index_template"].clone();
        assert_eq!(template["_meta"]["product"], "andon");
        let ours = template["_meta"]["version"].clone();
        template["_meta"]["version"] = 0.into();
        site.done(Method::Put, &path, Some(template.clone())).await;
        drop(site.open().await);
        let there = site.done(Method::Get, &path, None).await;
        assert_eq!(there["index_templates"][0]["index_template"]["_meta"]["version"], ours);
        template["_meta"]["version"] = 1_000.into();
        site.done(Method::Put, &path, Some(template)).await;
        let e = said(&site.url, site.options()).await;
        assert!(matches!(e, StoreError::Damaged { .. }), "{e:?}");
        assert!(e.to_string().contains("newer version"), "{e}");
    })
    .await;
}
