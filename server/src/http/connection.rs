//! Connections: from an accepted socket to an application, under the guard's watch.
//!
//! Invariant: both doors take their connections here, so none escapes the bounds on time and number.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_http::body::BoxBody;
use actix_http::error::DispatchError;
use actix_rt::net::TcpStream;
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, apply_fn_factory, fn_service, map_config,
};
use actix_web::dev::AppConfig;

use super::guard::{Bounds, Closing, Guarded, Places, awaited};
use crate::config::Timeouts;

/// A watched connection that speaks HTTP/1.1 to an application.
pub(super) fn watched<A, B>(
    timeouts: &Timeouts,
    places: Arc<Places>,
    closing: Closing,
    app: A,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()> + use<A, B>
where
    A: IntoServiceFactory<B, actix_http::Request> + 'static,
    B: ServiceFactory<
            actix_http::Request,
            Config = AppConfig,
            Response = actix_web::dev::ServiceResponse<BoxBody>,
            Error = actix_web::Error,
            InitError = (),
        > + 'static,
{
    let bounds = Bounds { head: timeouts.head, idle: timeouts.idle, min_rate: timeouts.min_rate.get() };
    let app = app.into_factory().map_err(|error: actix_web::Error| error.error_response());
    let app = apply_fn_factory(app, |request, app| app.call(awaited(request)));
    let http = HttpService::<Guarded, _, _>::build()
        .keep_alive(timeouts.idle)
        .client_request_timeout(timeouts.head)
        .client_disconnect_timeout(Duration::from_secs(1))
        .on_connect_ext(|connection: &Guarded, extensions| {
            extensions.insert(Rc::clone(connection.watch()));
        })
        .h1(map_config(app, |()| AppConfig::default()));
    fn_service(move |stream: TcpStream| {
        let guarded = stream.peer_addr().ok().and_then(|peer| {
            let place = places.take(peer.ip())?;
            stream.set_nodelay(true).ok()?;
            Some((Guarded::new(stream, bounds, closing.clone(), place), Some(peer)))
        });
        std::future::ready(guarded.ok_or_else(|| {
            DispatchError::Io(io::Error::new(io::ErrorKind::ConnectionRefused, "too many connections"))
        }))
    })
    .and_then(http)
}
