//! The fleet: which nodes there are, and whose turn it is to make a unit.
//!
//! Invariant: everything here expires by itself.
//! Not here: what a node does with the others (`fleet`).

use std::time::Duration;

use super::super::records::{ContentHash, ContentKind, NodeRow};
use super::super::rows::{decode, encode, unless_damaged};
use super::Scylla;
use super::asks::Ask;
use crate::error::StoreError;

impl Scylla {
    pub(super) async fn take_lease(
        &self,
        kind: &ContentKind,
        key: ContentHash,
        node: &str,
        time: Duration,
    ) -> Result<bool, StoreError> {
        let ContentKind::Unit { fingerprint } = kind else { return Ok(true) };
        let values = (&key.0[..], fingerprint.as_str(), node, seconds(time));
        let answer = self.links.now()?.ask(Ask::Lease, values).await?;
        // Where it was taken, the answer says by whom: one's own may come from a send that seemed lost.
        let mine = answer.first().is_some_and(|line| line.text("node") == Some(node));
        Ok(answer.applied() || mine)
    }

    pub(super) async fn give_lease_back(
        &self,
        kind: &ContentKind,
        key: ContentHash,
        node: &str,
    ) -> Result<(), StoreError> {
        let ContentKind::Unit { fingerprint } = kind else { return Ok(()) };
        let values = (&key.0[..], fingerprint.as_str(), node);
        self.links.now()?.ask(Ask::Unlease, values).await.map(drop)
    }

    pub(super) async fn write_node(&self, node: &NodeRow, time: Duration) -> Result<(), StoreError> {
        let values = (&*node.name, encode(node)?, seconds(time));
        self.links.now()?.ask(Ask::PutNode, values).await.map(drop)
    }

    pub(super) async fn delete_node(&self, name: &str) -> Result<(), StoreError> {
        self.links.now()?.ask(Ask::DropNode, (name,)).await.map(drop)
    }

    pub(super) async fn read_nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        let found = self.links.now()?.ask(Ask::Nodes, ()).await?;
        let node = |line: super::found::Line<'_>| {
            let name = line.text("name").unwrap_or_default();
            unless_damaged(decode(&name, line.bytes("body").unwrap_or_default()))
        };
        Ok(found.lines().filter_map(node).collect())
    }
}

/// A time to live as the database wants it; never none, which would be for ever.
fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX).max(1)
}
