//! `andon configure`: gives the rules, routes, people, mute windows and plant of a file to a running Andon, which takes them over without
//! a restart.

use super::key::At;
use super::say;
use crate::clock::SystemClock;
use crate::up::ports::Relations;
use crate::{config, exit};
use andon_engine::rule::Configuration;
use andon_engine::time::Clock;
use andon_storage::ports::site::{Asked, Proposal, ProposalId, Proposed};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A running server looks several times a second.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

#[derive(Debug, Args)]
pub struct ConfigureArgs {
    /// The configuration file.
    file: PathBuf,
    #[command(flatten)]
    at: At,
}

pub async fn run(args: ConfigureArgs) -> anyhow::Result<ExitCode> {
    let path = args.file.display();
    let text = std::fs::read_to_string(&args.file).map_err(|e| exit::config(format!("{path}: {e}")))?;
    let file = config::parse(&text).map_err(|e| exit::config(format!("{path}:\n{e}")))?;
    let configuration = config::configuration(&file, &[]).map_err(|e| exit::config(format!("{path}:\n{e}")))?;
    let store = args.at.store().await?;
    let version = propose(&store, of_the_file(configuration, file.has_default_route())).await?;
    if args.at.json {
        say(serde_json::json!({ "version": version }));
    } else {
        say(format_args!("Version {version} of the configuration is in force."));
    }
    Ok(ExitCode::SUCCESS)
}

/// Without a default route that the file does not define: the server keeps the one that it has made.
fn of_the_file(mut c: Configuration, has_default_route: bool) -> Configuration {
    if let Some((route, _)) = config::made_default_route(&c, has_default_route) {
        c.routes.retain(|r| r.id != route.id);
    }
    c
}

async fn propose(store: &Arc<dyn Relations>, configuration: Configuration) -> anyhow::Result<u64> {
    let in_force = store.configuration_version().await?;
    let proposal = Proposal {
        id: ProposalId(rand::random()),
        base_version: in_force.unwrap_or(0),
        who: "andon configure".into(),
        made_at: SystemClock.now(),
        configuration,
    };
    if let Proposed::Stale { in_force } = store.propose_configuration(&proposal).await? {
        anyhow::bail!(
            "the configuration was changed at the same moment, version {in_force} is in force: look at it and try again"
        );
    }
    let deadline = Instant::now() + ANSWERED_WITHIN;
    loop {
        match store.proposal_answer(proposal.id).await? {
            Some(Asked::Answered(Ok(version))) => return Ok(version),
            Some(Asked::Answered(Err(why))) => anyhow::bail!(why),
            Some(Asked::Waiting | Asked::Taken) if Instant::now() < deadline => tokio::time::sleep(LOOK_AGAIN).await,
            Some(Asked::Taken) => {
                return Err(exit::unavailable(
                    "the server has taken it and does not answer: look at its log",
                ));
            }
            Some(Asked::Waiting) if store.withdraw_proposal(proposal.id, SystemClock.now()).await? => {
                return Err(exit::unavailable(
                    "no server takes it: is one running on this store? Nothing was changed",
                ));
            }
            Some(Asked::Waiting | Asked::Withdrawn) | None => anyhow::bail!("the store has lost it: try again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_engine::ids::RouteId;

    #[test]
    fn only_a_default_route_of_the_file_travels() {
        let parsed = |text: &str| {
            let file = config::parse(text).unwrap();
            (config::configuration(&file, &[]).unwrap(), file.has_default_route())
        };
        let default = RouteId::new(config::DEFAULT_ROUTE);
        let (made, defined) = parsed("version = 1\n[mail]\nalert_to = [\"a@example.com\"]");
        assert!(made.route(&default).is_some());
        assert!(of_the_file(made, defined).route(&default).is_none());
        let (given, defined) = parsed("version = 1\n[[routes]]\nid = \"default\"\n");
        assert!(of_the_file(given, defined).route(&default).is_some());
    }
}
