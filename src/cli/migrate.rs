//! `andon migrate`: brings the schema of PostgreSQL up to date, for sites whose services have no right to do so.

use super::say;
use crate::exit;
use crate::secret::Secret;
use crate::up::StoreArgs;
use crate::up::settings::store_settings;
use andon_storage::postgres::{PostgresDatabase, PostgresOptions, PostgresStore};
use andon_storage::relational::migrations;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// postgres://user:password@host/database, of a role that may create tables.
    #[arg(long, env = "ANDON_POSTGRES_URL", hide_env_values = true)]
    postgres_url: Option<Secret>,
    /// Configuration file (TOML), for its `[stores]`.
    #[arg(long, env = "ANDON_CONFIG")]
    config: Option<PathBuf>,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

pub async fn run(args: MigrateArgs) -> anyhow::Result<ExitCode> {
    let given = StoreArgs {
        postgres_url: args.postgres_url,
        ..StoreArgs::default()
    };
    let settings = store_settings(given, args.config.as_deref())?;
    let Some(url) = settings.postgres_url else {
        return Err(exit::config(
            "postgres-url: needed; the embedded store is brought up to date by the server itself",
        ));
    };
    let options = PostgresOptions {
        migrate: true,
        role: "migrate".into(),
        ..PostgresOptions::default()
    };
    PostgresStore::open(&url, options)
        .await
        .map_err(exit::store)?
        .close()
        .await;
    let versions = migrations::relational::<PostgresDatabase>();
    let newest = versions.last().map_or("none", |m| m.name);
    if args.json {
        say(serde_json::json!({ "schema": newest, "migrations": versions.len() }));
    } else {
        say(format_args!("The schema is up to date ({newest})."));
    }
    Ok(ExitCode::SUCCESS)
}
