//! The shortest history that still shows a fault, by leaving out whatever it does not need.

use crate::fault;
use crate::history::{History, Sent, Step};

/// Rounds over the whole history.
const ROUNDS: usize = 6;
/// Records judged at most while looking for something shorter.
const RECORDS_MAX: usize = 2_000_000;

pub fn shrink(history: History) -> (History, String) {
    let Err(why) = fault(&history, true) else {
        let why = fault(&history, false).err().unwrap_or_default();
        return (
            history,
            format!("seen only where nothing is compared on the way: {why}"),
        );
    };
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut failing = Failing {
        history,
        why,
        judged: 0,
    };
    for _ in 0..ROUNDS {
        let before = (failing.history.steps.len(), failing.history.records());
        failing.shorten(|h| Some(&mut h.steps));
        for n in 0..failing.history.steps.len() {
            failing.shorten(|h| records(h, n));
        }
        failing.shorten(|h| Some(&mut *h.configuration.rules));
        if before == (failing.history.steps.len(), failing.history.records()) {
            break;
        }
    }
    std::panic::set_hook(hook);
    (failing.history, failing.why)
}

struct Failing {
    history: History,
    why: String,
    judged: usize,
}

fn records(history: &mut History, step: usize) -> Option<&mut Vec<Sent>> {
    match &mut history.steps[step] {
        Step::Records { records, .. } => Some(records),
        _ => None,
    }
}

impl Failing {
    /// Leaves out of a list what can go, in one piece first, then in ever smaller ones.
    fn shorten<T>(&mut self, list: impl Fn(&mut History) -> Option<&mut Vec<T>>) {
        let Some(mut piece) = list(&mut self.history).map(|l| l.len()) else {
            return;
        };
        while piece > 0 {
            let mut from = 0;
            while let Some(len) = list(&mut self.history).map(|l| l.len()).filter(|len| from < *len) {
                if self.judged > RECORDS_MAX {
                    return;
                }
                let mut shorter = self.history.clone();
                if let Some(list) = list(&mut shorter) {
                    list.drain(from..(from + piece).min(len));
                }
                self.judged += shorter.records();
                match fault(&shorter, true) {
                    Err(still) => (self.history, self.why) = (shorter, still),
                    Ok(_) => from += piece,
                }
            }
            piece /= 2;
        }
    }
}
