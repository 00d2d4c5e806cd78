//! What goes by age, and the report when nothing may go because the clock has jumped.

use super::ports::Logs;
use super::settings::Retention;
use super::told;
use andon_actors::metrics;
use andon_actors::self_log::SelfLog;
use andon_engine::level::Level;
use andon_engine::time::Clock;
use andon_storage::retention::{Held, RetentionClock};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Between prunings of the log index.
const DROP_EVERY: Duration = Duration::from_secs(3_600);
/// How often to check that the clock is believed.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Retention of the log index, where it lies in parts that can go as a whole.
pub(super) async fn drop_old_logs(
    index: Arc<dyn Logs>,
    keep: Retention,
    age: Arc<dyn Clock>,
    stop: watch::Receiver<bool>,
) {
    loop {
        match index.drop_older(keep, age.now()).await {
            Ok(0) => {}
            Ok(n) => tracing::info!(indices = n, "indices of log records beyond their retention dropped"),
            Err(e) => tracing::warn!(error = %e, "old indices not dropped; tried again"),
        }
        if tokio::time::timeout(DROP_EVERY, told(stop.clone())).await.is_ok() {
            return;
        }
    }
}

/// Reports once that retention waits for the clock, and once that it goes on.
pub(super) async fn report(clock: Arc<RetentionClock>, data_dir: Arc<Path>, log: SelfLog, stop: watch::Receiver<bool>) {
    let mut reported = false;
    loop {
        let held = clock.held();
        // Where the clock was never believed before there is nothing yet that a jump could delete.
        let jumped = held.filter(|h| h.believed.is_some());
        metrics::retention_held(jumped.is_some());
        if let Some(held) = jumped.filter(|_| !reported) {
            let text = explain(&held, &data_dir);
            tracing::warn!("{text}");
            log.write(Level::Warn, "andon.retention.held", &text);
        } else if reported && jumped.is_none() {
            tracing::info!("the clock is believed again: retention goes on");
        }
        reported = jumped.is_some();
        if tokio::time::timeout(LOOK_EVERY, told(stop.clone())).await.is_ok() {
            return;
        }
    }
}

fn explain(held: &Held, data_dir: &Path) -> String {
    let believed = held
        .believed
        .map_or_else(String::new, |b| format!(", expected about {b}"));
    format!(
        "the clock has jumped: it says {}{believed}. Nothing is deleted for its age until it has run steadily for {:.0} hours more. If it is \
         right, end the wait by: andon retention confirm --data-dir {}",
        held.wall,
        (held.steady_in.as_secs_f64() / 3_600.0).ceil(),
        data_dir.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_engine::time::{Span, Timestamp};

    #[test]
    fn the_report_says_what_to_do() {
        let held = Held {
            wall: Timestamp(1_795_392_000_000_000),
            believed: Some(Timestamp(1_794_700_800_000_000)),
            steady_in: Span::mins(90),
        };
        assert_eq!(
            explain(&held, Path::new("/var/lib/andon")),
            "the clock has jumped: it says 2026-11-23T00:00:00.000000Z, expected about 2026-11-15T00:00:00.000000Z. Nothing is deleted \
             for its age until it has run steadily for 2 hours more. If it is right, end the wait by: andon retention confirm --data-dir \
             /var/lib/andon"
        );
    }
}
