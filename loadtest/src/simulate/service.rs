//! A service behind, simulated, and the limit that `quotas::gradient` finds for it.
//!
//! The service has places in which it works on one request each; what finds none waits in its queue. Requests
//! come at random, those above the limit are refused, and those that nobody waits for any longer are worked
//! on all the same.
//!
//! Invariant: a run follows from its script and its seed.
//! Not here: what has to come out (`tests`), pictures (`pictures`).

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use quotas::gradient::{Bounds, Gradient, Sample};
use quotas::units::{InFlight, Moment};

use super::calendar::Calendar;
use crate::chance::Chance;

/// How a service is, from a second on.
#[derive(Debug, Clone, Copy)]
pub struct Chapter {
    /// When it begins, in seconds.
    pub from: u64,
    /// Requests that it works on at one time.
    pub places: usize,
    /// How long it works on one.
    pub work: Work,
    /// Requests in a second that would be made.
    pub demand: f64,
}

/// How long a service works on a request, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub enum Work {
    /// At least half of the mean, and beyond that at random.
    Around(f64),
    /// Mostly the first, and with this chance the second; each moved a little.
    Either(f64, f64, f64),
    /// Around the first, but 2 % take 150 ms and 1 % take 300.
    WithOutliers(f64),
}

/// A service's life.
#[derive(Debug, Clone)]
pub struct Script {
    /// In the order of their beginnings; the first begins at zero.
    pub chapters: Vec<Chapter>,
    /// How long it lasts, in seconds.
    pub seconds: u64,
    /// How often a client asks again at once when it was refused or waited in vain.
    pub retries: u32,
    /// How long a request may take.
    pub timeout: Duration,
    /// What chance follows from.
    pub seed: u64,
}

/// How it stood at the end of a second.
#[derive(Debug, Clone, Copy)]
pub struct Second {
    /// The limit.
    pub limit: f64,
    /// The fewest requests at one time that use all that the service can do.
    pub knee: f64,
    /// Requests answered in time in this second.
    pub answered: u32,
    /// The most that it could answer in a second.
    pub capacity: f64,
}

/// The way to a service and back.
const WAY: Duration = Duration::from_millis(2);

#[derive(Debug, Clone, Copy)]
enum Event {
    Asked { tries: u32 },
    Demand,
    Worked { request: u64 },
    TimedOut { request: u64 },
    Second,
}

#[derive(Debug, Clone, Copy)]
struct Request {
    since: Moment,
    tries: u32,
}

struct World {
    script: Script,
    chance: Chance,
    calendar: Calendar<Event>,
    gradient: Gradient,
    now: Moment,
    /// Those that somebody waits for.
    under_way: HashMap<u64, Request>,
    made: u64,
    queue: VecDeque<u64>,
    busy: usize,
    answered: u32,
    seconds: Vec<Second>,
}

impl Work {
    fn mean(self) -> f64 {
        match self {
            Self::Around(mean) => mean,
            Self::Either(usual, other, chance) => usual * (1.0 - chance) + other * chance,
            Self::WithOutliers(usual) => usual * 0.97 + 0.02 * 150.0 + 0.01 * 300.0,
        }
    }

    fn draw(self, chance: &mut Chance) -> Duration {
        let around = |mean: f64, chance: &mut Chance| mean / 2.0 + chance.exponential(mean / 2.0);
        let millis = match self {
            Self::Around(mean) => around(mean, chance),
            Self::Either(usual, other, share) => {
                let mean = if chance.happens(share) { other } else { usual };
                mean * (0.8 + 0.4 * chance.share())
            }
            Self::WithOutliers(usual) => match chance.share() {
                share if share < 0.01 => 300.0,
                share if share < 0.03 => 150.0,
                _ => around(usual, chance),
            },
        };
        Duration::from_secs_f64(millis / 1e3)
    }
}

impl Chapter {
    /// Requests a second that it can answer.
    fn capacity(&self) -> f64 {
        self.places as f64 * 1e3 / self.work.mean()
    }

    fn knee(&self) -> f64 {
        self.capacity() * (self.work.mean() / 1e3 + WAY.as_secs_f64())
    }
}

/// Plays a script; one entry for each second.
pub fn play(script: Script) -> Vec<Second> {
    let bounds = Bounds::up_to(InFlight::new(1_000).expect("not zero"), script.timeout);
    let mut world = World {
        chance: Chance::new(script.seed),
        calendar: Calendar::new(),
        gradient: Gradient::new(bounds, Moment::default()),
        now: Moment::default(),
        under_way: HashMap::new(),
        made: 0,
        queue: VecDeque::new(),
        busy: 0,
        answered: 0,
        seconds: Vec::new(),
        script,
    };
    world.calendar.put(Moment::default(), Event::Demand);
    world.calendar.put(Moment::default() + Duration::from_secs(1), Event::Second);
    while let Some((now, event)) = world.calendar.next() {
        world.now = now;
        world.happen(event);
        if world.seconds.len() as u64 == world.script.seconds {
            break;
        }
    }
    world.seconds
}

impl World {
    fn chapter(&self) -> Chapter {
        self.chapter_at(self.now.nanos())
    }

    fn chapter_at(&self, nanos: u64) -> Chapter {
        let second = nanos / 1_000_000_000;
        let begun = |chapter: &&Chapter| chapter.from <= second;
        *self.script.chapters.iter().rev().find(begun).expect("the first begins at zero")
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Demand => {
                let gap = self.chance.exponential(1.0 / self.chapter().demand);
                self.calendar.put(self.now + Duration::from_secs_f64(gap), Event::Demand);
                self.ask(0);
            }
            Event::Asked { tries } => self.ask(tries),
            Event::Worked { request } => {
                self.busy -= 1;
                if let Some(answered) = self.under_way.get(&request).copied() {
                    self.answered += 1;
                    self.end(request, Sample::Took(self.now.since(answered.since) + WAY));
                }
                self.work();
            }
            Event::TimedOut { request } => {
                if let Some(lost) = self.under_way.get(&request).copied() {
                    self.end(request, Sample::Dropped);
                    self.again(lost.tries);
                }
            }
            Event::Second => {
                // The second that ended, which may have been a chapter's last.
                let chapter = self.chapter_at(self.now.nanos() - 1);
                self.seconds.push(Second {
                    limit: f64::from(self.gradient.limit().get()),
                    knee: chapter.knee(),
                    answered: std::mem::take(&mut self.answered),
                    capacity: chapter.capacity(),
                });
                self.calendar.put(self.now + Duration::from_secs(1), Event::Second);
                // A service that got more places takes from its queue at once.
                self.work();
            }
        }
    }

    fn ask(&mut self, tries: u32) {
        if self.under_way.len() >= self.gradient.limit().get() as usize {
            return self.again(tries);
        }
        let request = self.made;
        self.made += 1;
        self.under_way.insert(request, Request { since: self.now, tries });
        self.calendar.put(self.now + self.script.timeout, Event::TimedOut { request });
        self.queue.push_back(request);
        self.work();
    }

    fn again(&mut self, tries: u32) {
        if tries < self.script.retries {
            self.calendar.put(self.now + WAY, Event::Asked { tries: tries + 1 });
        }
    }

    fn end(&mut self, request: u64, sample: Sample) {
        let in_flight = self.under_way.len() as u32;
        self.under_way.remove(&request);
        self.gradient.finished(sample, in_flight, self.now);
    }

    fn work(&mut self) {
        let chapter = self.chapter();
        while self.busy < chapter.places {
            let Some(request) = self.queue.pop_front() else { return };
            self.busy += 1;
            let time = chapter.work.draw(&mut self.chance);
            self.calendar.put(self.now + time, Event::Worked { request });
        }
    }
}

#[cfg(test)]
mod tests;
