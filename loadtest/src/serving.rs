//! What the two servers of this program have in common: one worker, a free port, and an end with their parent.

use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::web::ServiceConfig;
use actix_web::{App, HttpServer, rt};
use rustix::process::{Signal, set_parent_process_death_signal};

/// Connections stay open for longer than any run: opening them is not what is measured.
const KEEP_ALIVE: Duration = Duration::from_secs(600);

/// Serves these routes, after a line that says where, until the parent ends this process.
///
/// # Errors
/// No port is free.
pub fn run(routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let socket = TcpListener::bind(("127.0.0.1", 0))?;
    let address = socket.local_addr()?;
    rt::System::new().block_on(async {
        let server = HttpServer::new(move || App::new().configure(routes.clone()))
            .workers(1)
            .keep_alive(KEEP_ALIVE)
            .disable_signals()
            .listen(socket)?
            .run();
        let mut out = std::io::stdout().lock();
        writeln!(out, "devices http://{address}")?;
        out.flush()?;
        drop(out);
        server.await
    })?;
    Ok(())
}
