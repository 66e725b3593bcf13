//! What was found of a node's sizes, and how it is shown.

use std::fmt::Write;

use serde::Serialize;

/// What was found of a number of endpoints.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Size {
    pub(super) endpoints: usize,
    pub(super) teams: usize,
    /// What a deploy of one script takes among so many, in the median.
    pub(super) deploy_ms: f64,
    /// Until the server is ready.
    pub(super) start_ms: f64,
    pub(super) store_mib: f64,
    /// Resident with nearly no unit in memory, as if nobody had called anything today.
    pub(super) idle_mib: f64,
    /// Of that, for each endpoint more than the size before has.
    pub(super) idle_bytes_each: f64,
    /// Resident with as many units ready as are kept by default.
    pub(super) ready_mib: f64,
    /// First calls, each of a unit that is in the store alone.
    pub(super) cold_p50_us: f64,
    pub(super) cold_p99_us: f64,
    pub(super) cpu_us_one: f64,
    pub(super) cpu_us_spread: f64,
}

/// What was found of a number of threads.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Threads {
    pub(super) threads: usize,
    pub(super) requests_per_second: f64,
    pub(super) cpu_us: f64,
}

/// All of it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Found {
    pub(super) version: u32,
    pub(super) sizes: Vec<Size>,
    /// With so many switches set.
    pub(super) rules: usize,
    pub(super) cpu_us_rules: f64,
    pub(super) threads: Vec<Threads>,
}

impl Found {
    pub(super) fn table(&self) -> String {
        type Row = (&'static str, usize, fn(&Size) -> f64);
        const ROWS: [Row; 12] = [
            ("endpoints", 0, |size| size.endpoints as f64),
            ("teams", 0, |size| size.teams as f64),
            ("a deploy, ms", 1, |size| size.deploy_ms),
            ("ready after, ms", 0, |size| size.start_ms),
            ("store, MiB", 1, |size| size.store_mib),
            ("memory idle, MiB", 1, |size| size.idle_mib),
            ("  for each more, bytes", 0, |size| size.idle_bytes_each),
            ("memory with units, MiB", 1, |size| size.ready_mib),
            ("cold first call p50, ms", 2, |size| size.cold_p50_us / 1e3),
            ("cold first call p99, ms", 2, |size| size.cold_p99_us / 1e3),
            ("CPU, calls of one, µs", 2, |size| size.cpu_us_one),
            ("CPU, calls of many, µs", 2, |size| size.cpu_us_spread),
        ];
        let mut out = String::new();
        for (name, digits, of) in ROWS {
            let _ = write!(out, "{name:<24}");
            for size in &self.sizes {
                let _ = write!(out, " {:>10.digits$}", of(size));
            }
            out.push('\n');
        }
        let _ = writeln!(out, "\nwith {} switches set: {:.2} µs", self.rules, self.cpu_us_rules);
        for Threads { threads, requests_per_second, cpu_us } in &self.threads {
            let _ = writeln!(out, "{threads} threads: {requests_per_second:.0}/s, {cpu_us:.2} µs");
        }
        out
    }
}
