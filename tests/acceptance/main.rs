//! What Andon promises, held against the whole program: real journal, stores and HTTP, on a clock that the test moves. Embedded stores
//! lie in a folder of the test's own; servers are those that `deploy/test/servers.sh` starts. Nothing waits for time to pass; everything waits for a condition, with a deadline that only a fault reaches.

mod clocks;
mod commands;
mod input;
mod program;
mod refusals;
mod restart;
mod rules;
mod servers;
mod telling;
mod world;
