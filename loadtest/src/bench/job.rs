//! The jobs, and the ways to do each.
//!
//! Invariant: all ways of a job answer with the same bytes, which is what makes them the same job; a peer may write
//! JSON in another order.

use serde::Serialize;

use crate::upstream::{CATALOG, PROFILE, RESUME};

/// How many objects a composition has; the script has the same number.
pub const ROWS: i64 = 20;

/// A job.
#[derive(Debug)]
pub struct Job {
    /// Its name.
    pub name: &'static str,
    ways: &'static [Way],
    peers: [Way; 4],
    /// Whether services are called: they share a processor with the load, which leaves it to them while it waits.
    pub calls_services: bool,
    expected: fn() -> String,
}

/// One way to do a job.
#[derive(Debug)]
pub struct Way {
    /// Its name.
    pub name: &'static str,
    /// Which server does it.
    pub server: Server,
    /// The path and query.
    pub path: &'static str,
}

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Server {
    /// The measured one.
    Callboard,
    /// Plain Rust.
    Actix,
    /// nginx with its Lua module.
    Nginx,
    /// Cloudflare's runtime.
    Workerd,
    /// Deno.
    Deno,
    /// Bun.
    Bun,
}

impl Server {
    /// The scripted ones that others make.
    pub const PEERS: [Self; 4] = [Self::Nginx, Self::Workerd, Self::Deno, Self::Bun];
}

const fn way(name: &'static str, server: Server, path: &'static str) -> Way {
    Way { name, server, path }
}

const fn ours(name: &'static str, path: &'static str) -> Way {
    way(name, Server::Callboard, path)
}

const fn plain(name: &'static str, path: &'static str) -> Way {
    way(name, Server::Actix, path)
}

/// What every peer does under this path.
const fn peers(path: &'static str) -> [Way; 4] {
    [
        way("nginx, lua", Server::Nginx, path),
        way("workerd", Server::Workerd, path),
        way("deno", Server::Deno, path),
        way("bun", Server::Bun, path),
    ]
}

/// All jobs.
pub const JOBS: [Job; 3] = [
    Job {
        name: "hello",
        ways: &[ours("callboard", "/bench/hello?name=TV"), plain("actix-web", "/bench/hello?name=TV")],
        peers: peers("/bench/hello?name=TV"),
        calls_services: false,
        expected: || "Hello TV".to_owned(),
    },
    Job {
        name: "composition",
        ways: &[
            ours("callboard json!", "/bench/composition/json"),
            plain("actix-web, struct", "/bench/composition/derive"),
            ours("callboard objects", "/bench/composition/plain"),
            plain("actix-web, json!", "/bench/composition/value"),
        ],
        peers: peers("/bench/composition"),
        calls_services: false,
        expected: composition,
    },
    Job {
        name: "fan-out",
        ways: &[
            ours("callboard", "/bench/fan-out"),
            plain("actix-web, raw values", "/bench/fan-out/raw"),
            plain("actix-web, json!", "/bench/fan-out/value"),
        ],
        peers: peers("/bench/fan-out"),
        calls_services: true,
        expected: fan_out,
    },
];

impl Job {
    /// The body of every answer.
    pub fn expected(&self) -> String {
        (self.expected)()
    }

    /// Who does it how, in the order of running.
    pub fn ways(&self) -> impl Iterator<Item = &Way> {
        self.ways.iter().chain(&self.peers)
    }

    /// Whether this body does the job that another server's does: it is the same text, or the same JSON.
    pub fn is_done_by(&self, body: &str) -> bool {
        let expected = self.expected();
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        body == expected || read(body).is_some_and(|read_body| Some(read_body) == read(&expected))
    }
}

fn composition() -> String {
    let row = |id: i64| {
        let (rank, seen) = (id * 3, id % 2 == 0);
        format!(r#"{{"id":{id},"rank":{rank},"seen":{seen},"title":"Title {id}"}}"#)
    };
    format!("[{}]", (0..ROWS).map(row).collect::<Vec<_>>().join(","))
}

fn fan_out() -> String {
    let field = |document: &str, name: &str| {
        let read: serde_json::Value = serde_json::from_str(document).unwrap_or_default();
        read[name].to_string()
    };
    format!(
        r#"{{"hello":{},"resume":{},"rows":{}}}"#,
        field(PROFILE, "name"),
        field(RESUME, "items"),
        field(CATALOG, "rows")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_of_a_job_is_what_its_documents_hold() {
        let [hello, composition, fan_out] = JOBS.map(|job| job.expected());
        assert_eq!(hello, "Hello TV");
        assert!((900..1_200).contains(&composition.len()), "{} bytes", composition.len());
        assert!(fan_out.starts_with(r#"{"hello":"Ada","resume":[{"seconds":95,"title":"t1"},"#), "{fan_out}");
        assert!(
            RESUME.contains(&fan_out[24..80]),
            "documents are in the order that JSON values are written in"
        );
    }

    #[test]
    fn every_job_is_done_by_every_server() {
        for job in &JOBS {
            for server in [Server::Callboard, Server::Actix].into_iter().chain(Server::PEERS) {
                assert!(job.ways().any(|way| way.server == server), "{}: {server:?}", job.name);
            }
        }
    }

    #[test]
    fn json_in_another_order_does_the_job_and_other_json_does_not() {
        let [hello, composition, _] = &JOBS;
        assert!(hello.is_done_by("Hello TV") && !hello.is_done_by("Hello tv") && !hello.is_done_by(""));
        let turned = composition.expected().replace(r#"{"id":0,"rank":0,"#, r#"{"rank":0,"id":0,"#);
        assert!(turned != composition.expected() && composition.is_done_by(&turned));
        assert!(!composition.is_done_by(&turned.replace(r#""id":19"#, r#""id":20"#)));
        assert!(!composition.is_done_by("[]"));
    }
}
