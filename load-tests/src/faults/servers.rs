//! The three servers of a run, handled by the scripts of `deploy/test`.

use crate::sender::http_client;
use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;
use tokio::process::Command;

/// Elasticsearch on a busy machine takes the longest to start.
const SCRIPT_WITHIN: Duration = Duration::from_secs(300);
const ASKED_WITHIN: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Postgres,
    Redis,
    Elasticsearch,
}

pub const KINDS: [Kind; 3] = [Kind::Postgres, Kind::Redis, Kind::Elasticsearch];

impl Kind {
    /// As the scripts call it.
    pub fn script(self) -> &'static str {
        match self {
            Kind::Postgres => "postgres",
            Kind::Redis => "redis",
            Kind::Elasticsearch => "elasticsearch",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::Postgres => "PostgreSQL",
            Kind::Redis => "Redis",
            Kind::Elasticsearch => "Elasticsearch",
        }
    }
}

/// Servers in folders of their own. Dropping it stops those that it started.
pub struct Servers {
    scripts: PathBuf,
    dir: PathBuf,
    temporary: Option<tempfile::TempDir>,
    urls: [String; 3],
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URLs have passwords.
        f.debug_struct("Servers")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl Servers {
    /// Starts all three side by side: in a temporary folder, or in `given`, where those that run already are used, and left running.
    /// Their data is the run's to destroy.
    pub async fn start(scripts: &Path, given: Option<&Path>) -> anyhow::Result<Self> {
        ensure!(
            scripts.join("postgres.sh").is_file(),
            "{} does not have the scripts of the test servers: run this in the project's folder, or name theirs with --scripts",
            scripts.display()
        );
        let (dir, temporary) = match given {
            Some(dir) => (dir.to_owned(), None),
            None => {
                use std::os::unix::fs::PermissionsExt as _;
                // Servers that root starts run as other users, who must get through.
                let through = std::fs::Permissions::from_mode(0o711);
                let made = tempfile::Builder::new()
                    .prefix("andon-faults.")
                    .permissions(through)
                    .tempdir()
                    .context("cannot make a temporary folder")?;
                (made.path().to_owned(), Some(made))
            }
        };
        let mut servers = Self {
            scripts: scripts.to_owned(),
            dir,
            temporary,
            urls: Default::default(),
        };
        let (postgres, redis, elasticsearch) = tokio::try_join!(
            servers.script(Kind::Postgres, "start"),
            servers.script(Kind::Redis, "start"),
            servers.script(Kind::Elasticsearch, "start"),
        )?;
        servers.urls = [postgres, redis, elasticsearch];
        Ok(servers)
    }

    pub fn url(&self, kind: Kind) -> &str {
        &self.urls[kind as usize]
    }

    /// Where the server itself listens.
    pub fn address(&self, kind: Kind) -> anyhow::Result<SocketAddr> {
        let url = reqwest::Url::parse(self.url(kind)).context("the script printed no URL")?;
        let (host, port) = (url.host_str().unwrap_or_default(), url.port().unwrap_or_default());
        format!("{host}:{port}")
            .parse()
            .context("the script printed a URL without an address")
    }

    /// The URL with another address in it: that of a proxy.
    pub fn url_at(&self, kind: Kind, at: SocketAddr) -> anyhow::Result<String> {
        let mut url = reqwest::Url::parse(self.url(kind)).context("the script printed no URL")?;
        url.set_host(Some(&at.ip().to_string()))
            .context("an address is a host")?;
        url.set_port(Some(at.port()))
            .map_err(|()| anyhow::anyhow!("a URL without a port"))?;
        Ok(url.as_str().trim_end_matches('/').to_owned())
    }

    /// One command of a server's script; gives what it prints.
    pub async fn script(&self, kind: Kind, command: &str) -> anyhow::Result<String> {
        let script = self.scripts.join(format!("{}.sh", kind.script()));
        let running = Command::new(&script)
            .arg(command)
            .arg(self.dir.join(kind.script()))
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(SCRIPT_WITHIN, running)
            .await
            .with_context(|| format!("{} {command} does not end", script.display()))?
            .with_context(|| format!("cannot run {}", script.display()))?;
        ensure!(
            output.status.success(),
            "{} {command} failed: {}",
            script.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Brings all three to where nothing was ever written.
    pub async fn empty(&self) -> anyhow::Result<()> {
        tokio::try_join!(self.empty_postgres(), self.empty_redis(), self.empty_elasticsearch())?;
        Ok(())
    }

    async fn empty_postgres(&self) -> anyhow::Result<()> {
        self.script(Kind::Postgres, "start").await?;
        let mut admin = self.session("postgres").await?;
        for statement in [
            "ALTER SYSTEM RESET ALL",
            "SELECT pg_reload_conf()",
            "DROP DATABASE IF EXISTS andon WITH (FORCE)",
            "CREATE DATABASE andon",
        ] {
            execute(&mut admin, statement).await?;
        }
        Ok(())
    }

    async fn empty_redis(&self) -> anyhow::Result<()> {
        self.script(Kind::Redis, "wipe").await?;
        self.script(Kind::Redis, "start").await?;
        Ok(())
    }

    async fn empty_elasticsearch(&self) -> anyhow::Result<()> {
        self.script(Kind::Elasticsearch, "start").await?;
        let client = http_client()?;
        let root = self.url(Kind::Elasticsearch);
        let ask = async |method: reqwest::Method, path: &str| {
            let response = client
                .request(method, format!("{root}/{path}"))
                .timeout(ASKED_WITHIN)
                .send()
                .await?;
            response.error_for_status()?.text().await
        };
        #[derive(Deserialize)]
        struct Index {
            index: String,
        }
        #[derive(Deserialize)]
        struct Templates {
            #[serde(default)]
            index_templates: Vec<Named>,
        }
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        let indices = ask(
            reqwest::Method::GET,
            "_cat/indices?format=json&h=index&expand_wildcards=all",
        )
        .await?;
        for Index { index } in serde_json::from_str::<Vec<Index>>(&indices).context("_cat/indices")? {
            if !index.starts_with('.') {
                ask(reqwest::Method::DELETE, &index).await?;
            }
        }
        let templates = ask(reqwest::Method::GET, "_index_template").await?;
        let templates: Templates = serde_json::from_str(&templates).context("_index_template")?;
        // Some come with Elasticsearch.
        for Named { name } in templates
            .index_templates
            .into_iter()
            .filter(|t| t.name.starts_with("andon"))
        {
            ask(reqwest::Method::DELETE, &format!("_index_template/{name}")).await?;
        }
        Ok(())
    }

    /// A session with PostgreSQL itself, past the proxy.
    pub async fn session(&self, database: &str) -> anyhow::Result<PgConnection> {
        let options = PgConnectOptions::from_str(self.url(Kind::Postgres))
            .context("the script printed no URL")?
            .database(database)
            // Whatever the server's default is made to be, this session may change it back.
            .options([("default_transaction_read_only", "off")])
            .disable_statement_logging();
        let connecting = PgConnection::connect_with(&options);
        Ok(tokio::time::timeout(ASKED_WITHIN, connecting)
            .await
            .context("PostgreSQL does not answer")??)
    }
}

pub(super) async fn execute(session: &mut PgConnection, statement: &str) -> anyhow::Result<()> {
    let running = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(session);
    tokio::time::timeout(ASKED_WITHIN, running)
        .await
        .with_context(|| format!("PostgreSQL does not finish: {statement}"))?
        .with_context(|| statement.to_owned())?;
    Ok(())
}

impl Drop for Servers {
    fn drop(&mut self) {
        // Those in a folder that was given are somebody else's.
        if self.temporary.is_none() {
            return;
        }
        for kind in KINDS {
            let script = self.scripts.join(format!("{}.sh", kind.script()));
            let stopped = std::process::Command::new(script)
                .arg("stop")
                .arg(self.dir.join(kind.script()))
                .stdin(std::process::Stdio::null())
                .status();
            if !stopped.is_ok_and(|s| s.success()) {
                eprintln!(
                    "andon-load: the test server {} in {} may still run",
                    kind.name(),
                    self.dir.display()
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(urls: [&str; 3]) -> Servers {
        Servers {
            scripts: PathBuf::new(),
            dir: PathBuf::new(),
            temporary: None,
            urls: urls.map(str::to_owned),
        }
    }

    #[test]
    fn a_proxy_takes_the_place_of_the_server_and_nothing_else_of_the_url() {
        let s = servers([
            "postgres://andon:secret@127.0.0.1:17001/andon",
            "redis://default:secret@127.0.0.1:17002/0",
            "http://127.0.0.1:17003",
        ]);
        let at: SocketAddr = "127.0.0.1:18000".parse().unwrap();
        let urls: Vec<String> = KINDS.iter().map(|k| s.url_at(*k, at).unwrap()).collect();
        assert_eq!(
            urls,
            [
                "postgres://andon:secret@127.0.0.1:18000/andon",
                "redis://default:secret@127.0.0.1:18000/0",
                "http://127.0.0.1:18000",
            ]
        );
        assert_eq!(s.address(Kind::Redis).unwrap().port(), 17_002);
        assert!(!format!("{s:?}").contains("secret"));
    }

    #[tokio::test]
    async fn a_folder_without_the_scripts_is_told_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let e = Servers::start(dir.path(), None).await.err().unwrap().to_string();
        assert!(
            e.contains(&dir.path().display().to_string()) && e.contains("--scripts"),
            "{e}"
        );
    }
}
