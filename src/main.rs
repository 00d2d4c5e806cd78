//! The command line: reads arguments and hands them on.

use andon::{cli, dashboard, exit, notifier, up};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The error-logging and alerting system of a factory or warehouse.
#[derive(Debug, Parser)]
#[command(name = "andon", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything in one process: ingest, judging, notifier, dashboard, and stores that need no server.
    Up(Box<up::UpArgs>),
    /// Run the ingest service: senders, judging, writers and notifier, on stores that it shares with `andon dashboard`.
    Gateway(Box<up::GatewayArgs>),
    /// Run the dashboard service, on the stores of a gateway.
    Dashboard(Box<up::DashboardArgs>),
    /// Run the notifier, for a gateway that runs with --no-notifier.
    Notifier(Box<up::NotifierArgs>),
    /// Send records from a file or standard input.
    Send(Box<cli::send::SendArgs>),
    /// Follow live records.
    Tail(cli::tail::TailArgs),
    /// Make, list and revoke keys of senders and scripts.
    Key(cli::key::KeyArgs),
    /// Say who can be told by e-mail.
    User(cli::user::UserArgs),
    /// Give a configuration file to the running server, which takes it over at once.
    Configure(cli::configure::ConfigureArgs),
    /// Bring the schema of PostgreSQL up to date.
    Migrate(cli::migrate::MigrateArgs),
    /// Confirm the clock after a jump, so that what is too old is deleted again.
    Retention(cli::retention::RetentionArgs),
    /// Read a configuration file and say everything that is wrong with it.
    Check(cli::check::CheckArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("andon: threads cannot be started: {e}");
            return exit::OS_ERROR.into();
        }
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Up(args) => up::run(*args).await,
            Command::Gateway(args) => up::run_gateway(*args).await,
            Command::Dashboard(args) => dashboard::run(*args).await,
            Command::Notifier(args) => notifier::run(*args).await,
            Command::Send(args) => cli::send::run(*args).await,
            Command::Tail(args) => cli::tail::run(args).await,
            Command::Key(args) => cli::key::run(args).await,
            Command::User(args) => cli::user::run(args).await,
            Command::Configure(args) => cli::configure::run(args).await,
            Command::Migrate(args) => cli::migrate::run(args).await,
            Command::Retention(args) => cli::retention::run(args),
            Command::Check(args) => cli::check::run(args),
        }
    });
    // Blocking reads of standard input must not keep a finished program alive.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(e) => {
            eprintln!("andon: {e:#}");
            exit::of(&e).into()
        }
    }
}
