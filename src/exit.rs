//! Exit codes, after sysexits.h where it has one; `docs/CLI.md` lists them.

use andon_storage::ports::StoreError;
use andon_storage::ports::site::ClaimError;
use andon_storage::postgres::OpenError;
use andon_storage::redis::StartError;
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
/// A store cannot be reached, or another process has taken over: start again, and see.
pub const TEMPORARY: Code = Code(75);
/// Configuration, stores or keys that do not fit: no restart mends that. Nothing was started.
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

/// A failure at start that another start may not meet.
pub trait MayPass: std::fmt::Display {
    fn is_temporary(&self) -> bool;
}

impl MayPass for StoreError {
    fn is_temporary(&self) -> bool {
        StoreError::is_temporary(self)
    }
}

impl MayPass for OpenError {
    fn is_temporary(&self) -> bool {
        OpenError::is_temporary(self)
    }
}

impl MayPass for StartError {
    fn is_temporary(&self) -> bool {
        StartError::is_temporary(self)
    }
}

impl MayPass for ClaimError {
    /// Of the site of another gateway nothing is to be had by asking again and again, as a service manager would.
    fn is_temporary(&self) -> bool {
        match self {
            ClaimError::Taken(_) => false,
            ClaimError::Store(e) => e.is_temporary(),
        }
    }
}

/// A store could not be used at start. A service manager starts the process again where that may help.
pub fn store(e: impl MayPass) -> anyhow::Error {
    Failure {
        code: if e.is_temporary() { TEMPORARY } else { CONFIG },
        message: e.to_string(),
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
