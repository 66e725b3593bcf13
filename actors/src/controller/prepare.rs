//! Preparing: from a head in the store to what the routes need of it.

use std::sync::Arc;

use quotas::scope::{RevisionNumber, ScriptId};
use runtime::bundle::BundleHash;
use runtime::manifest::Manifest;
use runtime::unit::Unit;

use crate::node::Shared;
use crate::storage::{Head, Revision, Store};
use crate::units::{UnitCell, UnitFailure};

/// How much is made ready before the routes change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The manifest. Units are loaded when they are needed.
    Manifest,
    /// The unit too, so that a script whose unit is not to be had changes nothing.
    Unit,
}

/// A head and what it needs.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) script: ScriptId,
    pub(crate) head: Head,
    pub(crate) active: Option<Active>,
}

/// The revision that is to answer.
#[derive(Debug, Clone)]
pub(crate) struct Active {
    pub(crate) revision: Revision,
    pub(crate) bundle: BundleHash,
    pub(crate) manifest: Manifest,
    pub(crate) cell: Arc<UnitCell>,
    /// Held until the routes have it.
    pub(crate) unit: Option<Arc<Unit>>,
}

/// Reads what a head needs.
pub(crate) async fn prepare(
    shared: &Shared,
    store: &dyn Store,
    script: &ScriptId,
    head: Head,
    depth: Depth,
) -> Result<Prepared, UnitFailure> {
    let script = script.clone();
    let Some(revision) = head.active.filter(|_| !head.deleted) else {
        return Ok(Prepared { script, head, active: None });
    };
    let active = active(shared, store, &script, revision, depth).await?;
    Ok(Prepared { script, head, active: Some(active) })
}

/// Reads what a revision needs.
pub(super) async fn active(
    shared: &Shared,
    store: &dyn Store,
    script: &ScriptId,
    revision: RevisionNumber,
    depth: Depth,
) -> Result<Active, UnitFailure> {
    let stored = store.revision(script, revision).await?.ok_or_else(|| UnitFailure {
        code: "store.corrupt",
        detail: format!("{script}@{revision} is active and not stored"),
    })?;
    let bundle = BundleHash::from_bytes(stored.bundle.0);
    let manifest = shared.units.bundle(bundle).await?.manifest().clone();
    let cell = Arc::new(UnitCell::new(bundle));
    let unit = match depth {
        Depth::Manifest => None,
        Depth::Unit => Some(shared.units.load(&cell).await?),
    };
    Ok(Active { revision: stored, bundle, manifest, cell, unit })
}
