//! Gradient: how many requests a service gets from this node at one time, found out from how long they take.
//!
//! `window` gathers samples; here a window that ended becomes a new limit.
//!
//! Invariant: the limit is never below the floor nor above the ceiling, it grows only after a window in which
//! at least half of it was used, and requests that ended before the service could show how it is teach nothing.
//! Not here: counting requests (`concurrency`), telling the time, what a request is.
//!
//! **From** Netflix's concurrency-limits, `Gradient2Limit`: with the time that requests take now and the one
//! they take in the long run, `g = clamp(tolerance·long/short, 0.5, 1)`, and the limit L becomes
//! `0.8·L + 0.2·(g·L + q)`. What was changed, by what was reported of it and by what the simulator showed
//! (`loadtest simulate`):
//!
//! - *Windows* are at least a second and 50 samples long, and a sample of a microsecond is as good as another.
//!   A window's time is the mean of its fastest 95 %: what Netflix and failsafe-go take, the newest or the 90th
//!   percentile, jumps between the modes of a service that is fast or slow.
//! - *Growth* is `√L/2`, only where g is 1, and is not smoothed: added while g is below 1 it makes the limit
//!   creep up under overload (concurrency-limits, pull request 134), and smoothed it takes minutes to come back.
//!   The more windows in a row it grows the faster, up to a sixth of the limit, to be back soon after a fall.
//! - *Tolerance* is 1.1, not 1.5: with 1.5 the limit settles at half more than the service can do at once.
//! - *Requests that were dropped* or timed out take a tenth of the limit at once, though only once a window;
//!   Gradient2 ignores them.
//! - *The long time* stands still while g is below 1, or an incident that lasts becomes the measure of health
//!   (failsafe-go, issue 127). Where requests take more than half of the time that they may, the limit falls
//!   whatever the long time says. Where they have become much faster it follows within a few windows and not by a
//!   twentieth a window, or the limit would overshoot after a brown-out that it was learned in.
//! - *Covariance guard*, after Uber's Cinnamon: where the throughput falls with the limit, the limit is not
//!   what makes requests slow. Then it falls no further, and the long time is learned anew. Correlation over the
//!   last 20 windows would mistake a service that lost half of its capacity for that, since its throughput
//!   fell first and the limit after it; so only the windows of one fall are looked at, and by their slope.
//! - *Dips* take the place of Envoy's measurement with next to no requests: in every [`DIP_EVERY`]th window that
//!   uses its limit, the limit is lowered by a tenth (by a fifth where the long time is a guess), and again until the
//!   throughput falls. Only there requests do not queue, so the long time is learned from it; the limit goes back to
//!   the last step that cost no throughput. Without dips a limit that began too high would never come down, as it has
//!   only seen queues.
//!
//! In the simulator, over all seeds that its tests play: within 0.7 to 1.3 of the knee at most 20 windows after
//! capacity was halved or doubled, at 90 % of the old limit at most 15 windows after a brown-out, swings of at most a
//! quarter and no growth in 300 windows of tenfold overload.

mod window;

use std::collections::VecDeque;
use std::time::Duration;

use self::window::{Measured, Window};
use crate::units::{InFlight, Moment};

/// After so many windows that used their limit comes a dip.
pub const DIP_EVERY: u32 = 60;
/// The first dip comes sooner, since nothing is known yet, and so does one after the long time was guessed.
const FIRST_DIP: u32 = 4;
const SOON: u32 = 14;
/// What a step leaves of the limit: of the first dip's, which may have far to go, and of the others'.
const FIRST_STEP: f64 = 0.8;
const STEP: f64 = 0.9;
/// How much more than before is answered in a dip where something else has changed.
const DISTURBED: f64 = 1.25;
/// The weight of the newest window in the throughput that a dip is compared to.
const USUAL: f64 = 0.25;
const TOLERANCE: f64 = 1.1;
/// The weight of a gradient in the limit.
const WEIGHT: f64 = 0.2;
/// Windows that the long time is an average of.
const LONG: f64 = 600.0;
/// Windows after which it is an average of that many.
const WARM_UP: u32 = 10;
/// Where the long time is more than this times the short one, it is lowered by half of the way.
const FASTER: f64 = 1.3;
/// The most of the limit that it grows by in a window, where half its root is not more.
const GROWTH_MAX: f64 = 1.0 / 6.0;
/// How much of the limit a fall must have taken before its slope says anything, and the slope that says that
/// the throughput falls with the limit: with a queue it is 0, without one 1.
const GUARD_FALL: f64 = 0.25;
const GUARD_SLOPE: f64 = 0.6;
/// Windows of a fall that are remembered.
const FALL_KEPT: usize = 20;

/// Bounds of one service's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Never less.
    pub floor: InFlight,
    /// To begin with.
    pub start: InFlight,
    /// Never more.
    pub ceiling: InFlight,
    /// How long a request may take.
    pub timeout: Duration,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// It was answered after this time.
    Took(Duration),
    /// It timed out, or the service said that it has too much to do.
    Dropped,
    /// It never got as far as the service, or nobody waited for its end: refused, cancelled, no connection.
    Ignore,
}

/// The limit of one service.
#[derive(Debug)]
pub struct Gradient {
    bounds: Bounds,
    limit: f64,
    window: Window,
    /// The time that requests take in the long run, in seconds.
    long: f64,
    /// Windows that it is an average of.
    learned: u32,
    /// Whether something was dropped in this window.
    dropped: bool,
    fall: Fall,
    /// Windows in a row in which the limit grew.
    grown: u32,
    /// Requests a second in windows that used the limit.
    usual: f64,
    dip: Option<Dip>,
    /// Whether there was one since the long time was guessed.
    dipped: bool,
    /// Windows that used their limit until the next dip.
    dip_in: u32,
}

/// Windows in a row in which the limit fell.
#[derive(Debug, Default)]
struct Fall {
    /// The limit and the throughput of each, the newest last.
    windows: VecDeque<(f64, f64)>,
    /// Windows in a row that say that the throughput falls with the limit.
    costly: u32,
}

/// Steps down until the throughput falls.
#[derive(Debug, Clone, Copy)]
struct Dip {
    /// The throughput before the first step.
    throughput: f64,
    /// What each step leaves of the limit.
    step: f64,
    /// The last limit that cost none.
    last_good: f64,
}

impl Bounds {
    /// The floor and the start that go with a ceiling.
    pub fn up_to(ceiling: InFlight, timeout: Duration) -> Self {
        let usual = |calls: u32| InFlight::new(calls.min(ceiling.get())).expect("neither is zero");
        Self { floor: usual(2), start: usual(20), ceiling, timeout }
    }
}

impl Gradient {
    /// A limit that learned nothing yet.
    pub fn new(bounds: Bounds, now: Moment) -> Self {
        let start = f64::from(bounds.start.get());
        Self {
            bounds,
            limit: start,
            window: Window::new(now),
            long: 0.0,
            learned: 0,
            dropped: false,
            fall: Fall::default(),
            grown: 0,
            usual: 0.0,
            dip: None,
            dipped: false,
            dip_in: FIRST_DIP,
        }
    }

    /// Requests that may be under way.
    pub fn limit(&self) -> InFlight {
        // The limit is at least the floor, which is at least one, so that rounding it down leaves one.
        InFlight::new(self.limit as u32).unwrap_or(self.bounds.floor)
    }

    /// The time that requests take in the long run; nothing before the first window ended.
    pub fn long(&self) -> Option<Duration> {
        (self.learned > 0).then(|| Duration::from_secs_f64(self.long))
    }

    /// Notes the end of a request beside which so many were under way, itself included. Returns whether the limit
    /// may have changed.
    pub fn finished(&mut self, sample: Sample, in_flight: u32, now: Moment) -> bool {
        match sample {
            Sample::Ignore => return false,
            Sample::Took(time) => self.window.took(time, in_flight),
            Sample::Dropped => {
                self.window.took(self.bounds.timeout, in_flight);
                if !self.dropped {
                    self.dropped = true;
                    self.set(self.limit * 0.9);
                }
            }
        }
        match self.window.end(now) {
            Some(measured) => self.learn(&measured),
            None => return sample == Sample::Dropped,
        }
        self.dropped = false;
        true
    }

    fn learn(&mut self, measured: &Measured) {
        let short = measured.time;
        if self.learned == 0 {
            (self.long, self.learned) = (short, 1);
        }
        let unhealthy = short > self.bounds.timeout.as_secs_f64() / 2.0;
        let gradient = if unhealthy { 0.5 } else { (TOLERANCE * self.long / short).clamp(0.5, 1.0) };
        if gradient >= 1.0 {
            self.remember(short);
        }
        let used = f64::from(measured.most_in_flight);
        if used < self.limit / 2.0 {
            (self.fall, self.dip) = (Fall::default(), None);
            return;
        }
        let weight = if self.usual > 0.0 && self.dip.is_none() { USUAL } else { 1.0 };
        if let Some(dip) = self.dip.take() {
            self.after_dip(dip, measured);
        } else if gradient < 1.0 {
            self.fall_by(gradient, measured, unhealthy);
        } else if !self.dropped {
            self.grow(used);
        }
        self.usual += (measured.throughput - self.usual) * weight;
        self.perhaps_dip();
    }

    /// Makes a window's time part of the long one.
    fn remember(&mut self, short: f64) {
        self.learned = self.learned.saturating_add(1);
        let windows = if self.learned <= WARM_UP { f64::from(self.learned) } else { (LONG + 1.0) / 2.0 };
        self.long += (short - self.long) / windows;
        if self.long > FASTER * short {
            self.long = (self.long + short) / 2.0;
            self.doubt();
        }
    }

    /// The long time is a guess: soon a dip will tell.
    fn doubt(&mut self) {
        self.dipped = false;
        self.dip_in = SOON;
    }

    fn grow(&mut self, used: f64) {
        self.fall = Fall::default();
        let step = self.limit.sqrt() / 2.0;
        let faster = step * (1.0 + f64::from(self.grown) / 2.0);
        self.set((self.limit + faster.min(step.max(self.limit * GROWTH_MAX))).min(5.0 * used));
        self.grown += 1;
    }

    fn fall_by(&mut self, gradient: f64, measured: &Measured, unhealthy: bool) {
        self.grown = 0;
        let floor = self.limit <= f64::from(self.bounds.floor.get());
        if !unhealthy && (self.fall.costs(self.limit, measured.throughput) || floor) {
            self.long = measured.time;
            self.fall = Fall::default();
            self.doubt();
            return;
        }
        self.set((1.0 - WEIGHT) * self.limit + WEIGHT * gradient * self.limit);
    }

    fn perhaps_dip(&mut self) {
        self.dip_in = self.dip_in.saturating_sub(1);
        if self.dip_in == 0 && self.dip.is_none() && self.fall.windows.is_empty() {
            self.dip_in = DIP_EVERY;
            let step = if self.dipped { STEP } else { FIRST_STEP };
            self.dipped = true;
            self.step_down(Dip { throughput: self.usual, step, last_good: self.limit });
        }
    }

    fn step_down(&mut self, dip: Dip) {
        self.dip = Some(dip);
        self.set(self.limit * dip.step);
    }

    fn after_dip(&mut self, dip: Dip, measured: &Measured) {
        if measured.throughput > dip.throughput * DISTURBED {
            // The service itself has changed, so that the steps say nothing.
            self.set(dip.last_good);
            return;
        }
        let costs = measured.throughput < dip.throughput * (1.0 + dip.step) / 2.0;
        if costs || self.limit <= f64::from(self.bounds.floor.get()) {
            // Nothing queues here. Half, since one window alone is a noisy witness; all, where it is far off.
            let far = measured.time < 0.8 * self.long;
            self.long = if far { measured.time } else { (self.long + measured.time) / 2.0 };
            self.set(if costs { dip.last_good } else { self.limit });
            self.grown = 0;
        } else {
            self.step_down(Dip { last_good: self.limit, ..dip });
        }
    }

    fn set(&mut self, limit: f64) {
        self.limit = limit.clamp(f64::from(self.bounds.floor.get()), f64::from(self.bounds.ceiling.get()));
    }
}

impl Fall {
    /// Notes a window; whether the throughput falls with the limit.
    fn costs(&mut self, limit: f64, throughput: f64) -> bool {
        // The newest of those before with a limit that was so much higher: what is older may have seen another
        // capacity.
        let higher = self.windows.iter().rev().find(|(before, _)| limit <= before * (1.0 - GUARD_FALL));
        let costly = higher.is_some_and(|(before, answered)| {
            (answered / throughput).ln() >= GUARD_SLOPE * (before / limit).ln()
        });
        self.costly = if costly { self.costly + 1 } else { 0 };
        self.windows.push_back((limit, throughput));
        if self.windows.len() > FALL_KEPT {
            self.windows.pop_front();
        }
        self.costly >= 2
    }
}

#[cfg(test)]
mod tests;
