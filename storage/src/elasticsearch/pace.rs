//! How much to send at once: more while all is taken, half when it is too much.

/// Smaller bulks cost more than they relieve.
const BYTES_MIN: usize = 64 * 1024;
const BYTES_START: usize = 1024 * 1024;
const BYTES_STEP: usize = 256 * 1024;
/// Bulks in a row that must be taken before one more is sent beside them.
const TAKEN_FOR_ONE_MORE: u32 = 8;

#[derive(Debug, Clone)]
pub(super) struct Pace {
    bytes: usize,
    bytes_max: usize,
    bulks: usize,
    bulks_max: usize,
    taken: u32,
}

impl Pace {
    pub(super) fn new(bytes_max: usize, bulks_max: usize) -> Self {
        let bytes_max = bytes_max.max(BYTES_MIN);
        Self {
            bytes: BYTES_START.min(bytes_max),
            bytes_max,
            bulks: 1,
            bulks_max: bulks_max.max(1),
            taken: 0,
        }
    }

    /// Bytes of a bulk body.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
    /// Bulks under way at once.
    pub(super) fn bulks(&self) -> usize {
        self.bulks
    }

    pub(super) fn taken(&mut self) {
        self.bytes = (self.bytes + BYTES_STEP).min(self.bytes_max);
        self.taken += 1;
        if self.taken >= TAKEN_FOR_ONE_MORE {
            self.taken = 0;
            self.bulks = (self.bulks + 1).min(self.bulks_max);
        }
    }

    /// It was told off, or gave no answer in time.
    pub(super) fn slower(&mut self) {
        self.bytes = (self.bytes / 2).max(BYTES_MIN);
        self.bulks = (self.bulks / 2).max(1);
        self.taken = 0;
    }

    /// A body of this size was too large (413): it stays below from now on.
    pub(super) fn too_large(&mut self, bytes: usize) {
        self.bytes_max = self.bytes_max.min((bytes / 2).max(BYTES_MIN));
        self.bytes = self.bytes.min(self.bytes_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_by_steps_and_halves_within_its_bounds() {
        let mut p = Pace::new(4 * 1024 * 1024, 3);
        assert_eq!((p.bytes(), p.bulks()), (BYTES_START, 1));
        (0..1_000).for_each(|_| p.taken());
        assert_eq!((p.bytes(), p.bulks()), (4 * 1024 * 1024, 3));
        p.slower();
        assert_eq!((p.bytes(), p.bulks()), (2 * 1024 * 1024, 1));
        (0..100).for_each(|_| p.slower());
        assert_eq!((p.bytes(), p.bulks()), (BYTES_MIN, 1));
        p.taken();
        assert_eq!((p.bytes(), p.bulks()), (BYTES_MIN + BYTES_STEP, 1));
    }

    #[test]
    fn what_was_too_large_is_not_tried_again() {
        let mut p = Pace::new(8 * 1024 * 1024, 1);
        p.too_large(1_000_000);
        (0..100).for_each(|_| p.taken());
        assert_eq!(p.bytes(), 500_000);
        p.too_large(10);
        assert_eq!(p.bytes(), BYTES_MIN);
    }

    #[test]
    fn bounds_that_make_no_sense_are_corrected() {
        let p = Pace::new(0, 0);
        assert_eq!((p.bytes(), p.bulks()), (BYTES_MIN, 1));
    }
}
