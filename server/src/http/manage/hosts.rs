//! Hosts: for which names the admin door answers, so that a page in somebody's browser cannot reach it by a
//! name of its own choice.
//!
//! Invariant: a name has to be known beforehand; an address literal cannot be rebound, and is known where the
//! door listens on it, on all addresses, or on the loopback.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::{HOST, HeaderMap, ORIGIN};
use api::Problem;

/// Says what is wrong with where a request is meant to go or comes from.
///
/// # Errors
/// 421 for a host that the door does not answer for; 403 for a page of another one.
pub fn check(
    headers: &HeaderMap,
    authority: Option<&str>,
    bound: SocketAddr,
    names: &[String],
) -> Result<(), Box<Problem>> {
    let mut hosts = headers.get_all(HOST).map(|host| host.to_str().unwrap_or_default());
    let (said, second) = (hosts.next(), hosts.next());
    let host = authority.or(said).unwrap_or_default();
    let is_one = second.is_none() && said.is_none_or(|said| authority.is_none_or(|asked| asked == said));
    if !is_one || !is_known(host, bound, names) {
        let detail = "the Host is none of this door's; the operator can add it to `admin.allowed_hosts`";
        return Err(Box::new(Problem::of("host.refused", detail)));
    }
    for origin in headers.get_all(ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let host =
            origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")).unwrap_or_default();
        if !is_known(host, bound, names) {
            return Err(Box::new(Problem::of("auth.forbidden", "pages of another origin are not answered")));
        }
    }
    Ok(())
}

/// Whether the door answers for a host, with or without a port.
fn is_known(host: &str, bound: SocketAddr, names: &[String]) -> bool {
    let Some(name) = without_port(host) else { return false };
    let name = name.to_ascii_lowercase();
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(&name);
    if let Ok(address) = literal.parse::<IpAddr>() {
        let (address, own) = (address.to_canonical(), bound.ip().to_canonical());
        return address.is_loopback() || own.is_unspecified() || address == own || names.contains(&name);
    }
    let name = name.strip_suffix('.').unwrap_or(&name);
    name == "localhost" || names.iter().any(|known| known == name)
}

/// The host before its port; nothing when it is not well formed.
fn without_port(host: &str) -> Option<&str> {
    let digits = |port: &str| port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    let end = match host.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(end);
    let is_plain = !name.is_empty() && !name.contains(['/', '@', '\\', '?', '#', ' ']);
    (is_plain && (port.is_empty() || port.strip_prefix(':').is_some_and(digits))).then_some(name)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn code(headers: &[(HeaderName, &str)], bound: &str) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        let names = ["admin.example".to_owned()];
        check(&map, None, bound.parse().unwrap(), &names).map_or_else(|problem| problem.status, |()| 200)
    }

    #[test]
    fn a_host_has_to_be_one_of_the_doors_own() {
        fn check(host: &str, bound: &str, status: u16) {
            assert_eq!(code(&[(HOST, host)], bound), status, "{host} at {bound}");
        }
        let own = "127.0.0.1:8081";
        for host in [
            "localhost",
            "LOCALHOST:8081",
            "localhost.",
            "127.0.0.1",
            "127.0.0.1:1",
            "[::1]:8081",
            "[::1]",
            "admin.example:443",
        ] {
            check(host, own, 200);
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil",
            "10.0.0.5",
            "localhost@evil",
            "localhost:x",
            "localhost:8081:1",
            "[::1",
            "[::1]x",
        ] {
            check(host, own, 421);
        }
        check("10.0.0.5:8081", "10.0.0.5:8081", 200);
        check("10.0.0.6:8081", "10.0.0.5:8081", 421);
        check("10.0.0.6:8081", "0.0.0.0:8081", 200);
        check("evil.example", "0.0.0.0:8081", 421);
        assert_eq!(code(&[], own), 421);
        assert_eq!(code(&[(HOST, "localhost"), (HOST, "localhost")], own), 421);
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        fn check(origin: &str, status: u16) {
            assert_eq!(
                code(&[(HOST, "localhost:8081"), (ORIGIN, origin)], "127.0.0.1:8081"),
                status,
                "{origin}"
            );
        }
        check("http://localhost:8081", 200);
        check("https://admin.example", 200);
        check("http://evil.example", 403);
        check("null", 403);
        check("", 403);
    }
}
