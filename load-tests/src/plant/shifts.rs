//! How busy the site is at an hour of its local day.

use andon_engine::time::Timestamp;
use jiff::tz::TimeZone;

/// Three shifts: early from 06:00, late from 14:00, night from 22:00.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shift {
    Early,
    Late,
    Night,
}

impl Shift {
    pub fn at(hour: i8) -> Shift {
        match hour {
            6..=13 => Shift::Early,
            14..=21 => Shift::Late,
            _ => Shift::Night,
        }
    }
}

/// Activity as a share of the busiest: full by day, a dip at the breaks at noon and 18:00, four tenths by night.
pub fn activity(hour: i8, minute: i8) -> f64 {
    match (hour, minute) {
        (12, 0..=29) | (18, 0..=29) => 0.25,
        (6..=21, _) => 1.0,
        _ => 0.4,
    }
}

/// Hour and minute at the site.
pub(super) fn local(at: Timestamp, zone: &TimeZone) -> (i8, i8) {
    let z = at.to_jiff().to_zoned(zone.clone());
    (z.hour(), z.minute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_breaks_and_the_night_are_quieter() {
        assert!(activity(12, 10) < activity(23, 0) && activity(23, 0) < activity(12, 30));
        assert_eq!(
            (Shift::at(5), Shift::at(6), Shift::at(21), Shift::at(22)),
            (Shift::Night, Shift::Early, Shift::Late, Shift::Night)
        );
    }
}
