//! The client of the admin plane.
//!
//! Invariant: nothing is sent twice: there are no retries and no redirects, so whoever calls knows what was
//! asked. Every call ends within the time-out, and no answer is larger than [`ANSWER_MAX`].
//! Not here: where addresses and tokens come from.

mod base;
mod calls;

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::base::{BaseUrl, BaseUrlError};
pub use self::calls::{List, Upload, Wait};
use crate::problem::{MEDIA_TYPE, Problem};

/// The largest answer that is read, in bytes.
pub const ANSWER_MAX: usize = 64 * 1024 * 1024;
/// How long a call may take when nothing else is said.
pub const TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server did not answer. A change that was asked for may have been done all the same.
    #[error("{url} cannot be reached: {why}")]
    Unreachable {
        /// The server's address.
        url: String,
        /// What went wrong.
        why: String,
    },
    /// The server said no.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// The server answered something else than the contract says.
    #[error("the server's answer is not understood: {0}")]
    Protocol(String),
}

/// A client of one server. Its clones share the connections.
#[derive(Clone)]
pub struct Client {
    http: hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>,
    base: BaseUrl,
    token: Option<HeaderValue>,
    timeout: Duration,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.base)
            .field("token", &self.token.is_some())
            .finish_non_exhaustive()
    }
}

/// A request before it is sent.
#[derive(Debug, Default, Clone)]
pub struct Ask {
    /// The method.
    pub method: Method,
    /// The path and query, encoded.
    pub path: String,
    /// Headers beside those that the client sets.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Raw {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Client {
    /// A client without a token.
    pub fn new(base: BaseUrl) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
        Self { http, base, token: None, timeout: TIMEOUT }
    }

    /// The same with a token; nothing when the text cannot be one.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Option<Self> {
        let mut token = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
        token.set_sensitive(true);
        self.token = Some(token);
        Some(self)
    }

    /// The same with another bound on the time of a call.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The server's address.
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Sends a request and reads the answer, whatever its status.
    ///
    /// # Errors
    /// The server did not answer, or too much.
    pub async fn raw(&self, ask: Ask) -> Result<Raw, ClientError> {
        let unreachable = |why: String| ClientError::Unreachable { url: self.base.to_string(), why };
        let work = async {
            let mut request = Request::builder()
                .method(ask.method)
                .uri(self.base.join(&ask.path))
                .body(Full::new(ask.body))
                .map_err(|error| ClientError::Protocol(error.to_string()))?;
            *request.headers_mut() = ask.headers;
            let headers = request.headers_mut();
            headers.entry(USER_AGENT).or_insert(AGENT);
            if let Some(token) = &self.token {
                headers.insert(AUTHORIZATION, token.clone());
            }
            let answer = self.http.request(request).await.map_err(|error| unreachable(causes(&error)))?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_MAX).collect().await;
            let body =
                body.map_err(|error| unreachable(format!("the answer broke off: {}", causes(&*error))))?;
            Ok(Raw { status: parts.status, headers: parts.headers, body: body.to_bytes() })
        };
        match tokio::time::timeout(self.timeout, work).await {
            Ok(done) => done,
            Err(_) => Err(unreachable(format!("no answer within {:?}", self.timeout))),
        }
    }

    /// Sends a request; a status that is no success becomes a problem.
    async fn success(&self, ask: Ask) -> Result<Raw, ClientError> {
        let raw = self.raw(ask).await?;
        if raw.status.is_success() { Ok(raw) } else { Err(problem_of(&raw)) }
    }

    async fn json<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, ClientError> {
        read(&self.success(ask).await?)
    }
}

/// What the client calls itself.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("callboard/", env!("CARGO_PKG_VERSION")));

impl Ask {
    /// A request without a body.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), ..Self::default() }
    }

    fn get(path: impl Into<String>) -> Self {
        let mut ask = Self::new(Method::GET, path);
        ask.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        ask
    }

    fn with_json(mut self, body: &impl Serialize) -> Result<Self, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| ClientError::Protocol(error.to_string()))?;
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.body = body.into();
        Ok(self)
    }

    fn with_header(mut self, name: HeaderName, value: &str) -> Result<Self, ClientError> {
        let value = HeaderValue::from_str(value)
            .map_err(|_| ClientError::Protocol(format!("`{value}` cannot stand in the header {name}")))?;
        self.headers.insert(name, value);
        Ok(self)
    }
}

fn read<T: DeserializeOwned>(raw: &Raw) -> Result<T, ClientError> {
    serde_json::from_slice(&raw.body).map_err(|error| ClientError::Protocol(error.to_string()))
}

fn problem_of(raw: &Raw) -> ClientError {
    let media = raw.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if media.split(';').next().map(str::trim) == Some(MEDIA_TYPE)
        && let Ok(problem) = serde_json::from_slice(&raw.body)
    {
        return ClientError::Problem(Box::new(problem));
    }
    ClientError::Protocol(format!(
        "status {} without a problem; is this callboard's admin address?",
        raw.status
    ))
}

/// An error with its causes, on one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
