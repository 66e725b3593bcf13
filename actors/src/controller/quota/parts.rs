//! Parts: which part of each scope's rates and budgets this node has, as the traffic of the fleet moves.
//!
//! Invariant: parts step when all other nodes said what they are asked for; where one could not be asked, or the
//! store does not say who is there, they stay as they are.
//! Not here: how a part steps and what that promises (`quotas::portion`).

use std::collections::HashMap;
use std::sync::Arc;

use actix::{Addr, Handler, Message};
use quotas::portion;
use quotas::scope::Scope;

use super::super::Controller;

/// Scopes whose traffic a node tells of; those with the most.
const TOLD_MAX: usize = 2_000;
/// Calls in a step of a scope whose traffic is not worth telling.
const TOLD_LEAST: f64 = 0.01;

/// The calls that this node was asked for, by scope.
#[derive(Debug, Default)]
pub(in crate::controller) struct Demand {
    /// All that came until the last look, and how many came in a step lately.
    seen: HashMap<Scope, (u64, f64)>,
}

impl Demand {
    /// Takes what came until now of each scope; answers how many come in a step, half of it what came in the last.
    fn look(&mut self, asked: impl Iterator<Item = (Scope, u64)>) -> Vec<(Scope, f64)> {
        let mut lately = Vec::new();
        let mut seen = HashMap::new();
        for (scope, total) in asked {
            let (before, calls) = self.seen.get(&scope).copied().unwrap_or((0, 0.0));
            let calls = (calls + total.saturating_sub(before) as f64) / 2.0;
            if calls >= TOLD_LEAST {
                lately.push((scope.clone(), calls));
            }
            seen.insert(scope, (total, calls));
        }
        self.seen = seen;
        lately.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        lately.truncate(TOLD_MAX);
        lately
    }
}

impl Controller {
    /// Looks what this node is asked for, and asks the others.
    pub(super) fn ask_demand(&mut self, myself: Addr<Self>) {
        let asked = self.asked();
        let mine = self.demand.look(asked.into_iter());
        self.shared.fleet.set_demand(mine);
        let shared = Arc::clone(&self.shared);
        if shared.fleet.others().is_empty() && self.quotas.parts.is_empty() && self.quotas.nodes <= 1 {
            return;
        }
        actix_rt::spawn(async move {
            let nodes = shared.fleet.others().len() + 1;
            if let Some(others) = shared.fleet.demand_of_others().await {
                // A full mailbox is emptied before the next step.
                let _ = myself.try_send(Step { nodes, others });
            }
        });
    }

    /// The calls that came for each scope that has a guard here, since the start.
    fn asked(&self) -> Vec<(Scope, u64)> {
        let teams = self.teams.iter().map(|(team, guard)| (Scope::Team(team.clone()), &guard.limiter));
        let endpoints = self.guards.iter().map(|(id, guard)| (Scope::Endpoint(id.clone()), &guard.limiter));
        let classes = self.shared.node.classes();
        let classes = classes.map(|(class, guard)| (Scope::Class(class.clone()), &guard.limiter));
        teams.chain(endpoints).chain(classes).map(|(scope, limiter)| (scope, limiter.tally.asked())).collect()
    }
}

/// From this module: what the other nodes are asked for, one for each that is there.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Step {
    nodes: usize,
    others: Vec<(Scope, f64)>,
}

impl Handler<Step> for Controller {
    type Result = ();

    fn handle(&mut self, Step { nodes, others }: Step, _: &mut Self::Context) {
        let mut all: HashMap<Scope, f64> = HashMap::new();
        others.into_iter().for_each(|(scope, calls)| *all.entry(scope).or_default() += calls);
        let scopes: Vec<Scope> = self.asked().into_iter().map(|(scope, _)| scope).collect();
        let mut parts = HashMap::new();
        for scope in scopes {
            let mine = self.demand.seen.get(&scope).map_or(0.0, |(_, calls)| *calls);
            let all = mine + all.get(&scope).copied().unwrap_or(0.0);
            let part = portion::next(self.quotas.part(&scope), mine, all, nodes);
            if part < 1.0 || nodes > 1 {
                parts.insert(scope, part);
            }
        }
        let before = std::mem::replace(&mut self.quotas.parts, parts);
        self.quotas.nodes = nodes;
        let moved: Vec<Scope> = self
            .quotas
            .parts
            .keys()
            .chain(before.keys())
            .filter(|scope| before.get(*scope) != self.quotas.parts.get(*scope))
            .cloned()
            .collect();
        moved.iter().for_each(|scope| self.put_in_force(scope));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_lately_counts_by_half_and_what_nobody_calls_is_not_told() {
        let scope = |name: &str| Scope::parse(name).unwrap();
        let mut demand = Demand::default();
        let mut look =
            |tv, radio| demand.look([(scope("team:tv"), tv), (scope("team:radio"), radio)].into_iter());
        assert_eq!(look(0, 8), [(scope("team:radio"), 4.0)]);
        assert_eq!(look(100, 8), [(scope("team:tv"), 50.0), (scope("team:radio"), 2.0)]);
        assert_eq!(look(100, 8), [(scope("team:tv"), 25.0), (scope("team:radio"), 1.0)]);
    }
}
