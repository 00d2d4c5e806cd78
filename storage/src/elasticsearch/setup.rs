//! What the writer puts on the cluster beside documents: template and indices.

use super::client::{Client, json_body};
use super::indices::{Names, RetentionClass};
use super::{damaged, unavailable};
use crate::ports::{Result, StoreError};
use ::elasticsearch::http::Method;
use andon_engine::time::Timestamp;
use serde_json::{Value, json};

/// Nothing that Andon itself asks is the fault of a record.
pub(super) fn temporary(e: StoreError) -> StoreError {
    match e {
        StoreError::Refused { reason, .. } => unavailable(reason),
        e => e,
    }
}

/// Puts the template unless it is there in this version.
pub(super) async fn put_template(client: &Client, names: &Names) -> Result<()> {
    let path = format!("/_index_template/{}", names.logs());
    let what = "the index template";
    let answer = client.ask(Method::Get, &path, &[], None).await?;
    let wanted = names.template();
    if answer.ok() {
        let there: Value = answer.json(what)?;
        let meta = &there["index_templates"][0]["index_template"]["_meta"];
        if meta["product"] == wanted["_meta"]["product"] {
            let version = meta["version"].as_u64();
            if version == wanted["_meta"]["version"].as_u64() {
                return Ok(());
            }
            if version > wanted["_meta"]["version"].as_u64() {
                let name = names.logs();
                return Err(damaged(format!(
                    "index template {name} is of a newer version of Andon: start that one, or delete the template"
                )));
            }
        }
    } else if answer.status != 404 {
        return Err(answer.failure(what));
    }
    let _: Value = client.call(what, Method::Put, &path, &[], Some(wanted)).await?;
    Ok(())
}

/// Makes an index with its alias; where it is there already, it must be one of ours.
pub(super) async fn make(client: &Client, index: &str, alias: &str, creation: &Value) -> Result<()> {
    let path = format!("/{index}");
    let what = format!("making index {index}");
    let answer = client.ask(Method::Put, &path, &[], Some(json_body(creation))).await?;
    if answer.ok() {
        return Ok(());
    }
    if answer.complaint().kind != "resource_already_exists_exception" {
        return Err(temporary(answer.failure(&what)));
    }
    let mapping: Value = client
        .call(&what, Method::Get, &format!("{path}/_mapping"), &[], None)
        .await?;
    if mapping[index]["mappings"]["_meta"]["product"] != "andon" {
        return Err(damaged(format!(
            "index {index} was not made by Andon: rename or delete it, or choose another prefix"
        )));
    }
    let _: Value = client
        .call(
            &what,
            Method::Put,
            &format!("{path}/_alias/{alias}"),
            &[],
            Some(json!({})),
        )
        .await?;
    Ok(())
}

/// The indices of the class whose records were all received before the day of `before`.
pub(super) async fn days_before(
    client: &Client,
    names: &Names,
    class: RetentionClass,
    before: Timestamp,
) -> Result<Vec<String>> {
    let path = format!("/{}/_alias", names.of_class(class));
    let parameters = [("expand_wildcards", "all")];
    let there: serde_json::Map<String, Value> = client
        .call("listing the indices", Method::Get, &path, &parameters, None)
        .await?;
    Ok(there
        .into_iter()
        .map(|(i, _)| i)
        .filter(|i| names.is_before(i, class, before))
        .collect())
}
