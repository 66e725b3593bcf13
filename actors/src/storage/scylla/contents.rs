//! Contents: bundles and units, in one row or, when large, in parts.
//!
//! Invariant: parts are kept under the checksum of the whole and written before the row that names it, so that
//! a row that can be read has all its parts, and two writers cannot mix theirs.
//! Not here: what the bytes mean.

use bytes::Bytes;

use super::super::records::{ContentHash, ContentKind};
use super::super::store::CONTENT_MAX;
use super::Scylla;
use super::asks::Ask;
use super::found::Found;
use crate::error::StoreError;

/// What is not larger than this stands in its own row.
const WHOLE: usize = 1024 * 1024;
/// The size of a part.
const PART: usize = 512 * 1024;

impl Scylla {
    pub(super) async fn put_one_content(
        &self,
        kind: &ContentKind,
        key: ContentHash,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        if bytes.len() > CONTENT_MAX {
            return Err(StoreError::TooLarge { what: key.to_string(), size: bytes.len(), most: CONTENT_MAX });
        }
        // What cannot be read is replaced: the bytes are at hand now.
        if *kind == ContentKind::Bundle {
            match self.read_content(kind, key).await {
                Ok(Some(_)) => return Ok(()),
                Ok(None) | Err(StoreError::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let sum = ContentHash::of(bytes).0;
        let whole = bytes.len() <= WHOLE;
        if !whole {
            for (number, part) in (0_i32..).zip(bytes.chunks(PART)) {
                self.links.now()?.ask(Ask::PutPart, (&sum[..], number, part)).await?;
            }
        }
        let body = whole.then_some(bytes);
        let size = bytes.len() as i32;
        let (key, sum) = (&key.0[..], &sum[..]);
        match kind {
            ContentKind::Bundle => self.links.now()?.ask(Ask::PutBundle, (key, sum, size, body)).await?,
            ContentKind::Unit { fingerprint } => {
                self.links.now()?.ask(Ask::PutUnit, (key, fingerprint.as_str(), sum, size, body)).await?
            }
        };
        Ok(())
    }

    pub(super) async fn read_content(
        &self,
        kind: &ContentKind,
        key: ContentHash,
    ) -> Result<Option<Bytes>, StoreError> {
        let row = self.content_row(kind, key).await?;
        let Some(line) = row.first() else { return Ok(None) };
        let corrupt = |why| StoreError::corrupt(format_args!("content {key}"), why);
        let sum = line.bytes("sum").ok_or_else(|| corrupt("it has no checksum"))?;
        let size = line.small("size").and_then(|size| usize::try_from(size).ok());
        let size =
            size.filter(|size| *size <= CONTENT_MAX).ok_or_else(|| corrupt("its size is not possible"))?;
        let bytes = if size <= WHOLE {
            line.owned_bytes("body").unwrap_or_default()
        } else {
            let mut whole = Vec::with_capacity(size);
            for number in 0..size.div_ceil(PART) as i32 {
                let part = self.links.now()?.ask(Ask::Part, (sum, number)).await?;
                let part = part.first().and_then(|line| line.owned_bytes("body"));
                let part = part.ok_or_else(|| corrupt("a part of it is missing"))?;
                if whole.len() + part.len() > size {
                    return Err(corrupt("its parts are larger than the whole"));
                }
                whole.extend_from_slice(&part);
            }
            whole.into()
        };
        if ContentHash::of(&bytes).0 != *sum {
            return Err(corrupt("its checksum does not fit"));
        }
        Ok(Some(bytes))
    }

    async fn content_row(&self, kind: &ContentKind, key: ContentHash) -> Result<Found, StoreError> {
        let link = self.links.now()?;
        match kind {
            ContentKind::Bundle => link.ask(Ask::Bundle, (&key.0[..],)).await,
            ContentKind::Unit { fingerprint } => {
                link.ask(Ask::Unit, (&key.0[..], fingerprint.as_str())).await
            }
        }
    }
}
