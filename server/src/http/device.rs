//! The device door: the routes of the endpoints, nothing else.
//!
//! A request: route → admission, before a byte of the body is read → body → the lane, on this thread →
//! answer. Invariant: no lock and no change of thread on the way, and whatever is refused says by which
//! rule, in one header and a problem.
//! Not here: what the rules are (`quotas`), what runs (`actors`).

mod answer;
mod body;
mod caller;
mod head;

use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_http::body::BoxBody;
use actix_http::{ConnectionType, HttpMessage, Payload, Request, Response};
use actix_server::{Server, ServerBuilder};
use actix_service::fn_service;
use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue};
use actors::lane::{CallFailure, Incoming, Key, Lane};
use actors::node::Node;
use actors::routes::{EndpointEntry, Found, Params};
use actors::who::unix_ms;
use api::Problem;
use bytes::Bytes;
use quotas::scope::ClassName;
use runtime::host::request::Request as ScriptRequest;

use super::connection::watched;
use super::guard::{Closing, Handling, PAUSE, Places, Watch};
use super::problem;
use crate::config::Config;
use caller::Caller;
use head::DeviceHead;

/// The header that tells who was refused again and again for how many milliseconds this connection is not heard now.
const PAUSED: HeaderName = HeaderName::from_static("callboard-paused");

/// What every thread of the device door is given.
#[derive(Clone)]
pub struct DeviceDoor {
    node: Node,
    config: Arc<Config>,
    closing: Closing,
    places: Arc<Places>,
    threads: Arc<AtomicUsize>,
}

impl DeviceDoor {
    /// A door for this node.
    pub fn new(node: Node, config: Arc<Config>, closing: Closing) -> Self {
        let places = Places::new(config.timeouts.connections_per_address, config.timeouts.connections);
        Self { node, config, closing, places, threads: Arc::default() }
    }

    /// Connections that are open.
    pub fn connections(&self) -> u32 {
        self.places.taken()
    }
}

/// The door on one thread.
struct Thread {
    lane: Lane,
    config: Arc<Config>,
    closing: Closing,
}

/// Serves devices on a socket, one thread a core.
///
/// # Errors
/// The socket cannot be used.
pub fn serve(socket: TcpListener, door: &DeviceDoor) -> io::Result<Server> {
    let timeouts = door.config.timeouts.clone();
    let drain = timeouts.drain.as_secs().max(1);
    let places = Arc::clone(&door.places);
    let door = door.clone();
    let workers = door.config.node.workers;
    let server: ServerBuilder = Server::build().workers(workers).shutdown_timeout(drain).disable_signals();
    let server = server.listen("device", socket, move || {
        let index = door.threads.fetch_add(1, Ordering::Relaxed);
        let thread = Rc::new(Thread {
            lane: Lane::open(&door.node, index),
            config: Arc::clone(&door.config),
            closing: door.closing.clone(),
        });
        // Its routes change while it serves, so it finds them itself: there is no application of actix-web around it.
        let service = fn_service(move |mut request: Request| {
            let thread = Rc::clone(&thread);
            async move {
                let payload = request.take_payload();
                let response = handle(&Rc::new(DeviceHead(request)), payload, &thread).await;
                Ok::<_, Response<BoxBody>>(Response::from(response))
            }
        });
        watched(&timeouts, Arc::clone(&places), door.closing.clone(), service)
    })?;
    Ok(server.run())
}

async fn handle(req: &Rc<DeviceHead>, payload: Payload, thread: &Thread) -> HttpResponse {
    let handling = req.conn_data::<Rc<Watch>>().map(Watch::handle_call);
    let caller = Caller::of(req, &thread.config);
    let mut response = match serve_call(req, payload, thread, &caller).await {
        Ok(served) => {
            handling.iter().for_each(Handling::let_in);
            served
        }
        Err(refused) => {
            let mut refused = *refused;
            if handling.as_ref().is_some_and(Handling::refused) {
                refused.headers_mut().insert(PAUSED, HeaderValue::from(PAUSE.as_millis() as u64));
            }
            refused
        }
    };
    caller.mark(&mut response);
    if req.upgrade() || thread.closing.has_begun() {
        // Nothing is upgraded here, and behind a request that asks for it actix reads no other one. Or so that the device's next call goes to a node that stays.
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    drop(handling);
    response
}

/// The answer; as an error, the one to a call that did not run and got nothing instead.
async fn serve_call(
    req: &Rc<DeviceHead>,
    payload: Payload,
    thread: &Thread,
    caller: &Caller,
) -> Result<HttpResponse, Box<HttpResponse>> {
    let told = |problem: Problem| Box::new(problem::respond(problem));
    let (entry, params) = {
        let routes = thread.lane.routes();
        match routes.find(req.method().as_str(), req.uri().path()) {
            Found::Route { entry, params } => (Arc::clone(entry), params),
            Found::None => return Err(told(Problem::of("route.unknown", ""))),
            Found::Malformed(why) => return Err(told(Problem::of("path.malformed", why))),
            Found::Method { allowed } => return Err(Box::new(answer::method_not_allowed(&allowed))),
        }
    };
    if entry.expires_ms.is_some() && entry.has_expired(unix_ms()) {
        return Err(told(Problem::of("endpoint.expired", "")));
    }
    if caller.came_round() {
        return Err(told(Problem::of("hops.exceeded", "")));
    }
    let class = caller.class.as_ref();
    let key = good_key(req, &entry, class);
    // Apart, as what is rare must not make every call's own future large, which is moved and cleared for each.
    let fallback = |params, why| Box::pin(fall_back(req, thread, caller, &entry, key.clone(), params, why));
    let admitted = match thread.lane.admit(&entry, class, caller.priority, &caller.client) {
        Ok(admitted) => admitted,
        Err(refusal) => {
            let decision = ulid::Ulid::generate().to_string();
            thread.lane.remember(decision.clone(), &caller.request_id, &entry.id, (*refusal).clone());
            let why = CallFailure::Refused(refusal);
            let instead = fallback(params, &why).await;
            let CallFailure::Refused(refusal) = why else { unreachable!("made above") };
            return instead.ok_or_else(|| Box::new(problem::respond_refusal(&refusal, &decision)));
        }
    };
    let body = body::read(req, payload, &entry.limits.allowance, &thread.config.timeouts, admitted.memory());
    let body = body.await.map_err(|problem| told(*problem))?;
    // Only an endpoint that has a fallback needs the parameters once more.
    let again = if has_fallback(&entry) { params.clone() } else { Params::default() };
    let incoming = Incoming {
        request: request(req, params, class, body),
        class: caller.class.clone(),
        request_id: Arc::clone(&caller.request_id),
        hops: caller.hops,
    };
    let answered = thread.lane.run(&entry, admitted, incoming, key.clone()).await;
    if let Err(why) = &answered.result
        && has_fallback(&entry)
        && let Some(instead) = fallback(again, why).await
    {
        return Ok(instead);
    }
    match answered.result {
        Err(CallFailure::Refused(_)) => Err(Box::new(answer::of(answered))),
        _ => Ok(answer::of(answered)),
    }
}

fn request(req: &Rc<DeviceHead>, params: Params, class: Option<&ClassName>, body: Bytes) -> ScriptRequest {
    let class = class.map(|class| class.as_str().into());
    ScriptRequest::new(Rc::<DeviceHead>::clone(req), params, class, body)
}

fn has_fallback(entry: &EndpointEntry) -> bool {
    entry.spec.fallback.is_some() || entry.spec.last_good.is_some()
}

/// What the answer is kept under, where it may be given again to others.
fn good_key(req: &Request, entry: &EndpointEntry, class: Option<&ClassName>) -> Option<Key> {
    entry.spec.last_good?;
    let headers = req.headers();
    let is_personal = headers.contains_key(AUTHORIZATION) || headers.contains_key(COOKIE);
    let uri = req.uri();
    let key = (req.method() == Method::GET && !is_personal)
        .then(|| Key::new(&entry.id, class, uri.path(), uri.query().unwrap_or("")));
    key.flatten()
}

/// What the device gets instead of a problem, if its endpoint has something. A fallback sees no body.
async fn fall_back(
    req: &Rc<DeviceHead>,
    thread: &Thread,
    caller: &Caller,
    entry: &Arc<EndpointEntry>,
    key: Option<Key>,
    params: Params,
    why: &CallFailure,
) -> Option<HttpResponse> {
    if !has_fallback(entry) {
        return None;
    }
    let request = || request(req, params, caller.class.as_ref(), Bytes::new());
    let fallen = thread.lane.fall_back(entry, why, key.as_ref(), request).await?;
    Some(answer::instead(fallen, why.code()))
}
