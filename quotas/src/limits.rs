//! Limits: what one call and one endpoint may use, from what was asked for and what the operator allows.
//!
//! Invariant: every limit has a value that is not zero; nobody is granted more than the ceiling, and what was
//! changed is told by name.
//! Not here: counting against the limits (`rate`, `concurrency`), reading manifests.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::budget::BudgetLimits;
use crate::team::TeamQuotas;
use crate::units::{Amount, Bytes, Fuel, InFlight, PerSecond};

/// What one call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Work of the script.
    pub fuel: Fuel,
    /// Memory held by the script at one time.
    pub memory: Bytes,
    /// Time from the first byte of the request to the answer.
    pub deadline: Duration,
    /// Size of the answer's body.
    pub response: Bytes,
    /// Size of the request's body.
    pub body: Bytes,
    /// Calls to host functions that reach outside the script.
    pub host_calls: u32,
    /// Bytes moved by those calls.
    pub host_bytes: Bytes,
}

/// What a manifest asks for; what it does not name is the operator's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requested {
    /// Work of the script.
    pub fuel: Option<Fuel>,
    /// Memory held by the script at one time.
    pub memory: Option<Bytes>,
    /// Time from the first byte of the request to the answer.
    pub deadline: Option<Duration>,
    /// Size of the answer's body.
    pub response: Option<Bytes>,
    /// Size of the request's body.
    pub body: Option<Bytes>,
    /// Calls to host functions that reach outside the script.
    pub host_calls: Option<u32>,
    /// Bytes moved by those calls.
    pub host_bytes: Option<Bytes>,
    /// Calls in a second, in the long run.
    pub rate: Option<PerSecond>,
    /// Calls at once after a quiet time.
    pub burst: Option<u32>,
    /// Calls alive at one time.
    pub concurrency: Option<InFlight>,
}

/// What one endpoint may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointLimits {
    /// What each of its calls may use.
    pub allowance: Allowance,
    /// Calls in a second, in the long run.
    pub rate: PerSecond,
    /// Calls at once after a quiet time.
    pub burst: NonZeroU32,
    /// Calls alive at one time.
    pub concurrency: InFlight,
}

/// The operator's defaults and ceilings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// What an endpoint gets that asks for nothing.
    pub default: EndpointLimits,
    /// The most that an endpoint can get.
    pub ceiling: EndpointLimits,
    /// Calls in a second of all endpoints of a team.
    pub team_rate: PerSecond,
    /// Calls at once of a team after a quiet time.
    pub team_burst: NonZeroU32,
    /// Calls of a team alive at one time.
    pub team_concurrency: InFlight,
    /// Calls of a node alive at one time.
    pub node_concurrency: InFlight,
    /// Memory that all calls of a node hold at one time, of one team half.
    pub node_memory: Bytes,
    /// Calls in a second of one client.
    pub client_rate: PerSecond,
    /// Calls at once of one client after a quiet time.
    pub client_burst: NonZeroU32,
    /// What an endpoint may use in a minute and a day.
    pub endpoint_budgets: BudgetLimits,
    /// What all endpoints of a team may use.
    pub team_budgets: BudgetLimits,
    /// What all calls of a class of devices may use.
    pub class_budgets: BudgetLimits,
    /// The soft limit of budgets, in percent of the hard one.
    pub soft_percent: u8,
    /// What a team may keep here, and how often it may deploy.
    pub team_quotas: TeamQuotas,
}

/// A limit that was asked for and not granted as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The limit's name in the manifest.
    pub limit: &'static str,
    /// What was asked for.
    pub asked: Amount,
    /// What was granted.
    pub granted: Amount,
}

impl Policy {
    /// What an endpoint gets: of each limit the least of what it asked for (or the default) and the ceiling,
    /// and never nothing. A burst that was not asked for follows the rate that was.
    pub fn endpoint(&self, asked: &Requested) -> EndpointLimits {
        let (default, ceiling) = (&self.default.allowance, &self.ceiling.allowance);
        let bytes = |asked: Option<Bytes>, default: Bytes, ceiling: Bytes| {
            asked.unwrap_or(default).min(ceiling).max(Bytes::new(1))
        };
        let allowance = Allowance {
            fuel: asked.fuel.unwrap_or(default.fuel).min(ceiling.fuel).max(Fuel::new(1)),
            memory: bytes(asked.memory, default.memory, ceiling.memory),
            deadline: asked
                .deadline
                .unwrap_or(default.deadline)
                .min(ceiling.deadline)
                .max(Duration::from_millis(1)),
            response: bytes(asked.response, default.response, ceiling.response),
            body: bytes(asked.body, default.body, ceiling.body),
            host_calls: asked.host_calls.unwrap_or(default.host_calls).min(ceiling.host_calls).max(1),
            host_bytes: bytes(asked.host_bytes, default.host_bytes, ceiling.host_bytes),
        };
        let rate = asked.rate.unwrap_or(self.default.rate).min(self.ceiling.rate);
        let usual_burst = if asked.rate.is_some() { rate.usual_burst() } else { self.default.burst };
        let burst =
            asked.burst.map_or(usual_burst, |burst| NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN));
        EndpointLimits {
            allowance,
            rate,
            burst: burst.min(self.ceiling.burst),
            concurrency: asked.concurrency.unwrap_or(self.default.concurrency).min(self.ceiling.concurrency),
        }
    }

    /// Every limit that was asked for and not granted as asked, for the answer to a deploy.
    pub fn cuts(&self, asked: &Requested) -> Vec<Cut> {
        let granted = self.endpoint(asked);
        let allowance = &granted.allowance;
        let calls = |calls: u32| Amount::Calls(u64::from(calls));
        [
            ("fuel", asked.fuel.map(Amount::Fuel), Amount::Fuel(allowance.fuel)),
            ("memory", asked.memory.map(Amount::Bytes), Amount::Bytes(allowance.memory)),
            ("deadline", asked.deadline.map(Amount::Time), Amount::Time(allowance.deadline)),
            ("response", asked.response.map(Amount::Bytes), Amount::Bytes(allowance.response)),
            ("body", asked.body.map(Amount::Bytes), Amount::Bytes(allowance.body)),
            ("host_calls", asked.host_calls.map(calls), calls(allowance.host_calls)),
            ("host_bytes", asked.host_bytes.map(Amount::Bytes), Amount::Bytes(allowance.host_bytes)),
            ("rate", asked.rate.map(Amount::Rate), Amount::Rate(granted.rate)),
            ("burst", asked.burst.map(calls), calls(granted.burst.get())),
            (
                "concurrency",
                asked.concurrency.map(|limit| calls(limit.get())),
                calls(granted.concurrency.get()),
            ),
        ]
        .into_iter()
        .filter_map(|(limit, asked, granted)| {
            asked.filter(|asked| *asked != granted).map(|asked| Cut { limit, asked, granted })
        })
        .collect()
    }
}

impl Default for Policy {
    fn default() -> Self {
        const fn rate(calls: u32) -> PerSecond {
            PerSecond::new(calls).expect("a rate that is not zero")
        }
        const fn burst(calls: u32) -> NonZeroU32 {
            NonZeroU32::new(calls).expect("a burst that is not zero")
        }
        const fn at_once(calls: u32) -> InFlight {
            InFlight::new(calls).expect("a number of calls that is not zero")
        }
        const ENDPOINT_RATE: PerSecond = rate(500);
        const TEAM_RATE: PerSecond = rate(2_000);
        Self {
            default: EndpointLimits {
                allowance: Allowance {
                    fuel: Fuel::new(2_000_000),
                    memory: Bytes::mib(8),
                    deadline: Duration::from_millis(300),
                    response: Bytes::mib(1),
                    body: Bytes::mib(1),
                    host_calls: 64,
                    host_bytes: Bytes::mib(8),
                },
                rate: ENDPOINT_RATE,
                burst: ENDPOINT_RATE.usual_burst(),
                concurrency: at_once(64),
            },
            ceiling: EndpointLimits {
                allowance: Allowance {
                    fuel: Fuel::new(50_000_000),
                    memory: Bytes::mib(16),
                    deadline: Duration::from_secs(10),
                    response: Bytes::mib(8),
                    body: Bytes::mib(8),
                    host_calls: 1_024,
                    host_bytes: Bytes::mib(64),
                },
                rate: rate(50_000),
                burst: burst(50_000),
                concurrency: at_once(1_024),
            },
            team_rate: TEAM_RATE,
            team_burst: TEAM_RATE.usual_burst(),
            team_concurrency: at_once(256),
            node_concurrency: at_once(2_048),
            node_memory: Bytes::mib(4_096),
            client_rate: rate(20),
            client_burst: burst(40),
            endpoint_budgets: ENDPOINT_BUDGETS,
            team_budgets: TEAM_BUDGETS,
            class_budgets: TEAM_BUDGETS,
            soft_percent: 80,
            team_quotas: TEAM_QUOTAS,
        }
    }
}

/// In the order of [`BudgetKind`](crate::budget::BudgetKind): fuel, host calls and bytes, of a minute and a day,
/// and requests of a day. A core burns about 3,000,000,000 fuel a minute.
const ENDPOINT_BUDGETS: BudgetLimits = BudgetLimits([
    10_000_000_000,
    2_000_000_000_000,
    10_000_000,
    2_000_000_000,
    32 << 30,
    8 << 40,
    1_000_000_000,
]);
/// Twice an endpoint's.
const TEAM_BUDGETS: BudgetLimits = BudgetLimits([
    20_000_000_000,
    4_000_000_000_000,
    20_000_000,
    4_000_000_000,
    64 << 30,
    16 << 40,
    2_000_000_000,
]);
/// In the order of [`TeamQuota`](crate::team::TeamQuota).
const TEAM_QUOTAS: TeamQuotas = TeamQuotas([2_000, 500, 1_000_000, 2_000, 3_600, 4 << 30]);

#[cfg(test)]
mod tests;
