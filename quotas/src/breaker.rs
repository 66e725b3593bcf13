//! Breakers: whether a service is worth a request, and how it is taken up again after it was not.
//!
//! `window` counts what came of requests, `throttle` refuses a part of them, and `ticket` is the right to make
//! one.
//!
//! Invariant: while a breaker probes there are never more than [`PROBES`] requests under way that it let in as
//! probes, whatever became of those who made them; what came of a request counts only in the state that let
//! it in.
//! Not here: requests, clocks, chance: both are arguments.
//!
//! **From** Hystrix and resilience4j, with what went wrong there mended. One success that reopens the flood
//! (Hystrix, issue 1647): after good probes the share of requests let in is raised in steps over
//! [`RAMP`]. A half-open state that never ends, because a permit was not given back (resilience4j, issues 544
//! and 1568): a probe is a [`Ticket`], and dropping it gives the permit back and teaches nothing. Times
//! open double up to [`OPEN_MAX`], and chance moves each by a fifth, so that the nodes of a fleet do not probe
//! at once.

mod throttle;

mod ticket;

mod window;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::throttle::Throttle;
pub use self::ticket::Ticket;
use self::ticket::{Kind, Pass};
use self::window::{Counts, Window};
use crate::units::Moment;

/// Requests that are let in to see how the service is.
pub const PROBES: u32 = 5;
/// How many of them have to go well.
pub const GOOD_PROBES: u32 = 4;
/// How long a breaker is open the first time.
pub const OPEN_FIRST: Duration = Duration::from_secs(1);
/// How long it is open at the most, but for chance.
pub const OPEN_MAX: Duration = Duration::from_secs(30);
/// How long it takes until all requests are let in again after good probes.
pub const RAMP: Duration = Duration::from_secs(5);
/// The shares that are let in during the thirds of it.
pub const RAMP_SHARES: [f64; 3] = [0.10, 0.25, 0.50];
/// How long a breaker has to be closed until the next time open is a first one.
const FORGIVEN: Duration = Duration::from_secs(30);
/// Requests of a window without which nothing is concluded: from all of them, and from the few of a ramp.
const LEAST_CALLS: u32 = 20;
const LEAST_CALLS_OF_RAMP: u32 = 5;

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The service answered, be it that there is no such thing.
    Good,
    /// It answered, and took more than four fifths of the time that it has.
    Slow,
    /// No connection, no answer in time, or an answer that says that the service failed.
    Failed,
}

/// The phase that a breaker is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Requests are made.
    Closed,
    /// None are, until then.
    Open(Moment),
    /// A few are, to see how the service is.
    Probing,
    /// A part of them is, and a larger one as time goes on.
    Ramping,
}

/// What an operator decided instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forced {
    /// No requests.
    Open,
    /// All requests, whatever comes of them.
    Closed,
}

/// Why a request is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The service failed too often, and it is too early to try again.
    Open {
        /// When that is.
        until: Moment,
    },
    /// Enough requests are under way to see how the service is.
    Probing,
    /// The service comes back, and this request is not of the share that is let in so far.
    Ramping,
    /// The service takes too few of its requests, so that a part of them is not made.
    Throttled,
    /// An operator decided so.
    Forced,
}

/// How a breaker stands, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Its phase.
    pub phase: Phase,
    /// Since when.
    pub since: Moment,
    /// What an operator decided.
    pub forced: Option<Forced>,
    /// Requests of the last ten seconds, in this phase, of which something came.
    pub calls: u32,
    /// Those of them that failed.
    pub failed: u32,
    /// Those of them that were slow.
    pub slow: u32,
}

/// The breaker of one service, shared by the threads of a node.
#[derive(Debug)]
pub struct Breaker(Mutex<State>);

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Moment,
    /// Counts the changes of phase, so that what comes late counts for nothing.
    turn: u64,
    forced: Option<Forced>,
    window: Window,
    /// Probes of any turn that are under way.
    probes: u32,
    /// Good and bad ones of this turn.
    probed: [u32; 2],
    /// Times in a row that it was opened.
    opened: u32,
    throttle: Throttle,
}

impl Phase {
    /// Its name, in metrics and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open(_) => "open",
            Self::Probing => "probing",
            Self::Ramping => "ramping",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open { .. } => "it failed too often of late and is left alone for a moment",
            Self::Probing => "it failed too often of late and is being tried with a few requests",
            Self::Ramping => "it is coming back, and not all requests are made yet",
            Self::Throttled => "it takes fewer than half of its requests, so a part of them is not made",
            Self::Forced => "an operator opened its breaker",
        })
    }
}

impl Breaker {
    /// One that is closed.
    pub fn new(now: Moment) -> Self {
        Self(Mutex::new(State {
            phase: Phase::Closed,
            since: now,
            turn: 0,
            forced: None,
            window: Window::default(),
            probes: 0,
            probed: [0, 0],
            opened: 0,
            throttle: Throttle::new(now),
        }))
    }

    /// The right to make a request, or why it is not made. `chance` is even between 0 and 1.
    pub fn admit(self: &Arc<Self>, now: Moment, chance: f64) -> Result<Ticket, Refused> {
        let pass = self.lock().admit(now, chance)?;
        Ok(Ticket::new(Arc::clone(self), pass))
    }

    /// Does what an operator decided, or goes on by itself, from closed.
    pub fn force(&self, forced: Option<Forced>, now: Moment) {
        let mut state = self.lock();
        state.forced = forced;
        state.opened = 0;
        state.throttle = Throttle::new(now);
        state.enter(Phase::Closed, now);
    }

    /// How it stands.
    pub fn report(&self, now: Moment) -> Report {
        let mut state = self.lock();
        state.advance(now);
        let Counts { calls, failed, slow } = state.window.counts(now);
        Report { phase: state.phase, since: state.since, forced: state.forced, calls, failed, slow }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn admit(&mut self, start: Moment, chance: f64) -> Result<Pass, Refused> {
        let pass = |kind, turn| Ok(Pass { kind, turn, start });
        match self.forced {
            Some(Forced::Open) => return Err(Refused::Forced),
            Some(Forced::Closed) => return pass(Kind::Forced, self.turn),
            None => self.advance(start),
        }
        let mut share = 1.0;
        match self.phase {
            Phase::Open(until) => return Err(Refused::Open { until }),
            Phase::Probing => {
                if self.probes + self.probed[0] + self.probed[1] >= PROBES {
                    return Err(Refused::Probing);
                }
                self.probes += 1;
                return pass(Kind::Probe, self.turn);
            }
            Phase::Ramping => share = self.share(start),
            Phase::Closed => {}
        }
        if chance >= share {
            return Err(Refused::Ramping);
        }
        // Of those let in by a ramp the same chance decides, spread over 0 to 1 again.
        let made = self.throttle.admits(start, chance / share);
        if made { pass(Kind::Usual, self.turn) } else { Err(Refused::Throttled) }
    }

    /// What the time alone changes.
    fn advance(&mut self, now: Moment) {
        match self.phase {
            Phase::Open(until) if now >= until => self.enter(Phase::Probing, now),
            Phase::Ramping if now.since(self.since) >= RAMP => self.enter(Phase::Closed, now),
            _ => {}
        }
    }

    fn enter(&mut self, phase: Phase, now: Moment) {
        (self.phase, self.since, self.probed) = (phase, now, [0, 0]);
        self.turn += 1;
        self.window = Window::default();
        if phase == Phase::Ramping {
            // What it remembers is of the time before the probes went well.
            self.throttle = Throttle::new(now);
        }
    }

    /// The share of requests that a ramp lets in.
    fn share(&self, now: Moment) -> f64 {
        let third = now.since(self.since).as_millis() * 3 / RAMP.as_millis();
        RAMP_SHARES[usize::try_from(third).unwrap_or(usize::MAX).min(2)]
    }

    /// A request ended. Without knowing whether the service took it, it is as if it had not been made.
    fn given_back(&mut self, pass: Pass, accepted: Option<bool>) {
        match pass.kind {
            Kind::Probe => self.probes -= 1,
            Kind::Usual => self.throttle.ended(pass.start, accepted),
            Kind::Forced => {}
        }
    }

    fn finished(&mut self, pass: Pass, outcome: Outcome, now: Moment, chance: f64) {
        self.given_back(pass, Some(outcome != Outcome::Failed));
        if pass.turn != self.turn || self.forced.is_some() {
            return;
        }
        match self.phase {
            Phase::Probing => {
                self.probed[usize::from(outcome != Outcome::Good)] += 1;
                if self.probed[0] >= GOOD_PROBES {
                    self.enter(Phase::Ramping, now);
                } else if self.probed[1] > PROBES - GOOD_PROBES {
                    self.open(now, chance);
                }
            }
            Phase::Closed | Phase::Ramping => {
                self.window.count(outcome, now);
                let least = if self.phase == Phase::Ramping { LEAST_CALLS_OF_RAMP } else { LEAST_CALLS };
                if self.window.counts(now).too_bad(least) {
                    self.open(now, chance);
                }
            }
            Phase::Open(_) => {}
        }
    }

    fn open(&mut self, now: Moment, chance: f64) {
        if self.phase == Phase::Closed && now.since(self.since) >= FORGIVEN {
            self.opened = 0;
        }
        let time = OPEN_FIRST.saturating_mul(1 << self.opened.min(16)).min(OPEN_MAX);
        self.opened = self.opened.saturating_add(1);
        self.enter(Phase::Open(now + time.mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0))), now);
    }
}

#[cfg(test)]
mod tests;
