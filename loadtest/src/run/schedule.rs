//! The schedule: every request of a run, with the time at which it is meant to begin.
//!
//! Invariant: it follows from the plan and the seed alone. No clock, no timer and no answer moves an arrival, so that a
//! server which stalls meets the same load as one which does not. A request that follows another one is meant to begin
//! so long after that one was *meant* to begin.
//! Not here: sending (`generator`).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::chance::Chance;
use crate::plan::stage::Piece;
use crate::plan::{Arrivals, Plan};

/// A request that is meant to begin at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival {
    /// When, since the run began.
    pub due: Duration,
    /// Its number among all that follow no other; those that follow have the number of the first.
    pub number: u64,
    /// Which request of the plan.
    pub request: usize,
    /// By which class of devices.
    pub class: Option<usize>,
    /// Its path, where a trace says it.
    pub path: Option<Arc<str>>,
}

/// A part of a load that is made by several: the `index`th of `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Which part, from zero.
    pub index: u64,
    /// Of how many.
    pub count: u64,
}

impl Share {
    /// All of it.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// A part of this part.
    pub fn part(self, index: u64, count: u64) -> Self {
        Self { index: self.index + self.count * index, count: self.count * count }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index + 1, self.count)
    }
}

/// All arrivals in their order.
#[derive(Debug)]
pub struct Schedule<'a> {
    plan: &'a Plan,
    share: Share,
    first: Box<Times<'a>>,
    number: u64,
    next: Option<Arrival>,
    following: BinaryHeap<Reverse<Arrival>>,
    requests: Weights,
    classes: Weights,
}

impl<'a> Schedule<'a> {
    /// The part of a plan's arrivals that falls to a share.
    pub fn new(plan: &'a Plan, share: Share) -> Self {
        let mut schedule = Self {
            plan,
            share,
            first: Box::new(Times::new(plan)),
            number: 0,
            next: None,
            following: BinaryHeap::new(),
            requests: Weights::new(plan.requests.iter().map(|request| request.weight)),
            classes: Weights::new(plan.classes.iter().map(|class| class.weight)),
        };
        schedule.next = schedule.step();
        schedule
    }

    /// The next arrival that follows no other.
    fn step(&mut self) -> Option<Arrival> {
        loop {
            let number = self.number;
            let mine = number % self.share.count == self.share.index;
            self.number += 1;
            if let Some(traced) = self.plan.trace.get(number as usize) {
                if mine {
                    let (request, class, path) =
                        (traced.request, traced.class, Some(Arc::clone(&traced.path)));
                    return Some(Arrival { due: traced.at, number, request, class, path });
                }
                continue;
            }
            let due = self.first.next()?;
            if mine {
                let mut chance = chance(self.plan.seed, number);
                let request = self.requests.pick(&mut chance)?;
                let class = self.classes.pick(&mut chance);
                return Some(Arrival { due, number, request, class, path: None });
            }
        }
    }
}

impl Iterator for Schedule<'_> {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let follows = match (&self.next, self.following.peek()) {
            (Some(next), Some(Reverse(following))) => following.due < next.due,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        let arrival = if follows {
            self.following.pop().map(|Reverse(arrival)| arrival)
        } else {
            let stepped = self.step();
            std::mem::replace(&mut self.next, stepped)
        }?;
        if let Some((request, think)) = self.plan.requests[arrival.request].then {
            let due = arrival.due + think;
            self.following.push(Reverse(Arrival { due, request, path: None, ..arrival }));
        }
        Some(arrival)
    }
}

/// The chance of one arrival, whoever sends it.
pub fn chance(seed: u64, number: u64) -> Chance {
    Chance::new(Chance::new(seed ^ number.rotate_left(32)).number() ^ number)
}

/// A choice by weights.
#[derive(Debug)]
struct Weights(Vec<f64>);

impl Weights {
    fn new(weights: impl Iterator<Item = f64>) -> Self {
        let mut sum = 0.0;
        Self(
            weights
                .map(|weight| {
                    sum += weight;
                    sum
                })
                .collect(),
        )
    }

    fn pick(&self, chance: &mut Chance) -> Option<usize> {
        let sum = *self.0.last()?;
        let at = chance.share() * sum;
        (sum > 0.0).then(|| self.0.partition_point(|upto| *upto <= at))
    }
}

/// The times of a shape's arrivals.
#[derive(Debug)]
struct Times<'a> {
    pieces: &'a [Piece],
    /// The rate's integral since the beginning of the first piece, at the next arrival.
    reach: f64,
    chance: Option<Chance>,
    /// The next of the rate, and of the bursts: which and how many of it are left.
    even: Option<Duration>,
    burst: (usize, u32),
    plan: &'a Plan,
}

impl<'a> Times<'a> {
    fn new(plan: &'a Plan) -> Self {
        let chance = (plan.arrivals == Arrivals::Random).then(|| Chance::new(plan.seed));
        let left = plan.shape.bursts.first().map_or(0, |burst| burst.count);
        let pieces = plan.shape.pieces.as_slice();
        let mut times = Self { pieces, reach: 0.0, chance, even: None, burst: (0, left), plan };
        if let Some(chance) = &mut times.chance {
            times.reach = chance.exponential(1.0);
        }
        times.even = times.step();
        times
    }

    fn step(&mut self) -> Option<Duration> {
        loop {
            let Piece { begin, length, from, to } = *self.pieces.first()?;
            let slope = (to - from) / length;
            let area = f64::midpoint(from, to) * length;
            // A millionth less, as a hundred times 0.01 is not one.
            if self.reach < area - 1e-6 {
                // The root of `from x + slope x² / 2 = reach` in the form that does not cancel. It is taken from the
                // beginning of the piece each time, so that no error adds up.
                let root = (2.0 * slope).mul_add(self.reach, from * from).max(0.0).sqrt();
                let offset = if self.reach > 0.0 { 2.0 * self.reach / (from + root) } else { 0.0 };
                self.reach += self.chance.as_mut().map_or(1.0, |chance| chance.exponential(1.0));
                return Some(Duration::from_secs_f64(begin + offset));
            }
            self.reach = (self.reach - area).max(0.0);
            self.pieces = &self.pieces[1..];
        }
    }

    fn next(&mut self) -> Option<Duration> {
        while let Some(burst) = self.plan.shape.bursts.get(self.burst.0) {
            if self.burst.1 == 0 {
                let next = self.burst.0 + 1;
                self.burst = (next, self.plan.shape.bursts.get(next).map_or(0, |burst| burst.count));
                continue;
            }
            if self.even.is_some_and(|even| even <= burst.at) {
                break;
            }
            self.burst.1 -= 1;
            return Some(burst.at);
        }
        let step = self.step();
        std::mem::replace(&mut self.even, step)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::plan::fault::Source;

    fn plan(text: &str) -> Plan {
        Plan::read(Source { file: "plan", text }, "plan", Path::new("")).unwrap()
    }

    fn millis(text: &str) -> Vec<u128> {
        let text = format!("{text}\n[[request]]\npath = \"/\"");
        Schedule::new(&plan(&text), Share::WHOLE).map(|arrival| arrival.due.as_millis()).collect()
    }

    #[test]
    fn a_rate_is_as_many_requests_at_even_distances() {
        let times = millis("[[stage]]\nrate = \"100/s\"\nfor = \"3s\"");
        assert_eq!(times.len(), 300);
        assert!(times.windows(2).all(|two| (9..=11).contains(&(two[1] - two[0]))), "{times:?}");
    }

    #[test]
    fn a_rate_is_exact_however_long_it_lasts() {
        for (rate, seconds, wanted) in
            [(1_000, 12, 12_000), (5_000, 3, 15_000), (7, 3_600, 25_200), (20_000, 60, 1_200_000)]
        {
            assert_eq!(
                millis(&format!("[[stage]]\nrate = \"{rate}/s\"\nfor = \"{seconds}s\"")).len(),
                wanted
            );
        }
    }

    #[test]
    fn a_ramp_gets_denser_and_has_the_requests_of_its_mean() {
        let times = millis("[[stage]]\nramp_to = \"100/s\"\nfor = \"4s\"");
        assert_eq!(times.len(), 200);
        // A quarter of them in the first half.
        assert!((49..=51).contains(&times.iter().filter(|at| **at < 2_000).count()), "{times:?}");
    }

    #[test]
    fn stages_follow_each_other_and_bursts_come_on_top() {
        let times = millis(
            "[[stage]]\nsteps = [\"1/s\", \"2/s\"]\nfor = \"2s\"\n[[stage]]\nburst = 3\nevery = \"1s\"\nfor = \"2s\"",
        );
        assert_eq!(times, [0, 1_000, 2_000, 2_500, 3_000, 3_500, 4_000, 4_000, 4_000, 5_000, 5_000, 5_000]);
    }

    #[test]
    fn random_arrivals_have_the_rate_and_no_even_distances() {
        let times = millis("arrivals = \"random\"\nseed = 3\n[[stage]]\nrate = \"100/s\"\nfor = \"100s\"");
        assert!((9_600..10_400).contains(&times.len()), "{}", times.len());
        let close = times.windows(2).filter(|two| two[1] - two[0] < 10).count() as f64;
        // One less the exponential of minus one.
        assert!((close / times.len() as f64 - 0.632).abs() < 0.03, "{close}");
    }

    #[test]
    fn shares_together_are_the_whole_and_requests_come_by_their_weights() {
        let text = "arrivals = \"random\"\n[[stage]]\nrate = \"1000/s\"\nfor = \"10s\"\n\
            [[request]]\npath = \"/a\"\nweight = 3\n[[request]]\npath = \"/b\"\n[[class]]\nname = \"tv\"";
        let plan = plan(text);
        let whole: Vec<Arrival> = Schedule::new(&plan, Share::WHOLE).collect();
        let mut parts: Vec<Arrival> =
            (0..3).flat_map(|index| Schedule::new(&plan, Share { index, count: 3 })).collect();
        parts.sort();
        assert_eq!(parts, whole);
        let share = whole.iter().filter(|arrival| arrival.request == 0).count() as f64 / whole.len() as f64;
        assert!((share - 0.75).abs() < 0.02, "{share}");
        assert!(whole.iter().all(|arrival| arrival.class == Some(0)));
        assert_eq!(Share { index: 1, count: 2 }.part(1, 3), Share { index: 3, count: 6 });
    }

    #[test]
    fn what_follows_begins_after_the_time_to_think_whatever_was_answered() {
        let plan = plan(
            "[[stage]]\nrate = \"1/s\"\nfor = \"2s\"\n[[request]]\nname = \"a\"\npath = \"/a\"\nthen = \"b\"\n\
             think = \"1500ms\"\n[[request]]\nname = \"b\"\npath = \"/b\"\nweight = 0",
        );
        let seen: Vec<_> = Schedule::new(&plan, Share::WHOLE)
            .map(|arrival| (arrival.due.as_millis(), arrival.request, arrival.number))
            .collect();
        assert_eq!(seen, [(0, 0, 0), (1_000, 0, 1), (1_500, 1, 0), (2_500, 1, 1)]);
    }
}
