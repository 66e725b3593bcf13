//! Scenes: what services go through, so that it can be seen what becomes of their limits.
//!
//! Invariant: each begins as every service does, with nothing known.
//! Not here: what has to come out (`service::tests`).

use std::time::Duration;

use super::service::{Chapter, Script, Work};

/// How long the chapters of a scene last that has several, in seconds.
pub const CHAPTER: u64 = 60;
/// When the brown-out begins and ends, in seconds.
pub const BROWN_OUT: [u64; 2] = [60, 240];

const USUAL: Work = Work::Around(20.0);

fn script(seed: u64, seconds: u64, chapters: impl Into<Vec<Chapter>>) -> Script {
    Script { chapters: chapters.into(), seconds, retries: 0, timeout: Duration::from_secs(1), seed }
}

/// Half of the capacity is lost, comes back, and half is added, while more is asked than it can do.
pub fn steps(seed: u64) -> Script {
    let chapter = |nth, places, demand| Chapter { from: nth * CHAPTER, places, work: USUAL, demand };
    let chapters = [chapter(0, 40, 3e3), chapter(1, 20, 3e3), chapter(2, 40, 4e3), chapter(3, 60, 5e3)];
    script(seed, 4 * CHAPTER, chapters)
}

/// A service that can do half of what the limit begins at.
pub fn too_high(seed: u64) -> Script {
    script(seed, 100, [Chapter { from: 0, places: 9, work: USUAL, demand: 2e3 }])
}

/// Ten times of what it can do, for minutes: clients ask again three times at once when they are refused.
pub fn overload(seed: u64) -> Script {
    let asked = Chapter { from: 0, places: 30, work: USUAL, demand: 3.75e3 };
    Script { retries: 3, ..script(seed, 340, [asked]) }
}

/// Four of five answers are quick, one is slow.
pub fn two_kinds(seed: u64) -> Script {
    script(seed, 200, [Chapter { from: 0, places: 30, work: Work::Either(5.0, 60.0, 0.2), demand: 4e3 }])
}

/// Three in a hundred answers take 150 or 300 ms.
pub fn outliers(seed: u64) -> Script {
    script(seed, 200, [Chapter { from: 0, places: 30, work: Work::WithOutliers(20.0), demand: 3e3 }])
}

/// Three minutes with a fifth of the capacity, in which each request takes three times as long, besides.
pub fn brown_out(seed: u64) -> Script {
    let usual = |from| Chapter { from, places: 40, work: USUAL, demand: 3e3 };
    let [begins, ends] = BROWN_OUT;
    let brown = Chapter { places: 8, work: Work::Around(60.0), ..usual(begins) };
    Script { retries: 3, ..script(seed, ends + 60, [usual(0), brown, usual(ends)]) }
}

/// A service that takes two and a half times as long from some time on, and can do as much at once.
pub fn slower(seed: u64) -> Script {
    let usual = Chapter { from: 0, places: 40, work: USUAL, demand: 3e3 };
    script(seed, 3 * CHAPTER, [usual, Chapter { from: CHAPTER, work: Work::Around(50.0), ..usual }])
}

/// An hour of a few requests a second.
pub fn idle(seed: u64) -> Script {
    script(seed, 3_600, [Chapter { from: 0, places: 40, work: USUAL, demand: 20.0 }])
}
