//! The dashboard's API, as far as the oracle asks it.

use super::{Raised, Stored};
use crate::sender::{describe, http_client};
use andon_engine::subject::SubjectKind;
use anyhow::{Context as _, anyhow, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Between two pieces of an answer: an export may take long as a whole, but not stand still.
const STALL: Duration = Duration::from_secs(120);
/// A line of the export: a record is at most 256 KiB, and JSON may escape each byte to six.
const LINE_BYTES_MAX: usize = 2 << 20;
const ANSWER_BYTES_MAX: usize = 32 << 20;
const PAGE: u32 = 200;

#[derive(Clone, Debug)]
pub struct Dashboard {
    client: reqwest::Client,
    url: String,
    key: String,
}

/// Where the server stands with its own work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub last_seq: u64,
    /// Name, entries not done, what it is stuck at.
    pub sinks: Vec<(String, u64, Option<String>)>,
}

impl Progress {
    pub fn is_done(&self) -> bool {
        self.sinks.iter().all(|(_, lag, _)| *lag == 0)
    }
}

impl Dashboard {
    /// `url` is the root of the dashboard service.
    pub fn new(url: &str, key: &str) -> anyhow::Result<Self> {
        Ok(Self {
            client: http_client()?,
            url: url.trim_end_matches('/').to_owned(),
            key: key.to_owned(),
        })
    }

    /// Every record of the export that `query` (name, value) asks for, handed on one by one.
    pub async fn export(&self, query: &[(&str, &str)], mut each: impl FnMut(Stored)) -> anyhow::Result<()> {
        let url =
            reqwest::Url::parse_with_params(&format!("{}/export.ndjson", self.url), query).context("not an address")?;
        let mut response = self
            .client
            .get(url)
            .bearer_auth(&self.key)
            .send()
            .await
            .map_err(|e| anyhow!(describe(&e)))?;
        let status = response.status();
        ensure!(status.is_success(), "GET /export.ndjson answered {status}");
        let mut rest: Vec<u8> = Vec::new();
        loop {
            let chunk = tokio::time::timeout(STALL, response.chunk())
                .await
                .context("the export stands still")?;
            let Some(chunk) = chunk.map_err(|e| anyhow!("the export broke off: {}", describe(&e)))? else {
                break;
            };
            rest.extend_from_slice(&chunk);
            let mut from = 0;
            while let Some(n) = rest[from..].iter().position(|b| *b == b'\n') {
                line(&rest[from..from + n], &mut each)?;
                from += n + 1;
            }
            rest.drain(..from);
            ensure!(
                rest.len() <= LINE_BYTES_MAX,
                "the export has a line of more than {LINE_BYTES_MAX} bytes"
            );
        }
        line(&rest, &mut each)
    }

    async fn graphql<T: serde::de::DeserializeOwned>(&self, query: &str, variables: Value) -> anyhow::Result<T> {
        let request = self
            .client
            .post(format!("{}/graphql", self.url))
            .bearer_auth(&self.key)
            .timeout(STALL)
            .json(&json!({ "query": query, "variables": variables }));
        let mut response = request.send().await.map_err(|e| anyhow!(describe(&e)))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| anyhow!(describe(&e)))? {
            body.extend_from_slice(&chunk);
            ensure!(
                body.len() <= ANSWER_BYTES_MAX,
                "POST /graphql answered more than {ANSWER_BYTES_MAX} bytes"
            );
        }
        let text = || String::from_utf8_lossy(&body).chars().take(500).collect::<String>();
        #[derive(Deserialize)]
        struct Reply<T> {
            data: Option<T>,
            #[serde(default)]
            errors: Vec<Value>,
        }
        let reply: Reply<T> =
            serde_json::from_slice(&body).with_context(|| format!("POST /graphql answered {status}: {}", text()))?;
        if let Some(error) = reply.errors.first() {
            bail!("POST /graphql: {error}");
        }
        reply
            .data
            .with_context(|| format!("POST /graphql answered {status} without data"))
    }

    pub async fn progress(&self) -> anyhow::Result<Progress> {
        #[derive(Deserialize)]
        struct Data {
            status: Status,
        }
        #[derive(Deserialize)]
        struct Status {
            journal: Journal,
            sinks: Vec<Sink>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Journal {
            last_seq: u64,
        }
        #[derive(Deserialize)]
        struct Sink {
            name: String,
            lag: u64,
            error: Option<String>,
        }
        let data: Data = self
            .graphql("{ status { journal { lastSeq } sinks { name lag error } } }", json!({}))
            .await?;
        Ok(Progress {
            last_seq: data.status.journal.last_seq,
            sinks: data
                .status
                .sinks
                .into_iter()
                .map(|s| (s.name, s.lag, s.error))
                .collect(),
        })
    }

    /// Every incident, newest opened first.
    pub async fn incidents(&self) -> anyhow::Result<Vec<Raised>> {
        const QUERY: &str = "query($first: Int!, $after: String) { incidents(first: $first, after: $after) { pageInfo { hasNextPage \
                             endCursor } nodes { id ruleId subject { kind id } openedAt count reopened } } }";
        #[derive(Deserialize)]
        struct Data {
            incidents: Connection,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Connection {
            page_info: PageInfo,
            nodes: Vec<Node>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct PageInfo {
            has_next_page: bool,
            end_cursor: Option<String>,
        }
        let (mut out, mut after) = (Vec::new(), None::<String>);
        loop {
            let data: Data = self.graphql(QUERY, json!({ "first": PAGE, "after": after })).await?;
            for node in data.incidents.nodes {
                out.push(node.read()?);
            }
            let page = data.incidents.page_info;
            match page.end_cursor {
                Some(cursor) if page.has_next_page && Some(&cursor) != after.as_ref() => after = Some(cursor),
                _ => return Ok(out),
            }
        }
    }

    /// How many fingerprints an incident has and how many alerts of new faults.
    pub async fn details(&self, incident: &str) -> anyhow::Result<(u64, u64)> {
        const QUERY: &str = "query($id: ID!) { incident(id: $id) { fingerprints { count } alerts { reason } } }";
        #[derive(Deserialize)]
        struct Data {
            incident: Option<Details>,
        }
        #[derive(Deserialize)]
        struct Details {
            fingerprints: Vec<Value>,
            alerts: Vec<Alert>,
        }
        #[derive(Deserialize)]
        struct Alert {
            reason: String,
        }
        let data: Data = self.graphql(QUERY, json!({ "id": incident })).await?;
        let d = data
            .incident
            .with_context(|| format!("incident {incident} is in the list but cannot be read"))?;
        let new_faults = d.alerts.iter().filter(|a| a.reason == "NEW_FAULT").count();
        Ok((d.fingerprints.len() as u64, new_faults as u64))
    }

    /// The excerpts of the newest records in quarantine that `stage` refused.
    pub async fn quarantined(&self, stage: &str) -> anyhow::Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Data {
            quarantine: Vec<Refused>,
        }
        #[derive(Deserialize)]
        struct Refused {
            excerpt: String,
            stage: String,
        }
        let data: Data = self
            .graphql(
                "query($first: Int!) { quarantine(first: $first) { excerpt stage } }",
                json!({ "first": PAGE }),
            )
            .await?;
        let of_stage = data.quarantine.into_iter().filter(|r| r.stage == stage);
        Ok(of_stage.map(|r| r.excerpt).collect())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    id: String,
    rule_id: String,
    subject: SubjectNode,
    opened_at: jiff::Timestamp,
    count: u64,
    reopened: u64,
}

#[derive(Deserialize)]
struct SubjectNode {
    kind: String,
    id: String,
}

impl Node {
    fn read(self) -> anyhow::Result<Raised> {
        let kind = self.subject.kind.to_ascii_lowercase();
        Ok(Raised {
            subject_kind: SubjectKind::parse(&kind)
                .with_context(|| format!("incident {} has a subject of kind {kind}", self.id))?,
            id: self.id,
            rule: self.rule_id,
            subject: self.subject.id,
            opened_at: self.opened_at.into(),
            records: self.count,
            reopened: self.reopened,
            fingerprints: None,
            new_faults: None,
        })
    }
}

fn line(bytes: &[u8], each: &mut impl FnMut(Stored)) -> anyhow::Result<()> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    let stored = serde_json::from_slice(bytes).with_context(|| {
        format!(
            "the export has a line that is no record: {}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(200)])
        )
    })?;
    each(stored);
    Ok(())
}
