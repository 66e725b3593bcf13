//! The admin door: its socket and its one thread, which nothing that devices send can reach.

use std::io;
use std::net::TcpListener;

use actix_http::Response;
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, map_config};
use actix_web::App;
use actix_web::dev::AppConfig;

use super::connection::watched;
use super::guard::{Closing, Places};
use super::manage::{AdminDoor, configure};
use crate::config::Config;

/// Connections that the admin door takes, in all and from one address: a proxy may stand before it.
const CONNECTIONS: u32 = 512;

/// Serves operators, deployers and their tools on a socket.
///
/// # Errors
/// The socket cannot be used.
pub fn serve(socket: TcpListener, door: AdminDoor, config: &Config, closing: Closing) -> io::Result<Server> {
    let timeouts = config.timeouts.clone();
    let drain = timeouts.drain.as_secs().max(1);
    let places = Places::new(CONNECTIONS, CONNECTIONS);
    let server = Server::build().workers(1).shutdown_timeout(drain).disable_signals();
    let server = server.listen("admin", socket, move || {
        let door = door.clone();
        let app = App::new().configure(move |routes| configure(routes, door)).into_factory();
        let app = map_config(app, |()| AppConfig::default());
        let app = app.map_err(|error: actix_web::Error| Response::from(error.error_response()));
        watched(&timeouts, places.clone(), closing.clone(), app)
    })?;
    Ok(server.run())
}
