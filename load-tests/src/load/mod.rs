//! The load generator: open loop, so that a slow answer does not make the next request wait unmeasured.
//!
//! Each request has a time at which it was meant to go out, whether or not its connection was free by then; its latency counts from
//! that time. At rate 0 there is no such time: every connection sends as fast as answers come, and latency counts from sending.

mod body;
mod connection;
mod measure;

pub use body::Bodies;
pub use measure::{Latency, Recorder};

use crate::ledger::Ledger;
use crate::metrics::{Highest, Metrics};
use crate::play::progress;
use crate::process::{Usage, usage};
use crate::sender::{KEY_WITHIN, Patience, Sender};
use andon_engine::time::Clock;
use anyhow::{Context as _, ensure};
use connection::{Connection, Outcome, Target};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

#[derive(Clone, Debug)]
pub struct Options {
    pub url: String,
    pub key: String,
    /// Records a second over all connections; 0: as fast as possible.
    pub rate: u64,
    /// Records of one request.
    pub batch: usize,
    pub connections: usize,
    pub seconds: u64,
    pub devices: usize,
    /// Every record carries an id of its own.
    pub ids: bool,
    pub seed: u64,
    /// The server's process, to account for its CPU time and memory.
    pub pid: Option<u32>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub seconds: f64,
    pub records_acknowledged: u64,
    pub records_per_second: f64,
    pub megabytes_per_second: f64,
    pub requests: u64,
    /// Requests whose intended time came before the end, but which were never sent: the server could not keep up.
    pub requests_not_sent: u64,
    /// Everything that is not 202: by status, or by what failed.
    pub errors: BTreeMap<String, u64>,
    /// From the intended time of a request (at rate 0 from sending) to its answer.
    pub latency: Latency,
    /// From sending to the answer: what a generator that waits for each answer would report.
    pub service_time: Latency,
    pub server: Option<ServerCost>,
    /// The farthest that a sink was behind during the run, by the server's own metrics; `None` where it has none.
    pub lag_max: Option<Highest>,
    /// The farthest that a sink was behind when the last answer had come.
    pub lag_at_end: Option<Highest>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct ServerCost {
    pub cpu_seconds: f64,
    pub cpu_seconds_per_million_records: f64,
    pub resident_bytes: u64,
    pub resident_bytes_max: u64,
}

/// When the `n`th request of a run is meant to go out, after its start.
pub fn intended(n: u64, batch: usize, rate: u64) -> Duration {
    Duration::from_nanos((u128::from(n) * batch as u128 * 1_000_000_000 / u128::from(rate.max(1))) as u64)
}

pub async fn run(options: &Options, clock: &Arc<dyn Clock>) -> anyhow::Result<Report> {
    ensure!(
        options.batch > 0 && options.connections > 0 && options.seconds > 0,
        "batch, connections and seconds must be above 0"
    );
    let patience = Patience {
        total: KEY_WITHIN,
        ..Patience::default()
    };
    if let Err(e) = Sender::new(&options.url, &options.key, Ledger::in_memory(), patience)?
        .await_key(KEY_WITHIN)
        .await
    {
        anyhow::bail!("nothing was measured: {e:#}");
    }
    let target = Arc::new(Target::new(&options.url, &options.key)?);
    let bodies = Arc::new(Bodies::new(options.batch, options.devices, options.ids, options.seed));
    let before = options.pid.map(usage).transpose()?;
    let bar = progress(Some(options.seconds));
    let acknowledged = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let end = start + Duration::from_secs(options.seconds);
    let mut tasks = tokio::task::JoinSet::new();
    for c in 0..options.connections {
        let worker = Worker {
            target: target.clone(),
            bodies: bodies.clone(),
            clock: clock.clone(),
            acknowledged: acknowledged.clone(),
            first: c as u64,
            step: options.connections as u64,
            options: options.clone(),
            start,
            end,
        };
        tasks.spawn(worker.run());
    }
    let mut total = Recorder::default();
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    let (metrics, lag_max) = (Metrics::new(&options.url)?, Arc::new(Mutex::new(None)));
    let mut following = tokio::task::JoinSet::new();
    following.spawn(follow_lag(metrics.clone(), lag_max.clone()));
    loop {
        tokio::select! {
            done = tasks.join_next() => match done {
                Some(recorder) => total.add(recorder.context("a connection's task ended badly")??),
                None => break,
            },
            _ = ticks.tick() => {
                let (n, s) = (acknowledged.load(Ordering::Relaxed), start.elapsed());
                bar.set_position(s.as_secs());
                bar.set_message(format!("{n} records, {:.0}/s", n as f64 / s.as_secs_f64().max(0.001)));
            }
        }
    }
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    following.abort_all();
    let lag_at_end = metrics.lags().await.ok().map(|lags| {
        let mut highest = Highest::default();
        highest.see(&lags);
        highest
    });
    let lag_max = lag_max.lock().unwrap_or_else(PoisonError::into_inner).take();
    let server = match (options.pid, before) {
        (Some(pid), Some(before)) => Some(cost(before, usage(pid)?, total.records)),
        _ => None,
    };
    Ok(Report {
        seconds,
        records_acknowledged: total.records,
        records_per_second: total.records as f64 / seconds,
        megabytes_per_second: total.bytes as f64 / 1e6 / seconds,
        requests: total.requests,
        requests_not_sent: total.not_sent,
        latency: total.latency(),
        service_time: total.service_time(),
        errors: total.errors,
        server,
        lag_max,
        lag_at_end,
    })
}

/// Looks four times a second until it is ended.
async fn follow_lag(metrics: Metrics, highest: Arc<Mutex<Option<Highest>>>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(250));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Ok(lags) = metrics.lags().await {
            let mut highest = highest.lock().unwrap_or_else(PoisonError::into_inner);
            highest.get_or_insert_default().see(&lags);
        }
    }
}

fn cost(before: Usage, after: Usage, records: u64) -> ServerCost {
    let cpu_seconds = after.cpu_seconds - before.cpu_seconds;
    ServerCost {
        cpu_seconds,
        cpu_seconds_per_million_records: cpu_seconds * 1e6 / (records.max(1)) as f64,
        resident_bytes: after.resident_bytes,
        resident_bytes_max: after.resident_bytes_max,
    }
}

/// One connection and its share of the requests: every `step`th from `first`.
struct Worker {
    target: Arc<Target>,
    bodies: Arc<Bodies>,
    clock: Arc<dyn Clock>,
    acknowledged: Arc<AtomicU64>,
    first: u64,
    step: u64,
    options: Options,
    start: Instant,
    end: Instant,
}

impl Worker {
    async fn run(self) -> anyhow::Result<Recorder> {
        let mut recorder = Recorder::default();
        let mut connection = Connection::new(self.target.clone());
        let mut n = self.first;
        let paced = self.options.rate > 0;
        loop {
            let due = self.start + intended(n, self.options.batch, self.options.rate);
            if paced {
                if due >= self.end {
                    break;
                }
                tokio::time::sleep_until(due).await;
            }
            if Instant::now() >= self.end {
                // What was due by now and did not get its turn is a result, too.
                recorder.not_sent += if paced { self.left(n) } else { 0 };
                break;
            }
            let body = self.bodies.stamped(n, self.clock.now());
            let bytes = body.len() as u64;
            let sent = Instant::now();
            let outcome = connection.post(body).await;
            let now = Instant::now();
            recorder.answered(now - if paced { due } else { sent }, now - sent);
            match outcome {
                Outcome::Acknowledged { records } => {
                    recorder.acknowledged(records, bytes);
                    self.acknowledged.fetch_add(records, Ordering::Relaxed);
                }
                Outcome::Failed(what) => recorder.failed(what),
                Outcome::Unreachable(what) => {
                    recorder.failed(what);
                    // A server that is gone would otherwise be asked as fast as the loop turns.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            n += self.step;
        }
        Ok(recorder)
    }

    fn left(&self, from: u64) -> u64 {
        (from..)
            .step_by(self.step as usize)
            .take_while(|n| self.start + intended(*n, self.options.batch, self.options.rate) < self.end)
            .count() as u64
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} records acknowledged in {:.1} s: {:.0} records/s, {:.1} MB/s, {} requests",
            self.records_acknowledged, self.seconds, self.records_per_second, self.megabytes_per_second, self.requests
        )?;
        writeln!(f, "acknowledgement latency  {}", self.latency)?;
        writeln!(f, "  of which service time  {}", self.service_time)?;
        if self.requests_not_sent > 0 {
            writeln!(
                f,
                "{} requests were due but never sent: the server did not keep up with the rate",
                self.requests_not_sent
            )?;
        }
        for (what, n) in &self.errors {
            writeln!(f, "{n} × {what}")?;
        }
        if let Some(s) = &self.server {
            writeln!(
                f,
                "server: {:.2} CPU seconds per million records ({:.1} s), {:.0} MB resident, {:.0} MB at most",
                s.cpu_seconds_per_million_records,
                s.cpu_seconds,
                s.resident_bytes as f64 / 1e6,
                s.resident_bytes_max as f64 / 1e6
            )?;
        }
        if let (Some(max), Some(end)) = (&self.lag_max, &self.lag_at_end) {
            writeln!(
                f,
                "lag: {} entries at most{}, {} when the last answer had come",
                max.entries,
                if max.sink.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", max.sink)
                },
                end.entries
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_is_even_and_does_not_drift() {
        assert_eq!(intended(0, 400, 50_000), Duration::ZERO);
        assert_eq!(intended(1, 400, 50_000), Duration::from_millis(8));
        assert_eq!(intended(125, 400, 50_000), Duration::from_secs(1));
        // A rate that does not divide: the thousandth request of three records at 7 a second, to the nanosecond.
        assert_eq!(intended(1_000, 3, 7), Duration::from_nanos(3_000 * 1_000_000_000 / 7));
        assert_eq!(intended(u64::from(u32::MAX), 400, 1_000_000).as_secs(), 1_717_986);
    }
}
