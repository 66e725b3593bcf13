//! Encodings: base64, URLs, hashes. Each is charged by its length.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use rune::alloc::String as ScriptString;
use rune::runtime::{Bytes, Value, VmResult};
use rune::{ContextError, Module, vm_try};

use super::append::append;
use crate::fuel;

/// What stays as it is in a part of a URL.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn with_bytes<T>(value: &Value, f: impl FnOnce(&[u8]) -> VmResult<T>) -> VmResult<T> {
    if let Ok(text) = value.borrow_string_ref() {
        vm_try!(fuel::charge(1 + text.len() as u64 / 64));
        return f(text.as_bytes());
    }
    match value.borrow_ref::<Bytes>() {
        Ok(bytes) => {
            vm_try!(fuel::charge(1 + bytes.len() as u64 / 64));
            f(&bytes)
        }
        Err(_) => VmResult::panic("this function takes a string or bytes"),
    }
}

fn text(text: &str) -> VmResult<ScriptString> {
    VmResult::Ok(vm_try!(ScriptString::try_from(text)))
}

fn decoded(result: Result<Vec<u8>, base64::DecodeError>) -> VmResult<Result<Bytes, ScriptString>> {
    match result {
        Ok(found) => {
            let mut bytes = rune::alloc::Vec::new();
            vm_try!(append(&mut bytes, &found));
            VmResult::Ok(Ok(Bytes::from_vec(bytes)))
        }
        Err(error) => VmResult::Ok(Err(vm_try!(text(&format!("this is no base64: {error}"))))),
    }
}

/// `callboard::base64`.
pub(super) fn base64() -> Result<Module, ContextError> {
    let mut module = Module::with_crate_item("callboard", ["base64"])?;
    module
        .function("encode", |data: Value| with_bytes(&data, |data| text(&STANDARD.encode(data))))
        .build()?;
    module
        .function("encode_url", |data: Value| with_bytes(&data, |data| text(&URL_SAFE_NO_PAD.encode(data))))
        .build()?;
    module
        .function("decode", |data: Value| with_bytes(&data, |data| decoded(STANDARD.decode(data))))
        .build()?;
    module
        .function("decode_url", |data: Value| with_bytes(&data, |data| decoded(URL_SAFE_NO_PAD.decode(data))))
        .build()?;
    Ok(module)
}

/// `callboard::url`: parts of a path or a query.
pub(super) fn url() -> Result<Module, ContextError> {
    let mut module = Module::with_crate_item("callboard", ["url"])?;
    module
        .function("encode", |data: Value| {
            with_bytes(&data, |data| text(&percent_encoding::percent_encode(data, PART).to_string()))
        })
        .build()?;
    module
        .function("decode", |data: Value| -> VmResult<Result<ScriptString, ScriptString>> {
            with_bytes(&data, |data| match percent_encoding::percent_decode(data).decode_utf8() {
                Ok(found) => VmResult::Ok(Ok(vm_try!(text(&found)))),
                Err(error) => VmResult::Ok(Err(vm_try!(text(&format!("this is no text: {error}"))))),
            })
        })
        .build()?;
    Ok(module)
}

/// `callboard::hash`: BLAKE3, as hexadecimal text.
pub(super) fn hash() -> Result<Module, ContextError> {
    let mut module = Module::with_crate_item("callboard", ["hash"])?;
    module
        .function("blake3", |data: Value| with_bytes(&data, |data| text(&blake3::hash(data).to_hex())))
        .build()?;
    Ok(module)
}
