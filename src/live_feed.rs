//! Hands what becomes durable to the live feed, in this process and over Redis.

use crate::bus;
use andon_actors::entries::RECORDS;
use andon_dashboard_api::LiveFeed;
use andon_engine::batch::Batch;
use andon_storage::journal::{Entry, Journal, ReadError, Reader};
use andon_storage::redis::live::{LiveBus, LiveKind};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// How soon a read is tried again: after `min`, and twice as long each time up to `max`.
struct Backoff {
    min: Duration,
    max: Duration,
}

const BACKOFF: Backoff = Backoff {
    min: Duration::from_millis(100),
    max: Duration::from_secs(10),
};
/// Failures at one place before it is passed over, about 25 s: who looks at a live view wants what happens now.
const TRIES: u32 = 9;

/// Starts at the head: history is asked for, not streamed. Ends when the program stops, or the journal does.
pub async fn feed_live(journal: Journal, live: LiveFeed, bus: Option<Arc<LiveBus>>, stop: watch::Receiver<bool>) {
    let head = Head {
        reader: journal.reader(journal.durable_seq() + 1),
        journal: journal.clone(),
    };
    let publish = |entry: &Entry| {
        if entry.kind != RECORDS {
            return;
        }
        if let Some(bus) = bus.as_ref().filter(|b| b.records_wanted()) {
            bus.publish(
                LiveKind::Records,
                bus::encode_batch(journal.id(), entry.seq, &entry.body),
            );
        }
        if let Ok(batch) = Batch::parse(entry.body.clone(), journal.id(), entry.seq) {
            live.publish_records(Arc::new(batch));
        }
    };
    follow(head, &live, publish, &BACKOFF, stop).await;
}

/// A place near the end of a journal.
#[async_trait]
trait Tail: Send {
    /// The next entry, once there is one. Stays where it is when it fails.
    async fn next(&mut self) -> Result<Arc<Entry>, ReadError>;
    /// Goes to what becomes durable next, and says how many entries it has passed over.
    fn pass_over(&mut self) -> u64;
}

struct Head {
    journal: Journal,
    reader: Reader,
}

#[async_trait]
impl Tail for Head {
    async fn next(&mut self) -> Result<Arc<Entry>, ReadError> {
        self.reader.next().await
    }

    fn pass_over(&mut self) -> u64 {
        let head = self.journal.durable_seq() + 1;
        let missed = head.saturating_sub(self.reader.position());
        self.reader = self.journal.reader(head);
        missed
    }
}

/// A failure ends nothing: it is counted, logged once, and what cannot be read is passed over in the end.
async fn follow(
    mut tail: impl Tail,
    live: &LiveFeed,
    mut publish: impl FnMut(&Entry),
    backoff: &Backoff,
    mut stop: watch::Receiver<bool>,
) {
    let mut failures = 0;
    let mut wait = backoff.min;
    loop {
        let next = tokio::select! {
            next = tail.next() => next,
            _ = stop.wait_for(|s| *s) => return,
        };
        let error = match next {
            Ok(entry) => {
                if failures > 0 {
                    tracing::info!(failures, "the live feed reads the journal again");
                    (failures, wait) = (0, backoff.min);
                }
                publish(&entry);
                continue;
            }
            Err(ReadError::Closed) => {
                if !*stop.borrow() {
                    tracing::error!("the live feed has ended: the journal is closed");
                }
                return;
            }
            Err(error) => error,
        };
        live.count_read_failure();
        failures += 1;
        if failures == 1 {
            tracing::error!(%error, "the live feed cannot read the journal; it is tried again");
        }
        // What has been recycled comes no more.
        if matches!(error, ReadError::Recycled { .. }) || failures % TRIES == 0 {
            let missed = tail.pass_over();
            live.publish_missed(missed);
            tracing::warn!(
                missed,
                "entries of the journal are left out of the live feed; the log has them"
            );
        }
        if timeout(wait, stop.wait_for(|s| *s)).await.is_ok() {
            return;
        }
        wait = (wait * 2).min(backoff.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_engine::time::Timestamp;
    use std::collections::VecDeque;
    use std::io::Write;
    use std::sync::Mutex;
    use tracing_subscriber::fmt::MakeWriter;

    /// Answers as it was told to, then has nothing more.
    struct Script(VecDeque<Result<u64, ReadError>>);

    #[async_trait]
    impl Tail for Script {
        async fn next(&mut self) -> Result<Arc<Entry>, ReadError> {
            match self.0.front() {
                None => std::future::pending().await,
                Some(Ok(seq)) => {
                    let entry = Entry {
                        seq: *seq,
                        kind: RECORDS,
                        received_at: Timestamp(0),
                        header: bytes::Bytes::new(),
                        body: bytes::Bytes::new(),
                    };
                    self.0.pop_front();
                    Ok(Arc::new(entry))
                }
                Some(Err(error)) => {
                    let error = error.clone();
                    // A damaged place stays damaged.
                    if !matches!(&error, ReadError::Io { path, .. } if path == "damaged") {
                        self.0.pop_front();
                    }
                    Err(error)
                }
            }
        }
        fn pass_over(&mut self) -> u64 {
            self.0.pop_front();
            7
        }
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Log {
        type Writer = Log;
        fn make_writer(&'a self) -> Log {
            self.clone()
        }
    }

    fn io(path: &str) -> Result<u64, ReadError> {
        Err(ReadError::Io {
            path: path.into(),
            reason: "input/output error".into(),
        })
    }

    /// What was published and logged, and the failures counted, once the script is at its end.
    async fn run(script: Vec<Result<u64, ReadError>>, last: u64) -> (Vec<u64>, String, String) {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(log.clone())
            .with_ansi(false)
            .finish();
        let _logging = tracing::subscriber::set_default(subscriber);
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let counted = recorder.handle();
        let _counting = metrics::set_default_local_recorder(&recorder);
        let (stop, stopping) = watch::channel(false);
        let mut seen = Vec::new();
        let publish = |entry: &Entry| {
            seen.push(entry.seq);
            if entry.seq == last {
                stop.send_replace(true);
            }
        };
        let quick = Backoff {
            min: Duration::from_millis(1),
            max: Duration::from_millis(2),
        };
        follow(Script(script.into()), &LiveFeed::new(), publish, &quick, stopping).await;
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        (seen, log, counted.render())
    }

    #[tokio::test]
    async fn a_read_that_fails_is_tried_again_logged_once_and_counted() {
        let script = vec![Ok(1), io("a"), io("a"), io("a"), Ok(2), io("a"), Ok(3)];
        let (seen, log, counted) = run(script, 3).await;
        assert_eq!(seen, [1, 2, 3]);
        assert_eq!(
            log.matches("cannot read the journal").count(),
            2,
            "once for each time: {log}"
        );
        assert_eq!(log.matches("reads the journal again").count(), 2, "{log}");
        assert!(
            counted.contains("andon_dashboard_live_read_failures_total 4"),
            "{counted}"
        );
    }

    #[tokio::test]
    async fn what_is_damaged_for_good_or_recycled_is_passed_over() {
        let recycled = Err(ReadError::Recycled { wanted: 3, first: 9 });
        let (seen, log, _) = run(vec![Ok(1), io("damaged"), Ok(2), recycled, Ok(9), Ok(10)], 10).await;
        assert_eq!(seen, [1, 2, 10]);
        assert_eq!(log.matches("cannot read the journal").count(), 2, "{log}");
        assert_eq!(log.matches("missed=7").count(), 2, "{log}");
    }

    #[tokio::test]
    async fn the_end_of_the_journal_is_said() {
        let (seen, log, _) = run(vec![Ok(1), Err(ReadError::Closed)], 9).await;
        assert_eq!(seen, [1]);
        assert_eq!(log.matches("the journal is closed").count(), 1, "{log}");
    }
}
