//! The lanes of a node, for those who ask all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use std::time::Duration;

use actix::Addr;
use futures_util::future::join_all;
use quotas::scope::EndpointId;

use super::actor::{Counted, FindDecision, FindHistory, Ran, Wake};
use super::{Decision, History, LaneActor, LanePressure};
use crate::metrics::{self, EndpointStats};

/// Which lanes there are.
#[derive(Debug, Default)]
pub struct LaneRegistry {
    lanes: Mutex<Vec<(Addr<LaneActor>, Arc<LanePressure>)>>,
}

impl LaneRegistry {
    pub(super) fn add(&self, lane: Addr<LaneActor>, pressure: Arc<LanePressure>) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|(lane, _)| lane.connected());
        lanes.push((lane, pressure));
    }

    fn all(&self) -> Vec<Addr<LaneActor>> {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.iter().map(|(lane, _)| lane).filter(|lane| lane.connected()).cloned().collect()
    }

    /// What each lane says of its pressure.
    pub fn pressures(&self) -> Vec<Arc<LanePressure>> {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.iter().filter(|(lane, _)| lane.connected()).map(|(_, pressure)| Arc::clone(pressure)).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Wakes the calls that wait, on all lanes, and returns when all have.
    pub async fn wake(&self) {
        // A lane that ended has nobody to wake.
        join_all(self.all().iter().map(|lane| lane.send(Wake))).await;
    }

    /// What all lanes counted, added up, sorted by endpoint.
    pub async fn snapshot(&self) -> Vec<EndpointStats> {
        let counted = join_all(self.all().iter().map(|lane| lane.send(Counted))).await;
        metrics::merged(counted.into_iter().flatten())
    }

    /// How long the calls of each endpoint held their threads so far, on all lanes together.
    pub async fn running(&self) -> Vec<(EndpointId, Duration)> {
        let ran = join_all(self.all().iter().map(|lane| lane.send(Ran))).await;
        let mut all: HashMap<EndpointId, Duration> = HashMap::new();
        for (endpoint, time) in ran.into_iter().flatten().flatten() {
            *all.entry(endpoint).or_default() += time;
        }
        all.into_iter().collect()
    }

    /// The refusal that a device was told the id of, if a lane still remembers it.
    /// With it, how often its rule decided about its endpoint.
    pub async fn decision(&self, id: &str) -> Option<(Decision, History)> {
        let all = self.all();
        let found = join_all(all.iter().map(|lane| lane.send(FindDecision(id.to_owned())))).await;
        let decision = found.into_iter().flatten().flatten().next()?;
        let asked = all.iter().map(|lane| lane.send(FindHistory(decision.endpoint.clone(), decision.rule())));
        let history = join_all(asked).await.into_iter().flatten().flatten().reduce(History::and)?;
        Some((decision, history))
    }
}
