//! A request's head, as scripts ask for it.

use std::ops::Deref;

use actix_http::{HttpMessage, Request};
use actix_web::http::header::HeaderValue;
use runtime::host::request::Head;

/// A device's request, without its body.
#[derive(Debug)]
pub(super) struct DeviceHead(pub(super) Request);

impl Deref for DeviceHead {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.0
    }
}

impl Head for DeviceHead {
    fn method(&self) -> &str {
        self.0.method().as_str()
    }

    fn path(&self) -> &str {
        self.0.uri().path()
    }

    fn query(&self) -> &str {
        self.0.uri().query().unwrap_or("")
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.0.headers().get(name)?.to_str().ok()
    }

    fn headers(&self) -> Vec<(String, String)> {
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let headers = self.0.headers().iter();
        headers.filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?))).collect()
    }
}
