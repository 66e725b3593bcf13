//! Words: memory that two processes share, as numbers that both may touch at any time.
//!
//! Invariant: the memory is as long as it was made, for as long as it is mapped: it is sealed against shrinking, so
//! that no touch of it can fail.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicU64;

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, SealFlags};

/// Bytes of a word.
const BYTES: usize = size_of::<u64>();

/// The words.
#[derive(Debug)]
pub(super) struct Words {
    file: File,
    map: MmapRaw,
    count: usize,
}

impl Words {
    /// So many words, all zero.
    pub(super) fn new(count: usize) -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(rustix::fs::memfd_create("callboard-flight", flags)?);
        file.set_len((count * BYTES) as u64)?;
        rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Self::mapped(file, count)
    }

    /// The words behind a descriptor, if they are exactly so many.
    pub(super) fn of(descriptor: OwnedFd, count: usize) -> io::Result<Self> {
        let file = File::from(descriptor);
        let is_sealed = rustix::fs::fcntl_get_seals(&file)?.contains(SealFlags::SHRINK);
        if !is_sealed || file.metadata()?.len() != (count * BYTES) as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "that is no flight board"));
        }
        Self::mapped(file, count)
    }

    fn mapped(file: File, count: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(count * BYTES).map_raw(&file)?;
        Ok(Self { file, map, count })
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    // The one place where shared memory becomes numbers: the language cannot see who else has it mapped.
    #[allow(unsafe_code)]
    fn all(&self) -> &[AtomicU64] {
        // SAFETY: the map starts at a page, so it is aligned; it has `count` words, which a seal keeps there, and
        // it lives as long as `self`. Whatever another process writes is a valid number, and both sides touch it
        // through atomics only.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast::<AtomicU64>(), self.count) }
    }

    pub(super) fn at(&self, place: usize) -> &AtomicU64 {
        &self.all()[place]
    }

    pub(super) fn range(&self, start: usize, count: usize) -> &[AtomicU64] {
        &self.all()[start..start + count]
    }
}
