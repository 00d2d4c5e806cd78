//! `andon retention`: what a person says to retention.

use super::say;
use crate::clock::SystemClock;
use crate::exit;
use andon_engine::time::Clock;
use andon_storage::retention;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct RetentionArgs {
    #[command(subcommand)]
    command: RetentionCommand,
}

#[derive(Debug, Subcommand)]
enum RetentionCommand {
    /// Confirm that this machine's clock is right after a jump, so that retention goes on at once.
    Confirm {
        /// The folder of the server that waits.
        #[arg(long, env = "ANDON_DATA_DIR", default_value = crate::up::DATA_DIR)]
        data_dir: PathBuf,
    },
}

pub fn run(args: RetentionArgs) -> anyhow::Result<ExitCode> {
    let RetentionCommand::Confirm { data_dir } = args.command;
    let now = SystemClock.now();
    retention::confirm(&data_dir, now).map_err(|e| {
        exit::config(format!(
            "{}: the confirmation cannot be written: {e}",
            data_dir.display()
        ))
    })?;
    say(format_args!(
        "Confirmed: it is {now}. A running server takes it over within seconds."
    ));
    Ok(ExitCode::SUCCESS)
}
