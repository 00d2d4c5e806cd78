//! The engine against a naive model of judging, over random histories.
//!
//! `HISTORIES=n` judges so many, `SEED=n` one: then what differs is printed with the shortest history that shows it.

mod alone;
mod conditions;
mod harness;
mod history;
mod incidents;
mod listing;
mod model;
mod shrink;

use harness::{Tally, judged};
use history::History;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// About a minute unoptimised.
const HISTORIES: u64 = 3_000;
const PROGRESS_EVERY: u64 = 10_000;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// What differs, or how it panicked.
fn fault(history: &History, is_careful: bool) -> Result<Tally, String> {
    let judged = catch_unwind(AssertUnwindSafe(|| judged(history, is_careful)));
    judged.map(|r| r.map(|(tally, _)| tally)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

#[test]
fn histories_are_judged_as_defined() {
    let first = number("SEED");
    let seeds = match first {
        Some(seed) => seed..seed + 1,
        None => 1..number("HISTORIES").unwrap_or(HISTORIES) + 1,
    };
    let mut sum = Tally::default();
    for seed in seeds {
        let history = History::random(seed);
        match fault(&history, first.is_some()) {
            Ok(tally) => sum.add(tally),
            Err(_) => {
                let (shortest, why) = shrink::shrink(history);
                panic!("seed {seed}\n{shortest}\n{why}");
            }
        }
        if seed % PROGRESS_EVERY == 0 {
            println!("{seed} histories: {sum:?}");
        }
    }
    println!("{sum:?}");
    if first.is_none() {
        let all = [
            sum.records,
            sum.incidents,
            sum.reopened,
            sum.found_late,
            sum.history,
            sum.alerts,
        ];
        assert!(all.iter().all(|n| *n > 0), "the histories are worth judging: {sum:?}");
    }
}
