//! Decompression within limits.
//!
//! Invariant: memory is bounded by the limits whatever the input says, and the input is one gzip member or
//! one zstd frame with nothing behind it.
//! Not here: what the unpacked bytes mean.

use std::borrow::Cow;
use std::io::{self, Read};

use super::{ArchiveLimits, refuse};
use crate::diagnostic::Diagnostic;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const CHUNK: usize = 64 << 10;

/// The tar within an archive: unpacked when it begins like gzip or zstd, as it is otherwise.
pub(super) fn inflate<'a>(
    archive: &'a [u8],
    limits: &ArchiveLimits,
) -> Result<Cow<'a, [u8]>, Box<Diagnostic>> {
    let is_gzip = archive.starts_with(GZIP);
    if !is_gzip && !archive.starts_with(ZSTD) {
        if archive.len() as u64 > limits.unpacked() {
            return Err(too_large(limits));
        }
        return Ok(Cow::Borrowed(archive));
    }
    if archive.len() as u64 > limits.compressed.get() {
        let message = format!("a compressed archive has at most {}", limits.compressed);
        return Err(refuse("archive.compressed_too_large", message));
    }
    let (unpacked, rest) = if is_gzip {
        // Not the decoder for many members: it would go on with whatever follows the first.
        let mut decoder = flate2::bufread::GzDecoder::new(archive);
        let unpacked = read_within(&mut decoder, archive.len(), limits)?;
        (unpacked, decoder.into_inner())
    } else {
        let damaged = |error: io::Error| refuse("archive.damaged", error.to_string());
        let mut decoder = zstd::stream::read::Decoder::with_buffer(archive).map_err(damaged)?.single_frame();
        decoder.window_log_max(limits.zstd_window_log).map_err(damaged)?;
        let unpacked = read_within(&mut decoder, archive.len(), limits)?;
        (unpacked, decoder.finish())
    };
    if rest.is_empty() {
        return Ok(Cow::Owned(unpacked));
    }
    if rest.starts_with(GZIP) || rest.starts_with(ZSTD) {
        return Err(refuse(
            "archive.many_members",
            "it is several compressed archives, one behind the other",
        ));
    }
    Err(refuse("archive.trailing_garbage", "something follows the end of the compressed archive"))
}

/// Reads to the end, and gives up as soon as a limit is passed.
fn read_within(
    decoder: &mut impl Read,
    compressed: usize,
    limits: &ArchiveLimits,
) -> Result<Vec<u8>, Box<Diagnostic>> {
    let by_ratio = (compressed as u64).saturating_mul(limits.ratio).max(limits.ratio_from.get());
    let mut out = Vec::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match decoder.read(&mut chunk) {
            Ok(0) => return Ok(out),
            Ok(read) => out.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(&error)),
        }
        if out.len() as u64 > by_ratio {
            let message = format!("it becomes more than {} times as large when it is unpacked", limits.ratio);
            return Err(refuse("archive.bomb", message));
        }
        if out.len() as u64 > limits.unpacked() {
            return Err(too_large(limits));
        }
    }
}

fn too_large(limits: &ArchiveLimits) -> Box<Diagnostic> {
    refuse("bundle.too_large", format!("a bundle's files have at most {} in all", limits.total))
}

fn unreadable(error: &io::Error) -> Box<Diagnostic> {
    let text = error.to_string();
    if error.kind() == io::ErrorKind::UnexpectedEof || text.contains("incomplete frame") {
        return refuse("archive.truncated", "the compressed archive ends too early");
    }
    if text.contains("too much memory") {
        return refuse(
            "archive.zstd_window",
            "unpacking it would take too much memory; compress with a window of 8 MiB or less",
        );
    }
    refuse("archive.damaged", format!("it cannot be unpacked: {text}"))
}
