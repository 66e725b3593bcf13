//! Bundle hashes: what identifies a bundle's content.
//!
//! Invariant: two bundles have one hash only if they have the same paths with the same bytes; how they were
//! packed does not matter.
//! Not here: hashes of compiled units.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::BundlePath;

/// Keeps these hashes apart from every other use of the hash function, and from another way of counting.
const DOMAIN: &[u8] = b"callboard bundle 1\0";

/// The hash of a bundle's files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleHash([u8; 32]);

/// Text that is not a bundle's hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a bundle's hash is 64 characters of 0-9 and a-f")]
pub struct ParseBundleHashError;

impl ParseBundleHashError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        "bundle.hash"
    }
}

impl BundleHash {
    /// The hash with these bytes, as they were stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash of these files. Every part is preceded by its length, so that bytes cannot move from one to
    /// the next unseen.
    pub(super) fn of(files: &BTreeMap<BundlePath, Arc<[u8]>>) -> Self {
        let mut hasher = blake3::Hasher::new();
        let length = |length: usize| (length as u64).to_le_bytes();
        hasher.update(DOMAIN).update(&length(files.len()));
        for (path, bytes) in files {
            hasher.update(&length(path.as_str().len())).update(path.as_str().as_bytes());
            hasher.update(&length(bytes.len())).update(bytes);
        }
        Self(*hasher.finalize().as_bytes())
    }
}

impl fmt::Display for BundleHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BundleHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BundleHash({self})")
    }
}

impl FromStr for BundleHash {
    type Err = ParseBundleHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(ParseBundleHashError),
        };
        let text: &[u8; 64] = text.as_bytes().try_into().map_err(|_| ParseBundleHashError)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}
