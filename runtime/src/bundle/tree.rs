//! The tree of a bundle's paths while it is put together.
//!
//! Invariant: no path is there twice, in another case, or both as a file and as a directory, and the number
//! and the size of the files stay within the limits.
//! Not here: where the files come from.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::BundlePath;
use crate::archive::ArchiveLimits;
use crate::diagnostic::Diagnostic;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
}

/// Files that were taken so far.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    limits: &'a ArchiveLimits,
    /// Every file and directory by its path in small letters, with the path as it was written.
    names: BTreeMap<String, (String, Kind)>,
    files: BTreeMap<BundlePath, Arc<[u8]>>,
    total: u64,
}

impl<'a> Tree<'a> {
    pub(crate) fn new(limits: &'a ArchiveLimits) -> Self {
        Self { limits, names: BTreeMap::new(), files: BTreeMap::new(), total: 0 }
    }

    /// Makes room for a file of this size before it is read.
    pub(crate) fn admit(&mut self, path: &BundlePath, size: u64) -> Result<(), Box<Diagnostic>> {
        let refuse = |code: &'static str, message: String| {
            Err(Box::new(Diagnostic::whole(path.as_str(), code, message)))
        };
        if self.files.len() >= self.limits.files {
            return refuse(
                "bundle.too_many_files",
                format!("a bundle has at most {} files", self.limits.files),
            );
        }
        if size > self.limits.file.get() {
            return refuse(
                "bundle.file_too_large",
                format!("the file has {size} bytes; a bundle's files have at most {}", self.limits.file),
            );
        }
        if size > self.limits.total.get() - self.total {
            return refuse(
                "bundle.too_large",
                format!("with this file the bundle has more than {}", self.limits.total),
            );
        }
        self.name(path, Kind::File)?;
        self.total += size;
        Ok(())
    }

    /// Takes the content of a file for which room was made.
    pub(crate) fn take(&mut self, path: BundlePath, bytes: Arc<[u8]>) {
        self.files.insert(path, bytes);
    }

    /// Notes a directory; empty ones are no part of a bundle, and must still not be where a file is.
    pub(crate) fn directory(&mut self, path: &BundlePath) -> Result<(), Box<Diagnostic>> {
        self.name(path, Kind::Directory)
    }

    /// How many files and directories may be looked at.
    pub(crate) fn entries_max(&self) -> usize {
        self.limits.files.saturating_mul(2)
    }

    pub(crate) fn into_files(self) -> BTreeMap<BundlePath, Arc<[u8]>> {
        self.files
    }

    fn name(&mut self, path: &BundlePath, kind: Kind) -> Result<(), Box<Diagnostic>> {
        let text = path.as_str();
        for (end, _) in text.match_indices('/') {
            self.one_name(path, &text[..end], Kind::Directory)?;
        }
        self.one_name(path, text, kind)
    }

    fn one_name(&mut self, path: &BundlePath, name: &str, kind: Kind) -> Result<(), Box<Diagnostic>> {
        let refuse = |code: &'static str, message: String| {
            Err(Box::new(Diagnostic::whole(path.as_str(), code, message)))
        };
        match self.names.entry(name.to_ascii_lowercase()) {
            Entry::Vacant(vacant) => {
                vacant.insert((name.to_owned(), kind));
                Ok(())
            }
            Entry::Occupied(there) => match there.get() {
                (other, _) if other != name => refuse(
                    "path.case_duplicate",
                    format!("`{name}` differs from `{other}` only in small and capital letters"),
                ),
                (_, other) if *other != kind => refuse(
                    "path.file_and_directory",
                    format!("`{name}` is a file and a directory at the same time"),
                ),
                (_, Kind::File) => refuse("path.duplicate", format!("`{name}` is there twice")),
                (_, Kind::Directory) => Ok(()),
            },
        }
    }
}
