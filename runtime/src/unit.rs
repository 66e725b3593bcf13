//! A unit: bytecode that is ready to run, with its shapes and its debug table.

use std::sync::Arc;

use rune::Hash;
use rune::runtime::unit::Logic;

use crate::bundle::BundleHash;
use crate::debug_table::DebugTable;
use crate::error::Place;
use crate::host::json_build::Shapes;

/// A decoded unit. Cheap to share between threads.
#[derive(Debug)]
pub struct Unit {
    code: Arc<rune::Unit>,
    shapes: Arc<Shapes>,
    debug: DebugTable,
    bundle: BundleHash,
}

/// A function of a unit that requests enter by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry(pub(crate) Hash);

impl Entry {
    /// The function `function` of the file `module`.rn.
    pub fn new(module: &str, function: &str) -> Self {
        Self(Hash::type_hash([module, function]))
    }
}

impl Unit {
    pub(crate) fn new(
        logic: Logic,
        shapes: Shapes,
        debug: DebugTable,
        bundle: BundleHash,
    ) -> Result<Self, String> {
        let code = rune::Unit::from_parts(logic, None).map_err(|error| error.to_string())?;
        Ok(Self { code: Arc::new(code), shapes: Arc::new(shapes), debug, bundle })
    }

    /// The bytecode.
    pub(crate) fn code(&self) -> &Arc<rune::Unit> {
        &self.code
    }

    /// The shapes of its `json!`.
    pub fn shapes(&self) -> &Arc<Shapes> {
        &self.shapes
    }

    /// The bundle that it was compiled from.
    pub fn bundle(&self) -> BundleHash {
        self.bundle
    }

    /// A message of the virtual machine, with names instead of hashes.
    pub(crate) fn named(&self, message: &str) -> String {
        self.debug.named(message)
    }

    /// Where an instruction comes from.
    pub(crate) fn place(&self, ip: usize) -> Option<Place> {
        self.debug.place(ip)
    }
}
