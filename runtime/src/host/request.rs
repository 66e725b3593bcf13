//! `request`: what a handler is given.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use rune::alloc::String as ScriptString;
use rune::runtime::{Ref, Value, VmResult};
use rune::{Any, ContextError, Module, vm_try};

use super::append::append;
use super::json::Json;
use crate::fuel;

/// The head of a request, as whoever listens knows it.
pub trait Head {
    /// The method, upper case.
    fn method(&self) -> &str;
    /// The path without the query, as it came.
    fn path(&self) -> &str;
    /// The query without its `?`.
    fn query(&self) -> &str;
    /// The first header of that name (lower case), when it is text.
    fn header(&self, name: &str) -> Option<&str>;
    /// All headers whose values are text, their names in lower case.
    fn headers(&self) -> Vec<(String, String)>;
}

/// A head that belongs to no thread.
struct Kept {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
}

impl Head for Kept {
    fn method(&self) -> &str {
        &self.method
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> &str {
        &self.query
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn headers(&self) -> Vec<(String, String)> {
        self.headers.clone()
    }
}

/// A request on its way to another thread.
pub struct Parcel {
    head: Kept,
    params: Vec<(Arc<str>, String)>,
    class: Option<Arc<str>>,
    body: Bytes,
}

impl Parcel {
    /// The request again.
    pub fn open(self) -> Request {
        Request { head: Rc::new(self.head), params: self.params, class: self.class, body: self.body }
    }
}

/// A request, as a script sees it.
#[derive(Any)]
#[rune(item = ::callboard, name = Request)]
pub struct Request {
    head: Rc<dyn Head>,
    params: Vec<(Arc<str>, String)>,
    class: Option<Arc<str>>,
    body: Bytes,
}

impl Request {
    /// A request whose route gave `params`, from a device of `class`.
    pub fn new(
        head: Rc<dyn Head>,
        params: Vec<(Arc<str>, String)>,
        class: Option<Arc<str>>,
        body: Bytes,
    ) -> Self {
        Self { head, params, class, body }
    }

    /// Packs it for another thread: its head is copied, its body is not.
    pub fn pack(self) -> Parcel {
        let head = Kept {
            method: self.head.method().to_owned(),
            path: self.head.path().to_owned(),
            query: self.head.query().to_owned(),
            headers: self.head.headers(),
        };
        Parcel { head, params: self.params, class: self.class, body: self.body }
    }

    /// The method, upper case.
    #[rune::function(keep)]
    fn method(&self) -> VmResult<ScriptString> {
        text(self.head.method())
    }

    /// The path, without the query.
    #[rune::function(keep)]
    fn path(&self) -> VmResult<ScriptString> {
        text(self.head.path())
    }

    /// A parameter of the route, decoded; `()` when the route has none of that name.
    #[rune::function(keep)]
    fn param(&self, name: Ref<str>) -> VmResult<Value> {
        vm_try!(fuel::charge(1 + name.len() as u64 / 64));
        maybe(self.params.iter().find(|(known, _)| **known == *name).map(|(_, value)| value.as_str()))
    }

    /// A parameter of the query, decoded, the first of that name; `()` when there is none.
    #[rune::function(keep)]
    fn query(&self, name: Ref<str>) -> VmResult<Value> {
        vm_try!(fuel::charge(1 + (self.head.query().len() + name.len()) as u64 / 64));
        maybe(query_value(self.head.query(), &name).as_deref())
    }

    /// A header; its name in any case; `()` when there is none.
    #[rune::function(keep)]
    fn header(&self, name: Ref<str>) -> VmResult<Value> {
        vm_try!(fuel::charge(1 + name.len() as u64 / 64));
        maybe(self.head.header(&name.to_ascii_lowercase()))
    }

    /// The class of the device, as the operator's rules tell it; `()` when none fits.
    #[rune::function(keep)]
    fn device_class(&self) -> VmResult<Value> {
        maybe(self.class.as_deref())
    }

    /// The body as text, or an error when it is no UTF-8.
    #[rune::function(keep)]
    fn text(&self) -> VmResult<Result<ScriptString, ScriptString>> {
        vm_try!(fuel::charge(1 + self.body.len() as u64 / 256));
        match std::str::from_utf8(&self.body) {
            Ok(body) => VmResult::Ok(Ok(vm_try!(text(body)))),
            Err(error) => VmResult::Ok(Err(vm_try!(text(&format!("the body is no text: {error}"))))),
        }
    }

    /// The body as bytes.
    #[rune::function(keep)]
    fn bytes(&self) -> VmResult<rune::runtime::Bytes> {
        vm_try!(fuel::charge(1 + self.body.len() as u64 / 256));
        let mut bytes = rune::alloc::Vec::new();
        vm_try!(append(&mut bytes, &self.body));
        VmResult::Ok(rune::runtime::Bytes::from_vec(bytes))
    }

    /// The body as JSON, or an error that says what is wrong with it.
    #[rune::function(keep)]
    fn json(&self) -> VmResult<Result<Json, ScriptString>> {
        vm_try!(fuel::charge(1 + self.body.len() as u64 / 32));
        match Json::checked(self.body.clone()) {
            Ok(json) => VmResult::Ok(Ok(json)),
            Err(message) => VmResult::Ok(Err(vm_try!(text(&format!("the body is no JSON: {message}"))))),
        }
    }
}

/// The decoded value of the first parameter `name` of a query.
fn query_value(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key) == name).then(|| decode(value).into_owned())
    })
}

/// Percent and plus decoding as forms write them; what is no UTF-8 afterwards is replaced.
fn decode(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return text.into();
    }
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned().into()
}

pub(super) fn text(text: &str) -> VmResult<ScriptString> {
    VmResult::Ok(vm_try!(ScriptString::try_from(text)))
}

/// A string, or `()`.
pub(super) fn maybe(found: Option<&str>) -> VmResult<Value> {
    match found {
        Some(found) => VmResult::Ok(vm_try!(Value::try_from(vm_try!(ScriptString::try_from(found))))),
        None => VmResult::Ok(Value::from(())),
    }
}

/// `callboard::Request`.
pub(super) fn module() -> Result<Module, ContextError> {
    let mut module = Module::with_crate("callboard")?.with_unique("callboard::request");
    module.ty::<Request>()?.docs(["What a handler is given: method, path, parameters, headers and body."])?;
    module.function_meta(Request::method__meta)?;
    module.function_meta(Request::path__meta)?;
    module.function_meta(Request::param__meta)?;
    module.function_meta(Request::query__meta)?;
    module.function_meta(Request::header__meta)?;
    module.function_meta(Request::device_class__meta)?;
    module.function_meta(Request::text__meta)?;
    module.function_meta(Request::bytes__meta)?;
    module.function_meta(Request::json__meta)?;
    Ok(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_as_forms_write_it() {
        for (query, name, value) in [
            ("name=TV", "name", Some("TV")),
            ("a=1&name=a+b%20c", "name", Some("a b c")),
            ("na%6De=x", "name", Some("x")),
            ("name", "name", Some("")),
            ("name=1&name=2", "name", Some("1")),
            ("", "name", None),
            ("name=%ff", "name", Some("\u{fffd}")),
        ] {
            assert_eq!(query_value(query, name).as_deref(), value, "{query}");
        }
    }
}
