//! A schema of its own for each test, on the server that the environment names.

use andon_storage::postgres::PostgresOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::sync::atomic::{AtomicU32, Ordering};

/// The server for tests, as its superuser.
pub fn server_url() -> String {
    std::env::var("ANDON_TEST_POSTGRES_URL").unwrap_or_else(|_| {
        panic!("ANDON_TEST_POSTGRES_URL names no PostgreSQL server: run the tests by `make test`, or under `deploy/test/servers.sh`")
    })
}

/// A name that no other test has, in this process or another.
pub fn unique(prefix: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let n = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}_{}_{n}_{:06x}", std::process::id(), rand_suffix())
}

/// A process id alone may come again, after a test that was killed.
fn rand_suffix() -> u32 {
    use std::hash::{BuildHasher, Hasher};
    (std::hash::RandomState::new().build_hasher().finish() & 0xff_ffff) as u32
}

/// Statements as the superuser, from a test or from a drop in one.
pub fn administer(url: &str, statements: &[String]) {
    let (url, statements) = (url.to_owned(), statements.to_vec());
    let run = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut connection = PgConnection::connect(&url).await.unwrap();
            for s in statements {
                sqlx::raw_sql(AssertSqlSafe(s.clone()))
                    .execute(&mut connection)
                    .await
                    .unwrap_or_else(|e| panic!("{s}: {e}"));
            }
            connection.close().await.unwrap();
        });
    });
    let done = run.join();
    // A second panic would hide what the first one says.
    assert!(done.is_ok() || std::thread::panicking(), "see above");
}

/// A schema that is gone when the test is over.
pub struct Site {
    pub url: String,
    pub schema: String,
}

impl Site {
    pub fn new() -> Self {
        Site {
            url: server_url(),
            schema: unique("andon_test"),
        }
    }
    pub fn options(&self) -> PostgresOptions {
        PostgresOptions {
            schema: self.schema.clone(),
            connections: 5,
            ..PostgresOptions::default()
        }
    }
    pub async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        administer(&self.url, &[format!("DROP SCHEMA IF EXISTS {} CASCADE", self.schema)]);
    }
}
