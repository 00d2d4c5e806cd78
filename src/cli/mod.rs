//! The commands besides `up`: what an operator needs at a terminal. Human output, `--json` for programs.

pub mod check;
pub mod configure;
pub mod key;
pub mod migrate;
pub mod retention;
pub mod send;
pub mod tail;
pub mod user;

use std::io::Write as _;

/// A line on standard output. When nobody reads it any more (`andon key list | head -1`), that is the end and no fault.
pub(crate) fn say(line: impl std::fmt::Display) {
    if let Err(e) = writeln!(std::io::stdout().lock(), "{line}") {
        let code = if e.kind() == std::io::ErrorKind::BrokenPipe {
            0
        } else {
            74
        };
        std::process::exit(code);
    }
}
