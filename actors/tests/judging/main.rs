//! Judging as a whole, router and shards, over real journals.

mod cut;
mod panics;
mod parts;
mod rules;
mod silence;
mod stage;
mod tables;
mod variety;
mod world;
