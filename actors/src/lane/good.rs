//! Last good answers: what an endpoint answered lately, for the time when it cannot.
//!
//! Invariant: an answer is given again only to who asks for the same in the same way: endpoint, device class, path
//! and query. One that was asked for with credentials, or says itself that it is not for others, is never kept. All
//! of them together have a size.
//! Not here: when one is given again (`fallback`).
//!
//! The revision is not part of what is asked for: the answer of the revision before is what is wanted most when the
//! new one fails. It is told with the answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::sync::Cache;
use quotas::scope::{ClassName, EndpointId, RevisionNumber};
use quotas::units::Bytes;
use runtime::host::response::Response;

/// The largest answer that is kept.
const ANSWER_MAX: usize = 256 * 1024;
/// The longest path and query that are remembered.
const TARGET_MAX: usize = 2 * 1024;
/// No answer is kept for longer.
const LONGEST: Duration = Duration::from_secs(600);
/// Headers of an answer by which it is for one device only.
const PRIVATE: [&str; 2] = ["no-store", "private"];

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    endpoint: EndpointId,
    class: Option<ClassName>,
    target: String,
}

/// An answer that was good.
#[derive(Debug, Clone)]
pub(super) struct Good {
    pub(super) response: Response,
    pub(super) revision: RevisionNumber,
    at: Instant,
}

/// The answers of a node.
#[derive(Debug)]
pub struct LastGood(Cache<Key, Arc<Good>>);

impl Key {
    /// What is asked for by the path and query of a `GET`; nothing where it is too long to be remembered.
    pub fn new(endpoint: &EndpointId, class: Option<&ClassName>, path: &str, query: &str) -> Option<Self> {
        if path.len() + query.len() > TARGET_MAX {
            return None;
        }
        let mut parts: Vec<&str> = query.split('&').filter(|part| !part.is_empty()).collect();
        // The order of parameters says nothing, but for those of one name, which stay in theirs.
        parts.sort_by_key(|part| part.split('=').next().unwrap_or(part));
        let target = format!("{path}?{}", parts.join("&"));
        Some(Self { endpoint: endpoint.clone(), class: class.cloned(), target })
    }
}

impl LastGood {
    /// Room for so many bytes.
    pub(crate) fn new(size: Bytes) -> Self {
        let weigh = |key: &Key, good: &Arc<Good>| {
            let headers: usize =
                good.response.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
            let bytes = size_of::<Good>() + key.target.len() + headers + good.response.body.len();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(size.get()).weigher(weigh).time_to_live(LONGEST).build())
    }

    /// Keeps an answer, if it is one that may be given again.
    pub(super) fn keep(&self, key: Key, response: &Response, revision: RevisionNumber) {
        let is_private = response.headers.iter().any(|(name, value)| match name.as_str() {
            // Who asks with other headers would get another answer, and which ones is not part of what is asked for.
            "set-cookie" | "vary" => true,
            "cache-control" => PRIVATE.iter().any(|word| value.to_ascii_lowercase().contains(word)),
            _ => false,
        });
        if !(200..300).contains(&response.status) || is_private || response.body.len() > ANSWER_MAX {
            return;
        }
        self.0.insert(key, Arc::new(Good { response: response.clone(), revision, at: Instant::now() }));
    }

    /// The answer, and how old it is.
    pub(super) fn get(&self, key: &Key) -> Option<(Arc<Good>, Duration)> {
        let good = self.0.get(key)?;
        let age = good.at.elapsed();
        Some((good, age))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, header: Option<(&str, &str)>, body: usize) -> Response {
        let headers = header.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let body = vec![b'x'; body].into();
        Response { status, headers: headers.into_iter().collect(), content_type: None, body }
    }

    fn key(class: Option<&str>, path: &str, query: &str) -> Key {
        let class = class.map(|class| class.parse().unwrap());
        Key::new(&EndpointId::parse("tv/home/home").unwrap(), class.as_ref(), path, query).unwrap()
    }

    #[test]
    fn an_answer_is_given_to_who_asks_for_the_same() {
        let good = LastGood::new(Bytes::mib(1));
        let kept = key(Some("tv-2015"), "/home/1", "a=1&b=2");
        good.keep(kept, &response(200, None, 3), RevisionNumber::first());
        assert_eq!(good.get(&key(Some("tv-2015"), "/home/1", "b=2&a=1")).unwrap().0.response.body.len(), 3);
        for other in [
            key(None, "/home/1", "a=1&b=2"),
            key(Some("phone"), "/home/1", "a=1&b=2"),
            key(Some("tv-2015"), "/home/2", "a=1&b=2"),
            key(Some("tv-2015"), "/home/1", "a=1"),
            key(Some("tv-2015"), "/home/1", "a=1&b=2&b=3"),
        ] {
            assert!(good.get(&other).is_none(), "{other:?}");
        }
        assert_ne!(key(None, "/", "a=1&a=2"), key(None, "/", "a=2&a=1"), "the first of a name counts");
    }

    #[test]
    fn what_is_not_for_others_is_not_kept() {
        fn check(response: &Response, is_kept: bool) {
            let good = LastGood::new(Bytes::mib(1));
            good.keep(key(None, "/", ""), response, RevisionNumber::first());
            assert_eq!(good.get(&key(None, "/", "")).is_some(), is_kept, "{response:?}");
        }
        check(&response(204, Some(("cache-control", "max-age=60")), 0), true);
        check(&response(200, Some(("cache-control", "Private, max-age=60")), 0), false);
        check(&response(200, Some(("cache-control", "no-store")), 0), false);
        check(&response(200, Some(("set-cookie", "a=b")), 0), false);
        check(&response(200, Some(("vary", "x-user")), 0), false);
        check(&response(302, None, 0), false);
        check(&response(404, None, 0), false);
        check(&response(200, None, ANSWER_MAX + 1), false);
    }

    #[test]
    fn a_path_that_is_too_long_is_not_remembered() {
        let endpoint = EndpointId::parse("tv/home/home").unwrap();
        assert!(Key::new(&endpoint, None, &"/x".repeat(TARGET_MAX), "").is_none());
    }
}
