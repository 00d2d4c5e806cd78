//! The cursor document: journal, position, the owner's number and who wrote it. Written by compare-and-set.

use super::client::{Client, json_body};
use super::indices::Names;
use super::unavailable;
use crate::ports::{Cursor, Result};
use ::elasticsearch::http::Method;
use andon_engine::ids::JournalId;
use serde::{Deserialize, Serialize};
use serde_json::json;

const ID: &str = "log_index";

/// Where Elasticsearch keeps the version that was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    seq_no: i64,
    primary_term: i64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct State {
    pub(super) cursor: Option<Cursor>,
    pub(super) epoch: u64,
    /// Who wrote it: a number drawn at each opening.
    pub(super) writer: u64,
    pub(super) place: Place,
}

#[derive(Serialize, Deserialize)]
struct Source {
    journal: Option<u32>,
    seq: Option<u64>,
    #[serde(default)]
    epoch: u64,
    #[serde(default)]
    writer: u64,
    /// For people.
    #[serde(default)]
    written_at: String,
}

#[derive(Deserialize)]
struct Document {
    found: bool,
    _seq_no: Option<i64>,
    _primary_term: Option<i64>,
    _source: Option<Source>,
}

#[derive(Deserialize)]
struct Written {
    _seq_no: i64,
    _primary_term: i64,
}

pub(super) enum Write {
    Done(Place),
    /// It is not there any more as it was read.
    Conflict,
    /// The index is not there.
    Gone,
}

pub(super) async fn read(client: &Client, names: &Names) -> Result<Option<State>> {
    let path = format!("/{}/_doc/{ID}", names.state());
    let what = "reading the cursor";
    let answer = client.ask(Method::Get, &path, &[], None).await?;
    if answer.status == 404 {
        return Ok(None);
    }
    if !answer.ok() {
        return Err(answer.failure(what));
    }
    let document: Document = answer.json(what)?;
    let (true, Some(seq_no), Some(primary_term), Some(source)) = (
        document.found,
        document._seq_no,
        document._primary_term,
        document._source,
    ) else {
        return Err(unavailable(format!("{what}: its answer is no document")));
    };
    Ok(Some(State {
        cursor: source.journal.zip(source.seq).map(|(journal, seq)| Cursor {
            journal: JournalId(journal),
            seq,
        }),
        epoch: source.epoch,
        writer: source.writer,
        place: Place { seq_no, primary_term },
    }))
}

/// Writes it in the place of `was`, or where none is.
pub(super) async fn write(
    client: &Client,
    names: &Names,
    cursor: Option<Cursor>,
    (epoch, writer): (u64, u64),
    was: Option<Place>,
    written_at: String,
) -> Result<Write> {
    let path = format!("/{}/_doc/{ID}", names.state());
    let what = "writing the cursor";
    let source = Source {
        journal: cursor.map(|c| c.journal.0),
        seq: cursor.map(|c| c.seq),
        epoch,
        writer,
        written_at,
    };
    let (seq_no, primary_term);
    let mut parameters = vec![("require_alias", "true")];
    match was {
        Some(place) => {
            (seq_no, primary_term) = (place.seq_no.to_string(), place.primary_term.to_string());
            parameters.push(("if_seq_no", &seq_no));
            parameters.push(("if_primary_term", &primary_term));
        }
        None => parameters.push(("op_type", "create")),
    }
    let answer = client
        .ask(Method::Put, &path, &parameters, Some(json_body(&json!(source))))
        .await?;
    match answer.status {
        409 => Ok(Write::Conflict),
        404 => Ok(Write::Gone),
        _ if answer.ok() => {
            let written: Written = answer.json(what)?;
            Ok(Write::Done(Place {
                seq_no: written._seq_no,
                primary_term: written._primary_term,
            }))
        }
        _ => Err(answer.failure(what)),
    }
}
