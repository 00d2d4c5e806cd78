//! The time that retention measures age against. It never trusts one reading of the clock.
//!
//! A clock that is eight days ahead for a minute, at a start before NTP, would otherwise have a week of records deleted. So the wall clock
//! is believed only while it goes on from where it was last believed, also across restarts, and never beyond the newest entry that was
//! received. After a jump nothing is deleted for its age until the clock has run steadily for a day, or a person has confirmed it.

use andon_engine::time::{Clock, Span, Timestamp};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::time::Instant;

/// A jump up to this is believed: at worst the oldest day goes a day early.
pub const JUMP_MAX: Span = Span::hours(24);
/// So long a clock has to run steadily after a jump to be believed.
pub const STEADY_FOR: Span = Span::hours(24);
/// How often the believed time is saved.
const SAVE_EVERY: Span = Span::mins(10);
/// How often it is looked whether a person has confirmed the clock.
const LOOK_EVERY: Span = Span::secs(5);
/// How far the clock may have gone on since a person looked at it.
const CONFIRMED_FOR: Span = Span::hours(1);

const SAVED: &str = "retention-time";
const CONFIRMED: &str = "retention-time-confirmed";

/// Nothing is deleted for its age: the clock has jumped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// What the clock says.
    pub wall: Timestamp,
    /// What it was believed to be; `None`: nothing says what it should be.
    pub believed: Option<Timestamp>,
    /// How much longer the clock has to run steadily.
    pub steady_in: Span,
}

/// Which time is believed, from readings of the wall clock and of one that only ever goes on.
#[derive(Clone, Debug, Default)]
struct Belief {
    /// The believed time, and when that was.
    at: Option<(Timestamp, Span)>,
    /// What the clock is away from it by, and since when.
    jump: Option<(Span, Span)>,
}

impl Belief {
    /// `elapsed`: since the start of the process.
    fn read(&mut self, wall: Timestamp, elapsed: Span) -> Option<Held> {
        let origin = |wall: Timestamp| wall.minus(elapsed);
        // Both as the time of the start: two readings of a steady clock are the same.
        let off = match self.at {
            Some((at, then)) => origin(wall).since(at.minus(then)),
            None => origin(wall).since(Timestamp(0)),
        };
        let near = |a: Span, b: Span| Timestamp(a.0).since(Timestamp(b.0)).0.saturating_abs() <= JUMP_MAX.0;
        if self.at.is_some() && near(off, Span::ZERO) {
            self.believe(wall, elapsed);
            return None;
        }
        let since = match self.jump {
            Some((was, since)) if near(was, off) => since,
            _ => elapsed,
        };
        let steady_in = STEADY_FOR.0.saturating_sub(elapsed.0.saturating_sub(since.0));
        if steady_in <= 0 {
            self.believe(wall, elapsed);
            return None;
        }
        // The first reading of the jump stays the one that others are compared with: small steps do not add up to a large one.
        self.jump = Some((
            self.jump.filter(|_| since != elapsed).map_or(off, |(was, _)| was),
            since,
        ));
        let believed = self
            .at
            .map(|(at, then)| at.plus(Span(elapsed.0.saturating_sub(then.0))));
        Some(Held {
            wall,
            believed,
            steady_in: Span(steady_in),
        })
    }

    fn believe(&mut self, wall: Timestamp, elapsed: Span) {
        self.at = Some((wall, elapsed));
        self.jump = None;
    }
}

/// When the newest entry was received. `None`: nothing was.
type Newest = Box<dyn Fn() -> Option<Timestamp> + Send + Sync>;

/// The clock of everything that deletes by age.
pub struct RetentionClock {
    wall: std::sync::Arc<dyn Clock>,
    elapsed: Box<dyn Fn() -> Span + Send + Sync>,
    /// Where the believed time outlives the process.
    dir: Option<PathBuf>,
    newest: OnceLock<Newest>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    belief: Belief,
    saved: Option<Timestamp>,
    looked: Option<Span>,
    held: Option<Held>,
}

impl std::fmt::Debug for RetentionClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RetentionClock({:?})", self.held())
    }
}

impl RetentionClock {
    /// With a folder, the time goes on from what was believed in it last. Without one, or in a new one, the clock has to run steadily
    /// before it is believed.
    pub fn new(wall: std::sync::Arc<dyn Clock>, dir: Option<&Path>) -> Self {
        let started = Instant::now();
        let elapsed = move || Span(i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX));
        Self::with_elapsed(wall, dir, Box::new(elapsed))
    }

    /// `elapsed` only ever goes on, whatever happens to the wall clock.
    pub fn with_elapsed(
        wall: std::sync::Arc<dyn Clock>,
        dir: Option<&Path>,
        elapsed: Box<dyn Fn() -> Span + Send + Sync>,
    ) -> Self {
        let saved = dir.and_then(|dir| stamp(&dir.join(SAVED)));
        let now = elapsed();
        Self {
            wall,
            dir: dir.map(Path::to_owned),
            newest: OnceLock::new(),
            state: Mutex::new(State {
                belief: Belief {
                    at: saved.map(|saved| (saved, now)),
                    jump: None,
                },
                saved,
                ..State::default()
            }),
            elapsed,
        }
    }

    /// Age is measured against the newest entry too. Until it is known, nothing has any age.
    pub fn measure_against(&self, newest: impl Fn() -> Option<Timestamp> + Send + Sync + 'static) {
        let _ = self.newest.set(Box::new(newest));
    }

    /// Why nothing is deleted for its age now.
    pub fn held(&self) -> Option<Held> {
        self.read();
        self.state().held
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The wall clock if it is believed.
    fn read(&self) -> Option<Timestamp> {
        let (wall, elapsed) = (self.wall.now(), (self.elapsed)());
        let mut state = self.state();
        let state = &mut *state;
        if state
            .looked
            .is_none_or(|at| elapsed.0.saturating_sub(at.0) >= LOOK_EVERY.0)
        {
            state.looked = Some(elapsed);
            if self.is_confirmed(wall) {
                state.belief.believe(wall, elapsed);
            }
        }
        state.held = state.belief.read(wall, elapsed);
        if state.held.is_some() {
            return None;
        }
        if state
            .saved
            .is_none_or(|saved| wall.since(saved).0.saturating_abs() >= SAVE_EVERY.0)
        {
            self.save(wall);
            state.saved = Some(wall);
        }
        Some(wall)
    }

    fn is_confirmed(&self, wall: Timestamp) -> bool {
        let Some(path) = self.dir.as_ref().map(|dir| dir.join(CONFIRMED)) else {
            return false;
        };
        let Some(seen) = stamp(&path) else { return false };
        // It was of one moment, whatever the clock says then.
        if let Err(e) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), error = %e, "confirmation of the clock not removed, so not used");
            return false;
        }
        wall.since(seen).0.saturating_abs() <= CONFIRMED_FOR.0
    }

    fn save(&self, at: Timestamp) {
        let Some(dir) = &self.dir else { return };
        if let Err(e) = write(dir, SAVED, at) {
            tracing::warn!(dir = %dir.display(), error = %e, "time of retention not saved");
        }
    }
}

/// What age is measured against: never later than the wall clock, what is believed of it, and the newest entry.
impl Clock for RetentionClock {
    fn now(&self) -> Timestamp {
        let newest = self.newest.get().and_then(|newest| newest());
        match (self.read(), newest) {
            (Some(wall), Some(newest)) => wall.min(newest),
            // Nothing is older than this.
            _ => Timestamp::MIN,
        }
    }
}

/// A person says that the clock is right: whoever keeps this folder believes it within some seconds.
pub fn confirm(dir: &Path, now: Timestamp) -> std::io::Result<()> {
    write(dir, CONFIRMED, now)
}

fn write(dir: &Path, name: &str, at: Timestamp) -> std::io::Result<()> {
    let unfinished = dir.join(format!("{name}.new"));
    std::fs::write(&unfinished, at.as_micros().to_string())?;
    std::fs::rename(unfinished, dir.join(name))
}

fn stamp(path: &Path) -> Option<Timestamp> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok().map(Timestamp)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use andon_engine::time::ManualClock;
    use proptest::prelude::*;
    use std::sync::Arc;

    const START: Timestamp = Timestamp(1_800_000_000_000_000);
    const DAY: Span = Span::hours(24);
    const WEEK: Span = Span::hours(8 * 24);

    /// A machine: the wall clock that can be set, and time as it passes.
    struct Machine {
        wall: Arc<ManualClock>,
        passed: Arc<ManualClock>,
        newest: Arc<ManualClock>,
        dir: tempfile::TempDir,
    }

    impl Machine {
        fn new() -> Self {
            Self {
                wall: Arc::new(ManualClock::new(START)),
                passed: Arc::new(ManualClock::new(Timestamp(0))),
                newest: Arc::new(ManualClock::new(START)),
                dir: tempfile::tempdir().unwrap(),
            }
        }
        /// One that has run on this folder before.
        fn with_past() -> Self {
            let machine = Self::new();
            write(machine.dir.path(), SAVED, START).unwrap();
            machine
        }
        fn start(&self) -> RetentionClock {
            let (passed, newest) = (self.passed.clone(), self.newest.clone());
            let started = passed.now();
            let elapsed = Box::new(move || passed.now().since(started));
            let clock = RetentionClock::with_elapsed(self.wall.clone(), Some(self.dir.path()), elapsed);
            clock.measure_against(move || Some(newest.now()));
            clock
        }
        fn pass(&self, by: Span) {
            self.wall.advance(by);
            self.passed.advance(by);
        }
        /// Records come in, with the time that the clock says.
        fn receive(&self) {
            self.newest.set(self.wall.now().max(self.newest.now()));
        }
    }

    #[test]
    fn a_steady_clock_is_believed_and_age_is_of_the_newest_entry() {
        let m = Machine::with_past();
        let clock = m.start();
        for _ in 0..100 {
            m.pass(Span::hours(1));
            m.receive();
            assert_eq!((clock.now(), clock.held()), (m.wall.now(), None));
        }
        let last = m.wall.now();
        for _ in 0..100 {
            m.pass(Span::hours(1));
            assert_eq!(clock.now(), last, "nothing came in since");
        }
    }

    #[test]
    fn a_clock_that_is_ahead_for_a_while_ages_nothing_whatever_comes_in_and_however_often_it_starts() {
        let m = Machine::with_past();
        for _ in 0..3 {
            m.wall.advance(WEEK);
            let clock = m.start();
            m.receive();
            for _ in 0..10 {
                assert_eq!(clock.now(), Timestamp::MIN);
                assert_eq!(clock.held().unwrap().wall, m.wall.now());
                m.pass(Span::mins(1));
                m.receive();
            }
            // NTP has answered.
            m.wall.advance(Span(-WEEK.0));
            assert_eq!(clock.now(), m.wall.now());
            assert_eq!(clock.held(), None);
        }
    }

    #[test]
    fn a_jump_is_believed_when_the_clock_has_run_steadily_since() {
        let m = Machine::with_past();
        let clock = m.start();
        m.receive();
        assert_eq!(clock.now(), START);
        m.wall.advance(WEEK);
        for _ in 0..24 {
            assert_eq!(clock.now(), Timestamp::MIN);
            // Another jump begins the day anew.
            if clock.held().unwrap().steady_in == Span::hours(12) {
                m.wall.advance(WEEK);
                assert_eq!(clock.held().unwrap().steady_in, STEADY_FOR);
                break;
            }
            m.pass(Span::hours(1));
        }
        for _ in 0..24 {
            assert_eq!(clock.now(), Timestamp::MIN);
            m.pass(Span::hours(1));
            m.receive();
        }
        assert_eq!((clock.now(), clock.held()), (m.wall.now(), None));
        // And stays so at the next start, after a short stop.
        m.pass(Span::hours(1));
        assert_eq!(m.start().held(), None);
    }

    #[test]
    fn a_person_confirms_what_the_clock_says() {
        let m = Machine::with_past();
        m.wall.advance(WEEK);
        let clock = m.start();
        assert!(clock.held().is_some());
        // Confirmed for another time than the clock has: it has jumped again since.
        confirm(m.dir.path(), START).unwrap();
        m.pass(LOOK_EVERY);
        assert!(clock.held().is_some());
        confirm(m.dir.path(), m.wall.now()).unwrap();
        m.pass(LOOK_EVERY);
        m.receive();
        assert_eq!((clock.held(), clock.now()), (None, m.wall.now()));
    }

    #[test]
    fn without_a_past_the_clock_has_to_run_steadily_first() {
        let m = Machine::new();
        // No clock in the machine: 1970 until NTP answers.
        m.wall.set(Timestamp(0));
        let clock = m.start();
        m.pass(Span::mins(1));
        assert_eq!(clock.held().unwrap().believed, None);
        m.wall.set(START);
        assert_eq!(clock.held().unwrap().steady_in, STEADY_FOR);
        m.pass(DAY);
        assert_eq!(clock.held(), None);
        // A clock that goes back to 1970 at the next start is not believed either, so that the way back is none for a jump.
        m.wall.set(Timestamp(0));
        let clock = m.start();
        assert!(clock.held().is_some());
        m.wall.set(START.plus(DAY));
        assert_eq!(clock.held(), None);
    }

    proptest! {
        /// Whatever the clock does within a day, age is never measured against more than a day beyond the time that has passed.
        #[test]
        fn no_day_of_jumps_ages_anything_by_more_than_its_steps(
            jumps in proptest::collection::vec((any::<i64>(), 0..3_600_000_000_i64), 0..20)
        ) {
            let m = Machine::with_past();
            let clock = m.start();
            let mut passed = Span::ZERO;
            for (wall, wait) in jumps {
                m.wall.set(Timestamp(wall));
                m.newest.set(Timestamp(wall));
                prop_assert!(clock.now() <= START.plus(passed).plus(JUMP_MAX));
                m.wall.set(START.plus(passed));
                clock.now();
                m.passed.advance(Span(wait));
                passed = passed.plus(Span(wait));
            }
        }
    }
}
