//! An Andon of our own, in one process or several, to be started and killed.

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// A debug build that replays a journal on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(300);
const KEY_WITHIN: Duration = Duration::from_secs(120);
/// Whom the default route mails.
const ALERT_TO: &str = "oracle@example.com";

/// A configuration by which each fatal incident is an e-mail at once: the promise of one in five minutes would make a run wait for digests. Of
/// these rules only: 10 e-mails at most pass in a window.
pub fn mailed_at_once() -> String {
    let fatal = |subject: &str, without: &str| {
        format!(
            "[[rules]]\nid = \"fatal-per-{subject}\"\nname = \"Fatal error\"\nsubject = \"{subject}\"\npriority = \"P1\"\n\
             min_level = \"FATAL\"\n{without}count = {{ n = 1, within = \"60s\" }}\nemail_at_once = true\n"
        )
    };
    let of_devices = fatal("device", "");
    let of_applications = fatal("application", "without = [\"device\"]\n");
    format!("version = 1\n{of_devices}{of_applications}")
}

/// Where its stores are; one that is not named is the embedded one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoreUrls {
    pub postgres: Option<String>,
    pub redis: Option<String>,
    pub elasticsearch: Option<String>,
}

impl StoreUrls {
    fn arguments(&self) -> impl Iterator<Item = &str> {
        let named = [
            ("--postgres-url", &self.postgres),
            ("--redis-url", &self.redis),
            ("--elasticsearch-url", &self.elasticsearch),
        ];
        named
            .into_iter()
            .filter_map(|(option, url)| Some([option, url.as_deref()?]))
            .flatten()
    }
}

impl fmt::Debug for StoreUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URLs have passwords.
        f.debug_struct("StoreUrls")
            .field("postgres", &self.postgres.is_some())
            .field("redis", &self.redis.is_some())
            .field("elasticsearch", &self.elasticsearch.is_some())
            .finish()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// `andon up`: one process.
    #[default]
    Up,
    /// `andon gateway` and `andon dashboard`; needs all three stores.
    Services,
    /// The same, and `andon notifier` instead of the gateway's own.
    ThreeServices,
}

impl Form {
    pub fn name(self) -> &'static str {
        match self {
            Form::Up => "andon up",
            Form::Services => "andon gateway and andon dashboard",
            Form::ThreeServices => "andon gateway, andon dashboard and andon notifier",
        }
    }
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Launch {
    pub binary: PathBuf,
    pub data: PathBuf,
    pub form: Form,
    pub stores: StoreUrls,
    /// A configuration file.
    pub config: Option<PathBuf>,
}

/// Where a server answers: the roots of its services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    pub ingest: String,
    pub dashboard: String,
}

/// A running Andon. Dropping it kills it.
pub struct Server {
    launch: Launch,
    /// Bound as `host:port`, and again after a kill.
    ingest_at: String,
    dashboard_at: String,
    /// `andon up`, or `andon gateway`.
    ingest: Process,
    /// `andon dashboard`, once the gateway is ready.
    dashboard: Option<Process>,
    /// `andon notifier`, after that.
    notifier: Option<Process>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("launch", &self.launch)
            .finish_non_exhaustive()
    }
}

struct Process {
    name: &'static str,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Once it has said so.
    ready: Option<Ready>,
    errors: PathBuf,
}

impl Server {
    /// Starts it on free ports, or on those that it had.
    pub async fn start(launch: &Launch, at: Option<&Addresses>) -> anyhow::Result<Self> {
        let bare = |url: &str| url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let ingest_at = at.map_or_else(|| "127.0.0.1:0".to_owned(), |a| bare(&a.ingest));
        let dashboard_at = match at {
            Some(a) => bare(&a.dashboard),
            // The gateway must know where the other service will answer.
            None if launch.form != Form::Up => free_address()?,
            None => "127.0.0.1:0".to_owned(),
        };
        let ingest = spawn_ingest(launch, &ingest_at, &dashboard_at)?;
        Ok(Self {
            launch: launch.clone(),
            ingest_at,
            dashboard_at,
            ingest,
            dashboard: None,
            notifier: None,
        })
    }

    /// Starts what is not running any more, on the ports that it had.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        if self.ingest.ended()?.is_some() {
            self.ingest = spawn_ingest(&self.launch, &self.ingest_at, &self.dashboard_at)?;
        }
        Ok(())
    }

    /// Waits for the lines that say where it answers. The services beside the gateway are started once it has seen to the schema, and
    /// again when they were killed.
    pub async fn ready(&mut self) -> anyhow::Result<Addresses> {
        let first = self.ingest.ready().await?;
        let ingest = first
            .ingest
            .context("the ready line does not say where records are taken")?;
        self.ingest_at = ingest.trim_start_matches("http://").to_owned();
        let dashboard = match self.launch.form {
            Form::Up => first.dashboard,
            Form::Services | Form::ThreeServices => {
                let dashboard = match &mut self.dashboard {
                    Some(running) => running,
                    none => none.insert(spawn_dashboard(&self.launch, &self.dashboard_at)?),
                };
                dashboard.ready().await?.dashboard
            }
        };
        if self.launch.form == Form::ThreeServices {
            let notifier = match &mut self.notifier {
                Some(running) => running,
                none => none.insert(spawn_notifier(&self.launch, &self.dashboard_at)?),
            };
            notifier.ready().await?;
        }
        let dashboard = dashboard.context("the ready line does not say where the dashboard is")?;
        self.dashboard_at = dashboard.trim_start_matches("http://").to_owned();
        Ok(Addresses { ingest, dashboard })
    }

    /// SIGKILL for all of it. An error when a process had ended by itself: that is a crash of its own.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        for beside in [&mut self.dashboard, &mut self.notifier] {
            if let Some(process) = beside {
                process.kill().await?;
            }
            *beside = None;
        }
        self.ingest.kill().await
    }

    /// SIGKILL for the process that tells people; false when there is none.
    pub async fn kill_notifier(&mut self) -> anyhow::Result<bool> {
        let Some(notifier) = &mut self.notifier else {
            return Ok(false);
        };
        notifier.kill().await?;
        self.notifier = None;
        Ok(true)
    }

    /// SIGKILL for the process that takes records.
    pub async fn kill_ingest(&mut self) -> anyhow::Result<()> {
        self.ingest.kill().await
    }

    /// An error when a process has ended by itself.
    pub fn lives(&mut self) -> anyhow::Result<()> {
        let all = [Some(&mut self.ingest), self.dashboard.as_mut(), self.notifier.as_mut()];
        for process in all.into_iter().flatten() {
            if let Some(status) = process.ended()? {
                bail!(
                    "{} ended by itself with {status}; {}",
                    process.name,
                    process.last_words()
                );
            }
        }
        Ok(())
    }

    /// The process that takes records.
    pub fn ingest_pid(&self) -> Option<u32> {
        self.ingest.child.id()
    }

    /// A key of the scopes ingest and read.
    pub async fn create_key(&self) -> anyhow::Result<String> {
        let mut command = Command::new(&self.launch.binary);
        command
            .args([
                "key", "create", "--name", "oracle", "--scope", "ingest", "--scope", "read",
            ])
            .args(["--json", "--data-dir"])
            .arg(&self.launch.data)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some(url) = &self.launch.stores.postgres {
            command.args(["--postgres-url", url]);
        }
        let output = tokio::time::timeout(KEY_WITHIN, command.output())
            .await
            .context("`andon key create` does not end")??;
        ensure!(
            output.status.success(),
            "`andon key create` failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        #[derive(Deserialize)]
        struct Created {
            key: String,
        }
        let created: Created = serde_json::from_slice(&output.stdout).context("`andon key create` printed no key")?;
        Ok(created.key)
    }
}

fn spawn_ingest(launch: &Launch, ingest_at: &str, dashboard_at: &str) -> anyhow::Result<Process> {
    std::fs::create_dir_all(&launch.data).with_context(|| format!("cannot make {}", launch.data.display()))?;
    let mut command = Command::new(&launch.binary);
    let name = match launch.form {
        Form::Up => {
            command.args(["up", "--dashboard", dashboard_at]);
            "andon up"
        }
        Form::Services | Form::ThreeServices => {
            command.args(["gateway", "--public-url", &format!("http://{dashboard_at}")]);
            "andon gateway"
        }
    };
    if launch.form == Form::ThreeServices {
        command.arg("--no-notifier");
    }
    command
        .arg("--data-dir")
        .arg(&launch.data)
        .args(["--ingest", ingest_at, "--alert-to", ALERT_TO, "--json"])
        .args(launch.stores.arguments());
    if let Some(file) = &launch.config {
        command.arg("--config").arg(file);
    }
    Process::spawn(name, command, errors_path(&launch.data, "stderr.log"))
}

fn spawn_dashboard(launch: &Launch, at: &str) -> anyhow::Result<Process> {
    let mut command = Command::new(&launch.binary);
    command
        .args(["dashboard", "--dashboard", at, "--json"])
        .args(["--public-url", &format!("http://{at}")])
        .args(launch.stores.arguments());
    Process::spawn(
        "andon dashboard",
        command,
        errors_path(&launch.data, "dashboard.stderr.log"),
    )
}

/// Its e-mails go where those of a gateway would.
fn spawn_notifier(launch: &Launch, dashboard_at: &str) -> anyhow::Result<Process> {
    let mut command = Command::new(&launch.binary);
    command
        .args(["notifier", "--listen", "127.0.0.1:0", "--json", "--data-dir"])
        .arg(&launch.data)
        .args(["--public-url", &format!("http://{dashboard_at}")])
        .args(launch.stores.arguments());
    Process::spawn(
        "andon notifier",
        command,
        errors_path(&launch.data, "notifier.stderr.log"),
    )
}

impl Process {
    fn spawn(name: &'static str, mut command: Command, errors: PathBuf) -> anyhow::Result<Self> {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&errors)
            .with_context(|| format!("cannot write {}", errors.display()))?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", command.as_std().get_program().display()))?;
        let stdout = child.stdout.take().context("the server has no standard output")?;
        Ok(Self {
            name,
            child,
            lines: BufReader::new(stdout).lines(),
            ready: None,
            errors,
        })
    }

    async fn ready(&mut self) -> anyhow::Result<Ready> {
        if let Some(ready) = &self.ready {
            return Ok(ready.clone());
        }
        let reading = async {
            while let Some(line) = self
                .lines
                .next_line()
                .await
                .context("cannot read the server's output")?
            {
                if let Some(ready) = ready_line(&line) {
                    return Ok(ready);
                }
            }
            bail!("{} ended before it was ready", self.name)
        };
        match tokio::time::timeout(READY_WITHIN, reading).await {
            Ok(Ok(ready)) => Ok(self.ready.insert(ready).clone()),
            Ok(Err(e)) => Err(e.context(self.last_words())),
            Err(_) => bail!("{} not ready within {READY_WITHIN:?}; {}", self.name, self.last_words()),
        }
    }

    fn ended(&mut self) -> anyhow::Result<Option<std::process::ExitStatus>> {
        self.child.try_wait().context("cannot ask for the server's end")
    }

    async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.ended()? {
            bail!("{} ended by itself with {status}; {}", self.name, self.last_words());
        }
        self.child.kill().await.context("cannot kill the server")
    }

    fn last_words(&self) -> String {
        let text = std::fs::read(&self.errors).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        format!("its last words: {}", lines[lines.len().saturating_sub(12)..].join("\n"))
    }
}

/// Beside the data folder, which is the server's own.
fn errors_path(data: &Path, extension: &str) -> PathBuf {
    data.with_extension(extension)
}

/// What the binary says that it is.
pub(crate) async fn version(binary: &Path) -> anyhow::Result<String> {
    let output = Command::new(binary)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("cannot start {}", binary.display()))?;
    ensure!(output.status.success(), "{} --version failed", binary.display());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// An address that nothing listens on. Below the range of ports for outgoing connections, which could take it before it is bound again.
pub(crate) fn free_address() -> anyhow::Result<String> {
    for _ in 0..100 {
        let address = format!("127.0.0.1:{}", rand::random_range(17_000u16..32_000));
        if std::net::TcpListener::bind(&address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no free port between 17000 and 32000")
}

/// Of two services each says where it answers itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct Ready {
    ingest: Option<String>,
    dashboard: Option<String>,
}

fn ready_line(line: &str) -> Option<Ready> {
    #[derive(Deserialize)]
    struct Event {
        event: String,
        #[serde(flatten)]
        ready: Ready,
    }
    let event: Event = serde_json::from_str(line).ok()?;
    (event.event == "ready").then_some(event.ready)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ready_line_says_where() {
        let line = r#"{"event":"ready","ingest":"http://127.0.0.1:1","dashboard":"http://127.0.0.1:2","pid":7}"#;
        let want = Ready {
            ingest: Some("http://127.0.0.1:1".into()),
            dashboard: Some("http://127.0.0.1:2".into()),
        };
        assert_eq!(ready_line(line), Some(want));
        assert_eq!(ready_line(&line.replace("ready", "starting")), None);
        let gateway = r#"{"event":"ready","ingest":"http://127.0.0.1:1","dashboard":null}"#;
        assert_eq!(ready_line(gateway).unwrap().dashboard, None);
        assert_eq!(ready_line("listening"), None);
    }

    #[test]
    fn addresses_of_stores_are_arguments_and_never_shown() {
        let stores = StoreUrls {
            postgres: Some("postgres://u:secret@h/d".into()),
            redis: None,
            elasticsearch: Some("http://h".into()),
        };
        let arguments: Vec<&str> = stores.arguments().collect();
        assert_eq!(
            arguments,
            [
                "--postgres-url",
                "postgres://u:secret@h/d",
                "--elasticsearch-url",
                "http://h"
            ]
        );
        assert!(!format!("{stores:?}").contains("secret"));
    }

    fn launch(binary: &str, data: PathBuf) -> Launch {
        Launch {
            binary: binary.into(),
            data,
            form: Form::Up,
            stores: StoreUrls::default(),
            config: None,
        }
    }

    #[tokio::test]
    async fn a_program_that_ends_or_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let missing = Server::start(&launch("/nowhere/andon", data.clone()), None).await;
        assert!(missing.err().unwrap().to_string().contains("cannot start"));
        let mut ended = Server::start(&launch("/bin/false", data), None).await.unwrap();
        assert!(ended.ready().await.is_err());
        ended.ingest.child.wait().await.unwrap();
        assert!(ended.kill().await.unwrap_err().to_string().contains("ended by itself"));
    }
}
