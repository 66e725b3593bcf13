//! Days: what is asked of a node, so that it can be seen whom it answers.
//!
//! Invariant: each begins calm, is calm again from [`RUSH`]'s end on, and a calm node has time left.
//! Not here: what has to come out (`node::tests`).

use super::node::{Load, Script};

/// When the rush begins and ends, in seconds.
pub const RUSH: [u64; 2] = [5, 35];

/// 0.7 of what the node can do.
const CALM: [f64; 3] = [0.4, 0.2, 0.1];

fn day(seed: u64, rush: [f64; 3]) -> Script {
    let [begins, ends] = RUSH.map(|second| second as f64);
    let load = |from, demand| Load { from, demand };
    let loads = vec![load(0.0, CALM), load(begins, rush), load(ends, CALM)];
    Script { loads, seconds: RUSH[1] + 15, retries: 0, protected: true, seed }
}

/// Ten times of what the node can do; users alone ask for less than that.
pub fn rush(seed: u64) -> Script {
    day(seed, [0.6, 3.0, 6.4])
}

/// The same by clients that ask again three times at once.
pub fn retried(seed: u64) -> Script {
    Script { retries: 3, ..rush(seed) }
}

/// The same without protection.
pub fn unprotected(seed: u64) -> Script {
    Script { protected: false, ..retried(seed) }
}

/// Users alone ask for three times of what the node can do.
pub fn too_many_users(seed: u64) -> Script {
    day(seed, [3.0, 3.0, 4.0])
}

/// Twelve times as much is fetched ahead as usual.
pub fn prefetched(seed: u64) -> Script {
    let [user, prefetch, background] = CALM;
    day(seed, [user, 12.0 * prefetch, background])
}
