//! A request's head, as scripts ask for it.

use actix_web::HttpRequest;
use actix_web::http::header::HeaderValue;
use runtime::host::request::Head;

/// The head of a device's request. A cheap handle of actix's own.
pub(super) struct DeviceHead(HttpRequest);

impl DeviceHead {
    pub(super) fn of(req: &HttpRequest) -> Self {
        Self(req.clone())
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
