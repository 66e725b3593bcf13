//! Where a server is.

use std::fmt;
use std::str::FromStr;

/// The address of a server: `http://`, a host, maybe a port and a path before all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    authority: http::uri::Authority,
    prefix: String,
}

/// A text that is no address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a server's address: {problem}; write it like `http://127.0.0.1:8081`")]
pub struct BaseUrlError {
    /// The text that was given, without what could be a password.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl BaseUrl {
    /// The host, without a port.
    pub fn host(&self) -> &str {
        self.authority.host()
    }

    /// The address of a path and query below this.
    pub(super) fn join(&self, path: &str) -> String {
        format!("{self}{path}")
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.prefix)
    }
}

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown = match text.rsplit_once('@') {
            Some((_, rest)) => format!("…@{rest}"),
            None => text.to_owned(),
        };
        let wrong = |problem| BaseUrlError { text: shown.clone(), problem };
        if text.starts_with("https://") {
            return Err(wrong("https is not spoken here; put a proxy or a tunnel in between"));
        }
        let uri: http::Uri = text.parse().map_err(|_| wrong("it is not well formed"))?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong("it has to begin with `http://`"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?.clone();
        if authority.as_str().contains('@') {
            return Err(wrong("a user or password does not belong into it"));
        }
        if uri.query().is_some() {
            return Err(wrong("it must not have a query"));
        }
        Ok(Self { authority, prefix: uri.path().trim_end_matches('/').to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_joined_with_a_path() {
        fn check(base: &str, joined: &str) {
            assert_eq!(base.parse::<BaseUrl>().unwrap().join("/v1/whoami?x=1"), joined);
        }
        check("http://127.0.0.1:8081", "http://127.0.0.1:8081/v1/whoami?x=1");
        check("http://[::1]:80/", "http://[::1]:80/v1/whoami?x=1");
        check("http://admin.example/callboard/", "http://admin.example/callboard/v1/whoami?x=1");
    }

    #[test]
    fn a_wrong_address_is_refused_with_the_reason_and_without_a_password() {
        fn check(base: &str, problem: &str) {
            let error = base.parse::<BaseUrl>().unwrap_err().to_string();
            assert!(error.contains(problem) && !error.contains("secret"), "{error}");
        }
        check("https://a", "https is not spoken here");
        check("127.0.0.1:8081", "has to begin with `http://`");
        check("http://u:secret@a", "a user or password");
        check("http://a?b", "a query");
        check("", "not well formed");
    }
}
