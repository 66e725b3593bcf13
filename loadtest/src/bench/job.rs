//! The jobs, and the ways to do each.
//!
//! Invariant: all ways of a job answer with the same bytes, which is what makes them the same job.

use serde::Serialize;

use crate::upstream::{CATALOG, PROFILE, RESUME};

/// How many objects a composition has; the script has the same number.
pub const ROWS: i64 = 20;

/// A job.
#[derive(Debug)]
pub struct Job {
    /// Its name.
    pub name: &'static str,
    /// Who does it how, in the order of running.
    pub ways: &'static [Way],
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
    pub side: Side,
    /// The path and query.
    pub path: &'static str,
}

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The measured one.
    Callboard,
    /// Plain Rust.
    Baseline,
}

const fn ours(name: &'static str, path: &'static str) -> Way {
    Way { name, side: Side::Callboard, path }
}

const fn plain(name: &'static str, path: &'static str) -> Way {
    Way { name, side: Side::Baseline, path }
}

/// All jobs.
pub const JOBS: [Job; 3] = [
    Job {
        name: "hello",
        ways: &[ours("callboard", "/bench/hello?name=TV"), plain("actix-web", "/bench/hello?name=TV")],
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
        calls_services: true,
        expected: fan_out,
    },
];

impl Job {
    /// The body of every answer.
    pub fn expected(&self) -> String {
        (self.expected)()
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
    fn every_job_is_done_by_both_sides() {
        for job in JOBS {
            for side in [Side::Callboard, Side::Baseline] {
                assert!(job.ways.iter().any(|way| way.side == side), "{}", job.name);
            }
        }
    }
}
