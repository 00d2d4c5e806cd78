//! Exit codes, after sysexits.h where it has one; `docs/CLI.md` lists them.

use std::process::ExitCode;

/// A code with its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(u8);

/// Some records were rejected, or something went wrong that has no code of its own.
pub const FAILED: Code = Code(1);
/// The command line cannot be meant as it is.
pub const USAGE: Code = Code(2);
/// The server cannot be reached, or does not take what is sent.
pub const UNAVAILABLE: Code = Code(69);
/// A file cannot be read or written.
pub const IO: Code = Code(74);
/// The key is refused.
pub const NO_PERMISSION: Code = Code(77);
/// A thread, a file descriptor, memory.
pub const OS_ERROR: Code = Code(71);
/// Another process has taken over: start again, and see.
pub const TEMPORARY: Code = Code(75);
/// Configuration, stores or keys that do not fit; nothing was started.
pub const CONFIG: Code = Code(78);
/// The journal could not be written any more: what was acknowledged is safe, the process must not go on.
pub const JOURNAL: Code = Code(74);

impl From<Code> for ExitCode {
    fn from(c: Code) -> ExitCode {
        ExitCode::from(c.0)
    }
}

/// An error that carries its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub code: Code,
    pub message: String,
}

pub fn config(message: impl std::fmt::Display) -> anyhow::Error {
    Failure {
        code: CONFIG,
        message: message.to_string(),
    }
    .into()
}

pub fn usage(message: impl std::fmt::Display) -> anyhow::Error {
    Failure {
        code: USAGE,
        message: message.to_string(),
    }
    .into()
}

pub fn unavailable(message: impl std::fmt::Display) -> anyhow::Error {
    Failure {
        code: UNAVAILABLE,
        message: message.to_string(),
    }
    .into()
}

/// Of an error with its causes.
pub fn io(e: anyhow::Error) -> anyhow::Error {
    Failure {
        code: IO,
        message: format!("{e:#}"),
    }
    .into()
}

pub fn no_permission(message: impl std::fmt::Display) -> anyhow::Error {
    Failure {
        code: NO_PERMISSION,
        message: message.to_string(),
    }
    .into()
}

pub fn of(e: &anyhow::Error) -> Code {
    e.downcast_ref::<Failure>().map_or(FAILED, |f| f.code)
}
