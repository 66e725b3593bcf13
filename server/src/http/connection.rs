//! Connections: from an accepted socket to a service, under the guard's watch.
//!
//! Invariant: both doors take their connections here, so none escapes the bounds on time and number.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::body::BoxBody;
use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Request, Response};
use actix_rt::net::TcpStream;
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, apply_fn_factory, fn_service,
};

use super::guard::{Bounds, Closing, Guarded, Places, awaited};
use crate::config::Timeouts;

/// A watched connection that speaks HTTP/1.1 to a service.
pub(super) fn watched<A, B>(
    timeouts: &Timeouts,
    places: Arc<Places>,
    closing: Closing,
    service: A,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()> + use<A, B>
where
    A: IntoServiceFactory<B, Request> + 'static,
    B: ServiceFactory<
            Request,
            Config = (),
            Response: Into<Response<BoxBody>>,
            Error: Into<Response<BoxBody>>,
            InitError = (),
        > + 'static,
{
    let bounds = Bounds { head: timeouts.head, idle: timeouts.idle, min_rate: timeouts.min_rate.get() };
    let service = service.into_factory().map_err(Into::into);
    let service = apply_fn_factory(service, |request, service| service.call(awaited(request)));
    let http = HttpService::<Guarded, _, _>::build()
        // The guard keeps both times, and actix would set a timer for each request.
        .keep_alive(KeepAlive::Os)
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(Duration::from_secs(1))
        .on_connect_ext(|connection: &Guarded, extensions| {
            extensions.insert(Rc::clone(connection.watch()));
        })
        .h1(service);
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
