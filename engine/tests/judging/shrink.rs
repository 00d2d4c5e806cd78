//! The shortest history that still shows a fault, by leaving out whatever it does not need.

use crate::fault;
use crate::history::{History, Sent, Step};

/// Rounds over the whole history.
const ROUNDS: usize = 6;

pub fn shrink(mut history: History) -> (History, String) {
    let Err(mut why) = fault(&history, true) else {
        let why = fault(&history, false).err().unwrap_or_default();
        return (
            history,
            format!("seen only where nothing is compared on the way: {why}"),
        );
    };
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    for _ in 0..ROUNDS {
        let before = (history.steps.len(), history.records());
        shorten(&mut history, &mut why, |h| Some(&mut h.steps));
        for n in 0..history.steps.len() {
            shorten(&mut history, &mut why, |h| records(h, n));
        }
        shorten(&mut history, &mut why, |h| Some(&mut h.configuration.rules));
        if before == (history.steps.len(), history.records()) {
            break;
        }
    }
    std::panic::set_hook(hook);
    (history, why)
}

fn records(history: &mut History, step: usize) -> Option<&mut Vec<Sent>> {
    match &mut history.steps[step] {
        Step::Records { records, .. } => Some(records),
        _ => None,
    }
}

/// Leaves out of a list what can go, in halves first, then in ever smaller pieces.
fn shorten<T>(history: &mut History, why: &mut String, list: impl Fn(&mut History) -> Option<&mut Vec<T>>) {
    let Some(len) = list(history).map(|l| l.len()) else {
        return;
    };
    let mut piece = len;
    while piece > 0 {
        let mut from = 0;
        while let Some(len) = list(history).map(|l| l.len()).filter(|len| from < *len) {
            let mut shorter = history.clone();
            if let Some(list) = list(&mut shorter) {
                list.drain(from..(from + piece).min(len));
            }
            match fault(&shorter, true) {
                Err(still) => (*history, *why) = (shorter, still),
                Ok(_) => from += piece,
            }
        }
        piece /= 2;
    }
}
