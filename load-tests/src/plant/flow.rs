//! Items on their way: intake, storage, pick, pack, dispatch.

use super::{Plant, site};
use crate::draft::{Dialect, Draft};
use andon_engine::level::Level;
use andon_engine::time::Span;
use rand::RngExt;

/// Step, the words for it, where it happens, and how long until the next (seconds of plant time, from and to).
pub(super) const STEPS: [(&str, &str, &str, (i64, i64)); 6] = [
    ("intake", "received at dock", "DOCK", (20, 120)),
    ("storage", "put away", "AISLE", (120, 1_800)),
    ("pick", "picked", "AISLE", (15, 90)),
    ("pack", "packed and weighed", "PACK", (20, 180)),
    ("sort", "sorted to chute", "CHUTE", (30, 240)),
    ("dispatch", "loaded", "GATE", (0, 0)),
];

/// The share of movements that are told by the software in the words of its log library rather than by our own names.
const APP_LOG_SHARE: f64 = 0.3;

impl Plant {
    /// One step of an item, and how long until its next.
    pub(super) fn movement(&mut self, at: Span, item: u64, step: usize) -> (Draft, Option<Span>) {
        let (name, words, place, (from, to)) = STEPS[step.min(STEPS.len() - 1)];
        let next = (step + 1 < STEPS.len()).then(|| Span::secs(self.rng.random_range(from..=to)));
        let location = format!("{place}-{:02}", self.rng.random_range(1..=24));
        // Five items to an order, as the pick batches are.
        let (item_id, order_id) = (sscc(item), format!("SO-{:07}", 4_100_000 + item / 5));
        let user = self.operator(at);
        let mut draft = self.frame(at, None);
        draft.level = Some(Level::Info);
        draft.message = Some(format!("{item_id} {words} {location}"));
        draft.kind = Some(format!("movement.{name}"));
        draft.application = Some("wms".into());
        draft.user = Some(user);
        if self.rng.random_bool(APP_LOG_SHARE) {
            draft.dialect = Dialect::Shipper;
            draft.trace_id = Some(format!("{:032x}", self.rng.random::<u128>()));
        }
        draft.item = Some(item_id);
        draft.order = Some(order_id);
        draft.location = Some(location);
        draft.step = Some(name.into());
        (draft, next)
    }

    /// Somebody of the shift that is at work.
    pub(super) fn operator(&mut self, at: Span) -> String {
        let (hour, _) = super::shifts::local(self.map.wall(at), &self.zone);
        let shift = super::Shift::at(hour) as usize;
        let i = self.rng.random_range(0..site::OPERATORS_PER_SHIFT);
        site::OPERATORS[shift * site::OPERATORS_PER_SHIFT + i].to_owned()
    }
}

/// A serial shipping container code: 17 digits and the check digit of GS1 (weights 3 and 1 from the right).
pub(super) fn sscc(n: u64) -> String {
    let body = format!("340123450{:08}", n % 100_000_000);
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, b)| u32::from(b - b'0') * if i % 2 == 0 { 3 } else { 1 })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_code_has_eighteen_digits_and_its_check_digit() {
        // Counting the check digit itself with weight 1 makes the sum a multiple of ten.
        for n in [1, 42, 99_999_999] {
            let code = sscc(n);
            assert_eq!(code.len(), 18);
            let sum: u32 = code
                .bytes()
                .rev()
                .enumerate()
                .map(|(i, b)| u32::from(b - b'0') * if i % 2 == 0 { 1 } else { 3 })
                .sum();
            assert_eq!(sum % 10, 0, "{code}");
        }
    }
}
