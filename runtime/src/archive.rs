//! Archives: bundles on their way to the server, as tar, plain or compressed with gzip or zstd.
//!
//! Invariant: an archive is hostile input: it is read in memory within limits that hold while it is unpacked,
//! and whatever two programs could read in two ways is refused by name.
//! Not here: what the files mean (`bundle`, `manifest`).

use std::collections::BTreeMap;
use std::sync::Arc;

use quotas::units::Bytes;

use crate::bundle::{BundlePath, Tree};
use crate::diagnostic::{Diagnostic, Diagnostics};

mod entries;
mod inflate;

/// The name under which diagnostics speak of the archive as a whole.
pub const ARCHIVE_FILE: &str = "archive";
/// Tar's unit: a header, and what contents are padded to.
const BLOCK: usize = 512;

/// How large bundles and the archives they come in may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// Files of a bundle; as many directories again may be named.
    pub files: usize,
    /// Size of one file.
    pub file: Bytes,
    /// Size of all files.
    pub total: Bytes,
    /// Size of an archive that is compressed.
    pub compressed: Bytes,
    /// How many times larger an archive may become when it is unpacked.
    pub ratio: u64,
    /// The size below which the ratio does not matter.
    pub ratio_from: Bytes,
    /// The binary logarithm of the memory that unpacking zstd may look back on.
    pub zstd_window_log: u32,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self {
            files: 1_000,
            file: Bytes::mib(1),
            total: Bytes::mib(8),
            compressed: Bytes::mib(8),
            ratio: 20,
            ratio_from: Bytes::kib(256),
            zstd_window_log: 23,
        }
    }
}

impl ArchiveLimits {
    /// The largest tar that files within these limits can make: a header, a long name and the padding for
    /// each, and the end.
    fn unpacked(&self) -> u64 {
        let overhead = (self.files as u64).saturating_mul(2 * 4 * BLOCK as u64).saturating_add(64 << 10);
        self.total.get().saturating_add(overhead)
    }
}

/// Reads an archive's files.
pub(crate) fn read<'a>(archive: &[u8], limits: &'a ArchiveLimits) -> Result<Tree<'a>, Diagnostics> {
    let tar = inflate::inflate(archive, limits)?;
    Ok(entries::read(&tar, limits)?)
}

/// Writes files as a plain tar that depends on nothing but the files.
pub(crate) fn write(files: &BTreeMap<BundlePath, Arc<[u8]>>) -> Vec<u8> {
    let mut out = Vec::new();
    for (path, bytes) in files {
        let path = path.as_str().as_bytes();
        if path.len() > entries::NAME_FIELD {
            let content = [path, b"\0"].concat();
            entries::append(&mut out, tar::EntryType::GNULongName, entries::LONG_NAME, &content);
        }
        entries::append(&mut out, tar::EntryType::Regular, path, bytes);
    }
    out.resize(out.len() + 2 * BLOCK, 0);
    out
}

/// A refusal of the archive as a whole.
fn refuse(code: &'static str, message: impl Into<String>) -> Box<Diagnostic> {
    Box::new(Diagnostic::whole(ARCHIVE_FILE, code, message))
}

#[cfg(test)]
mod tests;
