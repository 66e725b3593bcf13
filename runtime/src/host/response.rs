//! `Response`: what a handler answers, when a plain value does not say it all.

use bytes::Bytes;
use rune::runtime::{Ref, Value, VmResult};
use rune::{Any, ContextError, Module, vm_try};

use super::json;
use crate::fuel;

/// The most headers that a script may set.
pub const HEADERS_MAX: usize = 64;
/// The longest value of a header, in bytes.
pub const HEADER_VALUE_MAX: usize = 8 * 1024;
/// All headers of an answer that a script sets, their names and values together, in bytes.
pub const HEADERS_BYTES_MAX: usize = 16 * 1024;

/// Headers that belong to the connection, to the framing or to the server itself.
const NOT_FOR_SCRIPTS: &[&str] = &[
    "connection",
    "content-length",
    "date",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "ratelimit",
    "ratelimit-policy",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
];

/// Headers by which one answer would speak for every path of the server, other teams' too.
const WHOLE_ORIGIN: &[&str] = &[
    "alt-svc",
    "clear-site-data",
    "nel",
    "public-key-pins",
    "public-key-pins-report-only",
    "report-to",
    "reporting-endpoints",
    "service-worker-allowed",
    "strict-transport-security",
];

/// An answer: status, headers, body.
#[derive(Any, Debug, Clone, PartialEq, Eq)]
#[rune(item = ::callboard, name = Response)]
pub struct Response {
    /// The status, 200 to 599.
    pub status: u16,
    /// The headers, checked.
    pub headers: Vec<(String, String)>,
    /// The type of the body, unless a header says it.
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: Bytes,
}

/// JSON.
pub const JSON: &str = "application/json";
/// Text.
pub const TEXT: &str = "text/plain; charset=utf-8";
/// Bytes.
pub const BYTES: &str = "application/octet-stream";

impl Response {
    /// An answer of `status` with a body.
    pub fn with_body(status: u16, content_type: Option<&'static str>, body: Bytes) -> Self {
        Self { status, headers: Vec::new(), content_type, body }
    }

    /// Sets the status.
    #[rune::function(keep)]
    fn with_status(mut self, status: i64) -> VmResult<Self> {
        self.status = vm_try!(checked_status(status));
        VmResult::Ok(self)
    }

    /// Adds a header; one of that name that is there already stays.
    #[rune::function(keep)]
    fn with_header(mut self, name: Ref<str>, value: Ref<str>) -> VmResult<Self> {
        match checked_header(&name, &value).and_then(|name| self.room_for(name, &value)) {
            Ok(name) => {
                self.headers.push((name, value.to_owned()));
                VmResult::Ok(self)
            }
            Err(refused) => VmResult::panic(refused),
        }
    }

    /// The name again, if this answer may have the header besides those that it has.
    fn room_for(&self, name: String, value: &str) -> Result<String, String> {
        if WHOLE_ORIGIN.contains(&name.as_str()) {
            return Err(format!(
                "the header {name} would speak for every path of this server and cannot be set by a script"
            ));
        }
        if self.headers.len() >= HEADERS_MAX {
            return Err(format!("an answer may have at most {HEADERS_MAX} headers"));
        }
        let bytes = |name: &str, value: &str| name.len() + value.len();
        let present: usize = self.headers.iter().map(|(name, value)| bytes(name, value)).sum();
        if present + bytes(&name, value) > HEADERS_BYTES_MAX {
            return Err(format!(
                "with the header {name} those of the answer are longer than {HEADERS_BYTES_MAX} bytes together"
            ));
        }
        Ok(name)
    }
}

/// Checks a header that a script sets: nothing that would split or reframe the answer.
///
/// # Errors
/// A sentence that names the header and says what is wrong.
pub fn checked_header(name: &str, value: &str) -> Result<String, String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > 128 || !name.bytes().all(token) {
        return Err(format!("{name:?} is no name for a header"));
    }
    let name = name.to_ascii_lowercase();
    if NOT_FOR_SCRIPTS.contains(&name.as_str()) || name.starts_with("callboard-") {
        return Err(format!("the header {name} is the server's own and cannot be set by a script"));
    }
    if value.len() > HEADER_VALUE_MAX {
        return Err(format!("the header {name} is longer than {HEADER_VALUE_MAX} bytes"));
    }
    if value.bytes().any(|byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f) {
        return Err(format!("the header {name} holds a control character, which would split the answer"));
    }
    Ok(name)
}

fn checked_status(status: i64) -> VmResult<u16> {
    match u16::try_from(status) {
        Ok(status) if (200..600).contains(&status) => VmResult::Ok(status),
        _ => VmResult::panic(format!("{status} is no status that a script can answer: 200 to 599")),
    }
}

/// An answer with `value` as JSON.
#[rune::function(free, path = Response::json)]
fn response_json(value: Value) -> VmResult<Response> {
    let body = vm_try!(json::render(&value));
    vm_try!(vm_try!(super::call::with_current(|call| call.count_answer(body.len()))));
    VmResult::Ok(Response::with_body(200, Some(JSON), Bytes::from(body.to_vec())))
}

/// An answer with plain text.
#[rune::function(free, path = Response::text)]
fn response_text(text: Ref<str>) -> VmResult<Response> {
    vm_try!(fits(text.len()));
    VmResult::Ok(Response::with_body(200, Some(TEXT), Bytes::copy_from_slice(text.as_bytes())))
}

/// An answer with bytes.
#[rune::function(free, path = Response::bytes)]
fn response_bytes(bytes: Ref<rune::runtime::Bytes>) -> VmResult<Response> {
    vm_try!(fits(bytes.len()));
    VmResult::Ok(Response::with_body(200, Some(BYTES), Bytes::copy_from_slice(&bytes)))
}

/// An answer with a status and no body.
#[rune::function(free, path = Response::status)]
fn response_status(status: i64) -> VmResult<Response> {
    VmResult::Ok(Response::with_body(vm_try!(checked_status(status)), None, Bytes::new()))
}

fn fits(length: usize) -> VmResult<()> {
    vm_try!(fuel::charge(1 + length as u64 / 256));
    vm_try!(vm_try!(super::call::with_current(|call| call.count_answer(length))));
    VmResult::Ok(())
}

/// What a handler's value becomes.
pub(crate) fn from_value(value: Value) -> VmResult<Result<Response, String>> {
    unwrapped(value, 4)
}

/// `Ok(Some(…))` is what it holds, `wraps` layers deep.
fn unwrapped(value: Value, wraps: u32) -> VmResult<Result<Response, String>> {
    use rune::TypeHash;

    let kind = value.type_hash();
    if kind == rune::alloc::String::HASH {
        let text = vm_try!(value.borrow_string_ref());
        vm_try!(fits(text.len()));
        return VmResult::Ok(Ok(Response::with_body(
            200,
            Some(TEXT),
            Bytes::copy_from_slice(text.as_bytes()),
        )));
    }
    if kind == Response::HASH {
        return VmResult::Ok(Ok(vm_try!(value.downcast::<Response>())));
    }
    if kind == Result::<Value, Value>::HASH {
        return match vm_try!(value.downcast::<Result<Value, Value>>()) {
            Ok(value) if wraps > 0 => unwrapped(value, wraps - 1),
            Ok(_) => VmResult::panic("the handler's answer is wrapped in too many layers of Ok and Some"),
            Err(error) => VmResult::Ok(Err(vm_try!(describe(&error)))),
        };
    }
    if kind == Option::<Value>::HASH {
        return match vm_try!(value.downcast::<Option<Value>>()) {
            Some(value) if wraps > 0 => unwrapped(value, wraps - 1),
            Some(_) => VmResult::panic("the handler's answer is wrapped in too many layers of Ok and Some"),
            None => VmResult::Ok(Ok(Response::with_body(404, None, Bytes::new()))),
        };
    }
    if kind == rune::runtime::Bytes::HASH {
        let bytes = vm_try!(value.borrow_ref::<rune::runtime::Bytes>());
        vm_try!(fits(bytes.len()));
        return VmResult::Ok(Ok(Response::with_body(200, Some(BYTES), Bytes::copy_from_slice(&bytes))));
    }
    if value.into_unit().is_ok() {
        return VmResult::Ok(Ok(Response::with_body(204, None, Bytes::new())));
    }
    let body = vm_try!(json::render(&value));
    VmResult::Ok(Ok(Response::with_body(200, Some(JSON), Bytes::from(body.to_vec()))))
}

/// What is kept of an error's text, in characters.
const ERROR_TEXT: usize = 1024;

/// What an `Err` says, for the script's owner.
fn describe(error: &Value) -> VmResult<String> {
    let text = if let Ok(text) = error.borrow_string_ref() {
        text.chars().take(ERROR_TEXT).collect()
    } else if let Ok(error) = error.borrow_ref::<super::service::ServiceError>() {
        error.to_string()
    } else {
        match json::render(error) {
            VmResult::Ok(json) => String::from_utf8_lossy(&json).chars().take(ERROR_TEXT).collect(),
            VmResult::Err(_) => format!("a value of type {}", error.type_info()),
        }
    };
    VmResult::Ok(text)
}

/// `callboard::Response`.
pub(super) fn module() -> Result<Module, ContextError> {
    let mut module = Module::with_crate("callboard")?.with_unique("callboard::response");
    module.ty::<Response>()?.docs(["An answer with a status and headers of its own."])?;
    module.function_meta(response_json)?;
    module.function_meta(response_text)?;
    module.function_meta(response_bytes)?;
    module.function_meta(response_status)?;
    module.function_meta(Response::with_status__meta)?;
    module.function_meta(Response::with_header__meta)?;
    Ok(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_cannot_split_or_reframe_the_answer() {
        for (name, value, fine) in [
            ("Cache-Control", "max-age=60", true),
            ("x-a", "tab\tand \u{e9}", true),
            ("x-a", "a\r\nb: c", false),
            ("x-a", "a\nb", false),
            ("x-a", "\0", false),
            ("x a", "b", false),
            ("x:a", "b", false),
            ("", "b", false),
            ("Content-Length", "5", false),
            ("transfer-encoding", "chunked", false),
            ("Callboard-Refused", "x", false),
        ] {
            assert_eq!(checked_header(name, value).is_ok(), fine, "{name}: {value:?}");
        }
    }

    #[test]
    fn an_answer_speaks_for_its_own_path_alone() {
        let answer = Response::with_body(200, None, Bytes::new());
        for name in WHOLE_ORIGIN {
            assert!(answer.room_for((*name).to_owned(), "\"*\"").is_err(), "{name}");
        }
        for name in ["set-cookie", "cache-control", "x-nel", "content-security-policy"] {
            assert_eq!(answer.room_for(name.to_owned(), "a").as_deref(), Ok(name));
        }
    }

    #[test]
    fn the_headers_of_an_answer_are_bounded_in_number_and_together() {
        let with = |count: usize, value: usize| Response {
            headers: vec![("set-cookie".to_owned(), "a".repeat(value)); count],
            ..Response::with_body(200, None, Bytes::new())
        };
        let room =
            |answer: &Response, value: usize| answer.room_for("x".to_owned(), &"a".repeat(value)).is_ok();
        assert!(room(&with(HEADERS_MAX - 1, 1), 1));
        assert!(!room(&with(HEADERS_MAX, 1), 1));
        let (left, half) = (HEADERS_BYTES_MAX / 2, with(1, HEADERS_BYTES_MAX / 2 - "set-cookie".len()));
        assert!(room(&half, left - 1));
        assert!(!room(&half, left));
    }
}
