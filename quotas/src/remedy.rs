//! Remedy: who presses a node, and what is done about that one alone.
//!
//! Invariant: only one endpoint is acted on at a time, the one that uses the most, and only when it uses far more
//! than all others of its kind; at most so many actions are begun within a time; every action is undone when its
//! cause is gone. In observe mode the same is decided, and nothing is done.
//! Not here: measuring, doing, recording (the keeper does).
//!
//! The limits, the shares and the shedding bound what anybody can do to a node; this is for what nobody foresaw: an
//! endpoint within all of its limits that takes most of a node which has too little. Its ladder begins with what
//! hurts the endpoint least. A rung is left for the next only if the pressure stays after a time in which it would
//! have shown an effect, and the last action is undone first.
//!
//! The cap on actions follows Erlang's supervisors (intensity and period): a supervisor that acts all the time does
//! not understand what it sees, and a person has to look.

use std::collections::VecDeque;
use std::time::Duration;

use crate::units::Moment;

/// What is done about a culprit, from what hurts it least to what hurts it most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Act {
    /// It runs on threads of its own.
    Slow,
    /// A quarter of its calls may be alive at one time.
    Throttle,
    /// Its fallback answers.
    FallBack,
    /// The revision before answers.
    RollBack,
    /// Nothing of it runs.
    Quarantine,
}

/// How far it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// It acts.
    Enforce,
    /// It says what it would do.
    Observe,
    /// It does nothing.
    Off,
}

/// When to act, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How far it goes.
    pub mode: Mode,
    /// The actions that are allowed, in any order.
    pub allowed: Vec<Act>,
    /// How long a node has to be pressed before anybody is blamed, and between two actions.
    pub patience: Duration,
    /// How long it has to be calm before the last action is undone.
    pub calm: Duration,
    /// How many actions may be begun within an hour.
    pub an_hour: usize,
}

/// What one used of what there is too little of, in the last step.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage<K> {
    /// Who.
    pub who: K,
    /// How much, in any unit that is the same for all.
    pub used: f64,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq)]
pub enum Order<K> {
    /// Do this, for this reason.
    Do(Step<K>),
    /// Undo it: its cause is gone.
    Undo(Step<K>),
    /// It would be done, but enough was done already: a person has to look.
    Enough(Step<K>),
}

/// One action on one culprit, with its evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Step<K> {
    /// The culprit.
    pub who: K,
    /// What is done.
    pub act: Act,
    /// The share of all use that was the culprit's, of one.
    pub share: f64,
    /// How many others used something.
    pub others: usize,
}

/// Follows one node.
#[derive(Debug)]
pub struct Remedy<K> {
    rules: Rules,
    /// Since when the node has been pressed, or calm.
    pressed: Option<Moment>,
    calm: Option<Moment>,
    /// What is done now, the last action last.
    standing: Vec<Step<K>>,
    begun: VecDeque<Moment>,
    last: Option<Moment>,
    told_enough: bool,
}

/// The share of all use from which one is a culprit.
const SHARE: f64 = 0.5;
const HOUR: Duration = Duration::from_secs(3_600);

impl Act {
    /// All of them, in the order of the ladder.
    pub const ALL: [Self; 5] = [Self::Slow, Self::Throttle, Self::FallBack, Self::RollBack, Self::Quarantine];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Throttle => "throttle",
            Self::FallBack => "fallback",
            Self::RollBack => "rollback",
            Self::Quarantine => "quarantine",
        }
    }

    /// The action with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.as_str() == name)
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            allowed: vec![Act::Slow, Act::Throttle, Act::FallBack],
            patience: Duration::from_secs(5),
            calm: Duration::from_secs(60),
            an_hour: 10,
        }
    }
}

impl<K: Clone + PartialEq> Remedy<K> {
    /// Nobody is blamed yet.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            pressed: None,
            calm: None,
            standing: Vec::new(),
            begun: VecDeque::new(),
            last: None,
            told_enough: false,
        }
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether the usage of the last step is asked for: measuring everybody costs something, and it is needed while
    /// the node is pressed only.
    pub fn asks(&self, is_pressed: bool) -> bool {
        is_pressed && self.rules.mode != Mode::Off
    }

    /// Takes a step, about once a second: whether the node is pressed, and who used how much.
    pub fn step(&mut self, is_pressed: bool, usage: &[Usage<K>], now: Moment) -> Option<Order<K>> {
        if self.rules.mode == Mode::Off {
            return None;
        }
        if !is_pressed {
            self.pressed = None;
            self.told_enough = false;
            let calm = *self.calm.get_or_insert(now);
            let is_due = now.since(calm) >= self.rules.calm && !self.standing.is_empty();
            return is_due.then(|| {
                // The next is undone after as long a calm again.
                self.calm = Some(now);
                self.standing.pop().map(Order::Undo)
            })?;
        }
        self.calm = None;
        let pressed = *self.pressed.get_or_insert(now);
        let since = self.last.map_or(pressed, |last| pressed.max(last));
        if now.since(since) < self.rules.patience {
            return None;
        }
        let step = self.culprit(usage)?;
        while self.begun.front().is_some_and(|first| now.since(*first) > HOUR) {
            self.begun.pop_front();
        }
        if self.begun.len() >= self.rules.an_hour {
            let is_news = !std::mem::replace(&mut self.told_enough, true);
            return is_news.then_some(Order::Enough(step));
        }
        self.begun.push_back(now);
        self.last = Some(now);
        self.standing.push(step.clone());
        Some(Order::Do(step))
    }

    /// Forgets what was done about one, because it is another now: a new revision starts clean.
    pub fn forget(&mut self, who: &K) {
        self.standing.retain(|step| step.who != *who);
    }

    /// Who uses most of all, and the next rung of the ladder for that one.
    fn culprit(&self, usage: &[Usage<K>]) -> Option<Step<K>> {
        let all: f64 = usage.iter().map(|usage| usage.used).sum();
        let most = usage.iter().max_by(|one, next| one.used.total_cmp(&next.used))?;
        let share = if all > 0.0 { most.used / all } else { 0.0 };
        // One who is alone takes all there is, and takes it from nobody.
        let others = usage.iter().filter(|usage| usage.used > 0.0).count().checked_sub(1)?;
        if share < SHARE || others == 0 {
            return None;
        }
        let done = self.standing.iter().filter(|step| step.who == most.who).map(|step| step.act).max();
        let next = Act::ALL.into_iter().filter(|act| self.rules.allowed.contains(act));
        let act = next.into_iter().find(|act| done.is_none_or(|done| *act > done))?;
        Some(Step { who: most.who.clone(), act, share, others })
    }
}

#[cfg(test)]
mod tests;
