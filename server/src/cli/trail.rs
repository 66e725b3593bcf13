//! Trail: which revisions of a script answered, one after the other, as the audit tells it.
//!
//! A revision that was left for an earlier one is off the trail: nobody goes back to what somebody fled from.

use std::collections::BTreeSet;
use std::time::Duration;

use api::client::List;
use api::page::LIMIT_MAX;
use api::{AuditEntry, Client, ClientError};
use quotas::scope::{Scope, ScriptId};

/// How long the audit may take: what is asked for can be done without it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The trail of a script.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Trail {
    /// Oldest first; the last one answers.
    served: Vec<u64>,
    /// What was left for an earlier one.
    left: BTreeSet<u64>,
}

impl Trail {
    /// Asks a server for it, as far back as the audit's newest entries go.
    pub(super) async fn of(client: &Client, script: &ScriptId) -> Result<Self, ClientError> {
        let list = List { script: Some(script.to_string()), limit: Some(LIMIT_MAX), ..List::default() };
        let entries = client.clone().with_timeout(PATIENCE).audit(&list).await?.items;
        let mut trail = Self::default();
        entries.iter().rev().filter_map(made_active).for_each(|number| trail.goes_to(number));
        Ok(trail)
    }

    fn goes_to(&mut self, number: u64) {
        let earlier = self.served.iter().position(|known| *known == number);
        let left = earlier.map_or_else(Vec::new, |place| self.served.split_off(place + 1));
        self.left.extend(left);
        self.left.remove(&number);
        if earlier.is_none() {
            self.served.push(number);
        }
    }

    /// The one that answered before this one.
    pub(super) fn before(&self, active: u64) -> Option<u64> {
        let place = self.served.iter().position(|known| *known == active)?;
        self.served[..place].last().copied()
    }

    /// Whether it was left for an earlier one.
    pub(super) fn was_left(&self, number: u64) -> bool {
        self.left.contains(&number)
    }
}

/// The revision that an entry made the one that answers.
fn made_active(entry: &AuditEntry) -> Option<u64> {
    let Ok(Scope::Revision(revision)) = entry.subject.parse() else { return None };
    let number = revision.number.get();
    let is_it = match entry.what.as_str() {
        "revision.activate" => true,
        // Servers before this one did not say whether an upload was to answer at once; nearly all are.
        "revision.deploy" => entry.detail.get("active").is_none_or(|active| active.as_u64() == Some(number)),
        _ => false,
    };
    is_it.then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(numbers: &[u64]) -> Trail {
        let mut trail = Trail::default();
        numbers.iter().for_each(|number| trail.goes_to(*number));
        trail
    }

    #[test]
    fn what_was_left_for_an_earlier_one_is_not_gone_back_to() {
        for (numbers, active, before) in [
            (&[1, 2][..], 2, Some(1)),
            (&[1], 1, None),
            (&[1, 2, 1, 3], 3, Some(1)),
            (&[1, 2, 3, 2], 2, Some(1)),
            (&[1, 2, 1, 2], 2, Some(1)),
            (&[1, 3], 3, Some(1)),
            (&[2, 3], 1, None),
        ] {
            assert_eq!(trail(numbers).before(active), before, "{numbers:?}");
        }
        let trail = trail(&[1, 2, 3, 1, 4, 2]);
        assert_eq!([1, 2, 3, 4].map(|number| trail.was_left(number)), [false, false, true, false]);
    }

    #[test]
    fn an_upload_that_is_not_to_answer_is_no_step() {
        let entry = |what: &str, number: u64, detail: serde_json::Value| AuditEntry {
            id: String::new(),
            at: api::time_now(),
            who: String::new(),
            from: String::new(),
            what: what.to_owned(),
            subject: format!("revision:tv/home@{number}"),
            why: None,
            detail,
        };
        for (entry, active) in [
            (entry("revision.deploy", 3, serde_json::json!({ "active": 3 })), Some(3)),
            (entry("revision.deploy", 3, serde_json::json!({ "active": 2 })), None),
            (entry("revision.deploy", 3, serde_json::json!({ "active": null })), None),
            (entry("revision.deploy", 3, serde_json::json!({})), Some(3)),
            (entry("revision.activate", 2, serde_json::json!({})), Some(2)),
            (entry("script.delete", 2, serde_json::json!({})), None),
        ] {
            assert_eq!(made_active(&entry), active, "{entry:?}");
        }
    }
}
