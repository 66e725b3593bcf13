//! Uploads: how many bodies arrive and are unpacked at one time.
//!
//! Invariant: a body that arrives slowly costs its own team a place and no other; what has arrived is unpacked
//! in the order of arrival.
//! Not here: how large a body may be and how long it may take (`body`, `revisions`).

use std::sync::Arc;

use api::Problem;
use quotas::concurrency::{Gate, Place, Share, Shares};
use quotas::scope::TeamName;
use quotas::units::InFlight;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::http::problem::ProblemError;

/// Bodies of one team that arrive at one time.
const OF_TEAM: InFlight = InFlight::new(4).expect("not zero");
/// Bodies that arrive at one time, which bounds their memory.
const IN_ALL: InFlight = InFlight::new(64).expect("not zero");
/// Bodies that are unpacked at one time.
const UNPACKED: usize = 4;

/// The places for uploads.
#[derive(Debug)]
pub(super) struct Uploads {
    of_team: Arc<Shares<TeamName>>,
    in_all: Arc<Gate>,
    unpacked: Semaphore,
}

/// A place for a body, held until it is unpacked.
#[derive(Debug)]
pub(super) struct Arriving {
    _share: Share<TeamName>,
    _place: Place,
}

impl Uploads {
    pub(super) fn new() -> Arc<Self> {
        let of_team = Shares::new(OF_TEAM);
        Arc::new(Self { of_team, in_all: Arc::new(Gate::new(IN_ALL)), unpacked: Semaphore::new(UNPACKED) })
    }

    /// Takes a place for a body of this team.
    pub(super) fn arrive(&self, team: &TeamName) -> Result<Arriving, ProblemError> {
        let own = |_| busy(format!("{} uploads of the team {team} are arriving already", OF_TEAM.get()));
        let all = |_| busy("too many uploads are arriving".to_owned());
        let share = self.of_team.take(team).map_err(own)?;
        Ok(Arriving { _share: share, _place: Place::take(&self.in_all).map_err(all)? })
    }

    /// Waits for its turn to be unpacked.
    pub(super) async fn unpack(&self) -> Result<SemaphorePermit<'_>, ProblemError> {
        self.unpacked.acquire().await.map_err(|_| busy("the server is about to stop".to_owned()))
    }
}

fn busy(why: String) -> ProblemError {
    Problem { retry_after_ms: Some(1_000), ..Problem::of("compiler.busy", why) }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_team_that_sends_slowly_refuses_itself_and_no_other() {
        let uploads = Uploads::new();
        let (tv, radio) = (TeamName::parse("tv").unwrap(), TeamName::parse("radio").unwrap());
        let mut slow: Vec<_> = (0..OF_TEAM.get()).map(|_| uploads.arrive(&tv).unwrap()).collect();
        let refused = uploads.arrive(&tv).unwrap_err();
        assert_eq!(refused.problem().code, "compiler.busy");
        assert!(refused.problem().retry_after_ms.is_some());
        assert!(uploads.arrive(&radio).is_ok());
        slow.pop();
        assert!(uploads.arrive(&tv).is_ok());
    }

    #[test]
    fn there_are_only_so_many_in_all() {
        let uploads = Uploads::new();
        let team = |number: u32| TeamName::parse(&format!("team-{}", number / OF_TEAM.get())).unwrap();
        let _all: Vec<_> = (0..IN_ALL.get()).map(|number| uploads.arrive(&team(number)).unwrap()).collect();
        assert!(uploads.arrive(&team(IN_ALL.get())).is_err());
    }
}
