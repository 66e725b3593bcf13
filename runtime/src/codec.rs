//! The codec: a compiled unit to bytes and back, in a signed envelope.
//!
//! Invariant: every unit is read from bytes before it runs, a freshly compiled one too, so that a loaded
//! one behaves the same; and nothing is decoded before length and signature were checked.
//! Not here: where the bytes are kept (the storage's work), compiling (`compile`).
//!
//! Layout: magic (4) · format (1) · algorithm (1) · key id (1) · zero (1) · fingerprint (32) ·
//! bundle hash (32) · length of logic, shapes, debug table (4 each, little endian) · signature (32) ·
//! logic · shapes · debug table. The signature is BLAKE3 keyed, over everything before and after it.

use std::sync::OnceLock;

use bytes::Bytes;
use rune::runtime::unit::Logic;
use serde::{Deserialize, Serialize};

use crate::bundle::BundleHash;
use crate::debug_table::DebugTable;
use crate::error::CodecError;
use crate::host::HOST_API_VERSION;
use crate::host::json_build::Shapes;
use crate::instrument;
use crate::unit::Unit;

const MAGIC: &[u8; 4] = b"CBUN";
const FORMAT: u8 = 1;
const BLAKE3_KEYED: u8 = 1;
const HEADER: usize = 8 + 32 + 32 + 12;
const SIGNATURE: usize = 32;
/// The largest unit that is read, in bytes.
pub const LARGEST: usize = 16 * 1024 * 1024;

/// What the compiler gives: parts of a unit that are not signed yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compiled {
    /// The bytecode, in MessagePack.
    #[serde(with = "serde_bytes_vec")]
    pub logic: Vec<u8>,
    /// The shapes of its `json!`.
    pub shapes: Shapes,
    /// From instruction to file, line and function, in MessagePack.
    #[serde(with = "serde_bytes_vec")]
    pub debug: Vec<u8>,
}

impl Compiled {
    /// Whether its envelope would be larger than any that is read.
    pub fn is_too_large(&self) -> bool {
        let shapes = rmp_serde::to_vec(&self.shapes).map_or(usize::MAX, |shapes| shapes.len());
        let parts = [HEADER, SIGNATURE, self.logic.len(), shapes, self.debug.len()];
        parts.into_iter().fold(0, usize::saturating_add) > LARGEST
    }
}

/// Byte strings as such, not as lists of numbers.
mod serde_bytes_vec {
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
        }
        deserializer.deserialize_byte_buf(Text)
    }
}

/// The keys of a fleet: one signs, some more may be accepted while they are rotated out. A key's id comes from
/// the key, so that all nodes call it the same.
#[derive(Clone)]
pub struct SigningKeys {
    current: (u8, [u8; 32]),
    older: Vec<(u8, [u8; 32])>,
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKeys").field("current", &self.current.0).finish_non_exhaustive()
    }
}

impl SigningKeys {
    /// The first signs, all are accepted.
    pub fn new(current: [u8; 32], older: Vec<[u8; 32]>) -> Self {
        let with_id = |key: [u8; 32]| (blake3::derive_key("callboard signing key id v1", &key)[0], key);
        Self { current: with_id(current), older: older.into_iter().map(with_id).collect() }
    }

    /// Names of the keys, the one that signs first, by which two servers can see whether they share one. They tell
    /// nothing of the keys.
    pub fn names(&self) -> Vec<String> {
        let name = |(_, key): &(u8, [u8; 32])| {
            let derived = blake3::derive_key("callboard signing key name v1", key);
            blake3::Hash::from(derived).to_hex()[..16].to_owned()
        };
        std::iter::once(&self.current).chain(&self.older).map(name).collect()
    }

    /// The keys of this id: two may share one.
    fn find(&self, id: u8) -> impl Iterator<Item = &[u8; 32]> {
        std::iter::once(&self.current)
            .chain(&self.older)
            .filter(move |(known, _)| *known == id)
            .map(|(_, key)| key)
    }
}

/// What a unit was compiled by: another engine's units are compiled anew.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// This program's.
    pub fn current() -> Self {
        static CURRENT: OnceLock<Fingerprint> = OnceLock::new();
        *CURRENT.get_or_init(|| {
            let mut hasher = blake3::Hasher::new_derive_key("callboard engine fingerprint v1");
            for part in [
                "rune 0.14.2".to_owned(),
                format!("host {HOST_API_VERSION}"),
                format!("metering {}", instrument::METERING_VERSION),
                format!("format {FORMAT}"),
                env!("CARGO_PKG_VERSION").to_owned(),
            ] {
                hasher.update(part.as_bytes());
                hasher.update(&[0]);
            }
            Fingerprint(*hasher.finalize().as_bytes())
        })
    }

    /// As hexadecimal text, shortened to what tells builds apart.
    pub fn text(self) -> String {
        blake3::Hash::from(self.0).to_hex()[..16].to_owned()
    }
}

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}

/// The longest text that a script may hold as it stands, in bytes. Using it copies it, which nobody charges for.
pub const CONSTANT_MAX: usize = 64 * 1024;

/// Why a unit has no bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A text in it is longer than any may be.
    #[error("A text or constant of this script has {bytes} bytes, {CONSTANT_MAX} are the most")]
    Constant {
        /// How long it is.
        bytes: usize,
    },
    /// It holds something that does not encode; the text says what.
    #[error("{0}")]
    Unit(String),
}

impl From<String> for EncodeError {
    fn from(what: String) -> Self {
        Self::Unit(what)
    }
}

/// The length of the longest text or byte string in a unit.
fn longest_text(tree: &rmpv::Value) -> usize {
    match tree {
        rmpv::Value::String(text) => text.as_bytes().len(),
        rmpv::Value::Binary(bytes) => bytes.len(),
        rmpv::Value::Array(items) => items.iter().map(longest_text).max().unwrap_or(0),
        rmpv::Value::Map(fields) => {
            fields.iter().map(|(key, value)| longest_text(key).max(longest_text(value))).max().unwrap_or(0)
        }
        _ => 0,
    }
}

/// Encodes bytecode.
///
/// # Errors
/// The unit holds something that does not encode, or more than it may.
pub fn encode_logic(logic: &Logic) -> Result<Vec<u8>, EncodeError> {
    let bytes = rmp_serde::to_vec(logic).map_err(|error| error.to_string())?;
    let mut tree = rmpv::decode::read_value(&mut bytes.as_slice()).map_err(|error| error.to_string())?;
    drop_type_names(&mut tree)?;
    let longest = longest_text(&tree);
    if longest > CONSTANT_MAX {
        return Err(EncodeError::Constant { bytes: longest });
    }
    let mut out = Vec::with_capacity(bytes.len());
    rmpv::encode::write_value(&mut out, &tree).map_err(|error| error.to_string())?;
    Ok(out)
}

/// The names of a script's types are written in one way and read in another by rune 0.14.2, so they are
/// left out: field 6 of `Logic` maps hashes to type information, whose field 3 is the name.
fn drop_type_names(logic: &mut rmpv::Value) -> Result<(), String> {
    let rmpv::Value::Array(fields) = logic else { return Err("the unit is no record".to_owned()) };
    let Some(rmpv::Value::Map(types)) = fields.get_mut(6) else {
        return Err("the unit has no table of types".to_owned());
    };
    for (_, of_type) in types {
        let rmpv::Value::Array(parts) = of_type else { return Err("a type is no record".to_owned()) };
        let Some(name) = parts.get_mut(3) else { return Err("a type has no name".to_owned()) };
        *name = rmpv::Value::Array(Vec::new());
    }
    Ok(())
}

/// Puts a compiled unit into its envelope.
pub fn seal(compiled: &Compiled, bundle: BundleHash, keys: &SigningKeys) -> Bytes {
    let shapes = rmp_serde::to_vec(&compiled.shapes).expect("lists of text encode");
    let mut out =
        Vec::with_capacity(HEADER + SIGNATURE + compiled.logic.len() + shapes.len() + compiled.debug.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[FORMAT, BLAKE3_KEYED, keys.current.0, 0]);
    out.extend_from_slice(&Fingerprint::current().0);
    out.extend_from_slice(bundle.as_bytes());
    for part in [compiled.logic.len(), shapes.len(), compiled.debug.len()] {
        out.extend_from_slice(&u32::try_from(part).unwrap_or(u32::MAX).to_le_bytes());
    }
    let payload = [compiled.logic.as_slice(), &shapes, &compiled.debug];
    let signature = sign(&keys.current.1, &out, &payload);
    out.extend_from_slice(signature.as_bytes());
    payload.iter().for_each(|part| out.extend_from_slice(part));
    out.into()
}

fn sign(key: &[u8; 32], header: &[u8], payload: &[&[u8]]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(header);
    payload.iter().for_each(|part| {
        hasher.update(part);
    });
    hasher.finalize()
}

/// Where the parts of a unit end in its envelope.
struct Parts {
    logic: usize,
    shapes: usize,
}

/// Checks an envelope without decoding the unit: its form, its length, its signature, whose it is.
///
/// # Errors
/// Why [`open`] would not take it.
pub fn check(bytes: &Bytes, bundle: BundleHash, keys: &SigningKeys) -> Result<(), CodecError> {
    parts(bytes, bundle, keys).map(drop)
}

fn parts(bytes: &Bytes, bundle: BundleHash, keys: &SigningKeys) -> Result<Parts, CodecError> {
    let damaged = CodecError::Damaged;
    if bytes.len() > LARGEST {
        return Err(damaged("it is larger than any that is written"));
    }
    let header = bytes.get(..HEADER).ok_or(damaged("it ends within its header"))?;
    if &header[..4] != MAGIC {
        return Err(damaged("it does not begin as one"));
    }
    if header[4] != FORMAT || header[5] != BLAKE3_KEYED {
        return Err(CodecError::Format(header[4]));
    }
    let length =
        |at: usize| header[at..at + 4].iter().rev().fold(0usize, |sum, byte| (sum << 8) | usize::from(*byte));
    let (logic, shapes, debug) = (length(72), length(76), length(80));
    let start = HEADER + SIGNATURE;
    let total = start
        .checked_add(logic)
        .and_then(|sum| sum.checked_add(shapes))
        .and_then(|sum| sum.checked_add(debug));
    if total != Some(bytes.len()) {
        return Err(damaged("its length is not the one it names"));
    }
    let mut candidates = keys.find(header[6]).peekable();
    candidates.peek().ok_or(CodecError::Key)?;
    let signature: [u8; 32] =
        bytes[HEADER..start].try_into().map_err(|_| damaged("it ends within its signature"))?;
    // `blake3::Hash` compares in constant time.
    let signature = blake3::Hash::from(signature);
    if !candidates.any(|key| sign(key, header, &[&bytes[start..]]) == signature) {
        return Err(CodecError::Signature);
    }
    if header[8..40] != Fingerprint::current().0 {
        return Err(CodecError::Fingerprint);
    }
    if header[40..72] != *bundle.as_bytes() {
        return Err(CodecError::Bundle);
    }
    Ok(Parts { logic: start + logic, shapes: start + logic + shapes })
}

/// Opens an envelope: checks it, then decodes the unit.
///
/// # Errors
/// Why it was not taken; the caller compiles from source, counts and reports.
pub fn open(bytes: &Bytes, bundle: BundleHash, keys: &SigningKeys) -> Result<Unit, CodecError> {
    let Parts { logic, shapes } = parts(bytes, bundle, keys)?;
    let content = |error: rmp_serde::decode::Error| CodecError::Content(error.to_string());
    let decoded: Logic = rmp_serde::from_slice(&bytes[HEADER + SIGNATURE..logic]).map_err(content)?;
    let shape_table: Shapes = rmp_serde::from_slice(&bytes[logic..shapes]).map_err(content)?;
    Unit::new(decoded, shape_table, DebugTable::encoded(bytes.slice(shapes..)), bundle)
        .map_err(CodecError::Content)
}
