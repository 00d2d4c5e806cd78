//! Connections to PostgreSQL, lent one at a time, each step of them under a deadline.
//!
//! The server's own time-outs do not help when it answers nothing at all (frozen, or the network swallows what is sent), and a future
//! may be dropped in the middle of a statement. So a connection is only ever lent again when its last step was seen to its end;
//! otherwise it is closed, and the server rolls back what was open. sqlx's own pool would try to talk to it first, and hold its place
//! until the server answers.

use super::errors::{self, unavailable};
use crate::ports::Result;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// Longer than a connection takes over any network on which the rest would work.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The same at start, when the machine may be busy with the start of much else.
const START_WITHIN: Duration = Duration::from_secs(10);
/// How long a caller waits for others to give a connection back.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that has rested longer is asked whether it lives before it is lent: the server may have been restarted since.
const RESTED: Duration = Duration::from_secs(1);
/// For an answer that costs the server nothing.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// A client that is gone is noticed by the server while it works or waits for a lock, and what the client had locked is free again.
const NOTICE_GONE_CLIENTS: &str = "SET client_connection_check_interval = 2000";

/// At most so many connections at once. Cheap to clone; what the clones share is the connections.
#[derive(Clone)]
pub(super) struct Pool {
    shared: Arc<Inner>,
    connect_within: Duration,
}

struct Inner {
    connect: PgConnectOptions,
    /// What is said on each new connection before it is used.
    session: String,
    /// The server, for errors: host, port and database.
    server: String,
    size: u32,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<(PgConnection, Instant)>>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // `connect` has the password.
        write!(f, "Pool({} to {})", self.shared.size, self.shared.server)
    }
}

impl Pool {
    /// For the start: see [`Pool::started`].
    pub(super) fn new(connect: PgConnectOptions, session: String, server: String, size: u32) -> Self {
        let shared = Arc::new(Inner {
            connect,
            session,
            server,
            size,
            places: Arc::new(Semaphore::new(size as usize)),
            idle: Mutex::new(Vec::new()),
        });
        Pool {
            shared,
            connect_within: START_WITHIN,
        }
    }

    /// The same connections, once the start is over.
    pub(super) fn started(&self) -> Self {
        Pool {
            connect_within: CONNECT_WITHIN,
            ..self.clone()
        }
    }

    /// A connection that answers.
    ///
    /// # Errors
    /// `Unavailable` when all are in use for too long, or the server cannot be reached.
    pub(super) async fn acquire(&self) -> Result<Lease> {
        let place = match timeout(ACQUIRE_TIMEOUT, self.shared.places.clone().acquire_owned()).await {
            Ok(Ok(place)) => place,
            Ok(Err(_)) => return Err(unavailable("the connections are closed: Andon is ending")),
            Err(_) => {
                return Err(unavailable(format!(
                    "all {} connections were in use for {} s",
                    self.shared.size,
                    ACQUIRE_TIMEOUT.as_secs()
                )));
            }
        };
        let lease = |connection, reused| Lease {
            connection: Some(connection),
            state: State::Whole,
            reused,
            in_transaction: false,
            pool: self.clone(),
            place: Some(place),
        };
        loop {
            // The list is locked for this statement only.
            let rested = self.idle().pop();
            let Some((mut connection, since)) = rested else { break };
            if since.elapsed() < RESTED || matches!(timeout(PING_TIMEOUT, connection.ping()).await, Ok(Ok(()))) {
                return Ok(lease(connection, true));
            }
            // What one of them met (a restart, a freeze), all have met.
            self.idle().clear();
        }
        let connected = self.connect().await.map_err(|e| e.into_store(&self.shared.server))?;
        Ok(lease(connected, false))
    }

    async fn connect(&self) -> std::result::Result<PgConnection, ConnectError> {
        let connected = timeout(self.connect_within, async {
            let mut connection = PgConnection::connect_with(&self.shared.connect).await?;
            sqlx::raw_sql(AssertSqlSafe(self.shared.session.as_str()))
                .execute(&mut connection)
                .await?;
            match sqlx::raw_sql(NOTICE_GONE_CLIENTS).execute(&mut connection).await {
                // Not every platform can.
                Ok(_) | Err(sqlx::Error::Database(_)) => Ok(connection),
                Err(e) => Err(e),
            }
        });
        within(self.connect_within, connected).await
    }

    /// A connection of which nothing was asked yet: what its server is, is not known. Outside the pool's count.
    pub(super) async fn connect_bare(&self) -> std::result::Result<PgConnection, ConnectError> {
        let connected = timeout(self.connect_within, PgConnection::connect_with(&self.shared.connect));
        within(self.connect_within, connected).await
    }

    /// Takes no more calls, and ends the connections that nobody uses. Those that are in use end when they come back.
    pub(super) async fn close(&self) {
        self.shared.places.close();
        let idle = std::mem::take(&mut *self.idle());
        for (connection, _) in idle {
            // Saying good-bye is a courtesy to the server's log.
            let _ = timeout(PING_TIMEOUT, connection.close()).await;
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(PgConnection, Instant)>> {
        // Nobody panics while holding it; a list of connections is never half changed.
        self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, connection: PgConnection) {
        if !self.shared.places.is_closed() {
            self.idle().push((connection, Instant::now()));
        }
    }
}

async fn within<T>(
    limit: Duration,
    connected: impl Future<Output = std::result::Result<sqlx::Result<T>, tokio::time::error::Elapsed>>,
) -> std::result::Result<T, ConnectError> {
    match connected.await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(e)) => Err(ConnectError::Failed(e)),
        Err(_) => Err(ConnectError::TimedOut(limit)),
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum ConnectError {
    Failed(sqlx::Error),
    TimedOut(Duration),
}

impl ConnectError {
    fn into_store(self, server: &str) -> crate::ports::StoreError {
        match self {
            // Whoever cannot even connect has not been told that anything is lost or refused.
            ConnectError::Failed(e) => unavailable(format!("{server}: {}", errors::text(&e))),
            ConnectError::TimedOut(limit) => {
                unavailable(format!("{server}: no connection within {} s", limit.as_secs()))
            }
        }
    }
}

/// What is known of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// The last step was seen to its end: the next answer belongs to the next question.
    Whole,
    /// A step was begun and its end was not seen, or not waited for.
    Open,
    /// It has ended: the server closed it, or said that it does.
    Broken,
}

/// A connection while somebody has it.
pub(super) struct Lease {
    /// Always there until it is dropped.
    connection: Option<PgConnection>,
    state: State,
    /// It has served before, and the server may have been restarted since.
    reused: bool,
    in_transaction: bool,
    pool: Pool,
    /// Given back after the connection is.
    place: Option<OwnedSemaphorePermit>,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lease({:?}, in_transaction: {})", self.state, self.in_transaction)
    }
}

impl Lease {
    /// The connection and the note of its state, for [`step`].
    pub(super) fn parts(&mut self) -> (&mut PgConnection, &mut State) {
        let connection = self.connection.as_mut().expect("it is taken out only on drop");
        (connection, &mut self.state)
    }
    /// Its first step failed only because it had rested while the server went away: another one may do.
    pub(super) fn was_stale(&self) -> bool {
        self.reused && self.state == State::Broken
    }
    pub(super) fn set_in_transaction(&mut self, open: bool) {
        self.in_transaction = open;
    }
}

/// One question and its answer, within `limit`.
pub(super) async fn step<T>(
    state: &mut State,
    limit: Duration,
    what: &str,
    work: impl Future<Output = sqlx::Result<T>> + Send,
) -> Result<T> {
    *state = State::Open;
    match timeout(limit, work).await {
        Ok(Ok(answer)) => {
            *state = State::Whole;
            Ok(answer)
        }
        Ok(Err(e)) => {
            let whole = errors::leaves_connection_whole(&e);
            *state = if whole { State::Whole } else { State::Broken };
            Err(errors::error(e))
        }
        Err(_) => Err(unavailable(format!("no answer to {what} within {} s", limit.as_secs()))),
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if self.state != State::Whole {
            // Dropping it closes the socket.
            return;
        }
        if !self.in_transaction {
            self.pool.give_back(connection);
            return;
        }
        // Rolling back needs an answer, and drop cannot wait for one. Without a runtime the process is ending.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (pool, place) = (self.pool.clone(), self.place.take());
            runtime.spawn(async move {
                let rollback = sqlx::raw_sql("ROLLBACK").execute(&mut connection);
                if matches!(timeout(PING_TIMEOUT, rollback).await, Ok(Ok(_))) {
                    pool.give_back(connection);
                }
                drop(place);
            });
        }
    }
}
