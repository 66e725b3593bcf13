//! `Json`: a JSON text with accessors. What came from a service and is passed on unread stays bytes.
//!
//! Indexing gives the part: a string, number, bool or `()` as the script's own value, an object or list as
//! `Json` again. A key or index that is not there gives `()`.

use bytes::Bytes;
use rune::alloc::fmt::TryWrite;
use rune::runtime::{Formatter, Object, Protocol, Value, VmResult};
use rune::{Any, ContextError, Module, vm_try};

use super::append::append;
use super::json_read::{self, Kind};
use super::{call, json_write};
use crate::fuel;

/// A checked JSON text.
#[derive(Any, Debug)]
#[rune(item = ::callboard)]
pub struct Json {
    text: Text,
}

#[derive(Debug)]
enum Text {
    /// From outside: counted as host bytes, shared by its parts.
    Shared(Bytes),
    /// Made by the script: counts against its memory.
    Own(rune::alloc::Vec<u8>),
}

impl Json {
    /// A text that is valid because we wrote it.
    pub(crate) fn own(text: rune::alloc::Vec<u8>) -> Self {
        Self { text: Text::Own(text) }
    }

    /// Checks a text from outside.
    ///
    /// # Errors
    /// The text is no JSON or breaks a limit; the sentence says where.
    pub(crate) fn checked(text: Bytes) -> Result<Self, String> {
        json_read::check(&text)?;
        Ok(Self { text: Text::Shared(text) })
    }

    /// The text.
    pub fn text(&self) -> &[u8] {
        match &self.text {
            Text::Shared(text) => text,
            Text::Own(text) => text,
        }
    }

    fn scan(&self) -> VmResult<&[u8]> {
        let text = self.text();
        vm_try!(fuel::charge(1 + text.len() as u64 / 64));
        VmResult::Ok(text)
    }

    /// A part of this text as a script's value.
    fn part(&self, part: &[u8]) -> VmResult<Value> {
        match json_read::kind(part) {
            Kind::Null => VmResult::Ok(Value::from(())),
            Kind::Bool => VmResult::Ok(Value::from(part.starts_with(b"t"))),
            Kind::Number => number(part),
            Kind::Text => {
                let text: std::borrow::Cow<'_, str> = match serde_json::from_slice::<&str>(part) {
                    Ok(text) => text.into(),
                    Err(_) => match serde_json::from_slice::<String>(part) {
                        Ok(text) => text.into(),
                        Err(error) => return VmResult::panic(error.to_string()),
                    },
                };
                VmResult::Ok(vm_try!(Value::try_from(vm_try!(rune::alloc::String::try_from(&*text)))))
            }
            Kind::List | Kind::Object => {
                let text = match &self.text {
                    Text::Shared(text) => Text::Shared(text.slice_ref(part)),
                    Text::Own(_) => {
                        let mut own = rune::alloc::Vec::new();
                        vm_try!(append(&mut own, part));
                        Text::Own(own)
                    }
                };
                VmResult::Ok(vm_try!(Value::new(Json { text })))
            }
        }
    }

    /// `json["name"]`, `json[0]`.
    fn index(&self, key: Value) -> VmResult<Value> {
        let text = vm_try!(self.scan());
        let part = if let Ok(key) = key.borrow_string_ref() {
            json_read::field(text, &key)
        } else if let Ok(index) = key.as_integer::<usize>() {
            json_read::element(text, index)
        } else {
            return VmResult::panic("JSON is indexed with a string or a whole number");
        };
        match part {
            Some(part) => self.part(part),
            None => VmResult::Ok(Value::from(())),
        }
    }

    /// The number of elements or fields; 0 for anything else.
    #[rune::function(keep)]
    fn len(&self) -> VmResult<usize> {
        let text = vm_try!(self.scan());
        let mut count = 0;
        match json_read::kind(text) {
            Kind::List => json_read::each_element(text, |_| count += 1),
            Kind::Object => json_read::each_field(text, |_, _| count += 1),
            _ => {}
        }
        VmResult::Ok(count)
    }

    /// The field or element as `Some`, or `None` where there is none.
    #[rune::function(keep)]
    fn get(&self, key: Value) -> VmResult<Option<Value>> {
        let text = vm_try!(self.scan());
        let part = if let Ok(key) = key.borrow_string_ref() {
            json_read::field(text, &key)
        } else if let Ok(index) = key.as_integer::<usize>() {
            json_read::element(text, index)
        } else {
            return VmResult::panic("JSON is indexed with a string or a whole number");
        };
        VmResult::Ok(match part {
            Some(part) => Some(vm_try!(self.part(part))),
            None => None,
        })
    }

    /// The elements of a list; of an object, its fields as `(key, value)`.
    #[rune::function(keep)]
    fn iter(&self) -> VmResult<Value> {
        let items = vm_try!(self.items());
        let items = vm_try!(vm_try!(Value::try_from(items)).into_ref::<rune::runtime::Vec>());
        VmResult::Ok(vm_try!(Value::new(rune::runtime::Vec::rune_iter(items))))
    }

    fn items(&self) -> VmResult<rune::runtime::Vec> {
        let text = vm_try!(self.scan());
        let mut parts: Vec<(Option<String>, &[u8])> = Vec::new();
        match json_read::kind(text) {
            Kind::List => json_read::each_element(text, |part| parts.push((None, part))),
            Kind::Object => {
                json_read::each_field(text, |key, part| parts.push((Some(key.to_owned()), part)));
            }
            _ => {}
        }
        let mut items = rune::runtime::Vec::new();
        for (key, part) in parts {
            vm_try!(fuel::charge(1));
            let value = vm_try!(self.part(part));
            let item = match key {
                Some(key) => {
                    let key = vm_try!(rune::alloc::String::try_from(key.as_str()));
                    vm_try!(rune::to_value((key, value)))
                }
                None => value,
            };
            vm_try!(items.push(item));
        }
        VmResult::Ok(items)
    }

    /// The keys of an object, in order.
    #[rune::function(keep)]
    fn keys(&self) -> VmResult<rune::runtime::Vec> {
        let text = vm_try!(self.scan());
        let mut keys: Vec<String> = Vec::new();
        if json_read::kind(text) == Kind::Object {
            json_read::each_field(text, |key, _| keys.push(key.to_owned()));
        }
        let mut list = rune::runtime::Vec::new();
        for key in keys {
            vm_try!(fuel::charge(1 + key.len() as u64 / 64));
            vm_try!(list.push_value(vm_try!(rune::alloc::String::try_from(key.as_str()))));
        }
        VmResult::Ok(list)
    }

    /// The whole as plain values: objects and vectors that a script can change.
    #[rune::function(keep)]
    fn value(&self) -> VmResult<Value> {
        let text = vm_try!(self.scan());
        vm_try!(self.deep(text, 0))
            .map_or_else(|| VmResult::panic("this JSON is nested too deep"), VmResult::Ok)
    }

    fn deep(&self, text: &[u8], depth: usize) -> VmResult<Option<Value>> {
        // Each level reads its part of the text again.
        vm_try!(fuel::charge(1 + text.len() as u64 / 64));
        if depth > json_read::DEPTH {
            return VmResult::Ok(None);
        }
        let mut parts: Vec<(Option<String>, &[u8])> = Vec::new();
        match json_read::kind(text) {
            Kind::Object => {
                json_read::each_field(text, |key, part| parts.push((Some(key.to_owned()), part)));
                let mut object = Object::new();
                for (key, part) in parts {
                    let Some(value) = vm_try!(self.deep(part, depth + 1)) else {
                        return VmResult::Ok(None);
                    };
                    let key = vm_try!(rune::alloc::String::try_from(key.unwrap_or_default().as_str()));
                    vm_try!(object.insert(key, value));
                }
                VmResult::Ok(Some(vm_try!(Value::try_from(object))))
            }
            Kind::List => {
                json_read::each_element(text, |part| parts.push((None, part)));
                let mut list = rune::runtime::Vec::new();
                for (_, part) in parts {
                    let Some(value) = vm_try!(self.deep(part, depth + 1)) else {
                        return VmResult::Ok(None);
                    };
                    vm_try!(list.push(value));
                }
                VmResult::Ok(Some(vm_try!(Value::try_from(list))))
            }
            _ => VmResult::Ok(Some(vm_try!(self.part(text)))),
        }
    }

    /// Appends an element that is JSON text already.
    pub(crate) fn push_text(&mut self, element: &[u8]) -> VmResult<()> {
        let max = vm_try!(call::with_current(|call| call.response_max));
        if let Text::Shared(text) = &self.text {
            let mut own = rune::alloc::Vec::new();
            vm_try!(append(&mut own, text.trim_ascii()));
            self.text = Text::Own(own);
        }
        let Text::Own(text) = &mut self.text else { unreachable!("made the script's own above") };
        if text.first() != Some(&b'[') || text.pop() != Some(b']') {
            return VmResult::panic("json_push! takes a list, as json!([]) makes one");
        }
        let first = text.len() == 1;
        let mut writer = json_write::Writer::new(text, max);
        if !first {
            vm_try!(writer.raw(b","));
        }
        vm_try!(writer.raw(element));
        writer.raw(b"]")
    }

    fn display(&self, f: &mut Formatter) -> VmResult<()> {
        vm_try!(fuel::charge(self.text().len() as u64 / 64));
        match std::str::from_utf8(self.text()) {
            Ok(text) => {
                vm_try!(f.try_write_str(text));
                VmResult::Ok(())
            }
            Err(_) => VmResult::panic("this JSON is no text"),
        }
    }
}

fn equal(one: &Json, other: &Json) -> VmResult<bool> {
    let (one, other) = (one.text(), other.text());
    if one.len() != other.len() {
        return VmResult::Ok(false);
    }
    vm_try!(fuel::charge(1 + one.len() as u64 / 256));
    VmResult::Ok(one == other)
}

fn number(part: &[u8]) -> VmResult<Value> {
    if let Ok(whole) = serde_json::from_slice::<i64>(part) {
        return VmResult::Ok(Value::from(whole));
    }
    match serde_json::from_slice::<f64>(part) {
        Ok(number) => VmResult::Ok(Value::from(number)),
        Err(error) => VmResult::panic(error.to_string()),
    }
}

/// Reads JSON from text: `callboard::json::parse(text)` gives a `Result`.
#[rune::function(path = parse)]
fn parse(text: rune::runtime::Ref<str>) -> VmResult<Result<Json, rune::alloc::String>> {
    vm_try!(fuel::charge(1 + text.len() as u64 / 32));
    if let Err(message) = json_read::check(text.as_bytes()) {
        return VmResult::Ok(Err(vm_try!(rune::alloc::String::try_from(message.as_str()))));
    }
    let mut own = rune::alloc::Vec::new();
    vm_try!(append(&mut own, text.trim().as_bytes()));
    VmResult::Ok(Ok(Json::own(own)))
}

/// Writes any value as JSON text: keys sorted.
#[rune::function(path = stringify)]
fn stringify(value: Value) -> VmResult<rune::alloc::String> {
    let json = vm_try!(render(&value));
    match rune::alloc::String::from_utf8(json) {
        Ok(text) => VmResult::Ok(text),
        Err(_) => VmResult::panic("a value was not written as text"),
    }
}

/// Writes a value as JSON, within the largest answer.
pub(crate) fn render(value: &Value) -> VmResult<rune::alloc::Vec<u8>> {
    let max = vm_try!(call::with_current(|call| call.response_max));
    let mut text = rune::alloc::Vec::new();
    vm_try!(json_write::Writer::new(&mut text, max).value(value));
    VmResult::Ok(text)
}

/// `callboard::Json` and `callboard::json`.
pub(super) fn modules() -> Result<[Module; 2], ContextError> {
    let mut module = Module::with_crate("callboard")?.with_unique("callboard::json_type");
    module.ty::<Json>()?.docs(["A checked JSON text: index it, iterate it, or pass it on as it is."])?;
    module.associated_function(&Protocol::INDEX_GET, |json: &Json, key: Value| json.index(key))?;
    module.associated_function(&Protocol::DISPLAY_FMT, |json: &Json, f: &mut Formatter| json.display(f))?;
    module.associated_function(&Protocol::DEBUG_FMT, |json: &Json, f: &mut Formatter| json.display(f))?;
    module.associated_function(&Protocol::PARTIAL_EQ, equal)?;
    module.associated_function(&Protocol::INTO_ITER, |json: &Json| json.iter())?;
    module.function_meta(Json::len__meta)?;
    module.function_meta(Json::get__meta)?;
    module.function_meta(Json::iter__meta)?;
    module.function_meta(Json::keys__meta)?;
    module.function_meta(Json::value__meta)?;
    let mut functions = Module::with_crate_item("callboard", ["json"])?;
    functions.function_meta(parse)?;
    functions.function_meta(stringify)?;
    Ok([module, functions])
}
