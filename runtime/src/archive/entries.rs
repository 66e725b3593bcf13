//! The entries of a tar.
//!
//! Invariant: only regular files and directories are taken, under the one name that every tar program would
//! give them; every extension that could change an entry is refused, but for a long name that agrees with the
//! short one.
//! Not here: decompression (`inflate`), how paths get on with each other (`bundle`).

use tar::{EntryType, Header};

use super::{ArchiveLimits, BLOCK, refuse};
use crate::bundle::{BundlePath, Tree};
use crate::diagnostic::Diagnostic;

/// The longest name that a header holds.
pub(super) const NAME_FIELD: usize = 100;
/// The name of the entry that holds a long name.
pub(super) const LONG_NAME: &[u8] = b"././@LongLink";
/// The longest content of such an entry: a path of a directory with `./`, `/` and the closing NUL. Longer
/// ones are read to say which rule their path breaks.
const LONG_NAME_MAX: usize = 4_096;

/// Reads all entries of a tar.
pub(super) fn read<'a>(tar: &[u8], limits: &'a ArchiveLimits) -> Result<Tree<'a>, Box<Diagnostic>> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().map_err(|error| refuse("archive.damaged", error.to_string()))?;
    let mut reader = Reader { tree: Tree::new(limits), long_name: None, seen: 0 };
    let mut end = 0;
    // Raw: the crate would apply extensions before anybody could see them.
    for entry in entries.raw(true) {
        let entry = entry.map_err(|error| {
            if tar.len().saturating_sub(end) < BLOCK {
                truncated_or_nothing(end)
            } else if end == 0 {
                refuse("archive.not_an_archive", "it is not a tar archive, plain or with gzip or zstd")
            } else {
                refuse("archive.damaged", format!("an entry cannot be read: {error}"))
            }
        })?;
        let start = entry.raw_file_position();
        let size =
            entry.header().entry_size().map_err(|error| refuse("archive.damaged", error.to_string()))?;
        let content = usize::try_from(start)
            .ok()
            .zip(usize::try_from(size).ok())
            .and_then(|(start, size)| Some(start..start.checked_add(size)?));
        let Some((range, content)) = content.and_then(|range| Some((range.clone(), tar.get(range)?))) else {
            // What kind of entry it is, or that it is too large, says more than that its end is missing.
            reader.header_only(entry.header(), size)?;
            return Err(refuse("archive.truncated", "the archive ends within a file"));
        };
        reader.entry(entry.header(), content)?;
        end = range.end.next_multiple_of(BLOCK);
    }
    finish(tar, end)?;
    reader.finish()
}

/// What follows the last entry has to be the end marker, two blocks of zeros, and nothing but zeros.
fn finish(tar: &[u8], end: usize) -> Result<(), Box<Diagnostic>> {
    let rest = tar.get(end..).unwrap_or_default();
    if rest.iter().any(|byte| *byte != 0) {
        return Err(refuse("archive.trailing_garbage", "something follows the end of the archive"));
    }
    if rest.len() < 2 * BLOCK || !rest.len().is_multiple_of(BLOCK) {
        return Err(truncated_or_nothing(end.max(rest.len())));
    }
    Ok(())
}

fn truncated_or_nothing(end: usize) -> Box<Diagnostic> {
    if end == 0 {
        return refuse("archive.not_an_archive", "it is not a tar archive, plain or with gzip or zstd");
    }
    refuse("archive.truncated", "the archive ends without its end marker")
}

struct Reader<'a> {
    tree: Tree<'a>,
    long_name: Option<Vec<u8>>,
    seen: usize,
}

impl<'a> Reader<'a> {
    fn entry(&mut self, header: &Header, content: &[u8]) -> Result<(), Box<Diagnostic>> {
        self.seen += 1;
        // A long name makes an entry of its own.
        if self.seen > self.tree.entries_max().saturating_mul(2) {
            return Err(refuse("bundle.too_many_files", "it has more entries than a bundle can have"));
        }
        let short = self.kind_and_name(header)?;
        match header.as_bytes()[156] {
            b'L' => {
                if self.long_name.is_some() || short != LONG_NAME || content.len() > LONG_NAME_MAX {
                    return Err(refuse("archive.extension", "it has a long name that is not plain"));
                }
                let name = content.strip_suffix(b"\0").unwrap_or(content);
                self.long_name = Some(name.to_vec());
                Ok(())
            }
            b'5' => {
                let name = self.name(short)?;
                if !content.is_empty() {
                    return Err(refuse(
                        "archive.entry_type",
                        format!("the directory `{name}` has a content"),
                    ));
                }
                match path_of(name.strip_suffix('/').unwrap_or(&name))? {
                    Some(path) => self.tree.directory(&path),
                    None => Ok(()),
                }
            }
            _ => {
                let name = self.name(short)?;
                let path = path_of(&name)?
                    .ok_or_else(|| Diagnostic::whole(&name, "path.dot", "a file cannot be named `.`"))?;
                self.tree.admit(&path, content.len() as u64)?;
                self.tree.take(path, content.into());
                Ok(())
            }
        }
    }

    /// Refuses an entry by its header where its content is not there.
    fn header_only(&mut self, header: &Header, size: u64) -> Result<(), Box<Diagnostic>> {
        let short = self.kind_and_name(header)?;
        if header.as_bytes()[156] != b'L'
            && let Some(path) = path_of(&self.name(short)?)?
        {
            self.tree.admit(&path, size)?;
        }
        Ok(())
    }

    /// The name in the header, for a kind of entry that can be taken.
    fn kind_and_name(&self, header: &Header) -> Result<Vec<u8>, Box<Diagnostic>> {
        let field = &header.as_bytes()[..NAME_FIELD];
        let name = header.path_bytes().into_owned();
        let shown = String::from_utf8_lossy(self.long_name.as_deref().unwrap_or(&name)).into_owned();
        let refuse = |code: &'static str, what: &str| {
            Err(Box::new(Diagnostic::whole(&shown, code, format!("{what} cannot be in a bundle"))))
        };
        match header.as_bytes()[156] {
            b'0' | b'\0' | b'5' | b'L' => {}
            b'1' => return refuse("archive.hardlink", "a hard link"),
            b'2' => return refuse("archive.symlink", "a symbolic link"),
            b'3' | b'4' => return refuse("archive.device", "a device"),
            b'6' => return refuse("archive.fifo", "a named pipe"),
            b'S' => return refuse("archive.sparse", "a sparse file"),
            b'K' | b'x' | b'g' | b'A'..=b'Z' => {
                return refuse("archive.extension", "an entry that changes what other entries mean");
            }
            _ => return refuse("archive.entry_type", "an entry of this type"),
        }
        let behind = field.iter().skip_while(|byte| **byte != 0);
        if behind.clone().any(|byte| *byte != 0) {
            let message = "a NUL stands in its name, with something behind it";
            return Err(Box::new(Diagnostic::whole(&shown, "path.nul", message)));
        }
        Ok(name)
    }

    /// The entry's whole name, which is the long one where there is one that goes on as the short one began.
    fn name(&mut self, short: Vec<u8>) -> Result<String, Box<Diagnostic>> {
        let name = match self.long_name.take() {
            None => short,
            Some(long) => {
                if short != long[..long.len().min(NAME_FIELD)] {
                    return Err(refuse("archive.extension", "an entry has two names that do not agree"));
                }
                long
            }
        };
        String::from_utf8(name).map_err(|error| {
            let shown = String::from_utf8_lossy(error.as_bytes()).into_owned();
            Box::new(Diagnostic::whole(
                &shown,
                "path.non_ascii",
                "a character that is not ASCII stands in its name",
            ))
        })
    }

    fn finish(self) -> Result<Tree<'a>, Box<Diagnostic>> {
        if self.long_name.is_some() {
            return Err(refuse("archive.extension", "a long name has no entry that it belongs to"));
        }
        if self.seen == 0 {
            return Err(refuse("archive.empty", "there is nothing in it"));
        }
        Ok(self.tree)
    }
}

/// The path that a name means, without the `./` that tar programs put before; nothing for the top itself.
fn path_of(name: &str) -> Result<Option<BundlePath>, Box<Diagnostic>> {
    let plain = name.strip_prefix("./").unwrap_or(name);
    if name == "." || (plain.is_empty() && !name.is_empty()) {
        return Ok(None);
    }
    BundlePath::parse(plain)
        .map(Some)
        .map_err(|error| Box::new(Diagnostic::whole(name, error.code(), error.to_string())))
}

/// Writes one entry; of a name that is too long the beginning.
pub(super) fn append(out: &mut Vec<u8>, kind: EntryType, name: &[u8], content: &[u8]) {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len().min(NAME_FIELD)]
        .copy_from_slice(&name[..name.len().min(NAME_FIELD)]);
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(BLOCK), 0);
}
