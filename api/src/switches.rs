//! Switches: what somebody turned off.

use crate::Time;
use crate::shape::{one_of, shapes};

one_of! {
    /// What a switch does.
    pub enum SwitchState ("a switch's state") {
        /// Calls are refused.
        Off = "off",
        /// Calls go on, and what would be refused is counted.
        Observe = "observe",
    }
}

shapes! {
    answer
    /// Something that is turned off.
    pub struct Switch {
        /// What: `all`, `team:…`, `script:…`, `endpoint:…`, `revision:…`, `class:…` or `service:…`.
        pub scope: String,
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
        /// Counts the changes of this scope's switch.
        pub generation: u64,
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
    }

    answer
    /// What a change of a switch did.
    pub struct SwitchAnswer {
        /// What it is about.
        pub scope: String,
        /// The switch as it is now; absent when it is on.
        pub switch: Option<Switch>,
        /// The switch as it was; absent when it was on.
        pub before: Option<Switch>,
        /// The endpoints that it touches, as far as they are listed.
        pub endpoints: Vec<String>,
        /// Whether it was only tried.
        pub dry_run: bool,
    }
}
