//! `[limits]`: the defaults and ceilings of [`quotas::limits`].

use std::num::NonZeroU32;

use quotas::budget::{BudgetKind, BudgetLimits};
use quotas::limits::{Allowance, EndpointLimits, Policy};
use quotas::team::{TeamQuota, TeamQuotas};
use quotas::units::{Bytes, Fuel, InFlight};

use super::error::Fault;
use super::settings::Settings;

/// Reads the policy; a default above its ceiling is a fault.
pub(super) fn read(settings: &Settings, faults: &mut Vec<Fault>) -> Result<Policy, Fault> {
    let policy = Policy {
        default: endpoint(settings, "limits")?,
        ceiling: endpoint(settings, "limits.ceiling")?,
        team_rate: settings.typed("limits.team.rate")?,
        team_burst: burst(settings, "limits.team.burst")?,
        team_concurrency: settings.typed("limits.team.concurrency")?,
        node_concurrency: settings.typed("limits.node.concurrency")?,
        node_memory: settings.typed("limits.node.memory")?,
        client_rate: settings.typed("limits.client.rate")?,
        client_burst: burst(settings, "limits.client.burst")?,
        endpoint_budgets: budgets(settings, "endpoint")?,
        team_budgets: budgets(settings, "team")?,
        class_budgets: budgets(settings, "class")?,
        soft_percent: settings.count::<u8>("quota.soft_percent")?,
        team_quotas: team_quotas(settings)?,
    };
    let (default, ceiling) = (&policy.default, &policy.ceiling);
    let (a, b) = (&default.allowance, &ceiling.allowance);
    for (name, above) in [
        ("fuel", a.fuel > b.fuel),
        ("memory", a.memory > b.memory),
        ("deadline", a.deadline > b.deadline),
        ("response", a.response > b.response),
        ("body", a.body > b.body),
        ("host_calls", a.host_calls > b.host_calls),
        ("host_bytes", a.host_bytes > b.host_bytes),
        ("rate", default.rate > ceiling.rate),
        ("burst", default.burst > ceiling.burst),
        ("concurrency", default.concurrency > ceiling.concurrency),
    ] {
        if above {
            let (key, most) = (format!("limits.{name}"), format!("limits.ceiling.{name}"));
            // The one that somebody chose is to blame, not the default that it does not fit.
            let to_blame = if settings.origin(&key) >= settings.origin(&most) { &key } else { &most };
            faults.push(Fault::new(
                settings.origin(to_blame),
                format!(
                    "`{key}` is {}, above `{most}`, which is {}",
                    settings.text(&key),
                    settings.text(&most)
                ),
            ));
        }
    }
    Ok(policy)
}

fn endpoint(settings: &Settings, section: &str) -> Result<EndpointLimits, Fault> {
    let key = |name: &str| format!("{section}.{name}");
    Ok(EndpointLimits {
        allowance: Allowance {
            fuel: Fuel::new(settings.count(&key("fuel"))?),
            memory: settings.typed(&key("memory"))?,
            deadline: settings.time(&key("deadline"))?,
            response: settings.typed(&key("response"))?,
            body: settings.typed(&key("body"))?,
            host_calls: settings.count(&key("host_calls"))?,
            host_bytes: settings.typed(&key("host_bytes"))?,
        },
        rate: settings.typed(&key("rate"))?,
        burst: burst(settings, &key("burst"))?,
        concurrency: settings.typed::<InFlight>(&key("concurrency"))?,
    })
}

/// What may be used in a minute and a day.
fn budgets(settings: &Settings, of: &str) -> Result<BudgetLimits, Fault> {
    let mut limits = BudgetLimits([1; BudgetKind::ALL.len()]);
    for kind in BudgetKind::ALL {
        let key = format!("quota.{of}.{kind}", kind = kind.as_str());
        limits.0[kind as usize] = match kind {
            BudgetKind::BytesMinute | BudgetKind::BytesDay => settings.typed::<Bytes>(&key)?.get(),
            _ => settings.count(&key)?,
        };
    }
    Ok(limits)
}

/// What a team may keep and do.
fn team_quotas(settings: &Settings) -> Result<TeamQuotas, Fault> {
    let mut limits = TeamQuotas([1; TeamQuota::ALL.len()]);
    for quota in TeamQuota::ALL {
        let key = format!("quota.team.{}", quota.as_str());
        limits.0[quota as usize] = match quota {
            TeamQuota::UnitBytes => settings.typed::<Bytes>(&key)?.get(),
            _ => settings.count(&key)?,
        };
    }
    Ok(limits)
}

/// A burst: a number that is not zero.
pub(super) fn burst(settings: &Settings, key: &str) -> Result<NonZeroU32, Fault> {
    NonZeroU32::new(settings.count(key)?).ok_or_else(|| settings.fault(key, "it must not be zero"))
}
