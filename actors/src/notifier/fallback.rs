//! The last resort: when SQL cannot be reached while alerts wait, the people of `--alert-to` get one plain e-mail that says so.

use super::mail::compose_plain;
use super::mailer::{Mailer, SendError};
use andon_engine::time::{Clock, Span, Timestamp};
use std::sync::{Arc, Mutex, PoisonError};

/// How long alerts may wait for SQL before somebody hears of it.
pub const FALLBACK_AFTER: Span = Span::secs(30);

/// Watches the effect writer. One e-mail for each outage, to each address.
pub struct Fallback {
    mailer: Arc<Mailer>,
    alert_to: Vec<String>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Since when SQL has not answered while alerts waited.
    since: Option<Timestamp>,
    /// Addresses that have had the e-mail of this outage.
    told: Vec<String>,
}

impl std::fmt::Debug for Fallback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fallback")
            .field("alert_to", &self.alert_to)
            .finish_non_exhaustive()
    }
}

impl Fallback {
    pub fn new(mailer: Arc<Mailer>, alert_to: Vec<String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            mailer,
            alert_to,
            clock,
            state: Mutex::new(State::default()),
        }
    }

    /// To be called by the writer of alert rows after every attempt, at least every few seconds while it fails. `waiting`: alerts that
    /// it holds. Sends when SQL has not answered for 30 s with alerts waiting; an address that could not be reached is tried again with
    /// the next call. Returns how many e-mails went out.
    pub async fn observe(&self, reachable: bool, waiting: u64) -> usize {
        self.observe_after(reachable, waiting, Span::ZERO).await
    }

    /// Whether somebody has had the e-mail of this outage.
    pub fn has_told(&self) -> bool {
        !self
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .told
            .is_empty()
    }

    /// With so much more patience, for one who is not the first to tell.
    pub async fn observe_after(&self, reachable: bool, waiting: u64, patience: Span) -> usize {
        let now = self.clock.now();
        let (since, open) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if reachable || waiting == 0 {
                *state = State::default();
                return 0;
            }
            let since = *state.since.get_or_insert(now);
            if now.since(since) < FALLBACK_AFTER.plus(patience) {
                return 0;
            }
            let open: Vec<String> = self
                .alert_to
                .iter()
                .filter(|a| !state.told.contains(a))
                .cloned()
                .collect();
            (since, open)
        };
        let mut sent = 0;
        for to in open {
            match self.send(&to, since, waiting, now).await {
                Ok(_) => {
                    sent += 1;
                    self.state.lock().unwrap_or_else(PoisonError::into_inner).told.push(to);
                }
                Err(e) => {
                    tracing::error!(%to, error = %e, "the database cannot be reached and neither can the mail server")
                }
            }
        }
        sent
    }

    async fn send(&self, to: &str, since: Timestamp, waiting: u64, now: Timestamp) -> Result<String, SendError> {
        let since_text = since.to_jiff().strftime("%Y-%m-%d %H:%M:%S UTC");
        let body = format!(
            "Andon cannot reach its SQL database since {since_text}.\n\n\
             {waiting} alert(s) wait to be told and more may follow. Records are still taken and kept in the journal; nothing is lost.\n\
             But nobody is told of anything until the database answers. Look at the plant yourselves, and at the database.\n\n\
             What waits is sent by itself once the database is back. This e-mail comes once for each outage.\n"
        );
        let digest = xxhash_rust::xxh3::xxh3_64(to.as_bytes());
        let id = format!("fallback.{}.{digest:016x}", since.as_micros());
        let subject = "[P1 critical] Andon cannot reach its database: alerts are not being sent";
        let message = compose_plain(to, subject, body, &id, &self.mailer, now)?;
        let name = format!("{}-{id}", since.to_jiff().strftime("%Y%m%dT%H%M%S.%6fZ"));
        self.mailer.send(message, &name).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_engine::time::ManualClock;

    #[tokio::test]
    async fn one_email_for_each_outage_of_half_a_minute_with_alerts_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp(1_700_000_000_000_000)));
        let mailer = Arc::new(Mailer::folder(dir.path(), "andon@example.com").unwrap());
        let f = Fallback::new(
            mailer,
            vec!["a@example.com".into(), "b@example.com".into()],
            clock.clone(),
        );
        let files = || std::fs::read_dir(dir.path()).unwrap().count();
        for (advance, reachable, waiting, want) in [
            (0, false, 0, 0),
            (100, false, 3, 0),
            (29, false, 3, 0),
            (1, false, 3, 2),
            (60, false, 9, 0),
            (1, true, 0, 0),
            (1, false, 1, 0),
            (30, false, 1, 2),
        ] {
            clock.advance(Span::secs(advance));
            assert_eq!(f.observe(reachable, waiting).await, want, "after {advance} s");
        }
        assert_eq!(files(), 4);
    }

    #[tokio::test]
    async fn an_address_that_fails_is_tried_again_and_does_not_keep_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp(1_700_000_000_000_000)));
        let mailer = Arc::new(Mailer::folder(dir.path(), "andon@example.com").unwrap());
        let f = Fallback::new(mailer, vec!["nobody".into(), "b@example.com".into()], clock.clone());
        f.observe(false, 1).await;
        clock.advance(FALLBACK_AFTER);
        assert_eq!((f.observe(false, 1).await, f.observe(false, 1).await), (1, 0));
    }
}
