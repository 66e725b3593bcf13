//! The machine: how much of it others used while a fault lasted.
//!
//! A server gives up calls when its threads are late. Where the machine does much other work they are late without any
//! fault, and of what the server gave up meanwhile nothing can be concluded.

use std::fs;

use tests::server::children;

/// Others that use more of the machine than this make threads late.
const MUCH: f64 = 0.15;

/// Processor time used so far, in the system's ticks: by all, by this program and what it started, and what there was.
#[derive(Debug, Clone, Copy)]
pub struct Used {
    all: u64,
    own: u64,
    there: u64,
}

impl Used {
    /// Looks.
    pub fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = stat.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
        let there = ticks.iter().take(8).sum();
        // The fourth and the fifth are time in which nobody wanted a processor.
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        Self { all: there - idle, own: own(std::process::id()), there }
    }

    /// The share of the machine that others had since, where that was much.
    pub fn much_by_others(self) -> Option<f64> {
        let now = Self::now();
        let others = (now.all - self.all).saturating_sub(now.own.saturating_sub(self.own));
        let share = others as f64 / (now.there - self.there).max(1) as f64;
        (share > MUCH).then_some(share)
    }
}

/// What a process used, with its children, those that ended too.
fn own(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').skip(11).take(4);
    let used: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    used + children(process).into_iter().map(own).sum::<u64>()
}
