//! Fallbacks: what a device gets where its call was refused or failed, instead of a problem.
//!
//! Invariant: a fallback costs next to nothing and changes nothing: it has a small allowance, no services, no actor
//! and no place of its own, and one that fails is not tried again. A script that was killed or set aside does not
//! run, not even for this.
//! Not here: which answers are kept (`good`), the header that marks a fallback.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use quotas::limits::Allowance;
use quotas::memory::Hold;
use quotas::scope::RevisionNumber;
use quotas::units::{Bytes, Fuel, Moment};
use runtime::fuel::now_nanos;
use runtime::host::call::{CallContext, EndpointContext};
use runtime::host::request::Request;
use runtime::host::response::Response;
use runtime::run;
use runtime::unit::Entry;

use super::good::{Key, LastGood};
use super::{CallFailure, Lane};
use crate::node::Shared;
use crate::routes::EndpointEntry;
use crate::units::Units;

/// The share of an endpoint's fuel that its fallback has, and the most of it: about half a millisecond.
const SHARE: u64 = 20;
const FUEL_MAX: u64 = 20_000;
/// The memory that it has, and the time.
const MEMORY: Bytes = Bytes::mib(1);
const TIME: Duration = Duration::from_millis(20);
/// Fallbacks of one thread that run at one time; more are not tried.
const AT_ONCE: u32 = 16;

/// What a device gets instead.
#[derive(Debug)]
pub struct Fallen {
    /// The answer.
    pub response: Response,
    /// Where it is from.
    pub source: Source,
    /// The revision that gave it.
    pub revision: RevisionNumber,
}

/// Where a fallback is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The script's own fallback ran.
    Script,
    /// An answer from so long ago.
    LastGood(Duration),
}

/// What may be given instead of an answer that there is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct May {
    run: bool,
    repeat: bool,
}

/// What may be given for this code, of a rule of this name where one refused.
fn may(code: &str, rule: &str) -> May {
    let (run, repeat) = match code {
        // The script may be the harm itself.
        "switch.off" | "switch.killed" | "switch.last_good" | "quarantine.active" => (false, true),
        // Nothing of it can be had, or nothing more can be held.
        "engine.panic" | "endpoint.lost" | "memory.exceeded" => (false, true),
        _ if code.starts_with("unit.") => (false, true),
        "switch.fallback" | "switch.capped" | "pressure.shed" | "lane.full" => (true, true),
        "concurrency.exceeded" | "budget.exceeded" => (true, true),
        // Who calls too often is told so; what is too much for an endpoint is no single caller's fault.
        "rate.exceeded" => (rule != "rate.client", rule != "rate.client"),
        "script.failed" | "script.returned_error" | "fuel.exhausted" | "deadline.exceeded" => (true, true),
        "memory.exhausted" | "depth.exceeded" | "response.too_large" => (true, true),
        "host_calls.exceeded" | "host_bytes.exceeded" => (true, true),
        _ => (false, false),
    };
    May { run, repeat }
}

impl Lane {
    /// What a device gets instead of an answer, where its endpoint has something for that; `request` is asked for
    /// the request again.
    pub async fn fall_back(
        &self,
        entry: &Arc<EndpointEntry>,
        why: &CallFailure,
        key: Option<&Key>,
        request: impl FnOnce() -> Request,
    ) -> Option<Fallen> {
        let rule = if let CallFailure::Refused(refusal) = why { refusal.rule } else { "" };
        let may = may(why.code(), rule);
        let shared = self.0.node.shared();
        let fallen = match (&entry.spec.fallback, may.run) {
            (Some(fallback), true) => {
                let fallback = Entry::new(fallback.module(), fallback.function());
                self.run_fallback(entry, fallback, request()).await
            }
            _ => None,
        };
        let fallen = fallen.or_else(|| repeated(shared, entry, key.filter(|_| may.repeat)?));
        if let Some(fallen) = &fallen {
            self.0.stats.borrow_mut().fell_back(&entry.id, fallen.source);
        }
        fallen
    }

    async fn run_fallback(&self, entry: &EndpointEntry, fallback: Entry, request: Request) -> Option<Fallen> {
        let shared = self.0.node.shared();
        // One that is not there is not loaded for this.
        let unit = Units::peek(&shared.units, &entry.unit)?;
        let _running = Running::new(&self.0.fallbacks)?;
        let limits = &entry.limits.allowance;
        let fuel = (limits.fuel.get() / SHARE).clamp(1, FUEL_MAX);
        let allowance = Allowance {
            fuel: Fuel::new(fuel),
            memory: limits.memory.min(MEMORY),
            deadline: limits.deadline.min(TIME),
            host_calls: 0,
            host_bytes: Bytes::new(0),
            ..*limits
        };
        // It calls no services.
        let (team, settings) = (entry.id.team().clone(), Arc::clone(&entry.context.settings));
        let endpoint = Arc::new(EndpointContext { team, services: Arc::default(), settings });
        let memory = Arc::new(Hold::new(&entry.guard.team.memory, &shared.node.memory));
        let context = CallContext::new(&endpoint, &unit, &allowance, ("fallback".into(), 0), memory);
        let outcome = run::call(unit, fallback, request, allowance, now_nanos(), context, None).await;
        self.settle(entry, None, &outcome.cost, 0, false, Moment::from_nanos(now_nanos()));
        let response = outcome.result.ok()?;
        Some(Fallen { response, source: Source::Script, revision: entry.revision })
    }
}

/// The last good answer, if there is one that is young enough.
fn repeated(shared: &Shared, entry: &EndpointEntry, key: &Key) -> Option<Fallen> {
    let (good, age) = LastGood::get(&shared.good, key)?;
    let is_young = entry.spec.last_good.is_some_and(|longest| age <= longest);
    is_young.then(|| Fallen {
        response: good.response.clone(),
        source: Source::LastGood(age),
        revision: good.revision,
    })
}

/// Counts the fallbacks of a thread that run.
struct Running<'a>(&'a Cell<u32>);

impl<'a> Running<'a> {
    fn new(count: &'a Cell<u32>) -> Option<Self> {
        let running = count.get();
        (running < AT_ONCE).then(|| {
            count.set(running + 1);
            Self(count)
        })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Source {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Script => "script",
            Self::LastGood(_) => "last-good",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_given_depends_on_why_there_is_no_answer() {
        fn check(codes: &[&str], run: bool, repeat: bool) {
            for code in codes {
                assert_eq!(may(code, ""), May { run, repeat }, "{code}");
            }
        }
        check(&["switch.off", "switch.killed", "quarantine.active", "switch.last_good"], false, true);
        check(&["endpoint.lost", "engine.panic", "unit.loading", "memory.exceeded"], false, true);
        check(&["pressure.shed", "switch.fallback", "budget.exceeded", "concurrency.exceeded"], true, true);
        check(&["script.failed", "deadline.exceeded", "fuel.exhausted", "rate.exceeded"], true, true);
        check(&["node.draining", "route.unknown", "request.too_large"], false, false);
        assert_eq!(may("rate.exceeded", "rate.client"), May { run: false, repeat: false });
    }
}
