//! `andon user`: who can be told by e-mail. A running server takes a change over within a second.

use super::key::At;
use super::say;
use crate::clock::SystemClock;
use andon_actors::notifier::email_address;
use andon_engine::limits::KEY_BYTES_MAX;
use andon_engine::time::Clock;
use andon_storage::ports::people::PersonRow;
use clap::{Args, Subcommand};
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Add a person, or change the one of that id. The default route tells everybody added here.
    Add {
        #[command(flatten)]
        at: At,
        /// Short name of your choice, unique.
        id: String,
        #[arg(long)]
        email: String,
        #[arg(long)]
        name: Option<String>,
        /// en or de.
        #[arg(long, default_value = "en")]
        language: String,
    },
    /// List them.
    List {
        #[command(flatten)]
        at: At,
    },
    /// Remove a person; nobody is told under that id any more.
    Remove {
        #[command(flatten)]
        at: At,
        id: String,
    },
}

pub async fn run(args: UserArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        UserCommand::Add {
            at,
            id,
            email,
            name,
            language,
        } => {
            anyhow::ensure!(
                !id.is_empty() && id.len() <= KEY_BYTES_MAX,
                "an id has 1 to {KEY_BYTES_MAX} bytes"
            );
            email_address(&email).map_err(anyhow::Error::msg)?;
            let name = name.unwrap_or_else(|| id.clone());
            let person = PersonRow {
                id,
                name,
                email,
                language,
                created_at: SystemClock.now(),
            };
            at.store().await?.put_person(&person).await?;
            if at.json {
                say(json(&person));
            } else {
                say(format_args!("{} <{}> will be told.", person.name, person.email));
            }
        }
        UserCommand::List { at } => {
            let people = at.store().await?.people().await?;
            if at.json {
                say(serde_json::Value::Array(people.iter().map(json).collect()));
            } else {
                for p in &people {
                    say(format_args!("{:20}  {:30}  {}  {}", p.id, p.email, p.language, p.name));
                }
            }
        }
        UserCommand::Remove { at, id } => {
            anyhow::ensure!(
                at.store().await?.remove_person(&id).await?,
                "there is no {id}: `andon user list` shows them"
            );
            if at.json {
                say(serde_json::json!({ "id": id, "removed": true }));
            } else {
                say(format_args!("{id} is removed."));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn json(p: &PersonRow) -> serde_json::Value {
    serde_json::json!({ "id": p.id, "name": p.name, "email": p.email, "language": p.language })
}
