//! Pressure: how near a node is to having more to do than it can, and which calls it gives up for that.
//!
//! `lag` measures a thread, [`Signals`] become one [`Pressure`], `cutoff` turns that into a cut-off step by
//! step, `level` is where admission reads it, and `shares` says whose calls go first.
//!
//! Invariant: the pressure is that of the worst signal, it names that signal, and it is never below what any
//! signal alone would give.
//! Not here: reading `/proc`, timers, which calls there are (`priority`), admitting them (`admission`).
//!
//! **Which signals.** Of the node's own, only: how long calls that are ready wait for their thread, the share
//! of the processors, live memory, file descriptors. Not the time that calls take: at a gateway that is mostly
//! other people's services, and one slow service would shed everybody's calls (WeChat's DAGOR argues so, and
//! measures queuing time). Memory counts as far as it is *live*: memory that the allocator keeps would hold
//! the pressure up for ever after the load is gone, as it did in Envoy (issue 21923).
//!
//! **The curve.** Netflix published three points of its gateway's cut-off: the middle nineties at 35 % of
//! overload, 50 at 80 %, 10 at 95 %. `100·(1 − u³)` goes through all of them.

pub mod lag;

pub mod cutoff;

pub mod surge;

pub mod level;

pub mod shares;

use std::fmt;
use std::time::Duration;

/// How often pressure is measured and the cut-off follows it.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// What a node measures of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Signals {
    /// How long calls that are ready wait for the most laden thread ([`lag::Lag::level`]).
    pub lag: Duration,
    /// The share of the processors' time that is used, 0 to 1.
    pub cpu: f64,
    /// The share of the memory allowed that is live, 0 to 1.
    pub memory: f64,
    /// The share of the file descriptors allowed that is open, 0 to 1.
    pub descriptors: f64,
}

/// Which of a node's signals is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Calls wait for their thread.
    #[default]
    Lag,
    /// The processors are used up.
    Cpu,
    /// Live memory nears its limit.
    Memory,
    /// File descriptors run out.
    Descriptors,
}

/// What is done about calls that a pressed node would give up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// They are refused.
    #[default]
    Enforce,
    /// They are counted, by the same rules, and let in.
    Observe,
    /// Nothing.
    Off,
}

/// How pressed a node is, and by what.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pressure {
    excess: f64,
    signal: Signal,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Lag, Self::Cpu, Self::Memory, Self::Descriptors];

    /// Its name, in metrics and explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lag => "lag",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Descriptors => "descriptors",
        }
    }

    /// Where it begins to press, and where it presses with all its weight: seconds of lag, or shares.
    pub const fn bounds(self) -> [f64; 2] {
        match self {
            Self::Lag => [0.005, 0.050],
            Self::Cpu => [0.80, 1.00],
            Self::Memory => [0.85, 0.95],
            Self::Descriptors => [0.80, 1.00],
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Signals {
    /// What a signal was measured at: seconds of lag, or a share.
    pub fn get(&self, signal: Signal) -> f64 {
        match signal {
            Signal::Lag => self.lag.as_secs_f64(),
            Signal::Cpu => self.cpu,
            Signal::Memory => self.memory,
            Signal::Descriptors => self.descriptors,
        }
    }

    /// The pressure of the worst of them. What is not a number does not press.
    pub fn pressure(&self) -> Pressure {
        Signal::ALL.into_iter().fold(Pressure::default(), |worst, signal| {
            let [onset, full] = signal.bounds();
            let excess = (self.get(signal) - onset) / (full - onset);
            if excess > worst.excess { Pressure { excess, signal } } else { worst }
        })
    }
}

impl Pressure {
    /// u: none is 0, as much as counts is 1.
    pub fn u(self) -> f64 {
        self.excess.min(1.0)
    }

    /// The same beyond 1: twice as far from where it begins is 2. Says whether a load that is far too high
    /// still grows.
    pub fn excess(self) -> f64 {
        self.excess
    }

    /// The signal that presses the most; lag where none does.
    pub fn signal(self) -> Signal {
        self.signal
    }

    /// The highest score that this pressure lets in, 0 to 100: `100·(1 − u³)`.
    pub fn ceiling(self) -> f64 {
        100.0 * (1.0 - self.u().powi(3))
    }
}

#[cfg(test)]
mod tests;
