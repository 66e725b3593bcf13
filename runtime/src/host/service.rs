//! `service`: the services behind, by the names that the operator configured.
//!
//! Invariant: the authority of a request is always the configured one; a path is joined to the service's
//! own, never resolved; a redirect is an answer like any other. Every request has a time-out within the
//! call's deadline, a limit on its answer and a place in the service's own concurrency.
//! A request is made only if the service's breaker lets it, and only one to fetch something is made twice, where it
//! could not be connected.
//! Not here: which services there are (the server's configuration), the rules of breakers and limits (`quotas`).

mod client;
mod guard;
mod path;
mod turns;

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::HeaderMap;
use quotas::concurrency::{Full, Gate, Place};
use quotas::scope::{ServiceName, TeamName};
use quotas::switches::Armed;
use quotas::traffic::Minutes;
use quotas::units::{Bytes as Size, InFlight};
use rune::alloc::String as ScriptString;
use rune::alloc::fmt::TryWrite;
use rune::runtime::{Formatter, Object, Protocol, Ref, Value, VmResult};
use rune::{Any, ContextError, Module, vm_try};

use super::append::append;
use super::call::{self, CallContext};
use super::json::Json;
use super::request::{maybe, text};
use crate::fuel;

pub use guard::ServiceGuard;
pub use path::ServiceUrl;

/// How many teams are told apart before those are forgotten that ask for nothing.
const SIDES_MAX: usize = 1_024;

/// A service that scripts may call, as its operator configured it.
#[derive(Debug)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// Where it is.
    pub url: ServiceUrl,
    /// How long one request may take.
    pub timeout: Duration,
    /// The largest answer.
    pub response_max: Size,
    /// Requests that may be under way from this node.
    pub gate: Arc<Gate>,
    /// What each team has of it.
    sides: Mutex<HashMap<TeamName, Arc<ServiceGuard>>>,
    /// The switch that turned it off, or observes what that would refuse.
    pub switch: ArcSwapOption<Armed>,
    /// How often scripts asked for it in the last minutes.
    pub asked: Minutes,
}

impl Service {
    /// A service with a gate of its own.
    pub fn new(
        name: ServiceName,
        url: ServiceUrl,
        timeout: Duration,
        concurrency: InFlight,
        response_max: Size,
    ) -> Self {
        let (gate, sides) = (Arc::new(Gate::new(concurrency)), Mutex::default());
        let (switch, asked) = (ArcSwapOption::empty(), Minutes::default());
        Self { name, url, timeout, response_max, gate, sides, switch, asked }
    }

    /// What a team has of it. Half of the places are one team's, so that one whose requests pile up leaves room for
    /// others.
    fn side(&self, team: &TeamName) -> Arc<ServiceGuard> {
        let mut sides = self.sides.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(side) = sides.get(team) {
            return Arc::clone(side);
        }
        if sides.len() >= SIDES_MAX {
            // Whoever has a request under way holds theirs.
            sides.retain(|_, side| Arc::strong_count(side) > 1);
        }
        let all = self.gate.limit();
        let half = InFlight::new(all.get() / 2).unwrap_or(all);
        let side = Arc::new(ServiceGuard::new(half, self.timeout));
        sides.insert(team.clone(), Arc::clone(&side));
        side
    }

    /// What each team that called it has of it, sorted by name.
    pub fn sides(&self) -> Vec<(TeamName, Arc<ServiceGuard>)> {
        let sides = self.sides.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = sides.iter().map(|(team, side)| (team.clone(), Arc::clone(side))).collect();
        all.sort_by(|one, next| one.0.cmp(&next.0));
        all
    }

    /// A place for a request of a team, or why there is none.
    fn place(&self, team: &TeamName, side: &ServiceGuard) -> Result<(Place, Place), String> {
        let own = Place::take(&side.gate).map_err(|Full { limit, .. }| {
            let (limit, all) = (limit.get(), self.gate.limit().get());
            format!("{limit} requests of the team {team} are under way, its share of {all}")
        })?;
        let place = Place::take(&self.gate)
            .map_err(|Full { limit, .. }| format!("{} requests are under way, its limit", limit.get()))?;
        Ok((own, place))
    }
}

/// The services that one endpoint may call.
pub type Services = Arc<BTreeMap<ServiceName, Arc<Service>>>;

/// What a service answered.
#[derive(Any, Debug)]
#[rune(item = ::callboard::service)]
pub struct Answer {
    status: u16,
    /// At most a hundred: hyper refuses an answer with more.
    headers: HeaderMap,
    body: Bytes,
}

/// Why a service gave no answer that a script can go on with.
#[derive(Any, Debug)]
#[rune(item = ::callboard::service)]
pub struct ServiceError {
    kind: &'static str,
    service: String,
    detail: String,
    answer: Option<Box<Answer>>,
}

/// A request to a service.
struct Outgoing {
    method: http::Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
    content_type: Option<&'static str>,
}

impl ServiceError {
    fn new(kind: &'static str, service: &str, detail: impl Into<String>) -> Self {
        Self { kind, service: service.to_owned(), detail: detail.into(), answer: None }
    }

    /// Why: `timeout`, `unreachable`, `full`, `limited`, `open`, `off`, `too_large`, `protocol` or `status`.
    #[rune::function(keep)]
    fn kind(&self) -> VmResult<ScriptString> {
        text(self.kind)
    }

    /// The status of the answer; `()` when there was none.
    #[rune::function(keep)]
    fn status(&self) -> Value {
        self.answer.as_ref().map_or_else(|| Value::from(()), |answer| Value::from(i64::from(answer.status)))
    }

    /// The body of the answer as text; `()` when there was none.
    #[rune::function(keep)]
    fn body(&self) -> VmResult<Value> {
        maybe(self.answer.as_ref().and_then(|answer| std::str::from_utf8(&answer.body).ok()))
    }

    fn display(&self, f: &mut Formatter) -> VmResult<()> {
        vm_try!(write!(f, "{self}"));
        VmResult::Ok(())
    }
}

impl std::fmt::Display for ServiceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "service {}: {}", self.service, self.detail)
    }
}

impl Answer {
    /// The status: 200 to 399, since anything above is an error.
    #[rune::function(keep)]
    fn status(&self) -> i64 {
        i64::from(self.status)
    }

    /// A header; its name in any case; `()` when there is none.
    #[rune::function(keep)]
    fn header(&self, name: Ref<str>) -> VmResult<Value> {
        maybe(self.headers.get(&*name).and_then(|value| value.to_str().ok()))
    }

    /// The body as text, or an error when it is no UTF-8.
    #[rune::function(keep)]
    fn text(&self) -> VmResult<Result<ScriptString, ScriptString>> {
        vm_try!(fuel::charge(1 + self.body.len() as u64 / 256));
        match std::str::from_utf8(&self.body) {
            Ok(body) => VmResult::Ok(Ok(vm_try!(text(body)))),
            Err(error) => VmResult::Ok(Err(vm_try!(text(&format!("the answer is no text: {error}"))))),
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
        vm_try!(fuel::charge(1 + self.body.len() as u64 / 64));
        match Json::checked(self.body.clone()) {
            Ok(json) => VmResult::Ok(Ok(json)),
            Err(message) => VmResult::Ok(Err(vm_try!(text(&format!("the answer is no JSON: {message}"))))),
        }
    }
}

type Answered = VmResult<Result<Answer, ServiceError>>;

async fn send(service: Ref<str>, outgoing: VmResult<Outgoing>) -> Answered {
    let outgoing = vm_try!(outgoing);
    let call = vm_try!(call::current());
    vm_try!(call.count_host_call());
    vm_try!(fuel::charge(20));
    let service = vm_try!(find(&call, &service));
    vm_try!(call.count_host_bytes(outgoing.body.len() + outgoing.path.len()));
    let result = client::send(&service, &call, outgoing).await;
    let moved = match &result {
        Ok(answer) => answer.body.len(),
        Err(error) => error.answer.as_ref().map_or(0, |answer| answer.body.len()),
    };
    vm_try!(call.count_host_bytes(moved));
    VmResult::Ok(result)
}

fn find(call: &Rc<CallContext>, name: &str) -> VmResult<Arc<Service>> {
    match call.endpoint.services.iter().find(|(known, _)| known.as_str() == name) {
        Some((_, service)) => VmResult::Ok(service.clone()),
        None => VmResult::panic(format!(
            "there is no service {name:?} for this endpoint: its manifest has to list it, and the operator to \
             configure it; there is {}",
            if call.endpoint.services.is_empty() {
                "none so far".to_owned()
            } else {
                call.endpoint.services.keys().map(ServiceName::as_str).collect::<Vec<_>>().join(", ")
            }
        )),
    }
}

fn outgoing(
    method: http::Method,
    path: &str,
    body: Option<&Value>,
    options: Option<&Value>,
) -> VmResult<Outgoing> {
    let (body, content_type) = match body {
        Some(body) => vm_try!(encode(body)),
        None => (Bytes::new(), None),
    };
    let mut outgoing = Outgoing { method, path: path.to_owned(), headers: Vec::new(), body, content_type };
    if let Some(options) = options {
        vm_try!(apply(&mut outgoing, options));
    }
    VmResult::Ok(outgoing)
}

/// A body: text and bytes as they are, everything else as JSON.
fn encode(body: &Value) -> VmResult<(Bytes, Option<&'static str>)> {
    if let Ok(text) = body.borrow_string_ref() {
        return VmResult::Ok((Bytes::copy_from_slice(text.as_bytes()), Some(super::response::TEXT)));
    }
    if let Ok(bytes) = body.borrow_ref::<rune::runtime::Bytes>() {
        return VmResult::Ok((Bytes::copy_from_slice(&bytes), Some(super::response::BYTES)));
    }
    let json = vm_try!(super::json::render(body));
    VmResult::Ok((Bytes::from(json.to_vec()), Some(super::response::JSON)))
}

/// `#{ headers: #{ … }, query: #{ … } }`.
fn apply(outgoing: &mut Outgoing, options: &Value) -> VmResult<()> {
    let options = vm_try!(options.borrow_ref::<Object>());
    for (name, value) in options.iter() {
        let fields = vm_try!(value.borrow_ref::<Object>());
        let mut pairs = Vec::new();
        for (key, value) in fields.iter() {
            vm_try!(fuel::charge(1));
            let value = if let Ok(text) = value.borrow_string_ref() {
                text.to_owned()
            } else if let Ok(number) = value.as_integer::<i64>() {
                number.to_string()
            } else {
                return VmResult::panic(format!("{name}.{key} must be a string or a whole number"));
            };
            pairs.push((key.as_str().to_owned(), value));
        }
        pairs.sort();
        match name.as_str() {
            "headers" => {
                for (name, value) in pairs {
                    match super::response::checked_header(&name, &value) {
                        Ok(name) if name != "host" => outgoing.headers.push((name, value)),
                        Ok(name) => {
                            return VmResult::panic(format!("the header {name} is not a script's to set"));
                        }
                        Err(refused) => return VmResult::panic(refused),
                    }
                }
            }
            "query" => {
                for (key, value) in pairs {
                    outgoing.path.push(if outgoing.path.contains('?') { '&' } else { '?' });
                    outgoing.path.push_str(&path::encode(&key));
                    outgoing.path.push('=');
                    outgoing.path.push_str(&path::encode(&value));
                }
            }
            other => return VmResult::panic(format!("there is no option {other:?}: headers or query")),
        }
    }
    VmResult::Ok(())
}

/// `callboard::service`.
pub(super) fn module() -> Result<Module, ContextError> {
    let mut module = Module::with_crate_item("callboard", ["service"])?;
    module.ty::<Answer>()?.docs(["What a service answered."])?;
    module.function_meta(Answer::status__meta)?;
    module.function_meta(Answer::header__meta)?;
    module.function_meta(Answer::text__meta)?;
    module.function_meta(Answer::bytes__meta)?;
    module.function_meta(Answer::json__meta)?;
    module.ty::<ServiceError>()?.docs(["Why a service gave no answer to go on with."])?;
    module.function_meta(ServiceError::kind__meta)?;
    module.function_meta(ServiceError::status__meta)?;
    module.function_meta(ServiceError::body__meta)?;
    module.associated_function(&Protocol::DISPLAY_FMT, |e: &ServiceError, f: &mut Formatter| e.display(f))?;
    module.associated_function(&Protocol::DEBUG_FMT, |e: &ServiceError, f: &mut Formatter| e.display(f))?;
    for (name, with, method) in
        [("get", "get_with", http::Method::GET), ("delete", "delete_with", http::Method::DELETE)]
    {
        let plain = method.clone();
        module
            .function(name, move |service: Ref<str>, path: Ref<str>| {
                send(service, outgoing(plain.clone(), &path, None, None))
            })
            .build()?;
        module
            .function(with, move |service: Ref<str>, path: Ref<str>, options: Value| {
                send(service, outgoing(method.clone(), &path, None, Some(&options)))
            })
            .build()?;
    }
    for (name, with, method) in
        [("post", "post_with", http::Method::POST), ("put", "put_with", http::Method::PUT)]
    {
        let plain = method.clone();
        module
            .function(name, move |service: Ref<str>, path: Ref<str>, body: Value| {
                send(service, outgoing(plain.clone(), &path, Some(&body), None))
            })
            .build()?;
        module
            .function(with, move |service: Ref<str>, path: Ref<str>, body: Value, options: Value| {
                send(service, outgoing(method.clone(), &path, Some(&body), Some(&options)))
            })
            .build()?;
    }
    Ok(module)
}

#[cfg(test)]
mod tests;
