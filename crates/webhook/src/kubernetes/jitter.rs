//! Waits that differ.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Between half of `wait` and all of it, so that replicas that failed together do not come back together.
pub(crate) fn jittered(wait: Duration) -> Duration {
    // Every `RandomState` is keyed at random; of its hash of nothing, 16 bits are plenty.
    let random = RandomState::new().build_hasher().finish() & 0xffff;
    wait.mul_f64(0.5 + random as f64 / f64::from(0xffff_u16) / 2.0)
}
