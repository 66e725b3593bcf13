//! Bundles from a directory, for the command line.
//!
//! Invariant: only regular files are read; a link is refused and never followed.
//! Not here: watching the directory for changes.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{BundlePath, Tree};
use crate::archive::ArchiveLimits;
use crate::diagnostic::{Diagnostic, Diagnostics};

/// Directories that hold what a build made, never a bundle's files.
const SKIPPED: &str = "target";

/// Reads the files below `root`.
pub(super) fn read<'a>(root: &Path, limits: &'a ArchiveLimits) -> Result<Tree<'a>, Diagnostics> {
    let mut tree = Tree::new(limits);
    let mut found = Diagnostics::new();
    let mut visited = 0;
    directory(root, "", &mut tree, &mut found, &mut visited);
    found.unless_errors(tree)
}

fn directory(path: &Path, within: &str, tree: &mut Tree<'_>, found: &mut Diagnostics, visited: &mut usize) {
    let shown = if within.is_empty() { "." } else { within };
    let mut names = match fs::read_dir(path).and_then(|entries| {
        entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>()
    }) {
        Ok(names) => names,
        Err(error) => return found.push(unreadable(shown, &error)),
    };
    names.sort();
    for name in names {
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        *visited += 1;
        if *visited > tree.entries_max() {
            let message = "there are more files and directories than a bundle can have";
            return found.push(Diagnostic::whole(shown, "bundle.too_many_files", message));
        }
        if let Err(diagnostics) = entry(path, &name, within, tree, found, visited) {
            found.append(diagnostics);
        }
    }
}

fn entry(
    parent: &Path,
    name: &OsStr,
    within: &str,
    tree: &mut Tree<'_>,
    found: &mut Diagnostics,
    visited: &mut usize,
) -> Result<(), Diagnostics> {
    let path = parent.join(name);
    let name = name.to_string_lossy();
    let text = if within.is_empty() { name.into_owned() } else { format!("{within}/{name}") };
    let metadata = fs::symlink_metadata(&path).map_err(|error| unreadable(&text, &error))?;
    if metadata.is_dir() && text.rsplit('/').next() == Some(SKIPPED) {
        return Ok(());
    }
    if metadata.is_symlink() {
        let message = "a symbolic link cannot be in a bundle";
        return Err(Diagnostic::whole(&text, "bundle.symlink", message).into());
    }
    let bundle_path = BundlePath::parse(&text)
        .map_err(|error| Diagnostic::whole(&text, error.code(), error.to_string()))?;
    if metadata.is_dir() {
        tree.directory(&bundle_path)?;
        directory(&path, &text, tree, found, visited);
        return Ok(());
    }
    // What is a pipe or a device by the time it is opened must neither block nor be read.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let special = || Diagnostic::whole(&text, "bundle.special_file", "only regular files can be in a bundle");
    if !metadata.is_file() {
        return Err(special().into());
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(&path)
        .map_err(|error| unreadable(&text, &error))?;
    let metadata = file.metadata().map_err(|error| unreadable(&text, &error))?;
    if !metadata.is_file() {
        return Err(special().into());
    }
    tree.admit(&bundle_path, metadata.len())?;
    let mut bytes = Vec::new();
    file.take(metadata.len()).read_to_end(&mut bytes).map_err(|error| unreadable(&text, &error))?;
    tree.take(bundle_path, bytes.into());
    Ok(())
}

fn unreadable(path: &str, error: &io::Error) -> Diagnostic {
    Diagnostic::whole(path, "bundle.unreadable", format!("it cannot be read: {error}"))
}
