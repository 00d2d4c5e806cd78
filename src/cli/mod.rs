//! The commands besides `up`: what an operator needs at a terminal. Human output, `--json` for programs.

pub mod check;
pub mod key;
pub mod send;
pub mod tail;
pub mod user;
