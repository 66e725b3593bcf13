//! Metrics: what became of the calls, counted by each lane for itself and added up when somebody asks.
//!
//! Invariant: counting takes no lock and no other thread; a lane counts a bounded number of endpoints one by
//! one and the rest together.
//! Not here: names and formats for scrapers, what happens beside calls (`events`).

use std::collections::BTreeMap;
use std::time::Duration;

use foldhash::HashMap;
use hdrhistogram::Histogram;
use quotas::priority::Priority;
use quotas::scope::{ClassName, EndpointId};
use quotas::traffic::Minutes;
use quotas::units::Moment;
use runtime::run::Cost;

use crate::lane::Source;

/// How many endpoints a lane counts one by one.
pub const ENDPOINTS_MAX: usize = 2_000;
/// The longest time that is told apart, in microseconds.
const LATENCY_MAX: u64 = 60_000_000;

/// The calls of an endpoint.
#[derive(Debug, Clone)]
pub struct EndpointStats {
    /// Which endpoint; none for all those that are counted together.
    pub endpoint: Option<EndpointId>,
    /// How many ended with which code; `ok` for those that were answered.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// How long those took that ran, in microseconds, to two digits.
    pub latency: Histogram<u64>,
    /// The fuel that they burnt.
    pub fuel: u64,
    /// The time that they held their threads.
    pub running: Duration,
    /// The longest time between two looks at the clock.
    pub longest_gap: Duration,
    /// How many are under way.
    pub in_flight: u64,
    /// How many came in the last minutes, of each class and priority: as many as the operator has classes, three
    /// times.
    pub came: Vec<(Option<ClassName>, Priority, Minutes)>,
    /// Lines of its log that were too many for a second.
    pub lines_dropped: u64,
    /// Answers that were given instead, by where they are from.
    pub fallbacks: BTreeMap<&'static str, u64>,
    /// The second that lines are counted in, and how many it has had.
    lines: (u64, u32),
}

impl EndpointStats {
    /// Nothing was counted yet.
    pub fn new(endpoint: Option<EndpointId>) -> Self {
        Self {
            endpoint,
            outcomes: BTreeMap::new(),
            latency: Histogram::new(2).expect("two digits are allowed"),
            fuel: 0,
            running: Duration::ZERO,
            longest_gap: Duration::ZERO,
            in_flight: 0,
            came: Vec::new(),
            lines_dropped: 0,
            fallbacks: BTreeMap::new(),
            lines: (0, 0),
        }
    }

    /// Room for that many lines of the log, in this second; what is too much is counted.
    fn room(&mut self, lines: u32, second: u64) -> bool {
        if self.lines.0 != second {
            self.lines = (second, 0);
        }
        let fits = self.lines.1.saturating_add(lines) <= LINES_A_SECOND;
        if fits {
            self.lines.1 += lines;
        } else {
            self.lines_dropped += u64::from(lines);
        }
        fits
    }

    /// Calls that ended, refused ones too.
    pub fn total(&self) -> u64 {
        self.outcomes.values().sum()
    }

    fn came(&mut self, class: Option<&ClassName>, priority: Priority) -> &Minutes {
        let is_it =
            |(of, at, _): &(Option<ClassName>, Priority, Minutes)| of.as_ref() == class && *at == priority;
        let place = self.came.iter().position(is_it).unwrap_or_else(|| {
            self.came.push((class.cloned(), priority, Minutes::default()));
            self.came.len() - 1
        });
        &self.came[place].2
    }

    fn add(&mut self, other: &Self) {
        for (code, count) in &other.outcomes {
            *self.outcomes.entry(code).or_default() += count;
        }
        for (source, count) in &other.fallbacks {
            *self.fallbacks.entry(source).or_default() += count;
        }
        // Both count up to the same highest value or grow to it.
        let _ = self.latency.add(&other.latency);
        self.fuel = self.fuel.saturating_add(other.fuel);
        self.running += other.running;
        self.longest_gap = self.longest_gap.max(other.longest_gap);
        self.in_flight += other.in_flight;
        for (class, priority, minutes) in &other.came {
            self.came(class.as_ref(), *priority).add(minutes);
        }
        self.lines_dropped += other.lines_dropped;
    }
}

/// Lines of the log that an endpoint may write in a second, on each thread.
const LINES_A_SECOND: u32 = 100;

/// What one lane counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct LaneStats {
    places: HashMap<EndpointId, usize>,
    endpoints: Vec<EndpointStats>,
    rest: Option<Box<EndpointStats>>,
}

/// Where a lane counts the calls of an endpoint; it stays as long as the lane. None for those counted together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted(Option<usize>);

impl LaneStats {
    /// A call came, whatever becomes of it.
    pub(crate) fn came(
        &mut self,
        endpoint: &EndpointId,
        class: Option<&ClassName>,
        priority: Priority,
        now: Moment,
    ) -> Counted {
        let counted = self.place(endpoint);
        self.at(counted).came(class, priority).count(now);
        counted
    }

    /// A call that did not run.
    pub(crate) fn refused(&mut self, endpoint: &EndpointId, code: &'static str) {
        *self.of(endpoint).outcomes.entry(code).or_default() += 1;
    }

    /// A call that was answered otherwise.
    pub(crate) fn fell_back(&mut self, endpoint: &EndpointId, source: Source) {
        *self.of(endpoint).fallbacks.entry(source.as_str()).or_default() += 1;
    }

    /// A call ran that came here, or that came elsewhere and ended here.
    pub(crate) fn ran(&mut self, counted: Counted, code: &'static str, took: Duration, cost: &Cost) {
        let stats = self.at(counted);
        *stats.outcomes.entry(code).or_default() += 1;
        let micros = u64::try_from(took.as_micros()).unwrap_or(LATENCY_MAX).min(LATENCY_MAX);
        // Recording grows the histogram, which saturating does not; the highest value was bounded above.
        let _ = stats.latency.record(micros);
        stats.fuel = stats.fuel.saturating_add(cost.fuel.get());
        stats.running += cost.running;
        stats.longest_gap = stats.longest_gap.max(cost.longest_gap);
    }

    /// Whether so many lines of an endpoint's log are written now: a script that floods the log costs its
    /// own lines and nobody else's.
    pub(crate) fn may_log(&mut self, endpoint: &EndpointId, lines: usize, unix_ms: u64) -> bool {
        lines == 0 || self.of(endpoint).room(u32::try_from(lines).unwrap_or(u32::MAX), unix_ms / 1_000)
    }

    /// How long the calls of each endpoint held their threads so far, of those that are counted one by one.
    pub(crate) fn running(&self) -> Vec<(EndpointId, Duration)> {
        self.endpoints.iter().filter_map(|stats| Some((stats.endpoint.clone()?, stats.running))).collect()
    }

    /// Sets how many calls are under way now.
    pub(crate) fn under_way(&mut self, endpoint: &EndpointId, calls: u32) {
        self.of(endpoint).in_flight += u64::from(calls);
    }

    pub(crate) fn into_all(self) -> Vec<EndpointStats> {
        self.endpoints.into_iter().chain(self.rest.map(|rest| *rest)).collect()
    }

    /// Where an endpoint is counted.
    pub(crate) fn place(&mut self, endpoint: &EndpointId) -> Counted {
        Counted(match self.places.get(endpoint) {
            Some(place) => Some(*place),
            None if self.endpoints.len() >= ENDPOINTS_MAX => None,
            None => {
                self.places.insert(endpoint.clone(), self.endpoints.len());
                self.endpoints.push(EndpointStats::new(Some(endpoint.clone())));
                Some(self.endpoints.len() - 1)
            }
        })
    }

    fn at(&mut self, Counted(place): Counted) -> &mut EndpointStats {
        match place {
            Some(place) => &mut self.endpoints[place],
            None => self.rest.get_or_insert_with(|| Box::new(EndpointStats::new(None))),
        }
    }

    fn of(&mut self, endpoint: &EndpointId) -> &mut EndpointStats {
        let counted = self.place(endpoint);
        self.at(counted)
    }
}

/// Adds up what several lanes counted; sorted by endpoint, those that were counted together first.
pub(crate) fn merged(lanes: impl IntoIterator<Item = Vec<EndpointStats>>) -> Vec<EndpointStats> {
    let mut all: BTreeMap<Option<EndpointId>, EndpointStats> = BTreeMap::new();
    for stats in lanes.into_iter().flatten() {
        match all.get_mut(&stats.endpoint) {
            Some(known) => known.add(&stats),
            None => drop(all.insert(stats.endpoint.clone(), stats)),
        }
    }
    all.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> EndpointId {
        EndpointId::parse(&format!("tv/home/e{number}")).unwrap()
    }

    fn ran(lane: &mut LaneStats, number: usize, code: &'static str, took: Duration, cost: &Cost) {
        let counted = lane.place(&id(number));
        lane.ran(counted, code, took, cost);
    }

    #[test]
    fn lanes_are_added_up() {
        let (mut one, mut other) = (LaneStats::default(), LaneStats::default());
        let ms = Duration::from_millis;
        ran(&mut one, 1, "ok", ms(2), &Cost::default());
        one.refused(&id(1), "rate.exceeded");
        ran(&mut other, 1, "ok", ms(4), &Cost { longest_gap: ms(1), ..Cost::default() });
        ran(&mut other, 2, "ok", Duration::MAX, &Cost::default());
        other.under_way(&id(1), 3);
        let all = merged([one.into_all(), other.into_all()]);
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].outcomes, BTreeMap::from([("ok", 2), ("rate.exceeded", 1)]));
        assert_eq!((all[0].latency.len(), all[0].in_flight, all[0].longest_gap), (2, 3, ms(1)));
        assert_eq!(all[1].total(), 1);
    }

    #[test]
    fn endpoints_beyond_the_bound_are_counted_together() {
        let mut lane = LaneStats::default();
        (0..ENDPOINTS_MAX + 5).for_each(|number| lane.refused(&id(number), "switch.off"));
        let all = merged([lane.into_all()]);
        assert_eq!(all.len(), ENDPOINTS_MAX + 1);
        assert_eq!((all[0].endpoint.as_ref(), all[0].total()), (None, 5));
    }
}
