//! Switches: what somebody turned off, bounded or froze, and what doing so would touch.

use crate::Time;
use crate::shape::{one_of, shapes};

one_of! {
    /// What kind of switch it is. A scope can have one of each.
    pub enum SwitchKind ("a kind of switch") {
        /// Calls are refused, and those that run are stopped. Of a service: scripts cannot call it.
        Kill = "kill",
        /// Deploys, rollbacks and deletions of scripts are refused; devices are served.
        Freeze = "freeze",
        /// Calls of the `level` and of the priorities below it are refused.
        Shed = "shed",
        /// Calls do not run; where a script has a fallback, that answers.
        Fallback = "fallback",
        /// Calls do not run; where there is a last good answer, that is given.
        LastGood = "last-good",
        /// At most `limit` calls are alive at one time, on each node.
        Cap = "cap",
    }

    /// The most important priority that is refused by a switch that sheds.
    pub enum ShedLevel ("a level to shed") {
        /// Calls that fetch ahead, and the background.
        Prefetch = "prefetch",
        /// Only calls that nobody waits for.
        Background = "background",
    }

    /// How far a switch is.
    pub enum Spread ("how far a switch is") {
        /// It holds on the node that answered alone, until the store is back.
        Node = "node",
        /// It is in the store, from which every node takes it.
        Fleet = "fleet",
    }

    /// Whether a switch refuses.
    pub enum SwitchState ("a switch's state") {
        /// Calls are refused.
        Off = "off",
        /// Calls go on, and what would be refused is counted.
        Observe = "observe",
    }
}

shapes! {
    answer
    /// A switch that is set.
    pub struct Switch {
        /// What: `all`, `team:…`, `script:…`, `endpoint:…`, `revision:…`, `class:…`, `service:…`, `region:…` or
        /// `node:…`.
        pub scope: String,
        /// What kind it is.
        pub kind: SwitchKind,
        /// The most important priority that is refused, of one that sheds.
        pub level: Option<ShedLevel>,
        /// Calls that may be alive at one time, of a cap.
        pub limit: Option<u32>,
        /// Whether calls are refused or only counted.
        pub state: SwitchState,
        /// Why.
        pub reason: String,
        /// Who did it.
        pub by: String,
        /// Since when.
        pub since: Time,
        /// Until when; absent until somebody turns it on.
        pub until: Option<Time>,
        /// Counts the changes of this switch.
        pub generation: u64,
        /// How far it is.
        pub spread: Option<Spread>,
        /// Whether it is in force on the node that answers; one of another node or region is only known there.
        pub here: Option<bool>,
        /// How often it refused on the node that answers, or would have if it did not merely observe, since it was
        /// set or the node started.
        pub hits: Option<u64>,
    }

    request
    /// How a switch is to be set.
    pub struct SwitchRequest {
        /// Whether calls are refused or only counted.
        pub state: SwitchState,
        /// Why. Everyone who is refused can find it.
        pub reason: String,
        /// Until when; absent until somebody turns it on.
        pub until: Option<Time>,
        /// What kind of switch; `kill` when nothing is said.
        pub kind: Option<SwitchKind>,
        /// For `shed`: the most important priority that is refused.
        pub level: Option<ShedLevel>,
        /// For `cap`: calls that may be alive at one time.
        pub limit: Option<u32>,
    }

    answer
    /// What a change of a switch did.
    pub struct SwitchAnswer {
        /// What it is about.
        pub scope: String,
        /// What kind of switch it is.
        pub kind: SwitchKind,
        /// The switch as it is now; absent when it is on.
        pub switch: Option<Switch>,
        /// The switch as it was; absent when it was on.
        pub before: Option<Switch>,
        /// The endpoints that it touches, as far as they are listed.
        pub endpoints: Vec<String>,
        /// What it touches, by the calls of the last minutes; only where it was only tried.
        pub radius: Option<Radius>,
        /// Whether it was only tried.
        pub dry_run: bool,
    }

    answer
    /// What a switch would touch, by the calls of the last minutes on one node.
    pub struct Radius {
        /// The node that counted.
        pub node: String,
        /// The time that was looked at, in seconds: up to five minutes, less after a start.
        pub window_s: u64,
        /// Calls in that time; of a service, requests that scripts made to it.
        pub calls: u64,
        /// The same a second, such as `12.5/s`.
        pub rate: String,
        /// How many endpoints it touches.
        pub endpoints: u64,
        /// How many teams own them.
        pub teams: u64,
        /// How many classes of devices called them.
        pub classes: u64,
        /// Those of them that were called most.
        pub top: Vec<RadiusOfEndpoint>,
    }

    answer
    /// What of a switch's radius is one endpoint's.
    pub struct RadiusOfEndpoint {
        /// The endpoint.
        pub endpoint: String,
        /// Its calls in the window.
        pub calls: u64,
        /// The same a second.
        pub rate: String,
    }
}

shapes! {
    request
    /// What a drill is run on.
    pub struct DrillRequest {
        /// An endpoint, `team/script/name`, that answers a `GET` without parameters; a script that the drill deploys
        /// and takes away when nothing is said.
        pub endpoint: Option<String>,
    }

    answer
    /// What a drill found.
    pub struct DrillAnswer {
        /// The node that it was run on.
        pub node: String,
        /// Whether every switch did what it is to do.
        pub ok: bool,
        /// Each kind of switch, refusing and observing.
        pub rows: Vec<DrillRow>,
    }

    answer
    /// What one switch did in a drill.
    pub struct DrillRow {
        /// Its kind.
        pub kind: SwitchKind,
        /// Whether it refused or only counted.
        pub state: SwitchState,
        /// Whether it did what it is to do.
        pub ok: bool,
        /// What it did instead.
        pub fault: Option<String>,
        /// How long it took until it was set, in milliseconds.
        pub set_ms: u64,
        /// How long it took until it was released, in milliseconds.
        pub released_ms: u64,
    }
}

impl SwitchRequest {
    /// Asks for a kill switch without an end.
    pub fn kill(reason: impl Into<String>) -> Self {
        Self::of(SwitchKind::Kill, reason)
    }

    /// Asks for a switch of a kind, without an end.
    pub fn of(kind: SwitchKind, reason: impl Into<String>) -> Self {
        Self {
            state: SwitchState::Off,
            reason: reason.into(),
            until: None,
            kind: Some(kind),
            level: None,
            limit: None,
        }
    }
}
