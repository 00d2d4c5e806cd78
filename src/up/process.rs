//! What a process has once: its metrics, its log, its signals.

use super::told;
use anyhow::Context;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Values of histograms that wait to be sorted in: at most what this time brings.
const METRICS_EVERY: Duration = Duration::from_secs(5);

/// The metrics of this process, which can have one recorder only: whoever starts next shares it.
pub(crate) fn metrics_of_process() -> anyhow::Result<PrometheusHandle> {
    static HANDLE: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut handle = HANDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*handle {
        return Ok(handle.clone());
    }
    let installed = PrometheusBuilder::new()
        .set_buckets(&[
            0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
        ])
        .context("metrics")?
        .install_recorder()
        .context("metrics")?;
    Ok(handle.insert(installed).clone())
}

pub(crate) fn init_logs(json: bool) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("ANDON_LOG").unwrap_or_else(|_| EnvFilter::new("info,tantivy=warn,sqlx=warn"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second subscriber in one process is a test's; it keeps the first.
    let _ = if json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
}

/// A histogram keeps every value until somebody reads it or this is done: where nobody scrapes, they would pile up.
pub(crate) async fn keep_metrics_small(prometheus: PrometheusHandle, stop: watch::Receiver<bool>) {
    while tokio::time::timeout(METRICS_EVERY, told(stop.clone())).await.is_err() {
        prometheus.run_upkeep();
    }
}

pub(crate) async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
