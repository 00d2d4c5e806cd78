//! `andon key`: make, list and revoke keys. Works beside a running server, which sees the change within a second.

use super::say;
use crate::clock::SystemClock;
use crate::secret::Secret;
use crate::up::home;
use crate::up::ports::Relations;
use crate::up::settings::StoreSettings;
use crate::up::stores::open_relational;
use andon_engine::time::Clock;
use andon_storage::keys::{KeyGrant, generate};
use andon_storage::ports::keys::{KeyRow, Scope};
use anyhow::Context;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, Args)]
pub struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key. Its text is shown once.
    Create {
        #[command(flatten)]
        at: At,
        /// Who will use it.
        #[arg(long)]
        name: String,
        /// ingest, read or admin; ingest if none is given.
        #[arg(long = "scope", value_parser = scope)]
        scopes: Vec<Scope>,
        /// Applications it may send for; any if none is given.
        #[arg(long = "application")]
        applications: Vec<String>,
        /// Devices it may send for; any if none is given.
        #[arg(long = "device")]
        devices: Vec<String>,
        /// Records a second at most.
        #[arg(long)]
        rate: Option<u32>,
    },
    /// List the keys, without their secrets.
    List {
        #[command(flatten)]
        at: At,
    },
    /// Revoke a key by its id.
    Revoke {
        #[command(flatten)]
        at: At,
        id: String,
    },
}

/// Which store a command works on.
#[derive(Debug, Args)]
pub struct At {
    #[arg(long, env = "ANDON_DATA_DIR", default_value = crate::up::DATA_DIR)]
    pub data_dir: PathBuf,
    /// postgres://user:password@host/database, where the server has its store there.
    #[arg(long, env = "ANDON_POSTGRES_URL", hide_env_values = true)]
    pub postgres_url: Option<Secret>,
    /// JSON instead of text.
    #[arg(long)]
    pub json: bool,
}

impl At {
    pub async fn store(&self) -> anyhow::Result<Arc<dyn Relations>> {
        if self.postgres_url.is_none() {
            home::check(&self.data_dir)?;
            std::fs::create_dir_all(&self.data_dir)
                .with_context(|| format!("{} cannot be made", self.data_dir.display()))?;
        }
        let settings = StoreSettings {
            postgres_url: self.postgres_url.clone(),
            migrate: true,
            ..StoreSettings::default()
        };
        open_relational(&settings, Some(&self.data_dir), "command").await
    }
}

fn scope(s: &str) -> Result<Scope, String> {
    Scope::parse(s).ok_or_else(|| "must be ingest, read or admin".into())
}

pub async fn run(args: KeyArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        KeyCommand::Create {
            at,
            name,
            mut scopes,
            applications,
            devices,
            rate,
        } => {
            if scopes.is_empty() {
                scopes.push(Scope::Ingest);
            }
            let grant = KeyGrant {
                name,
                scopes,
                applications,
                devices,
                records_per_second: rate,
            };
            let key = generate(grant, SystemClock.now());
            at.store().await?.insert_key(&key.row).await?;
            if at.json {
                say(serde_json::json!({ "id": key.row.id, "key": key.text }));
            } else {
                say(key.text);
                eprintln!("Key {} is shown this once; only a hash of it is kept.", key.row.id);
            }
        }
        KeyCommand::List { at } => {
            let keys = at.store().await?.keys().await?;
            if at.json {
                say(serde_json::Value::Array(keys.iter().map(json).collect()));
            } else {
                for k in &keys {
                    let scopes: Vec<&str> = k.scopes.iter().map(|s| s.as_str()).collect();
                    let state = if k.revoked_at.is_some() { "revoked" } else { "valid" };
                    say(format_args!("{}  {state:7}  {:18}  {}", k.id, scopes.join(","), k.name));
                }
            }
        }
        KeyCommand::Revoke { at, id } => {
            if !at.store().await?.revoke_key(&id, SystemClock.now()).await? {
                anyhow::bail!("there is no valid key {id}: `andon key list` shows them");
            }
            if at.json {
                say(serde_json::json!({ "id": id, "revoked": true }));
            } else {
                say(format_args!("Key {id} is revoked."));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn json(k: &KeyRow) -> serde_json::Value {
    serde_json::json!({
        "id": k.id,
        "name": k.name,
        "scopes": k.scopes.iter().map(|s| s.as_str()).collect::<Vec<_>>(),
        "applications": k.applications,
        "devices": k.devices,
        "records_per_second": k.records_per_second,
        "created_at": k.created_at.to_string(),
        "revoked_at": k.revoked_at.map(|t| t.to_string()),
    })
}
