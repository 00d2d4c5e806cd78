//! What a running Andon says about itself at `/metrics`, as far as a run wants to know it.

use crate::sender::{describe, http_client};
use anyhow::{anyhow, ensure};
use std::collections::BTreeMap;
use std::time::Duration;

const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: usize = 8 << 20;
const LAG: &str = "andon_sink_lag_entries";

/// The metrics of one service.
#[derive(Clone, Debug)]
pub struct Metrics {
    client: reqwest::Client,
    url: String,
}

impl Metrics {
    /// `url` is the root of the ingest service.
    pub fn new(url: &str) -> anyhow::Result<Self> {
        Ok(Self {
            client: http_client()?,
            url: format!("{}/metrics", url.trim_end_matches('/')),
        })
    }

    /// How many entries of the journal each sink has still to do.
    pub async fn lags(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let asking = self.client.get(&self.url).timeout(ANSWER_WITHIN).send();
        let mut response = asking.await.map_err(|e| anyhow!(describe(&e)))?;
        ensure!(
            response.status().is_success(),
            "GET {} answered {}",
            self.url,
            response.status()
        );
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| anyhow!(describe(&e)))? {
            body.extend_from_slice(&chunk);
            ensure!(
                body.len() <= ANSWER_BYTES_MAX,
                "GET {} answered more than {ANSWER_BYTES_MAX} bytes",
                self.url
            );
        }
        Ok(lags(&String::from_utf8_lossy(&body)))
    }
}

/// The gauge of each sink. A line that is not understood says nothing.
fn lags(text: &str) -> BTreeMap<String, u64> {
    text.lines()
        .filter_map(|line| {
            let labels = line.strip_prefix(LAG)?.strip_prefix('{')?;
            let (labels, value) = labels.rsplit_once('}')?;
            let sink = labels
                .split(',')
                .find_map(|l| l.trim().strip_prefix("sink=\"")?.strip_suffix('"'))?;
            let value: f64 = value.trim().parse().ok()?;
            (value >= 0.0).then(|| (sink.to_owned(), value as u64))
        })
        .collect()
}

/// The highest of several lags, and whose it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Highest {
    pub entries: u64,
    pub sink: String,
}

impl Highest {
    pub fn see(&mut self, lags: &BTreeMap<String, u64>) {
        for (sink, entries) in lags {
            if *entries > self.entries {
                (self.entries, self.sink) = (*entries, sink.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_of_each_sink_is_read_and_everything_else_left_alone() {
        let text = "# TYPE andon_sink_lag_entries gauge\n\
                    andon_sink_lag_entries{sink=\"rows\"} 12\n\
                    andon_sink_lag_entries{sink=\"log_index\",x=\"}\"} 3.5e2\n\
                    andon_sink_lag_entries_total{sink=\"no\"} 1\n\
                    andon_sink_lag_entries{sink=\"bad\"} NaN\n\
                    other{sink=\"rows\"} 9\n";
        let found = lags(text);
        assert_eq!((found.get("rows"), found.get("log_index")), (Some(&12), Some(&350)));
        assert!(!found.contains_key("no") && !found.contains_key("bad"));
        let mut highest = Highest::default();
        highest.see(&found);
        highest.see(&BTreeMap::from([("rows".to_owned(), 400)]));
        highest.see(&BTreeMap::from([("rows".to_owned(), 7)]));
        assert_eq!((highest.entries, highest.sink.as_str()), (400, "rows"));
    }
}
