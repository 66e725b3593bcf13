//! A pressed node, simulated: one thread, calls of three priorities, and `quotas::pressure` deciding who gets in.
//!
//! The thread is shared as callboard shares it: what is ready stands in one queue, each has a turn, and what has
//! more to do goes to its end. A call is let in or refused when the thread first comes to it, and may wait
//! for a service in its middle without holding the thread.
//!
//! Invariant: a run follows from its script and its seed.
//! Not here: what has to come out (`tests`), pictures (`pictures`), the rules besides pressure.

use std::collections::VecDeque;
use std::time::Duration;

use quotas::pressure::cutoff::{CutOff, UserFloor};
use quotas::pressure::lag::Lag;
use quotas::pressure::level::ShedLevel;
use quotas::pressure::{INTERVAL, Signals};
use quotas::priority::{Cohort, Priority, Score};
use quotas::units::Moment;

use super::calendar::Calendar;
use crate::chance::Chance;

/// What is asked of a node from a second on: as shares of what it can do, in the order of [`Priority::ALL`].
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// When it begins, in seconds.
    pub from: f64,
    /// First tries, without those of clients that ask again.
    pub demand: [f64; 3],
}

/// A node's day.
#[derive(Debug, Clone)]
pub struct Script {
    /// In the order of their beginnings; the first begins at zero.
    pub loads: Vec<Load>,
    /// How long it lasts, in seconds.
    pub seconds: u64,
    /// How often a client asks again at once when it was refused or got no answer.
    pub retries: u32,
    /// Whether anything is ever refused for pressure.
    pub protected: bool,
    /// What chance follows from.
    pub seed: u64,
}

/// What came of the calls of one interval, in the order of [`Priority::ALL`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Slice {
    /// Calls let in.
    pub admitted: [u32; 3],
    /// Calls refused.
    pub refused: [u32; 3],
    /// Calls answered in time.
    pub answered: [u32; 3],
    /// Calls that were let in and not answered in time.
    pub late: [u32; 3],
    /// Background calls let in less than an interval after a user's call was refused.
    pub inverted: u32,
    /// The work that was done for calls that were answered in time, as a share of the interval.
    pub goodput: f64,
    /// The longest that a call of this interval waited for the thread, in milliseconds.
    pub wait: f64,
    /// The cut-off at its end.
    pub cutoff: f64,
}

/// The mean work of a call.
const WORK: Duration = Duration::from_micros(600);
/// The work of refusing one.
const REFUSAL: Duration = Duration::from_micros(5);
/// How long a call works until the next has its turn.
const TURN: Duration = Duration::from_micros(200);
/// How long a call waits for a service, on average.
const SERVICE: Duration = Duration::from_millis(10);
/// From being let in to being given up.
const DEADLINE: Duration = Duration::from_millis(300);
/// How long a client waits.
const PATIENCE: Duration = Duration::from_secs(1);
/// The way from a client.
const WAY: Duration = Duration::from_millis(1);
/// How often the thread's own timer is due.
const TIMER: Duration = Duration::from_millis(10);
/// Calls alive at one time.
const CONCURRENCY: usize = 1_024;

#[derive(Debug, Clone, Copy)]
enum Event {
    Demand { class: usize },
    Ready(Task),
    Turn,
    Step,
}

#[derive(Debug, Clone, Copy)]
enum Task {
    Call(Call),
    Timer,
}

#[derive(Debug, Clone, Copy)]
struct Call {
    class: usize,
    cohort: u64,
    tries: u32,
    asked: Moment,
    /// Once it was let in.
    started: Option<Moment>,
    work: Duration,
    left: Duration,
    /// Whether it waits for a service when half of its work is done.
    waits: bool,
}

struct World {
    script: Script,
    chance: Chance,
    calendar: Calendar<Event>,
    now: Moment,
    queue: VecDeque<(Task, Moment)>,
    busy: bool,
    alive: usize,
    user_refused: Option<Moment>,
    lag: Lag,
    cutoff: CutOff,
    level: ShedLevel,
    slice: Slice,
    slices: Vec<Slice>,
}

/// Plays a script; one entry for each interval.
pub fn play(script: Script) -> Vec<Slice> {
    let start = Moment::default();
    let intervals = script.seconds as usize * 10;
    let mut world = World {
        chance: Chance::new(script.seed),
        calendar: Calendar::new(),
        now: start,
        queue: VecDeque::new(),
        busy: false,
        alive: 0,
        user_refused: None,
        lag: Lag::new(start),
        cutoff: CutOff::new(UserFloor::default()),
        level: ShedLevel::default(),
        slice: Slice::default(),
        slices: Vec::new(),
        script,
    };
    for class in 0..Priority::ALL.len() {
        world.calendar.put(start, Event::Demand { class });
    }
    world.calendar.put(start, Event::Ready(Task::Timer));
    world.calendar.put(start + INTERVAL, Event::Step);
    while world.slices.len() < intervals {
        let (now, event) = world.calendar.next().expect("there is always a next interval");
        world.now = now;
        world.happen(event);
    }
    world.slices
}

impl World {
    fn demand(&self, class: usize) -> f64 {
        let now = self.now.nanos() as f64 / 1e9;
        let begun = |load: &&Load| load.from <= now;
        self.script.loads.iter().rev().find(begun).expect("the first begins at zero").demand[class]
    }

    fn unix_ms(&self) -> u64 {
        self.now.nanos() / 1_000_000
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Demand { class } => {
                let per_second = self.demand(class) / WORK.as_secs_f64();
                // Without demand it is looked again a little later.
                let gap = if per_second > 0.0 { self.chance.exponential(1.0 / per_second) } else { 0.01 };
                self.calendar.put(self.now + Duration::from_secs_f64(gap), Event::Demand { class });
                if per_second > 0.0 {
                    let cohort = self.chance.number();
                    let work = WORK / 4
                        + Duration::from_secs_f64(self.chance.exponential(WORK.as_secs_f64() * 2.0 / 3.0));
                    self.ready(Task::Call(Call {
                        class,
                        cohort,
                        tries: 0,
                        asked: self.now,
                        started: None,
                        work,
                        left: work,
                        waits: true,
                    }));
                }
            }
            Event::Ready(task) => self.ready(task),
            Event::Turn => {
                self.busy = false;
                self.turn();
            }
            Event::Step => self.step(),
        }
    }

    fn ready(&mut self, task: Task) {
        self.queue.push_back((task, self.now));
        self.turn();
    }

    /// Gives what is ready its turn, if the thread is free.
    fn turn(&mut self) {
        if self.busy {
            return;
        }
        let Some((task, since)) = self.queue.pop_front() else { return };
        let waited = self.now.since(since);
        let used = match task {
            Task::Timer => {
                self.lag.note(waited, self.now);
                if self.script.protected {
                    self.level.late(waited, UserFloor::default(), self.unix_ms());
                }
                self.calendar.put(self.now + TIMER, Event::Ready(Task::Timer));
                Duration::ZERO
            }
            Task::Call(call) if call.started.is_none() => {
                self.slice.wait = self.slice.wait.max(waited.as_secs_f64() * 1e3);
                self.arrive(call)
            }
            Task::Call(call) => self.run(call),
        };
        self.busy = true;
        self.calendar.put(self.now + used, Event::Turn);
    }

    /// Lets a call in or refuses it; how long that takes.
    fn arrive(&mut self, mut call: Call) -> Duration {
        let priority = Priority::ALL[call.class];
        let score = Score::of(priority, Cohort::new(call.cohort));
        if !self.level.admits(score) || self.alive >= CONCURRENCY {
            self.slice.refused[call.class] += 1;
            if priority == Priority::User {
                self.user_refused = Some(self.now);
            }
            self.again(call, self.now + REFUSAL);
            return REFUSAL;
        }
        self.slice.admitted[call.class] += 1;
        let recently = |refused: Moment| self.now.since(refused) < INTERVAL;
        if priority == Priority::Background && self.user_refused.is_some_and(recently) {
            self.slice.inverted += 1;
        }
        self.alive += 1;
        call.started = Some(self.now);
        self.run(call)
    }

    fn run(&mut self, mut call: Call) -> Duration {
        let started = call.started.expect("it was let in");
        let used = TURN.min(call.left);
        let then = self.now + used;
        call.left -= used;
        if then.since(started) > DEADLINE || (call.left.is_zero() && then.since(call.asked) > PATIENCE) {
            self.alive -= 1;
            self.slice.late[call.class] += 1;
            self.again(call, then);
        } else if call.left.is_zero() {
            self.alive -= 1;
            self.slice.answered[call.class] += 1;
            self.slice.goodput += call.work.as_secs_f64() / INTERVAL.as_secs_f64();
        } else if call.waits && call.left <= call.work / 2 {
            call.waits = false;
            let wait = self.chance.exponential(SERVICE.as_secs_f64());
            self.calendar.put(then + Duration::from_secs_f64(wait), Event::Ready(Task::Call(call)));
        } else {
            // Behind what became ready meanwhile, as events of one time come in their order.
            self.calendar.put(then, Event::Ready(Task::Call(call)));
        }
        used
    }

    fn again(&mut self, call: Call, at: Moment) {
        if call.tries < self.script.retries {
            let again = Call { tries: call.tries + 1, started: None, left: call.work, waits: true, ..call };
            self.calendar.put(at + WAY, Event::Ready(Task::Call(Call { asked: at + WAY, ..again })));
        }
    }

    fn step(&mut self) {
        let pressure = Signals { lag: self.lag.level(self.now), ..Signals::default() }.pressure();
        if self.script.protected {
            self.cutoff.step(pressure, self.now);
            self.level.publish(&self.cutoff, pressure, self.unix_ms());
        }
        self.slice.cutoff = self.cutoff.points();
        self.slices.push(std::mem::take(&mut self.slice));
        self.calendar.put(self.now + INTERVAL, Event::Step);
    }
}

#[cfg(test)]
mod tests;
