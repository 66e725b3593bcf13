//! Writing a script's values as JSON: in a stable order, within the answer's limit, metered.

use std::io;

use rune::alloc::Vec as ScriptVec;
use rune::runtime::{Object, OwnedTuple, TypeValue, Value, Vec as RuneVec, VmResult};
use rune::{TypeHash, vm_try};

use super::append::append;
use super::json::Json;
use crate::fuel;

/// The deepest nesting that is written.
const DEPTH: usize = 128;

/// Writes JSON to the end of a buffer that counts against the call's memory.
pub struct Writer<'a> {
    text: &'a mut ScriptVec<u8>,
    max: usize,
    depth: usize,
}

impl<'a> Writer<'a> {
    /// Writes to the end of `text`, which may grow to `max` bytes.
    pub fn new(text: &'a mut ScriptVec<u8>, max: usize) -> Self {
        Self { text, max, depth: 0 }
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> VmResult<()> {
        if self.text.len() + bytes.len() > self.max {
            return VmResult::Err(fuel::stop(fuel::Stop::Response));
        }
        vm_try!(append(self.text, bytes));
        VmResult::Ok(())
    }

    /// A value, as JSON.
    pub fn value(&mut self, value: &Value) -> VmResult<()> {
        vm_try!(fuel::charge(1));
        if self.depth > DEPTH {
            return VmResult::panic(
                "a value that is nested deeper than 128 levels cannot be written as JSON",
            );
        }
        self.depth += 1;
        vm_try!(self.value_inner(value));
        self.depth -= 1;
        VmResult::Ok(())
    }

    fn value_inner(&mut self, value: &Value) -> VmResult<()> {
        let kind = value.type_hash();
        if kind == rune::alloc::String::HASH {
            return self.string(&vm_try!(value.borrow_string_ref()));
        }
        if kind == i64::HASH {
            return self.raw(itoa::Buffer::new().format(vm_try!(value.as_signed())).as_bytes());
        }
        if kind == u64::HASH {
            return self.raw(itoa::Buffer::new().format(vm_try!(value.as_unsigned())).as_bytes());
        }
        if kind == bool::HASH {
            return self.raw(if vm_try!(value.as_bool()) { b"true" } else { b"false" });
        }
        if kind == f64::HASH {
            return self.float(vm_try!(value.as_float()));
        }
        if kind == Json::HASH {
            let json = vm_try!(value.borrow_ref::<Json>());
            vm_try!(fuel::charge(json.text().len() as u64 / 256));
            return self.raw(json.text());
        }
        if kind == RuneVec::HASH {
            let list = vm_try!(value.borrow_ref::<RuneVec>());
            return self.list(list.iter());
        }
        if kind == Object::HASH {
            let object = vm_try!(value.borrow_ref::<Object>());
            return self.object(&object);
        }
        if kind == char::HASH {
            return self.string(vm_try!(value.as_char()).encode_utf8(&mut [0; 4]));
        }
        if kind == Option::<Value>::HASH {
            let inner = vm_try!(value.borrow_ref::<Option<Value>>());
            return match &*inner {
                Some(value) => self.value(value),
                None => self.raw(b"null"),
            };
        }
        if kind == rune::runtime::Bytes::HASH {
            return VmResult::panic(
                "bytes cannot be written as JSON; encode them, for example with callboard::base64::encode",
            );
        }
        self.typed(value)
    }

    fn typed(&mut self, value: &Value) -> VmResult<()> {
        match vm_try!(value.as_type_value()) {
            TypeValue::Unit => self.raw(b"null"),
            TypeValue::Tuple(tuple) => {
                let tuple: &OwnedTuple = &tuple;
                self.list(tuple.iter())
            }
            TypeValue::Object(object) => self.object(&object),
            TypeValue::TupleStruct(tuple) => self.list(tuple.data().iter()),
            // A struct does not tell its fields' names, and after decoding not even its own.
            TypeValue::Struct(_) => {
                VmResult::panic("a struct cannot be written as JSON: build an object, #{ … }, or use json!")
            }
            _ => VmResult::panic(format!("a value of type {} cannot be written as JSON", value.type_info())),
        }
    }

    fn float(&mut self, number: f64) -> VmResult<()> {
        if !number.is_finite() {
            return self.raw(b"null");
        }
        self.raw(ryu::Buffer::new().format_finite(number).as_bytes())
    }

    fn list<'v>(&mut self, items: impl Iterator<Item = &'v Value>) -> VmResult<()> {
        vm_try!(self.raw(b"["));
        for (index, item) in items.enumerate() {
            if index > 0 {
                vm_try!(self.raw(b","));
            }
            vm_try!(self.value(item));
        }
        self.raw(b"]")
    }

    fn object(&mut self, object: &Object) -> VmResult<()> {
        // Sorting is charged before it is done; the references are the host's own memory, one word pair each.
        vm_try!(fuel::charge(object.len() as u64));
        let mut fields: Vec<(&str, &Value)> =
            object.iter().map(|(key, value)| (key.as_str(), value)).collect();
        fields.sort_unstable_by_key(|(key, _)| *key);
        self.fields(fields.into_iter())
    }

    fn fields<'v>(&mut self, fields: impl Iterator<Item = (&'v str, &'v Value)>) -> VmResult<()> {
        vm_try!(self.raw(b"{"));
        for (index, (key, value)) in fields.enumerate() {
            if index > 0 {
                vm_try!(self.raw(b","));
            }
            vm_try!(self.string(key));
            vm_try!(self.raw(b":"));
            vm_try!(self.value(value));
        }
        self.raw(b"}")
    }

    fn string(&mut self, text: &str) -> VmResult<()> {
        vm_try!(fuel::charge(text.len() as u64 / 256));
        if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
            vm_try!(self.raw(b"\""));
            vm_try!(self.raw(text.as_bytes()));
            return self.raw(b"\"");
        }
        let mut sink = Sink { writer: self, failed: None };
        if serde_json::to_writer(&mut sink, text).is_err() {
            return match sink.failed {
                Some(failed) => VmResult::Err(failed),
                None => VmResult::panic("a string could not be written as JSON"),
            };
        }
        VmResult::Ok(())
    }
}

/// serde_json writes escaped text through this.
struct Sink<'w, 'a> {
    writer: &'w mut Writer<'a>,
    failed: Option<rune::runtime::VmError>,
}

impl io::Write for Sink<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.writer.raw(bytes) {
            VmResult::Ok(()) => Ok(bytes.len()),
            VmResult::Err(failed) => {
                self.failed = Some(failed);
                Err(io::ErrorKind::OutOfMemory.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
