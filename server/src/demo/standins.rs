//! Stand-ins for the services behind the examples: users, a catalog, and where films were left.
//!
//! They keep what they are told in memory and answer at once. Tests and benchmarks use them, too.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

/// Where each user left each film, in seconds.
type Positions = Arc<Mutex<BTreeMap<String, BTreeMap<String, i64>>>>;

/// The most users whose positions are kept.
const USERS_MAX: usize = 1_000;

/// Starts the stand-ins on a free port of this machine, on a thread of their own.
///
/// # Errors
/// No port is free.
pub fn start() -> io::Result<SocketAddr> {
    let socket = TcpListener::bind(("127.0.0.1", 0))?;
    let address = socket.local_addr()?;
    std::thread::Builder::new().name("stand-ins".to_owned()).spawn(move || {
        if let Err(error) = actix_rt::System::new().block_on(serve(socket)) {
            tracing::error!(%error, "the stand-in services ended");
        }
    })?;
    Ok(address)
}

async fn serve(socket: TcpListener) -> io::Result<()> {
    let positions: Positions = Positions::default();
    HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(positions.clone()))
            .route("/users/users/{user}", web::get().to(user))
            .route("/catalog/rows", web::get().to(rows))
            .route("/resume/resume/{user}", web::get().to(resume))
            .route("/resume/resume/{user}", web::put().to(leave))
    })
    .workers(1)
    .disable_signals()
    .listen(socket)?
    .run()
    .await
}

async fn user(user: web::Path<String>) -> HttpResponse {
    if user.starts_with("nobody") {
        return HttpResponse::NotFound().finish();
    }
    let mut letters = user.chars();
    let name: String =
        letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
    HttpResponse::Ok().json(json!({ "id": *user, "name": name, "plan": "family", "avatar": "owl" }))
}

async fn rows() -> HttpResponse {
    let row = |name: &str, from: u32| {
        let titles: Vec<Value> = (from..from + 5)
            .map(|n| json!({ "id": format!("t{n}"), "title": format!("Title {n}"), "art": format!("/art/{n}.jpg") }))
            .collect();
        json!({ "name": name, "titles": titles, "tracking": { "row": from, "experiment": "b" } })
    };
    HttpResponse::Ok().json(json!({ "rows": [
        row("Because you watched", 1), row("New this week", 10), row("Short and good", 20), row("For later", 30),
    ] }))
}

async fn resume(user: web::Path<String>, positions: web::Data<Positions>) -> HttpResponse {
    let positions = positions.lock().unwrap_or_else(PoisonError::into_inner);
    let items: Vec<Value> = positions
        .get(&*user)
        .map(|titles| titles.iter().map(|(title, at)| json!({ "title": title, "seconds": at })).collect())
        .unwrap_or_default();
    HttpResponse::Ok().json(json!({ "items": items }))
}

async fn leave(
    user: web::Path<String>,
    body: web::Json<Value>,
    positions: web::Data<Positions>,
) -> HttpResponse {
    let (Some(title), Some(seconds)) = (body["title"].as_str(), body["seconds"].as_i64()) else {
        return HttpResponse::BadRequest().finish();
    };
    let mut positions = positions.lock().unwrap_or_else(PoisonError::into_inner);
    if positions.len() >= USERS_MAX && !positions.contains_key(&*user) {
        return HttpResponse::InsufficientStorage().finish();
    }
    positions.entry(user.into_inner()).or_default().insert(title.to_owned(), seconds);
    HttpResponse::Ok().json(json!({ "title": title, "seconds": seconds }))
}
