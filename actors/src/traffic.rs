//! Traffic: what a switch would touch, from the calls of the last minutes.
//!
//! Invariant: pure: it adds up what the lanes counted, and the time is an argument. It tells of this node alone.
//! Not here: counting (`metrics`), asking the lanes.

use std::collections::BTreeSet;
use std::time::Duration;

use quotas::priority::Priority;
use quotas::scope::{ClassName, EndpointId, Scope, TeamName};
use quotas::switches::{Effect, Home};
use quotas::traffic::{Minutes, window};
use quotas::units::Moment;

use crate::metrics::EndpointStats;
use crate::node::Shared;
use crate::routes::EndpointEntry;

/// What a switch would touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Radius {
    /// The time that was looked at.
    pub window: Duration,
    /// Calls in that time that are in the scope; of a service, requests that scripts made to it.
    pub calls: u64,
    /// Endpoints that are served and in the scope, those that were called most first, and how often they were.
    pub endpoints: Vec<(EndpointId, u64)>,
    /// How many teams own them.
    pub teams: usize,
    /// How many classes of devices called them.
    pub classes: usize,
}

impl Radius {
    /// What a switch would touch on this node, given what its lanes counted.
    pub fn of(
        scope: &Scope,
        effect: Effect,
        shared: &Shared,
        counted: &[EndpointStats],
        now: Moment,
    ) -> Self {
        let (board, routes) = (shared.board.load(), shared.routes.load());
        let within = routes.iter().filter(|entry| is_in(scope, board.home(), entry));
        let mut radius = Self { window: window(shared.counting_since, now), ..Self::default() };
        let (mut teams, mut classes): (BTreeSet<&TeamName>, BTreeSet<&ClassName>) = Default::default();
        for entry in within {
            let place = counted.binary_search_by(|stats| stats.endpoint.as_ref().cmp(&Some(&entry.id)));
            let mut calls = 0;
            for (class, priority, minutes) in place.iter().flat_map(|place| &counted[*place].came) {
                let came = minutes.total(now);
                if came > 0 && touches(scope, effect, class.as_ref(), *priority) {
                    calls += came;
                    classes.extend(class);
                }
            }
            if calls == 0 && matches!(scope, Scope::Class(_)) {
                // Any endpoint may be called by any device; these are those that were.
                continue;
            }
            teams.insert(entry.id.team());
            radius.calls += calls;
            radius.endpoints.push((entry.id.clone(), calls));
        }
        if let Scope::Service(name) = scope {
            radius.calls = shared.services.get(name).map_or(0, |service| Minutes::total(&service.asked, now));
        }
        radius.endpoints.sort_by_key(|(_, calls)| std::cmp::Reverse(*calls));
        (radius.teams, radius.classes) = (teams.len(), classes.len());
        radius
    }
}

/// Whether a switch of this scope can touch calls of an endpoint on this node.
fn is_in(scope: &Scope, home: &Home, entry: &EndpointEntry) -> bool {
    match scope {
        Scope::All | Scope::Class(_) => true,
        Scope::Region(_) | Scope::Node(_) => home.has(scope),
        Scope::Team(team) => entry.id.team() == team,
        Scope::Script(script) => entry.id.script == *script,
        Scope::Endpoint(endpoint) => entry.id == *endpoint,
        Scope::Revision(revision) => entry.id.script == revision.script && entry.revision == revision.number,
        Scope::Service(service) => entry.context.services.contains_key(service),
    }
}

/// Whether it would touch calls of this class and priority.
fn touches(scope: &Scope, effect: Effect, class: Option<&ClassName>, priority: Priority) -> bool {
    let of_class = match scope {
        Scope::Class(wanted) => class == Some(wanted),
        _ => true,
    };
    let by_effect = match effect {
        // Devices are served while nothing is changed.
        Effect::Freeze => false,
        Effect::Shed(most) => priority <= most,
        Effect::Kill | Effect::Fallback | Effect::LastGood | Effect::Cap(_) => true,
    };
    of_class && by_effect
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_counts_what_the_kind_and_the_class_would_touch() {
        let old = ClassName::parse("tv-2015").unwrap();
        let class = Scope::Class(old.clone());
        let check = |scope: &Scope, effect, class: Option<&ClassName>, priority, expected| {
            assert_eq!(
                touches(scope, effect, class, priority),
                expected,
                "{scope} {effect:?} {class:?} {priority}"
            );
        };
        use Priority::{Background, Prefetch, User};
        check(&Scope::All, Effect::Kill, None, User, true);
        check(&Scope::All, Effect::Freeze, None, User, false);
        check(&Scope::All, Effect::Shed(Prefetch), None, User, false);
        check(&Scope::All, Effect::Shed(Prefetch), None, Prefetch, true);
        check(&Scope::All, Effect::Shed(Prefetch), None, Background, true);
        check(&Scope::All, Effect::Shed(Background), None, Prefetch, false);
        check(&class, Effect::Kill, Some(&old), User, true);
        check(&class, Effect::Kill, None, User, false);
    }
}
