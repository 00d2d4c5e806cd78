//! A place of a test's own on the servers that tests may use: a database, and names of indices. Gone at its end.

use sqlx::{Connection, PgConnection};
use std::future::Future;

/// Address of a server for tests.
pub fn url(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run `make test`, or start servers with deploy/test/servers.sh"))
}

pub struct Servers {
    /// Of the database.
    pub postgres: String,
    pub redis: String,
    pub elasticsearch: String,
    pub prefix: String,
    admin: String,
    database: String,
}

impl Servers {
    pub async fn new() -> Servers {
        let admin = url("ANDON_TEST_POSTGRES_URL");
        let name = format!("andon_acceptance_{:016x}", rand::random::<u64>());
        let mut connection = PgConnection::connect(&admin).await.expect("PostgreSQL answers");
        sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut connection)
            .await
            .expect("a database of its own");
        let mut postgres: reqwest::Url = admin.parse().expect("a URL");
        postgres.set_path(&name);
        Servers {
            postgres: postgres.to_string(),
            redis: url("ANDON_TEST_REDIS_URL"),
            elasticsearch: url("ANDON_TEST_ELASTICSEARCH_URL"),
            prefix: name.replace('_', "-"),
            admin,
            database: name,
        }
    }

    /// The part of the configuration file that names them.
    pub fn configuration(&self) -> String {
        format!(
            "[stores]\npostgres_url = \"{}\"\nredis_url = \"{}\"\nelasticsearch_url = \"{}\"\nelasticsearch_prefix = \"{}\"\n",
            self.postgres, self.redis, self.elasticsearch, self.prefix
        )
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let (admin, database) = (self.admin.clone(), self.database.clone());
        let (elasticsearch, prefix) = (self.elasticsearch.clone(), self.prefix.clone());
        // What is left behind costs the servers memory. A failure to clean up is no failure of the test.
        blocking(async move {
            if let Ok(mut connection) = PgConnection::connect(&admin).await {
                let drop = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
                let _ = sqlx::query(sqlx::AssertSqlSafe(drop)).execute(&mut connection).await;
            }
            let http = reqwest::Client::new();
            let list = format!("{elasticsearch}/_cat/indices/{prefix}*?h=index&expand_wildcards=all");
            if let Ok(answer) = http.get(list).send().await
                && let Ok(names) = answer.text().await
            {
                for name in names.lines().map(str::trim).filter(|n| n.starts_with(&prefix)) {
                    let _ = http.delete(format!("{elasticsearch}/{name}")).send().await;
                }
            }
            let _ = http
                .delete(format!("{elasticsearch}/_index_template/{prefix}-logs"))
                .send()
                .await;
        });
    }
}

/// Runs it to its end on a thread of its own: a drop may happen within a runtime.
fn blocking(work: impl Future<Output = ()> + Send + 'static) {
    let thread = std::thread::spawn(move || {
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            runtime.block_on(work);
        }
    });
    let _ = thread.join();
}
