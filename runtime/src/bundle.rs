//! Bundles: the files of a script project, as they were uploaded.
//!
//! Invariant: a bundle in hand has well-formed paths, a manifest without errors, scripts that are text, sizes
//! within the limits, and the hash of exactly these files.
//! Not here: unpacking (`archive`), what the manifest says (`manifest`), parsing scripts (`nesting`,
//! `instrument`, `compile`).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::archive::{self, ArchiveLimits};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::manifest::{MANIFEST_FILE, Manifest, Places};

mod directory;
mod hash;
mod path;
mod tree;

pub use hash::{BundleHash, ParseBundleHashError};
pub use path::{BundlePath, LEVELS_MAX, PATH_MAX, ParseBundlePathError, PathRule};
pub(crate) use tree::Tree;

/// The files of a script project with what its manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    files: BTreeMap<BundlePath, Arc<[u8]>>,
    manifest: Manifest,
    hash: BundleHash,
}

impl Bundle {
    /// A bundle of these files.
    ///
    /// # Errors
    /// Everything that is wrong with the paths, the sizes, the scripts' encoding and the manifest.
    pub fn from_files(files: BTreeMap<BundlePath, Arc<[u8]>>) -> Result<Self, Diagnostics> {
        let limits = ArchiveLimits::default();
        let mut tree = Tree::new(&limits);
        let mut found = Diagnostics::new();
        for (path, bytes) in files {
            match tree.admit(&path, bytes.len() as u64) {
                Ok(()) => tree.take(path, bytes),
                Err(diagnostic) => found.push(*diagnostic),
            }
        }
        found.unless_errors(tree).and_then(Self::from_tree)
    }

    /// A bundle from a tar archive, plain or compressed with gzip or zstd. It is read in memory and never
    /// written to a disk.
    ///
    /// # Errors
    /// The first thing that is wrong with the archive, or all that is wrong with its files.
    pub fn from_archive(archive: &[u8], limits: &ArchiveLimits) -> Result<Self, Diagnostics> {
        Self::from_tree(archive::read(archive, limits)?)
    }

    /// A bundle of the files in a directory; hidden files and `target` are left out.
    ///
    /// # Errors
    /// Everything that is wrong with the files, links and special files included.
    pub fn from_dir(directory: &Path) -> Result<Self, Diagnostics> {
        Self::from_tree(directory::read(directory, &ArchiveLimits::default())?)
    }

    fn from_tree(tree: Tree<'_>) -> Result<Self, Diagnostics> {
        let files = tree.into_files();
        let mut found = Diagnostics::new();
        for (path, bytes) in files.iter().filter(|(path, _)| path.is_script()) {
            if let Err(error) = str::from_utf8(bytes) {
                let message = format!("a script is UTF-8 text; byte {} is not", error.valid_up_to());
                found.push(Diagnostic::whole(path.as_str(), "script.not_utf8", message));
            }
        }
        let manifest = match files.get(MANIFEST_FILE) {
            Some(bytes) => Manifest::parse(bytes, |path| files.contains_key(path)),
            None => Err(Diagnostic::whole(MANIFEST_FILE, "manifest.missing", "the bundle has no manifest")
                .with_hint("a bundle has a `callboard.toml` at its top".to_owned())
                .into()),
        };
        match manifest {
            Ok(manifest) => {
                let hash = BundleHash::of(&files);
                found.unless_errors(Self { files, manifest, hash })
            }
            Err(diagnostics) => {
                found.append(diagnostics);
                Err(found)
            }
        }
    }

    /// The files, sorted by path.
    pub fn files(&self) -> &BTreeMap<BundlePath, Arc<[u8]>> {
        &self.files
    }

    /// The content of one file.
    pub fn file(&self, path: &str) -> Option<&Arc<[u8]>> {
        self.files.get(path)
    }

    /// What its manifest says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where its manifest says what.
    pub fn manifest_places(&self) -> Places<'_> {
        let bytes = self.files.get(MANIFEST_FILE).map(|bytes| &**bytes);
        Places::of(str::from_utf8(bytes.unwrap_or_default()).unwrap_or_default())
    }

    /// The hash of its files.
    pub fn hash(&self) -> BundleHash {
        self.hash
    }

    /// Its scripts and their source, sorted by path.
    pub fn scripts(&self) -> impl Iterator<Item = (&BundlePath, &str)> {
        let scripts = self.files.iter().filter(|(path, _)| path.is_script());
        scripts.filter_map(|(path, bytes)| Some((path, str::from_utf8(bytes).ok()?)))
    }

    /// The bundle as a plain tar archive: the same bytes for the same files, whoever packs them.
    pub fn to_archive(&self) -> Vec<u8> {
        archive::write(&self.files)
    }
}

#[cfg(test)]
mod tests;
