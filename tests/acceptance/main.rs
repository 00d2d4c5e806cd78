//! What Andon promises, held against the whole program: real journal, SQLite, full-text index and HTTP in a folder of its own, on a clock
//! that the test moves. Nothing waits for time to pass; everything waits for a condition, with a deadline that only a fault reaches.

mod commands;
mod input;
mod program;
mod restart;
mod rules;
mod telling;
mod world;
