//! Follow: what the next process switched is in force here, too, as long as this one still answers calls.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::{Addr, Handler, Message, ResponseFuture};

use super::{Supervisor, THREADS_WAIT};
use crate::journal::Journal;
use crate::storage::SwitchRow;

/// How often the journal is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The follower of a journal: this is what it says. Answered when what is new is in force.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Follow(Vec<SwitchRow>);

impl Handler<Follow> for Supervisor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Follow(rows): Follow, _: &mut Self::Context) -> Self::Result {
        let merged = self.desk.merge(rows);
        if merged.is_empty() {
            return Box::pin(async {});
        }
        // Recorded they are already, by who switched them.
        self.publish();
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            // A thread that does not answer in time stops its calls at their next checkpoint all the same.
            let _ = tokio::time::timeout(THREADS_WAIT, shared.lanes.wake()).await;
        })
    }
}

/// Follows a journal that another process writes from now on, until this one ends.
pub(crate) async fn follow(supervisor: Addr<Supervisor>, path: PathBuf) {
    let mut seen = None;
    loop {
        let about = std::fs::metadata(&path).ok().map(|about| (about.len(), about.modified().ok()));
        if about.is_some() && about != seen {
            seen = about;
            let path = path.clone();
            let looked = crate::blocking::run(move || Journal::look(&path)).await;
            if let Ok(Ok(replayed)) = looked
                && supervisor.send(Follow(replayed.rows)).await.is_err()
            {
                return;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
