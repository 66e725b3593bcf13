//! Who calls: the device's class, the client's key, the request's id, the hops it came.
//!
//! Invariant: a device cannot choose whose quota it uses: headers that name a client count only from the
//! proxies that the operator trusts.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use actix_http::{HttpMessage, Request};
use actix_web::HttpResponse;
use actix_web::http::header::{HeaderName, HeaderValue, X_FORWARDED_FOR};
use actors::who::about_unix_ms;
use quotas::priority::Priority;
use quotas::scope::ClassName;

use crate::config::{ClientKeySource, Config};

/// The header that counts how many callboards a request came through.
const HOPS: HeaderName = HeaderName::from_static("callboard-hops");
/// The header by which a device says that a call is less important than its endpoint.
const PRIORITY: HeaderName = HeaderName::from_static("callboard-priority");
/// A request that came through more goes in a circle.
const HOPS_MAX: u32 = 8;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Who calls.
pub(super) struct Caller {
    pub(super) class: Option<ClassName>,
    pub(super) client: Box<[u8]>,
    pub(super) request_id: Arc<str>,
    pub(super) hops: u32,
    /// What the device asks for; it can only lower.
    pub(super) priority: Option<Priority>,
}

impl Caller {
    pub(super) fn of(req: &Request, config: &Config) -> Self {
        let header = |name: &HeaderName| req.headers().get(name).and_then(|value| value.to_str().ok());
        let class = config.classes.iter().find(|class| class.matches(header)).map(|class| class.name.clone());
        let hops = header(&HOPS).map_or(0, |text| text.parse().unwrap_or(HOPS_MAX));
        Self {
            class,
            client: client(req, config),
            request_id: header(&REQUEST_ID).filter(|id| is_id(id)).map_or_else(new_id, Arc::from),
            hops,
            priority: header(&PRIORITY).and_then(|text| text.trim().parse().ok()),
        }
    }

    pub(super) fn came_round(&self) -> bool {
        self.hops >= HOPS_MAX
    }

    /// Writes the request's id on its answer.
    pub(super) fn mark(&self, response: &mut HttpResponse) {
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
    }
}

thread_local! {
    static IDS: RefCell<ulid::Generator> = const { RefCell::new(ulid::Generator::new()) };
}

/// An id that nobody else has. Those of one thread and of one step of the coarse clock count up, which asks for no
/// random numbers.
fn new_id() -> Arc<str> {
    let now = UNIX_EPOCH + Duration::from_millis(about_unix_ms());
    let next = IDS.with_borrow_mut(|ids| ids.generate_from_datetime(now).ok());
    let mut text = [0; ulid::ULID_LEN];
    Arc::from(&*next.unwrap_or_else(ulid::Ulid::generate).array_to_str(&mut text))
}

fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

fn client(req: &Request, config: &Config) -> Box<[u8]> {
    let peer = req.peer_addr().map(|peer| peer.ip());
    let trusted = peer.is_some_and(|peer| config.client_key.trusts(peer));
    if trusted
        && let ClientKeySource::Header(name) = &config.client_key.source
        && let Some(key) = req.headers().get(name)
    {
        return key.as_bytes().into();
    }
    let address = if trusted { forwarded(req, config).or(peer) } else { peer };
    match address {
        Some(IpAddr::V4(address)) => address.octets().into(),
        // A client of version 6 has a network of its own.
        Some(IpAddr::V6(address)) => address.octets()[..8].into(),
        None => Box::default(),
    }
}

/// The rightmost address of `X-Forwarded-For` that is no proxy of ours.
fn forwarded(req: &Request, config: &Config) -> Option<IpAddr> {
    let header = req.headers().get(&X_FORWARDED_FOR)?.to_str().ok()?;
    let mut hops = header.rsplit(',').map_while(|hop| hop.trim().parse::<IpAddr>().ok());
    hops.find(|hop| !config.client_key.trusts(*hop))
}
