//! Bad input through the whole program: each gets its status, what is good beside it is stored, and what is refused is kept.

use crate::world::{Form, World, in_every_form, until};
use serde_json::Value;
use std::io::Write;

const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

async fn bad_input_gets_its_status_and_disturbs_nothing(form: Form) {
    let world = World::start_in(form, "").await;
    let deep = format!(
        r#"{{"device_id":"d","message":"m","x":{}{}}}"#,
        "[".repeat(2_000),
        "]".repeat(2_000)
    );
    let huge = format!(r#"{{"device_id":"d","message":"{}"}}"#, "x".repeat(10 << 20));
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    let gzipped: &[(&str, &str)] = &[("content-encoding", "gzip")];
    let text: &[(&str, &str)] = &[("content-type", "text/plain")];
    let packed: &[(&str, &str)] = &[("content-encoding", "br")];
    let good = br#"{"device_id":"d","message":"m"}"#.to_vec();
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Vec<u8>, u16, &'a str);
    let cases: Vec<Case<'_>> = vec![
        ("empty", &[], Vec::new(), 400, "empty"),
        ("not JSON", &[], b"hello".to_vec(), 400, "malformed"),
        ("cut off", &[], br#"[{"device_id":"d""#.to_vec(), 400, "malformed"),
        (
            "NaN",
            &[],
            br#"{"device_id":"d","readings":{"t":NaN}}"#.to_vec(),
            400,
            "malformed",
        ),
        (
            "wrong type",
            &[],
            br#"{"device_id":"d","message":5}"#.to_vec(),
            400,
            "nothing_acceptable",
        ),
        (
            "overflow",
            &[],
            br#"{"device_id":"d","readings":{"t":1e999}}"#.to_vec(),
            400,
            "nothing_acceptable",
        ),
        ("deep", &[], deep.into_bytes(), 400, "nothing_acceptable"),
        ("10 MB line", &[NDJSON], huge.into_bytes(), 400, "nothing_acceptable"),
        ("zip bomb", gzipped, bomb, 413, "too_large"),
        ("not gzip", gzipped, good.clone(), 400, "bad_encoding"),
        ("text", text, good.clone(), 415, "content_type"),
        ("brotli", packed, good.clone(), 415, "content_encoding"),
    ];
    for (what, headers, body, status, code) in cases {
        let answer = world.post(headers, body).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{what}: {answer:?}");
        assert!(
            !answer.body["error"]["message"].as_str().unwrap_or_default().is_empty(),
            "{what} is explained"
        );
    }
    for (key, code) in [("", "no_key"), ("andon_0000_wrong", "wrong_key")] {
        let answer = world.post_as(key, &[], good.clone()).await;
        assert_eq!((answer.status, answer.code()), (401, code));
    }
    // Each that was refused as a record or as a body, with its reason.
    let kept = quarantine(&world, 7).await;
    let about = |part: &str| {
        kept.iter()
            .any(|q| q["reason"].as_str().is_some_and(|r| r.contains(part)))
    };
    assert!(
        about("must be a string") && about("beyond the range") && about("nests deeper"),
        "{kept:#?}"
    );
    assert!(kept.iter().all(|q| q["stage"] == "gateway"));

    assert_eq!(
        world.post(&[], good).await.counts(),
        (202, 1, 0),
        "nothing else is disturbed"
    );
    world.pulse().await;
    assert!(world.incidents().await.is_empty() && world.mails().is_empty());
}

async fn good_lines_beside_bad_ones_are_stored_and_the_bad_ones_are_kept(form: Form) {
    let world = World::start_in(form, "").await;
    let long = format!(r#"{{"application":"a","message":"{}"}}"#, "x".repeat(10 << 20));
    let body = [
        br#"{"application":"a","message":"first"}"#.as_slice(),
        br#"{"application":"a","message":"#,
        br#"{"application":"a","message":"wrong type","type":[]}"#,
        long.as_bytes(),
        b"{\"application\":\"a\",\"message\":\"K\xfchler\"}",
        br#"{"application":"a","readings":{"t":-1e400}}"#,
        br#"{"message":"of nobody"}"#,
        br#"{"application":"a","message":"last"}"#,
    ]
    .join(&b'\n');
    let answer = world.post(&[NDJSON], body).await;
    assert_eq!(answer.counts(), (202, 3, 0), "{answer:?}");
    let rejected = answer.body["rejected"].as_array().expect("a list");
    let index: Vec<_> = rejected.iter().map(|r| r["index"].as_u64()).collect();
    assert_eq!(index, [1, 2, 3, 5, 6].map(Some));
    let stored = world.until_records("a", 3).await;
    // Equal stamps: their order among each other is the journal's, which is theirs.
    assert_eq!(stored, ["first", "Kühler", "last"]);

    let kept = quarantine(&world, 5).await;
    assert_eq!(kept.len(), 5, "{kept:#?}");
    for answered in rejected {
        assert!(
            kept.iter()
                .any(|q| q["reason"] == answered["reason"] && q["field"] == answered["field"]),
            "{answered}"
        );
    }
    assert!(
        kept.iter()
            .all(|q| q["excerpt"].as_str().is_some_and(|e| e.len() <= 4_096 && !e.is_empty()))
    );
}

async fn quarantine(world: &World, n: usize) -> Vec<Value> {
    until(&format!("{n} records in quarantine"), || async {
        let data = world
            .ask("{ quarantine { id stage field reason excerpt keyId } }", Value::Null)
            .await;
        let kept = data["quarantine"].as_array().expect("a list").clone();
        (kept.len() >= n).then_some(kept)
    })
    .await
}

in_every_form!(
    bad_input_gets_its_status_and_disturbs_nothing,
    good_lines_beside_bad_ones_are_stored_and_the_bad_ones_are_kept,
);
