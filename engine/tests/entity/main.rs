//! What one entity does with records, timers and operations.

mod bench;
mod clocks;
mod conditions;
mod histories;
mod incidents;
mod late;
