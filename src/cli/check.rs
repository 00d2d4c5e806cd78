//! `andon check`: everything that is wrong with a configuration file, at once. Exit code 0 or 78.

use super::say;
use crate::{config, exit};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration file.
    file: PathBuf,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

pub fn run(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let path = args.file.display();
    let text = std::fs::read_to_string(&args.file).map_err(|e| exit::config(format!("{path}: {e}")))?;
    let result = config::parse(&text).and_then(|file| config::configuration(&file, &[]));
    let (faults, rules, devices) = match &result {
        Ok(c) => (Vec::new(), c.rules.len(), c.devices.len()),
        Err(f) => (f.0.clone(), 0, 0),
    };
    let warning = result.as_ref().ok().and_then(config::nobody_would_be_mailed);
    if args.json {
        say(format_args!(
            "{}",
            serde_json::json!({ "file": path.to_string(), "ok": faults.is_empty(), "faults": faults, "warning": warning })
        ));
    } else if faults.is_empty() {
        say(format_args!("{path}: fine ({rules} rules, {devices} devices)"));
        if let Some(w) = warning {
            say(format_args!("but {w}"));
        }
    } else {
        for fault in &faults {
            say(format_args!("{path}: {fault}"));
        }
    }
    Ok(if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        exit::CONFIG.into()
    })
}
