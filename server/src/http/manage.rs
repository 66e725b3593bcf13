//! The admin door: what people and tools can ask and change.
//!
//! A request: its id → the host it is meant for → the token → the role → the actor that owns the answer.
//! Invariant: everything below `/v1` needs a token but what [`frame`] lists by name; a switch never waits for
//! the store. Every answer has the request's id, and every failure is a problem.
//! Not here: sockets and time limits of connections (`admin`, `guard`), who a token belongs to (`auth`), what a change does
//! (`actors`).

mod body;
mod changes;
mod drill;
mod endpoints;
mod frame;
pub mod hosts;
mod query;
mod quotas;
mod revisions;
mod scripts;
mod server;
mod shapes;
mod switches;
mod tokens;
mod uploads;

use std::sync::Arc;

use actix_web::http::header::{ALLOW, ETAG, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, Route, guard};
use actors::node::Node;
use serde::Serialize;

pub use self::changes::Changes;
use self::frame::{authenticate, frame};
pub(crate) use self::server::VERSION;
pub(in crate::http) use self::server::decision_of;
use self::uploads::Uploads;
use super::auth::Tokens;
use super::fleet::{self, FleetTokens};
use super::probes;
use super::problem::{ProblemError, respond};
use crate::config::Config;

/// What every thread of the admin door is given.
#[derive(Clone)]
pub struct AdminDoor {
    /// The node.
    pub node: Node,
    /// What the server was told.
    pub config: Arc<Config>,
    /// Who may come in.
    pub tokens: Arc<Tokens>,
    /// By what other nodes are known.
    pub fleet: Arc<FleetTokens>,
    /// Since when the process runs.
    pub started: api::Time,
    /// Whether it lets changes through.
    pub changes: Changes,
    uploads: Arc<Uploads>,
}

impl AdminDoor {
    /// The door of a node that starts now.
    pub fn new(node: Node, config: Arc<Config>, tokens: Arc<Tokens>, fleet: Arc<FleetTokens>) -> Self {
        let (started, changes) = (api::time_now(), Changes::default());
        Self { node, config, tokens, fleet, started, changes, uploads: Uploads::new() }
    }
}

/// What a handler answers.
type Answered = Result<HttpResponse, ProblemError>;
/// The door, as a handler gets it.
type Door = web::Data<AdminDoor>;

/// Sets up all routes of the door.
pub fn configure(cfg: &mut ServiceConfig, door: AdminDoor) {
    let v1 = web::scope("/v1")
        .wrap(from_fn(authenticate))
        .service(at("/openapi.json", [read(server::contract)]))
        .service(at("/version", [read(server::version)]))
        .service(at("/whoami", [read(server::whoami)]))
        .service(at("/limits", [read(server::limits)]))
        .service(at("/nodes", [read(server::nodes)]))
        .service(at("/audit", [read(server::audit)]))
        .service(at("/decisions/{id}", [read(server::decision)]))
        .service(at("/quotas", [read(quotas::list)]))
        .service(at(
            "/quotas/{scope:.*}",
            [
                read(quotas::one),
                ("PUT", web::put().to(quotas::set)),
                ("DELETE", web::delete().to(quotas::reset)),
            ],
        ))
        .service(at("/scripts", [read(scripts::list)]))
        .service(at("/scripts/{team}/{script}", [("DELETE", web::delete().to(scripts::delete))]))
        .service(at(
            "/scripts/{team}/{script}/active",
            [read(scripts::active), ("PUT", web::put().to(scripts::activate))],
        ))
        .service(at(
            "/scripts/{team}/{script}/revisions",
            [read(revisions::history), ("POST", web::post().to(revisions::upload))],
        ))
        .service(at("/scripts/{team}/{script}/revisions/{number}", [read(revisions::one)]))
        .service(at("/scripts/{team}/{script}/revisions/{number}/files/{path:.*}", [read(revisions::file)]))
        .service(at("/endpoints", [read(endpoints::list)]))
        .service(at("/endpoints/{team}/{script}/{name}", [read(endpoints::one)]))
        .service(at("/endpoints/{team}/{script}/{name}/convergence", [read(endpoints::convergence)]))
        .service(at(
            "/endpoints/{team}/{script}/{name}/quarantine",
            [("DELETE", web::delete().to(endpoints::lift))],
        ))
        .service(at("/switches", [read(switches::list)]))
        .service(at(
            "/switches/{scope:.*}",
            [("PUT", web::put().to(switches::off)), ("DELETE", web::delete().to(switches::on))],
        ))
        .service(at("/drill", [("POST", web::post().to(drill::run))]))
        .service(at("/tokens", [read(tokens::list), ("POST", web::post().to(tokens::create))]))
        .service(at("/tokens/{id}", [("DELETE", web::delete().to(tokens::revoke))]))
        .default_service(web::to(unknown));
    let all = web::scope("")
        .wrap(from_fn(frame))
        .service(at("/livez", [read(probes::live)]))
        .service(at("/healthz", [read(probes::live)]))
        .service(at("/readyz", [read(probes::ready)]))
        .service(at("/metrics", [read(probes::metrics)]).wrap(from_fn(authenticate)))
        .service(at("/fleet/changes", [("POST", web::post().to(fleet::changes))]))
        .service(at("/fleet/decisions/{id}", [read(fleet::decision)]))
        .service(at("/fleet/demand", [read(fleet::demand)]))
        .service(at("/fleet/standing/{team}/{script}", [read(fleet::standing)]))
        .app_data(web::PayloadConfig::new(fleet::HINT_MAX))
        .service(v1)
        .default_service(web::to(unknown));
    cfg.app_data(web::Data::new(door)).service(all);
}

/// A route for whoever only looks.
fn read<F, Args>(handler: F) -> (&'static str, Route)
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    ("GET, HEAD", web::route().guard(guard::Any(guard::Get()).or(guard::Head())).to(handler))
}

/// A path and what answers it. Another method is told which there are.
fn at<const N: usize>(path: &str, routes: [(&'static str, Route); N]) -> Resource {
    let allowed = routes.iter().map(|(methods, _)| *methods).collect::<Vec<_>>().join(", ");
    let refuse = move |request: HttpRequest| {
        let refused = other_method(request.method(), &allowed);
        async { refused }
    };
    let routes = routes.into_iter().map(|(_, route)| route);
    routes.fold(web::resource(path), Resource::route).default_service(web::to(refuse))
}

fn other_method(method: &Method, allowed: &str) -> HttpResponse {
    let detail = format!("{method} is not answered here; {allowed} is");
    let mut response = respond(api::Problem::of("method.not_allowed", detail));
    if let Ok(allowed) = HeaderValue::from_str(allowed) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

async fn unknown(request: HttpRequest) -> HttpResponse {
    respond(api::Problem::of("resource.unknown", format!("nothing answers {}", request.path())))
}

/// An answer in JSON.
fn json(status: StatusCode, body: &impl Serialize) -> HttpResponse {
    HttpResponse::build(status).json(body)
}

fn ok(body: &impl Serialize) -> Answered {
    Ok(json(StatusCode::OK, body))
}

/// The same with the tag of the state that it tells of.
fn tagged(mut response: HttpResponse, etag: &str) -> HttpResponse {
    if let Ok(etag) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(ETAG, etag);
    }
    response
}

#[cfg(test)]
mod tests;
