//! Autopsy: why a child died, and whom that is put down to.
//!
//! Invariant: pure. Only who was on the thread that crashed or hung is blamed for certain. A process that was killed
//! by somebody outside is nobody's fault: no script can send a signal.
//! Not here: what follows from it (`book`).

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use actors::flight::{LaneSeen, Running};
use quotas::blame::{Blame, Culprit};

use super::hang::Hang;

/// How a child came to its end.
#[derive(Debug, Clone, Copy)]
pub enum End {
    /// It ended.
    Exit(ExitStatus),
    /// This lane hung for so long, and the warden ended the child.
    Hung(u32, Hang, Duration),
}

/// What was left behind.
#[derive(Debug, Clone)]
pub struct Remains {
    /// The board's lanes.
    pub lanes: Vec<LaneSeen>,
    /// The thread that noted that it crashed.
    pub crashed: Option<u32>,
    /// The system may have ended the child for want of memory.
    pub out_of_memory: bool,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Autopsy {
    /// What happened, in a few words.
    pub what: String,
    /// Whom it is put down to.
    pub blame: Blame,
    /// Whether it has a cause outside of the process.
    pub is_outside: bool,
    /// All that ran.
    pub ran: Vec<Culprit>,
}

/// Finds out why a child died.
pub fn autopsy(end: End, remains: &Remains) -> Autopsy {
    let ran: Vec<Culprit> = remains.lanes.iter().filter_map(on_thread).collect();
    let exact = |thread: Option<u32>| {
        let lane = remains.lanes.iter().find(|lane| Some(lane.thread) == thread);
        lane.and_then(on_thread).map_or(Blame::Nobody, Blame::Exact)
    };
    let (what, blame, is_outside) = match end {
        End::Hung(_, Hang::Stopped, time) => (format!("stopped for {time:.1?}"), Blame::Nobody, true),
        End::Hung(thread, hang, time) => {
            let how = if hang == Hang::Spins { "hung" } else { "got stuck" };
            (format!("{how} for {time:.1?}"), exact(Some(thread)), false)
        }
        End::Exit(status) => match status.signal() {
            None => (format!("ended by itself ({status})"), Blame::Suspects(ran.clone()), false),
            Some(_) if remains.crashed.is_some() => (named(status), exact(remains.crashed), false),
            Some(libc::SIGKILL) if remains.out_of_memory => {
                (format!("{}, out of memory", named(status)), Blame::Suspects(ran.clone()), false)
            }
            Some(_) => (format!("{} from outside", named(status)), Blame::Nobody, true),
        },
    };
    let blame = match blame {
        Blame::Suspects(suspects) if suspects.is_empty() => Blame::Nobody,
        blame => blame,
    };
    Autopsy { what, blame, is_outside, ran }
}

impl Autopsy {
    /// Whether it is known neither who did it nor that nobody here did.
    pub fn is_unexplained(&self) -> bool {
        !self.is_outside && !matches!(self.blame, Blame::Exact(_))
    }
}

fn on_thread(lane: &LaneSeen) -> Option<Culprit> {
    match &lane.running {
        Running::Script { endpoint, revision, .. } => {
            Some(Culprit { endpoint: endpoint.clone(), revision: *revision })
        }
        Running::Nothing | Running::Torn => None,
    }
}

/// The signal by its name.
fn named(status: ExitStatus) -> String {
    let name = match status.signal() {
        Some(libc::SIGSEGV) => "SIGSEGV",
        Some(libc::SIGBUS) => "SIGBUS",
        Some(libc::SIGILL) => "SIGILL",
        Some(libc::SIGABRT) => "SIGABRT",
        Some(libc::SIGKILL) => "SIGKILL",
        Some(libc::SIGTERM) => "SIGTERM",
        _ => return status.to_string(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use quotas::scope::{EndpointId, RevisionNumber};

    use super::*;

    fn culprit(endpoint: &str) -> Culprit {
        Culprit { endpoint: EndpointId::parse(endpoint).unwrap(), revision: RevisionNumber::first() }
    }

    fn lane(thread: u32, endpoint: Option<&str>) -> LaneSeen {
        let running = endpoint.map_or(Running::Nothing, |endpoint| {
            let Culprit { endpoint, revision } = culprit(endpoint);
            Running::Script { endpoint, revision, since: Duration::from_millis(1) }
        });
        LaneSeen { thread, progress: 0, running }
    }

    #[test]
    fn each_end_has_its_cause_and_its_culprit() {
        let second = Duration::from_secs(1);
        let (a, b) = (culprit("tv/a/main"), culprit("tv/b/main"));
        let (exact, both) =
            (|one: &Culprit| Blame::Exact(one.clone()), Blame::Suspects(vec![a.clone(), b.clone()]));
        let exit = |raw: i32| End::Exit(ExitStatus::from_raw(raw));
        let killed = exit(libc::SIGKILL);
        let table = [
            (exit(libc::SIGSEGV), Some(2), false, "SIGSEGV", exact(&b), true, false),
            (exit(libc::SIGABRT), Some(1), false, "SIGABRT", exact(&a), true, false),
            (exit(libc::SIGABRT), Some(3), false, "SIGABRT", Blame::Nobody, true, true),
            (exit(libc::SIGABRT), Some(99), false, "SIGABRT", Blame::Nobody, true, true),
            (exit(libc::SIGSEGV), None, false, "SIGSEGV from outside", Blame::Nobody, false, false),
            (killed, None, false, "SIGKILL from outside", Blame::Nobody, false, false),
            (killed, None, true, "SIGKILL, out of memory", both.clone(), true, true),
            (exit(0), None, false, "ended by itself (exit status: 0)", both.clone(), true, true),
            (exit(256), None, false, "ended by itself (exit status: 1)", both, true, true),
            (End::Hung(2, Hang::Spins, second), None, false, "hung for 1.0s", exact(&b), true, false),
            (End::Hung(1, Hang::Stuck, second), None, false, "got stuck for 1.0s", exact(&a), true, false),
            (End::Hung(3, Hang::Spins, second), None, false, "hung for 1.0s", Blame::Nobody, true, true),
            (
                End::Hung(1, Hang::Stopped, second),
                None,
                false,
                "stopped for 1.0s",
                Blame::Nobody,
                false,
                false,
            ),
        ];
        for (end, crashed, out_of_memory, what, blame, is_inside, is_unexplained) in table {
            let lanes = vec![lane(1, Some("tv/a/main")), lane(2, Some("tv/b/main")), lane(3, None)];
            let found = autopsy(end, &Remains { lanes, crashed, out_of_memory });
            assert_eq!((&*found.what, &found.blame), (what, &blame));
            assert_eq!((found.is_outside, found.is_unexplained()), (!is_inside, is_unexplained), "{what}");
        }
    }

    #[test]
    fn where_nothing_ran_there_are_no_suspects() {
        let remains = Remains { lanes: vec![lane(1, None)], crashed: None, out_of_memory: true };
        let found = autopsy(End::Exit(ExitStatus::from_raw(libc::SIGKILL)), &remains);
        assert_eq!((found.blame, found.ran), (Blame::Nobody, vec![]));
    }
}
