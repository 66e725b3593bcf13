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

use actix_http::ConnectionType;
use actix_server::{Server, ServerBuilder};
use actix_web::{App, HttpRequest, HttpResponse, web};
use actors::lane::{Incoming, Lane};
use actors::node::Node;
use actors::routes::Found;
use api::Problem;
use runtime::host::request::Request;

use super::connection::watched;
use super::guard::{Closing, Places, Watch};
use super::problem;
use crate::config::Config;
use caller::Caller;
use head::DeviceHead;

/// What every thread of the device door is given.
#[derive(Clone)]
pub struct DeviceDoor {
    node: Node,
    config: Arc<Config>,
    closing: Closing,
    threads: Arc<AtomicUsize>,
}

impl DeviceDoor {
    /// A door for this node.
    pub fn new(node: Node, config: Arc<Config>, closing: Closing) -> Self {
        Self { node, config, closing, threads: Arc::default() }
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
    let places = Places::new(timeouts.connections_per_address, timeouts.connections);
    let door = door.clone();
    let workers = door.config.node.workers;
    let server: ServerBuilder = Server::build().workers(workers).shutdown_timeout(drain).disable_signals();
    let server = server.listen("device", socket, move || {
        let index = door.threads.fetch_add(1, Ordering::Relaxed);
        let thread = web::Data::new(Thread {
            lane: Lane::open(&door.node, index),
            config: Arc::clone(&door.config),
            closing: door.closing.clone(),
        });
        let app = App::new().app_data(thread).default_service(web::to(handle));
        watched(&timeouts, Arc::clone(&places), door.closing.clone(), app)
    })?;
    Ok(server.run())
}

async fn handle(req: HttpRequest, payload: web::Payload, thread: web::Data<Thread>) -> HttpResponse {
    let handling = req.conn_data::<Rc<Watch>>().map(Watch::handle);
    let caller = Caller::of(&req, &thread.config);
    let mut response = serve_call(&req, payload, &thread, &caller).await.unwrap_or_else(|refused| *refused);
    caller.mark(&mut response);
    if thread.closing.has_begun() {
        // So that the device's next call goes to a node that stays.
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    drop(handling);
    response
}

async fn serve_call(
    req: &HttpRequest,
    payload: web::Payload,
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
            Found::Method { allowed } => return Ok(answer::method_not_allowed(&allowed)),
        }
    };
    if caller.came_round() {
        return Err(told(Problem::of("hops.exceeded", "")));
    }
    let class = caller.class.as_ref();
    let admitted = thread.lane.admit(&entry, class, caller.priority, &caller.client).map_err(|refusal| {
        let decision = ulid::Ulid::generate().to_string();
        let response = problem::respond_refusal(&refusal, &decision);
        thread.lane.remember(decision, &entry.id, *refusal);
        Box::new(response)
    })?;
    let body = body::read(req, payload, &entry.limits.allowance, &thread.config.timeouts);
    let body = body.await.map_err(|problem| told(*problem))?;
    let class = class.map(|class| class.as_str().into());
    let incoming = Incoming {
        request: Request::new(Rc::new(DeviceHead::of(req)), params, class, body),
        class: caller.class.clone(),
        client: caller.client.clone(),
        request_id: Arc::clone(&caller.request_id),
        hops: caller.hops,
    };
    let answered = thread.lane.run(&entry, admitted, incoming).await;
    Ok(answer::of(answered))
}
