//! Refusal: why a call may not run now, as a value.
//!
//! Invariant: a refusal names one rule, what it is about and what the reader can do; showing it to somebody
//! cannot change it.
//! Not here: HTTP status codes and headers, what is hidden from devices, who decides (`admission`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::scope::Scope;
use crate::units::Amount;

/// What kind of rule refused. The text is stable: clients and dashboards match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalCode {
    /// Somebody switched it off.
    SwitchOff,
    /// Somebody has it answered by its fallback alone.
    SwitchFallback,
    /// Somebody has it answered by its last good answer alone.
    SwitchLastGood,
    /// Somebody keeps calls out that are as little important as this one.
    SwitchShed,
    /// Somebody lets so many calls be alive at one time.
    SwitchCapped,
    /// Somebody keeps it from being changed.
    DeployFrozen,
    /// It harmed the node and was set aside.
    QuarantineActive,
    /// The node has too much to do.
    PressureShed,
    /// Too many calls in a time.
    RateExceeded,
    /// Too many calls at one time.
    ConcurrencyExceeded,
    /// All calls together hold as much memory as they may.
    MemoryExceeded,
    /// A budget over a longer time is used up.
    BudgetExceeded,
    /// The thread that would run it has no room left.
    LaneFull,
    /// The node is about to stop.
    NodeDraining,
}

/// What the reader of a refusal is told by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reader {
    /// You call more than you may: slow down.
    SlowDown,
    /// It is not your calls: we protect ourselves or others.
    WeProtectOurselves,
}

/// The state of a rate or a budget, as told to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RatePolicy {
    /// Whose rate, `endpoint`, `team`, `class` or `client`, or which of their budgets, `team-fuel_day`. Never the
    /// name of one of them.
    pub name: &'static str,
    /// What is allowed in a window: calls, or what the budget counts.
    pub quota: u64,
    /// The window in seconds.
    pub window_s: u32,
    /// What is left: calls that would be admitted at once, or of the budget.
    pub remaining: u64,
    /// Seconds until the whole burst, or all of the budget, is left again, rounded up.
    pub reset_s: u32,
}

/// Why a call may not run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of rule refused.
    pub code: RefusalCode,
    /// The rule's name, such as `rate.endpoint`.
    pub rule: &'static str,
    /// What the rule is about. `all` for a rule of the whole node.
    pub scope: Scope,
    /// The limit that was reached.
    pub limit: Option<Amount>,
    /// What was seen instead.
    pub observed: Option<Amount>,
    /// Since when it holds, in milliseconds of wall-clock time.
    pub since: Option<u64>,
    /// Until when it holds, in milliseconds of wall-clock time.
    pub until: Option<u64>,
    /// Who decided it.
    pub by: Option<Arc<str>>,
    /// Why they did.
    pub reason: Option<Arc<str>>,
    /// When it may be worth to try again.
    pub retry_after: Option<Duration>,
    /// The state of the rate that was exceeded.
    pub policy: Option<RatePolicy>,
}

impl RefusalCode {
    /// Every code there is.
    pub const ALL: [Self; 14] = [
        Self::SwitchOff,
        Self::SwitchFallback,
        Self::SwitchLastGood,
        Self::SwitchShed,
        Self::SwitchCapped,
        Self::DeployFrozen,
        Self::QuarantineActive,
        Self::PressureShed,
        Self::RateExceeded,
        Self::ConcurrencyExceeded,
        Self::MemoryExceeded,
        Self::BudgetExceeded,
        Self::LaneFull,
        Self::NodeDraining,
    ];

    /// The stable text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SwitchOff => "switch.off",
            Self::SwitchFallback => "switch.fallback",
            Self::SwitchLastGood => "switch.last_good",
            Self::SwitchShed => "switch.shed",
            Self::SwitchCapped => "switch.capped",
            Self::DeployFrozen => "deploy.frozen",
            Self::QuarantineActive => "quarantine.active",
            Self::PressureShed => "pressure.shed",
            Self::RateExceeded => "rate.exceeded",
            Self::ConcurrencyExceeded => "concurrency.exceeded",
            Self::MemoryExceeded => "memory.exceeded",
            Self::BudgetExceeded => "budget.exceeded",
            Self::LaneFull => "lane.full",
            Self::NodeDraining => "node.draining",
        }
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Refusal {
    /// A refusal that says no more than which rule of what refused; the rest is filled in by the rule.
    pub fn new(code: RefusalCode, rule: &'static str, scope: Scope) -> Self {
        Self {
            code,
            rule,
            scope,
            limit: None,
            observed: None,
            since: None,
            until: None,
            by: None,
            reason: None,
            retry_after: None,
            policy: None,
        }
    }

    /// What its reader is told by it. A full node is no fault of the caller, a full endpoint or team is.
    pub fn reader(&self) -> Reader {
        match self.code {
            RefusalCode::ConcurrencyExceeded | RefusalCode::MemoryExceeded if self.scope == Scope::All => {
                Reader::WeProtectOurselves
            }
            RefusalCode::RateExceeded
            | RefusalCode::ConcurrencyExceeded
            | RefusalCode::MemoryExceeded
            | RefusalCode::BudgetExceeded => Reader::SlowDown,
            RefusalCode::SwitchOff
            | RefusalCode::SwitchFallback
            | RefusalCode::SwitchLastGood
            | RefusalCode::SwitchShed
            | RefusalCode::SwitchCapped
            | RefusalCode::DeployFrozen
            | RefusalCode::QuarantineActive
            | RefusalCode::PressureShed
            | RefusalCode::LaneFull
            | RefusalCode::NodeDraining => Reader::WeProtectOurselves,
        }
    }

    /// Whether it comes before the node's pressure is asked: by a switch or a quarantine.
    pub fn is_by_decision(&self) -> bool {
        matches!(
            self.code,
            RefusalCode::SwitchOff
                | RefusalCode::SwitchFallback
                | RefusalCode::SwitchLastGood
                | RefusalCode::SwitchShed
                | RefusalCode::SwitchCapped
                | RefusalCode::QuarantineActive
        )
    }

    /// What the reader should do.
    pub fn advice(&self) -> &'static str {
        match self.code {
            RefusalCode::SwitchOff => {
                "Wait until it is switched on again; who did it and why stands in the list of switches."
            }
            RefusalCode::SwitchFallback | RefusalCode::SwitchLastGood => {
                "Wait until the switch is released: until then the script does not run, and what stands in for it had no answer; who did it and why stands in the list of switches."
            }
            RefusalCode::SwitchShed => {
                "Leave out calls that nobody waits for until the switch is released; more important ones are let in."
            }
            RefusalCode::SwitchCapped => {
                "Try again after the time given, with fewer calls at one time; an operator bounds them for now."
            }
            RefusalCode::DeployFrozen => {
                "Wait until the freeze is released; who set it and why stands in the list of switches. Devices are served meanwhile."
            }
            RefusalCode::QuarantineActive => {
                "Deploy a revision without the fault, or wait until the quarantine ends; calling more often does not help."
            }
            RefusalCode::PressureShed => {
                "Try again after the time given; the node has more to do than it can."
            }
            RefusalCode::RateExceeded if self.rule != "rate.endpoint" => {
                "Spread the calls over time and try again after the time given; the operator sets this rate for everyone."
            }
            RefusalCode::RateExceeded => {
                "Spread the calls over time and try again after the time given; if the rate is needed, ask for a higher one in the manifest."
            }
            RefusalCode::ConcurrencyExceeded => {
                "Let calls finish before starting more; slow services behind the script keep calls alive longer."
            }
            RefusalCode::MemoryExceeded => {
                "Try again after the time given; smaller answers of services, bodies and values let more calls run at once."
            }
            RefusalCode::BudgetExceeded => {
                "Wait for the time given, until a part of what was used is too long ago to count, or ask the operator for a larger budget."
            }
            RefusalCode::LaneFull => {
                "Try again after the time given; other calls on the same thread come first."
            }
            RefusalCode::NodeDraining => "Try again on a new connection: another node takes over.",
        }
    }
}

/// The time left until an end; nothing where there is no end or it has passed and only waits to be recorded.
pub(crate) fn left_until(until: Option<u64>, unix_ms: u64) -> Option<Duration> {
    until?.checked_sub(unix_ms).filter(|left| *left > 0).map(Duration::from_millis)
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: refused by {} of {}", self.code, self.rule, self.scope)?;
        if let Some(limit) = self.limit {
            write!(f, ", which allows {limit}")?;
        }
        if let Some(observed) = self.observed {
            write!(f, ", where {observed} was seen")?;
        }
        if let Some(by) = &self.by {
            write!(f, ", by {by}")?;
        }
        if let Some(reason) = &self.reason {
            write!(f, ": {reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_has_a_text_of_its_own_and_advice() {
        let texts: HashSet<&str> = RefusalCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), RefusalCode::ALL.len());
        for code in RefusalCode::ALL {
            let advice = Refusal::new(code, "rule", Scope::All).advice();
            assert!(advice.ends_with('.'), "{code}: {advice}");
        }
    }

    #[test]
    fn a_full_node_is_no_fault_of_the_caller() {
        fn check(code: RefusalCode, scope: &str, reader: Reader) {
            let refusal = Refusal::new(code, "rule", Scope::parse(scope).unwrap());
            assert_eq!(refusal.reader(), reader, "{code} of {scope}");
        }
        check(RefusalCode::ConcurrencyExceeded, "all", Reader::WeProtectOurselves);
        check(RefusalCode::ConcurrencyExceeded, "team:tv", Reader::SlowDown);
        check(RefusalCode::RateExceeded, "endpoint:tv/home/home", Reader::SlowDown);
        check(RefusalCode::BudgetExceeded, "team:tv", Reader::SlowDown);
        check(RefusalCode::SwitchOff, "team:tv", Reader::WeProtectOurselves);
        check(RefusalCode::SwitchCapped, "team:tv", Reader::WeProtectOurselves);
        check(RefusalCode::QuarantineActive, "endpoint:tv/home/home", Reader::WeProtectOurselves);
        check(RefusalCode::LaneFull, "all", Reader::WeProtectOurselves);
        check(RefusalCode::PressureShed, "all", Reader::WeProtectOurselves);
        check(RefusalCode::NodeDraining, "all", Reader::WeProtectOurselves);
    }

    #[test]
    fn a_refusal_reads_as_a_sentence() {
        let mut refusal = Refusal::new(RefusalCode::SwitchOff, "switch", Scope::parse("team:tv").unwrap());
        refusal.by = Some("ana".into());
        refusal.reason = Some("runaway".into());
        assert_eq!(refusal.to_string(), "switch.off: refused by switch of team:tv, by ana: runaway");
        refusal = Refusal::new(RefusalCode::ConcurrencyExceeded, "concurrency.node", Scope::All);
        refusal.limit = Some(Amount::Calls(64));
        refusal.observed = Some(Amount::Calls(65));
        assert_eq!(
            refusal.to_string(),
            "concurrency.exceeded: refused by concurrency.node of all, which allows 64, where 65 was seen"
        );
    }
}
