//! The replay: every arrival asks for admission at its time, and what was let in is alive for as long as it took.
//!
//! Invariant: the code that decides is the server's own, `quotas::admission`, with a clock that is set to each arrival;
//! calls that end before it are settled before it asks.
//! Not here: switches, quarantine, pressure and memory, of which a trace tells nothing.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap};
use std::hash::RandomState;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use quotas::admission::{self, Ask, Verdict};
use quotas::budget::Spent;
use quotas::concurrency::Permit;
use quotas::guards::{EndpointGuard, NodeGuard, TeamGuard};
use quotas::limits::Requested;
use quotas::priority::Priority;
use quotas::rate::Quota;
use quotas::scope::{ClassName, EndpointId, RevisionNumber, TeamName};
use quotas::switches::Board;
use quotas::units::Moment;

use super::found::Found;
use super::quotas::Quotas;
use super::recorded::Arrival;

/// Where the clock stands when a trace begins: beyond all windows, as on a server that runs for long.
const BEGIN: Duration = Duration::from_secs(2 * 86_400);

/// A call that was let in.
struct Alive {
    ends: Moment,
    /// Which arrival.
    number: usize,
    guard: Rc<EndpointGuard>,
    _permit: Permit,
}

/// A node with these quotas that nobody called yet.
struct Node<'a> {
    quotas: &'a Quotas,
    guard: NodeGuard,
    teams: HashMap<TeamName, Arc<TeamGuard>>,
    endpoints: HashMap<EndpointId, Rc<EndpointGuard>>,
}

/// Plays arrivals at so many times their number in the same time.
pub fn play(quotas: &Quotas, arrivals: &[Arrival], times: f64) -> Found {
    let mut node = Node::new(quotas, arrivals);
    let mut alive: BinaryHeap<Reverse<Alive>> = BinaryHeap::new();
    let (board, mut found) = (Board::default(), Found::default());
    for (number, arrival) in arrivals.iter().enumerate() {
        let at = arrival.at.div_f64(times);
        let now = Moment::default() + BEGIN + at;
        while alive.peek().is_some_and(|Reverse(call)| call.ends <= now) {
            if let Some(Reverse(call)) = alive.pop() {
                node.settle(&call, &arrivals[call.number]);
            }
        }
        let guard = node.endpoint(&arrival.endpoint);
        let ask = Ask {
            board: &board,
            node: &node.guard,
            endpoint: &guard,
            revision: RevisionNumber::first(),
            class: arrival.class.as_deref(),
            client: arrival.client.as_bytes(),
            priority: Priority::User,
            shed: None,
            over_share: false,
        };
        match admission::admit(&ask, now, u64::try_from(at.as_millis()).unwrap_or(u64::MAX)) {
            Verdict::Admitted(permit) => {
                found.let_in(at);
                alive.push(Reverse(Alive { ends: now + arrival.used.took, number, guard, _permit: permit }));
            }
            Verdict::Refused(refusal) => found.refuse(at, &refusal),
        }
    }
    found
}

impl<'a> Node<'a> {
    fn new(quotas: &'a Quotas, arrivals: &[Arrival]) -> Self {
        let policy = &quotas.policy;
        let usual = Quota { rate: policy.ceiling.rate, burst: policy.ceiling.burst };
        let classes: HashMap<ClassName, Quota> = arrivals
            .iter()
            .filter_map(|arrival| arrival.class.as_deref())
            .map(|class| (class.clone(), usual))
            .collect();
        let guard = NodeGuard::new(policy, &classes, RandomState::new());
        let now = Moment::default() + BEGIN;
        guard.set(&quotas.of_node(), now);
        for (name, class) in guard.classes() {
            class.set(&quotas.of_class(class.own, name), now);
        }
        Self { quotas, guard, teams: HashMap::new(), endpoints: HashMap::new() }
    }

    fn endpoint(&mut self, id: &EndpointId) -> Rc<EndpointGuard> {
        if let Some(known) = self.endpoints.get(id) {
            return Rc::clone(known);
        }
        let (quotas, now) = (self.quotas, Moment::default() + BEGIN);
        let team = self.teams.entry(id.team().clone()).or_insert_with_key(|name| {
            let team = TeamGuard::new(name.clone(), &quotas.policy);
            team.set(&quotas.of_team(name.as_str()), now);
            Arc::new(team)
        });
        let limits = quotas.policy.endpoint(&Requested::default());
        let guard = EndpointGuard::new(id.clone(), Arc::clone(team), &limits);
        guard.set(&quotas.of_endpoint(&limits, id), now);
        Rc::clone(self.endpoints.entry(id.clone()).or_insert(Rc::new(guard)))
    }

    fn settle(&self, call: &Alive, arrival: &Arrival) {
        let used = &arrival.used;
        let spent = Spent { fuel: used.fuel, host_calls: used.host_calls, bytes: used.bytes };
        let whose = (&self.guard, &*call.guard, arrival.class.as_deref());
        admission::settle(whose, &spent, false, call.ends, |_, _| {});
    }
}

impl PartialEq for Alive {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Alive {}

impl PartialOrd for Alive {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Alive {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.ends, self.number).cmp(&(other.ends, other.number))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{knee, recorded};
    use super::*;
    use crate::plan::fault::Source;

    fn quotas(text: &str) -> Quotas {
        Quotas::read(Source { file: "new.toml", text }).unwrap()
    }

    /// So many calls in a second of this path, for so many seconds, each from a client of its own.
    fn steady(rate: u64, seconds: u64, path: &str, more: &str) -> Vec<Arrival> {
        let lines = (0..rate * seconds).map(|number| {
            let ms = number as f64 * 1e3 / rate as f64;
            format!("{{\"ms\": {ms}, \"path\": \"{path}\", \"client\": \"{number}\"{more}}}\n")
        });
        let text: String = lines.collect();
        recorded::read(Source { file: "trace.txt", text: &text }, &Quotas::default()).unwrap()
    }

    #[test]
    fn a_rate_lets_in_its_burst_and_then_its_rate_and_the_rest_is_named() {
        let arrivals = steady(100, 10, "/tv/home", "");
        let found = play(&quotas("[\"team:tv\"]\nrate = \"60/s\"\nburst = 20\n"), &arrivals, 1.0);
        // The burst and 60 of each second's 100.
        let let_in = 20 + 60 * 10;
        assert!(found.admitted.abs_diff(let_in) <= 2, "{} let in", found.admitted);
        assert_eq!(found.admitted + found.refused, 1_000);
        let rules: Vec<&str> = found.rules.keys().map(|(rule, _)| *rule).collect();
        assert_eq!(rules, ["rate.team"]);
        let rule = found.rules.values().next().unwrap();
        // Of 100 in a second 60 come back, so that a burst of 20 lasts for half a second.
        assert!((Duration::from_millis(450)..Duration::from_millis(550)).contains(&rule.first), "{rule:?}");
        assert!(rule.worst.1.abs_diff(40) <= 1, "{rule:?}");
    }

    #[test]
    fn calls_that_live_long_meet_the_limit_of_those_alive() {
        let arrivals = steady(100, 5, "/tv/home", ", \"took_ms\": 500");
        // By Little's law fifty are alive at a time.
        let text = |limit| format!("[\"endpoint:tv/home/main\"]\nconcurrency = {limit}\n");
        assert_eq!(play(&quotas(&text(51)), &arrivals, 1.0).refused, 0);
        let found = play(&quotas(&text(25)), &arrivals, 1.0);
        assert_eq!(found.rules.keys().map(|(rule, _)| *rule).collect::<Vec<_>>(), ["concurrency.endpoint"]);
        assert!(found.admitted.abs_diff(250) <= 25, "{} let in", found.admitted);
    }

    #[test]
    fn a_budget_of_a_minute_is_used_up_and_comes_back() {
        let arrivals = steady(10, 150, "/tv/home", ", \"fuel\": 1000");
        let found = play(&quotas("[\"team:tv\"]\nfuel_minute = 300_000\n"), &arrivals, 1.0);
        let rule = &found.rules[&("budget.fuel_minute.team", "team:tv".to_owned())];
        assert!((Duration::from_secs(29)..Duration::from_secs(31)).contains(&rule.first), "{rule:?}");
        // 300 calls in the first half of each of the first two minutes, and again in the third.
        assert!(found.admitted.abs_diff(900) <= 60, "{} let in", found.admitted);
    }

    #[test]
    fn the_knee_is_where_the_first_is_refused() {
        let arrivals = steady(100, 10, "/tv/home", "");
        let of = |rate| {
            // Nothing else may be in the way.
            let endpoint = "[\"endpoint:*\"]\nrate = \"50000/s\"\n";
            let quotas = quotas(&format!("{endpoint}[\"team:tv\"]\nrate = \"{rate}/s\"\nburst = 1\n"));
            let found = play(&quotas, &arrivals, 1.0);
            knee(&quotas, &arrivals, &found).unwrap()
        };
        for (rate, times) in [(300, 3.0), (1_000, 10.0), (40, 0.4)] {
            let knee = of(rate);
            assert!((knee.times / times - 1.0).abs() < 0.1, "{rate}/s: {knee:?}");
            assert_eq!(knee.rule, "rate.team");
        }
    }

    #[test]
    fn a_trace_comes_to_the_same_end_every_time() {
        let arrivals = steady(200, 5, "/tv/home", "");
        let quotas = quotas("[\"team:tv\"]\nrate = \"77/s\"\n");
        let played = || play(&quotas, &arrivals, 1.3);
        assert_eq!(played(), played());
    }
}
