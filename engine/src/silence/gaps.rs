//! How long a device is usually quiet, in 64 bytes.

use crate::time::Span;
use serde::{Deserialize, Serialize};

/// Gaps seen before a usual one is known.
pub const GAPS_MIN: u32 = 20;

/// How often which gap was seen: 64 counters of a byte each, two to the octave, from 1 ms to a month. When one is full all are
/// halved, so that it follows a device that changes its ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Gaps([[u8; 32]; 2]);

impl Gaps {
    fn counters(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.iter().flatten().copied()
    }

    fn bucket(gap: Span) -> usize {
        let ms = (gap.0 / 1_000).clamp(1, 1 << 32) as u64;
        let octave = ms.ilog2() as usize;
        let upper_half = u128::from(ms) * u128::from(ms) >= 1u128 << (2 * octave + 1);
        (2 * octave + usize::from(upper_half)).min(63)
    }

    /// The longest gap that falls into it, rounded up.
    fn upper_edge(bucket: usize) -> Span {
        let next = bucket + 1;
        let octave = Span::millis(1 << (next / 2));
        Span(if next.is_multiple_of(2) {
            octave.0
        } else {
            (octave.0 as f64 * std::f64::consts::SQRT_2).ceil() as i64
        })
    }

    pub(super) fn add(&mut self, gap: Span) {
        let bucket = Self::bucket(gap);
        if self.0[bucket / 32][bucket % 32] == u8::MAX {
            self.0.iter_mut().flatten().for_each(|c| *c /= 2);
        }
        self.0[bucket / 32][bucket % 32] += 1;
    }

    pub(super) fn longest(&self) -> Option<Span> {
        (0..64).rev().find(|b| self.0[b / 32][b % 32] > 0).map(Self::upper_edge)
    }

    /// The 99th percentile, from above by at most half an octave; at least the longest one gap is left out.
    pub(super) fn p99(&self) -> Option<Span> {
        let total: u32 = self.counters().map(u32::from).sum();
        if total < GAPS_MIN {
            return None;
        }
        let rank = total - (total / 100).max(1);
        let mut seen = 0;
        let bucket = self.counters().position(|c| {
            seen += u32::from(c);
            seen >= rank
        })?;
        Some(Self::upper_edge(bucket))
    }
}
