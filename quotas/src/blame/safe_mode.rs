//! Safe mode: when the process dies again and again and nobody knows why, those that ran when it died do not run
//! for a time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{Culprit, millis};

/// So many deaths that nobody can be blamed for …
pub const DEATHS: usize = 5;
/// … within this time …
pub const WINDOW: Duration = Duration::from_secs(60);
/// … set those aside that ran at so many of them …
pub const RAN_AT: usize = 2;
/// … for so long.
pub const TERM: Duration = Duration::from_secs(10 * 60);

/// The last deaths that nobody can be blamed for, and who ran.
#[derive(Debug, Clone, Default)]
pub struct Unexplained {
    deaths: VecDeque<(u64, Vec<Culprit>)>,
}

impl Unexplained {
    /// Takes a death; answers who does not run from now on, and at how many of how many deaths each ran.
    pub fn take(&mut self, ran: Vec<Culprit>, now: u64) -> Vec<(Culprit, [usize; 2])> {
        self.deaths.push_back((now, ran));
        let since = now.saturating_sub(millis(WINDOW));
        while self.deaths.front().is_some_and(|(at, _)| *at < since) {
            self.deaths.pop_front();
        }
        if self.deaths.len() < DEATHS {
            return Vec::new();
        }
        // What comes after is counted anew: it happened without them.
        let deaths = std::mem::take(&mut self.deaths);
        let mut ran: BTreeMap<Culprit, usize> = BTreeMap::new();
        let count = deaths.len();
        for culprit in deaths.into_iter().flat_map(|(_, ran)| ran) {
            *ran.entry(culprit).or_default() += 1;
        }
        ran.into_iter().filter(|(_, at)| *at >= RAN_AT).map(|(culprit, at)| (culprit, [at, count])).collect()
    }
}
