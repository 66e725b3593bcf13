//! From what the actors say to what crosses the wire.

use actors::controller::EndpointInfo;
use actors::fleet::{Convergence, NodeState};
use actors::storage::{AuditEntry, Head, NodeRow, Revision, TokenRow};
use actors::supervisor::{Known, Spread};
use actors::traffic::Radius;
use quotas::limits::{Cut, EndpointLimits};
use quotas::priority::Priority;
use quotas::scope::{EndpointId, EndpointName, RevisionNumber, ScriptId};
use quotas::switches::{Kind, Switch};
use quotas::units::InFlight;

/// A revision; active when it is the one that answers.
pub(super) fn revision(script: &ScriptId, revision: &Revision, head: Option<&Head>) -> api::Revision {
    let active = head.is_some_and(|head| !head.deleted && head.active == Some(revision.number));
    api::Revision {
        team: script.team.to_string(),
        script: script.script.to_string(),
        number: revision.number.get(),
        bundle: revision.bundle.to_string(),
        active,
        message: revision.message.clone(),
        tag: revision.tag.clone(),
        by: revision.by.clone(),
        at: api::time_from_ms(revision.at_ms),
        endpoints: revision.endpoints.clone(),
    }
}

pub(super) fn ids(endpoints: &[EndpointId]) -> Vec<String> {
    endpoints.iter().map(ToString::to_string).collect()
}

pub(super) fn cut((endpoint, cut): &(EndpointName, Cut)) -> api::Cut {
    api::Cut {
        endpoint: endpoint.to_string(),
        limit: cut.limit.to_owned(),
        asked: cut.asked.to_string(),
        granted: cut.granted.to_string(),
    }
}

pub(super) fn limits(limits: &EndpointLimits) -> api::EndpointLimits {
    let allowance = &limits.allowance;
    api::EndpointLimits {
        fuel: allowance.fuel.get(),
        memory: allowance.memory.to_string(),
        deadline: format!("{:?}", allowance.deadline),
        response: allowance.response.to_string(),
        body: allowance.body.to_string(),
        host_calls: allowance.host_calls,
        host_bytes: allowance.host_bytes.to_string(),
        rate: limits.rate.to_string(),
        burst: limits.burst.get(),
        concurrency: limits.concurrency.get(),
    }
}

pub(super) fn endpoint(info: &EndpointInfo) -> api::Endpoint {
    let quarantine = info.quarantine.as_ref().map(|quarantine| api::Quarantine {
        reason: quarantine.reason.to_string(),
        since: api::time_from_ms(quarantine.since),
        until: quarantine.until.map(api::time_from_ms),
    });
    api::Endpoint {
        id: info.id.to_string(),
        team: info.id.script.team.to_string(),
        script: info.id.script.script.to_string(),
        name: info.id.name.to_string(),
        path: info.path.clone(),
        methods: info.methods.iter().map(|method| method.as_str().to_owned()).collect(),
        revision: info.revision.map_or(0, |number| number.get()),
        priority: info.priority.as_str().to_owned(),
        services: info.services.iter().map(ToString::to_string).collect(),
        limits: limits(&info.limits),
        quarantine,
        problem: info.problem.clone(),
    }
}

/// A switch, as far as the switch itself says.
pub(super) fn switch(switch: &Switch) -> api::Switch {
    api::Switch {
        scope: switch.scope.to_string(),
        kind: kind(switch.effect.kind()),
        level: switch.effect.level().and_then(level),
        limit: switch.effect.limit().map(InFlight::get),
        state: if switch.observe { api::SwitchState::Observe } else { api::SwitchState::Off },
        reason: switch.reason.to_string(),
        by: switch.by.to_string(),
        since: api::time_from_ms(switch.since),
        until: switch.until.map(api::time_from_ms),
        generation: switch.generation,
        spread: None,
        here: None,
        hits: None,
    }
}

/// A switch as this node knows it.
pub(super) fn known(known: &Known) -> api::Switch {
    api::Switch {
        spread: Some(spread(known.spread)),
        here: Some(known.here),
        hits: Some(known.hits),
        ..switch(&known.switch)
    }
}

pub(super) fn spread(spread: Spread) -> api::Spread {
    match spread {
        Spread::Node => api::Spread::Node,
        Spread::Fleet => api::Spread::Fleet,
    }
}

pub(super) fn kind(kind: Kind) -> api::SwitchKind {
    match kind {
        Kind::Kill => api::SwitchKind::Kill,
        Kind::Freeze => api::SwitchKind::Freeze,
        Kind::Shed => api::SwitchKind::Shed,
        Kind::Fallback => api::SwitchKind::Fallback,
        Kind::LastGood => api::SwitchKind::LastGood,
        Kind::Cap => api::SwitchKind::Cap,
    }
}

fn level(priority: Priority) -> Option<api::ShedLevel> {
    match priority {
        Priority::Background => Some(api::ShedLevel::Background),
        Priority::Prefetch => Some(api::ShedLevel::Prefetch),
        // Nothing sheds what a person waits for.
        Priority::User => None,
    }
}

/// What a switch would touch, with so many endpoints one by one.
pub(super) fn radius(node: &str, radius: &Radius, top: usize) -> api::Radius {
    let seconds = radius.window.as_secs().max(1);
    let rate = |calls: u64| {
        let tenths = calls.saturating_mul(10) / seconds;
        format!("{}.{}/s", tenths / 10, tenths % 10)
    };
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let called = radius.endpoints.iter().filter(|(_, calls)| *calls > 0).take(top);
    api::Radius {
        node: node.to_owned(),
        window_s: radius.window.as_secs(),
        calls: radius.calls,
        rate: rate(radius.calls),
        endpoints: count(radius.endpoints.len()),
        teams: count(radius.teams),
        classes: count(radius.classes),
        top: called
            .map(|(endpoint, calls)| api::RadiusOfEndpoint {
                endpoint: endpoint.to_string(),
                calls: *calls,
                rate: rate(*calls),
            })
            .collect(),
    }
}

pub(super) fn audit(entry: AuditEntry) -> api::AuditEntry {
    let AuditEntry { id, at_ms, who, from, what, subject, why, detail } = entry;
    let detail = serde_json::from_str(&detail).unwrap_or(serde_json::Value::String(detail));
    api::AuditEntry { id, at: api::time_from_ms(at_ms), who, from, what, subject, why, detail }
}

/// A token, unless its role is one that a newer program gave it.
pub(super) fn token(row: &TokenRow) -> Option<api::Token> {
    Some(api::Token {
        id: row.id.clone(),
        role: row.role.parse().ok()?,
        team: row.team.as_ref().map(ToString::to_string),
        note: row.note.clone(),
        created: api::time_from_ms(row.created_ms),
        expires: row.expires_ms.map(api::time_from_ms),
        revoked: row.revoked,
    })
}

/// A node as the others know it.
pub(super) fn node(node: &NodeRow) -> api::Node {
    api::Node {
        name: node.name.clone(),
        version: node.version.clone(),
        build: node.build.clone(),
        admin: (!node.admin.is_empty()).then(|| node.admin.clone()),
        started: api::time_from_ms(node.started_ms),
        seen: api::time_from_ms(node.seen_ms),
        this: false,
        ready: None,
        draining: None,
        lanes: None,
        in_flight: None,
        endpoints: None,
        unserved: None,
        lag_ms: None,
    }
}

/// Where a script stands on all nodes.
pub(super) fn convergence(script: &ScriptId, found: &Convergence) -> api::Convergence {
    let nodes = found.nodes.iter().map(|one| api::NodeStanding {
        node: one.node.name.clone(),
        state: match one.state {
            NodeState::Converged => api::NodeState::Converged,
            NodeState::Behind => api::NodeState::Behind,
            NodeState::Failed => api::NodeState::Failed,
            NodeState::Unreachable => api::NodeState::Unreachable,
        },
        seq: one.standing.as_ref().map(|standing| standing.seq),
        revision: one.standing.as_ref().and_then(|standing| standing.revision).map(RevisionNumber::get),
        why: one.why.clone(),
        seen: api::time_from_ms(one.node.seen_ms),
    });
    api::Convergence {
        script: script.to_string(),
        seq: found.target.seq,
        revision: found.target.active.map(RevisionNumber::get),
        converged: found.is_whole(),
        nodes: nodes.collect(),
    }
}
