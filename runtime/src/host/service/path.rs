//! Where a service is, and how a script's path is joined to it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use http::uri::{Authority, PathAndQuery, Scheme};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The longest path with its query, in bytes.
const LONGEST: usize = 4 * 1024;

/// What stays as it is in a key or value of a query.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What is encoded in a path that a script wrote: nothing but letters of other alphabets, which are so in any case.
const OTHER: &AsciiSet = &AsciiSet::EMPTY;

/// The address of a service: `http://host:port/prefix`. TLS to services is the mesh's or sidecar's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceUrl {
    authority: Authority,
    prefix: String,
}

/// Why a text is no address of a service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}, for example http://127.0.0.1:9001/v1")]
pub struct ServiceUrlError(&'static str);

impl FromStr for ServiceUrl {
    type Err = ServiceUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: http::Uri =
            text.parse().map_err(|_| ServiceUrlError("a service's url must be a valid address"))?;
        if uri.scheme_str() != Some("http") {
            return Err(ServiceUrlError("a service's url must begin with http://"));
        }
        let authority = uri.authority().ok_or(ServiceUrlError("a service's url must name a host"))?;
        if authority.as_str().contains('@') {
            return Err(ServiceUrlError("a service's url must not carry a user or password"));
        }
        if uri.query().is_some() {
            return Err(ServiceUrlError("a service's url must not carry a query"));
        }
        Ok(Self { authority: authority.clone(), prefix: uri.path().trim_end_matches('/').to_owned() })
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.prefix)
    }
}

impl ServiceUrl {
    /// Joins a script's path (and query) to the service's own.
    ///
    /// # Errors
    /// The path could leave the service; the sentence says how.
    pub(super) fn join(&self, path: &str) -> Result<http::Uri, String> {
        let refused = |why: &str| Err(format!("the path {path:?} {why}"));
        if path.len() > LONGEST {
            return Err(format!("a path of {} bytes is longer than {LONGEST}", path.len()));
        }
        if !path.starts_with('/') {
            return refused("must begin with one /");
        }
        if path.bytes().any(|byte| byte <= b' ' || byte == 0x7f || byte == b'\\' || byte == b'#') {
            return refused(
                "holds a space, a control character, a backslash or a #: encode it with callboard::url::encode",
            );
        }
        let (only_path, query) = path.split_once('?').unwrap_or((path, ""));
        for segment in only_path.split('/').skip(1) {
            let plain: Cow<'_, [u8]> = percent_encoding::percent_decode_str(segment).into();
            if matches!(&*plain, b"." | b"..") {
                return refused("holds a dot segment");
            }
            if plain.iter().any(|byte| matches!(byte, b'/' | b'\\' | b'\0' | b'\r' | b'\n')) {
                return refused("holds an encoded slash, backslash or control character");
            }
        }
        if only_path.contains("//") {
            return refused("holds an empty segment");
        }
        let mut target = String::with_capacity(self.prefix.len() + path.len());
        target.push_str(&self.prefix);
        target.extend(utf8_percent_encode(only_path, OTHER));
        if !query.is_empty() {
            target.push('?');
            target.extend(utf8_percent_encode(query, OTHER));
        }
        let mut parts = http::uri::Parts::default();
        (parts.scheme, parts.authority) = (Some(Scheme::HTTP), Some(self.authority.clone()));
        let target = PathAndQuery::from_maybe_shared(bytes::Bytes::from(target));
        parts.path_and_query = Some(target.map_err(|error| format!("the path {path:?} is none: {error}"))?);
        http::Uri::from_parts(parts).map_err(|error| format!("the path {path:?} is none: {error}"))
    }

    /// Host and port.
    pub(super) fn authority(&self) -> &str {
        self.authority.as_str()
    }
}

/// A key or value, encoded for a query.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, PART).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_never_leaves_its_service() {
        let url: ServiceUrl = "http://127.0.0.1:9001/v1/".parse().unwrap();
        for path in [
            "",
            "users",
            "//evil/",
            "/../x",
            "/..",
            "/.",
            "/%2e%2e/x",
            "/%2E./x",
            "/a/..%2fb",
            "/a%2f..%2fb",
            "/a\\b",
            "/a%5cb",
            "/a#b",
            "/a b",
            "/a\r\nHost: evil",
            "/a%0d%0aHost:x",
            "http://evil/",
            "@evil/",
            "/a//b",
            "/a\0",
            "/\u{7f}",
            "/a%00",
        ] {
            assert!(url.join(path).is_err(), "{path:?} gave {:?}", url.join(path));
        }
        for (path, target) in [
            ("/users/1", "http://127.0.0.1:9001/v1/users/1"),
            ("/", "http://127.0.0.1:9001/v1/"),
            ("/a?b=//c&d=../e", "http://127.0.0.1:9001/v1/a?b=//c&d=../e"),
            ("/@evil:80/", "http://127.0.0.1:9001/v1/@evil:80/"),
            ("/caf\u{e9}", "http://127.0.0.1:9001/v1/caf%C3%A9"),
            ("/a%20b", "http://127.0.0.1:9001/v1/a%20b"),
        ] {
            assert_eq!(url.join(path).unwrap().to_string(), target);
        }
    }

    #[test]
    fn an_address_is_checked_when_it_is_configured() {
        for text in ["", "127.0.0.1", "https://a", "ftp://a", "http://u:p@a", "http://a?b", "http://"] {
            assert!(text.parse::<ServiceUrl>().is_err(), "{text}");
        }
        assert_eq!("http://a:1/b/".parse::<ServiceUrl>().unwrap().to_string(), "http://a:1/b");
    }
}
