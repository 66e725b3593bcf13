//! The cut-off: which scores a pressed node still lets in, followed step by step.
//!
//! Invariant: a pressure that lasts and does not fall is obeyed as soon as the classes were given up one by one; the
//! cut-off rises by at most [`RISE_MAX`] points a step, crosses at most one class a step, and is never below the
//! floor.
//! Not here: what the pressure is, what a thread does from one call to the next (`surge`), who is told (`level`).
//!
//! **What the literature has, and what was changed.** The plain rule is to cut to `100·(1 − u³)` at once and to
//! rise by 5 points a step. In the simulator (`loadtest simulate`) that alone fails at ten times the load a node
//! can bear: a single point is then an eighth of its capacity, so every rise overshoots and every cut falls through
//! to the users' scores. So surges are met elsewhere, and here:
//!
//! - *One class after the other.* A cut stops where a class ends, and the next class is touched only if the
//!   pressure has not fallen a step later. Users' calls are touched only after [`PATIENCE`] such steps.
//! - *Hysteresis*: the cut-off rises only while the pressure is below [`LEAVE`] of the one that belongs to
//!   it on the curve. That is relative at every level, so that no pressure however small can hold it down for
//!   ever.
//! - *A floor*: a share of the users' scores is let in whatever the pressure; the limits of concurrency stand
//!   behind it. It is small: with half, users who ask for three times what a thread can do make all of each other's
//!   calls late.

use super::{INTERVAL, Pressure, Signal};
use crate::priority::{Priority, Score};
use crate::units::Moment;

/// The most points that the cut-off rises by in a step, an [`INTERVAL`].
pub const RISE_MAX: f64 = 5.0;
/// The share of the pressure that brought the cut-off to where it is, below which it rises again.
pub const LEAVE: f64 = 0.8;
/// Steps of a pressure that does not fall, with all other classes given up, before users' calls are.
pub const PATIENCE: u32 = 3;
/// The cut-off that keeps all users' calls and no others.
const USERS: f64 = *Priority::User.scores().end() as f64;

/// Follows the pressure of one node.
#[derive(Debug)]
pub struct CutOff {
    floor: f64,
    points: f64,
    /// Steps in a row in which the pressure asked for less than is let in.
    pressed: u32,
    /// Those of them in which users' calls were about to be touched.
    patience: u32,
    before: Pressure,
    signal: Signal,
    next: Moment,
}

/// The share of the users' scores that is let in whatever the pressure, in percent, 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserFloor(u8);

impl UserFloor {
    /// So many percent; nothing for zero or more than a hundred.
    pub const fn percent(percent: u8) -> Option<Self> {
        match percent {
            1..=100 => Some(Self(percent)),
            _ => None,
        }
    }

    /// The cut-off that this is.
    pub fn points(self) -> f64 {
        USERS * f64::from(self.0) / 100.0
    }
}

impl Default for UserFloor {
    /// A tenth of them.
    fn default() -> Self {
        Self(10)
    }
}

impl CutOff {
    /// One that lets everything in.
    pub fn new(floor: UserFloor) -> Self {
        Self {
            floor: floor.points(),
            points: f64::from(Score::MAX),
            pressed: 0,
            patience: 0,
            before: Pressure::default(),
            signal: Signal::default(),
            next: Moment::default(),
        }
    }

    /// Takes a step, if the last one is an interval ago; steps that were missed are not made up for.
    pub fn step(&mut self, pressure: Pressure, now: Moment) {
        if now < self.next {
            return;
        }
        self.next = now + INTERVAL;
        let asked = pressure.ceiling().max(self.floor);
        if asked < self.points {
            self.cut(asked, pressure);
        } else {
            self.relax(asked, pressure);
        }
        self.before = pressure;
    }

    /// Scores above this are refused, 0 to 100.
    pub fn points(&self) -> f64 {
        self.points
    }

    /// Whether any score is refused.
    pub fn is_shedding(&self) -> bool {
        self.points < f64::from(Score::MAX)
    }

    /// The signal for which it was cut last.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    fn cut(&mut self, asked: f64, pressure: Pressure) {
        self.signal = pressure.signal();
        self.pressed += 1;
        if self.pressed > 1 && pressure.excess() < self.before.excess() {
            // The cut before shows its effect: nothing more is given up while it does.
            return;
        }
        if self.points == USERS {
            self.patience += 1;
            if self.patience <= PATIENCE {
                return;
            }
        }
        self.points = asked.max(self.end_of_class());
    }

    /// The cut-off at which the class is given up that is being shed now.
    fn end_of_class(&self) -> f64 {
        let prefetch = f64::from(*Priority::Prefetch.scores().end());
        [prefetch, USERS].into_iter().find(|end| *end < self.points).unwrap_or(self.floor)
    }

    fn relax(&mut self, asked: f64, pressure: Pressure) {
        (self.pressed, self.patience) = (0, 0);
        let entered = (1.0 - self.points / f64::from(Score::MAX)).cbrt();
        if pressure.u() < LEAVE * entered {
            self.points = (self.points + RISE_MAX).min(asked);
        }
    }
}

#[cfg(test)]
mod tests;
