//! An `andon up` of our own, to be started and killed.

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// A debug build that replays a journal on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(120);
const KEY_WITHIN: Duration = Duration::from_secs(30);

/// Where a server answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Addresses {
    pub(super) ingest: String,
    pub(super) dashboard: String,
}

pub(super) struct Server {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    binary: PathBuf,
    data: PathBuf,
}

impl Server {
    /// Starts it on free ports, or again on those that it had.
    pub(super) async fn start(binary: &Path, data: &Path, at: Option<&Addresses>) -> anyhow::Result<Self> {
        std::fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
        let errors = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(errors_path(data))
            .context("cannot write the server's error output")?;
        let bind = |url: Option<&str>| match url {
            None => "127.0.0.1:0".to_owned(),
            Some(url) => url.trim_start_matches("http://").trim_end_matches('/').to_owned(),
        };
        let mut child = Command::new(binary)
            .arg("up")
            .arg("--data-dir")
            .arg(data)
            .args(["--ingest", &bind(at.map(|a| a.ingest.as_str()))])
            .args(["--dashboard", &bind(at.map(|a| a.dashboard.as_str()))])
            .args(["--alert-to", "crash-test@example.com", "--json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let stdout = child.stdout.take().context("the server has no standard output")?;
        let lines = BufReader::new(stdout).lines();
        Ok(Self {
            child,
            lines,
            binary: binary.to_owned(),
            data: data.to_owned(),
        })
    }

    /// Waits for the line that says where it answers.
    pub(super) async fn ready(&mut self) -> anyhow::Result<Addresses> {
        let reading = async {
            while let Some(line) = self
                .lines
                .next_line()
                .await
                .context("cannot read the server's output")?
            {
                if let Some(addresses) = ready_line(&line) {
                    return Ok(addresses);
                }
            }
            bail!("it ended before it was ready")
        };
        match tokio::time::timeout(READY_WITHIN, reading).await {
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(e)) => Err(e.context(self.last_words())),
            Err(_) => bail!("not ready within {READY_WITHIN:?}; {}", self.last_words()),
        }
    }

    /// SIGKILL. An error when it had ended by itself: that is a crash of its own.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait().context("cannot ask for the server's end")? {
            bail!("the server ended by itself with {status}; {}", self.last_words());
        }
        self.child.kill().await.context("cannot kill the server")
    }

    pub(super) async fn create_key(&self) -> anyhow::Result<String> {
        let command = Command::new(&self.binary)
            .args([
                "key",
                "create",
                "--name",
                "crash-test",
                "--scope",
                "ingest",
                "--scope",
                "read",
                "--json",
                "--data-dir",
            ])
            .arg(&self.data)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(KEY_WITHIN, command)
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

    fn last_words(&self) -> String {
        let text = std::fs::read(errors_path(&self.data)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        format!("its last words: {}", lines[lines.len().saturating_sub(12)..].join("\n"))
    }
}

/// Beside the data folder, which is the server's own.
fn errors_path(data: &Path) -> PathBuf {
    data.with_extension("stderr.log")
}

fn ready_line(line: &str) -> Option<Addresses> {
    #[derive(Deserialize)]
    struct Event {
        event: String,
        #[serde(flatten)]
        addresses: Option<Addresses>,
    }
    let event: Event = serde_json::from_str(line).ok()?;
    event.addresses.filter(|_| event.event == "ready")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ready_line_says_where() {
        let line = r#"{"event":"ready","ingest":"http://127.0.0.1:1","dashboard":"http://127.0.0.1:2","pid":7}"#;
        let want = Addresses {
            ingest: "http://127.0.0.1:1".into(),
            dashboard: "http://127.0.0.1:2".into(),
        };
        assert_eq!(ready_line(line), Some(want));
        assert_eq!(ready_line(&line.replace("ready", "starting")), None);
        assert_eq!(ready_line(r#"{"event":"ready"}"#), None);
        assert_eq!(ready_line("listening"), None);
    }

    #[tokio::test]
    async fn a_program_that_ends_or_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        assert!(
            Server::start(Path::new("/nonexistent/andon"), &data, None)
                .await
                .is_err()
        );
        let mut gone = Server::start(Path::new("/bin/true"), &data, None).await.unwrap();
        assert!(gone.ready().await.is_err());
        gone.child.wait().await.unwrap();
        assert!(gone.kill().await.unwrap_err().to_string().contains("ended by itself"));
    }
}
