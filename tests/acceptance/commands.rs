//! `andon key` and `andon user` beside a running server.

use crate::world::{BINARY, Form, LEAD, World, in_every_form, until, with_a_notifier_apart};
use andon_engine::time::Span;
use serde_json::{Value, json};
use tokio::process::Command;

/// Runs the program beside the server; what it printed, as JSON.
async fn andon(world: &World, args: &[&str]) -> Value {
    let mut command = Command::new(BINARY);
    command
        .args(args)
        .arg("--json")
        .arg("--data-dir")
        .arg(world.data_dir())
        .kill_on_drop(true);
    if let Some(url) = world.postgres_url() {
        command.env("ANDON_POSTGRES_URL", url);
    }
    let output = command.output().await.expect("it runs");
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

fn record(application: &str) -> Vec<u8> {
    json!({ "application": application, "message": "m" })
        .to_string()
        .into_bytes()
}

async fn a_key_made_beside_the_running_server_works_until_it_is_revoked(form: Form) {
    let world = World::start_in(form, "").await;
    let made = andon(&world, &["key", "create", "--name", "shipper", "--application", "wms"]).await;
    let (id, key) = (
        made["id"].as_str().expect("an id"),
        made["key"].as_str().expect("a key"),
    );
    until("the new key works", || async {
        let answer = world.post_as(key, &[], record("wms")).await;
        assert!([202, 401].contains(&answer.status), "{answer:?}");
        (answer.status == 202).then_some(())
    })
    .await;
    let other = world.post_as(key, &[], record("erp")).await;
    assert_eq!((other.status, other.code()), (403, "not_allowed"));

    let revoked = andon(&world, &["key", "revoke", id]).await;
    assert_eq!(revoked["revoked"], true);
    until("the key is refused", || async {
        let answer = world.post_as(key, &[], record("wms")).await;
        assert!([202, 401].contains(&answer.status), "{answer:?}");
        (answer.status == 401).then_some(())
    })
    .await;
    let list = andon(&world, &["key", "list"]).await;
    let listed = list
        .as_array()
        .expect("a list")
        .iter()
        .find(|k| k["id"] == id)
        .expect("the key");
    assert_ne!(listed["revoked_at"], Value::Null);
    assert!(!list.to_string().contains(key), "the secret is shown once");
}

async fn a_person_added_beside_the_running_server_is_told_of_the_next_alert(form: Form) {
    let world = World::start_in(form, "").await;
    let fatal = |device: &str| json!({ "device_id": device, "level": "FATAL", "message": "drive lost" });
    world.send(fatal("agv-1")).await;
    world.until_mails(1).await;
    andon(
        &world,
        &["user", "add", "nina", "--email", "nina@example.com", "--name", "Nina"],
    )
    .await;
    let tells = |name: &'static str, does: bool| {
        let world = &world;
        until("the default route is as it was told", move || async move {
            let rules = world.ask("{ rules { id tells } }", Value::Null).await;
            let rule = rules["rules"]
                .as_array()?
                .iter()
                .find(|r| r["id"] == "fatal-per-device")?
                .clone();
            (rule["tells"].as_array()?.contains(&json!(name)) == does).then_some(())
        })
    };
    tells("Nina", true).await;
    // One e-mail in five minutes: the lead has had one.
    world.clock.advance(Span::mins(6));
    world.send(fatal("agv-2")).await;
    let mails = world.until_mails(3).await;
    let of = |address: &str| mails.iter().filter(|m| m.to.contains(address)).collect::<Vec<_>>();
    assert_eq!((of(LEAD).len(), of("<nina@example.com>").len()), (2, 1));
    assert!(of("<nina@example.com>")[0].mentions("agv-2"));

    andon(&world, &["user", "remove", "nina"]).await;
    tells("Nina", false).await;
    world.clock.advance(Span::mins(6));
    world.send(fatal("agv-3")).await;
    world.until_mails(4).await;
    world.pulse().await;
    assert_eq!(world.mails().iter().filter(|m| m.to.contains("nina")).count(), 1);
}

in_every_form!(
    a_key_made_beside_the_running_server_works_until_it_is_revoked,
    a_person_added_beside_the_running_server_is_told_of_the_next_alert,
);
with_a_notifier_apart!(a_person_added_beside_the_running_server_is_told_of_the_next_alert);
