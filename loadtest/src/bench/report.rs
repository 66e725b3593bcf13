//! What was found: medians of each way, and what callboard costs beside each way of the others.
//!
//! Invariant: a ratio is taken within a round, of runs that followed each other; then the median of the
//! rounds is shown with the least and the most.

use std::fmt::Write;

use serde::Serialize;

use super::Options;
use super::cpu::Cpus;
use super::job::{JOBS, Job, Server, Way};
use super::load::Run;

/// One run.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The job.
    pub job: &'static str,
    /// How it was done.
    pub way: &'static str,
    /// By which server.
    pub server: Server,
    /// In which round.
    pub round: u32,
    /// What was measured.
    pub run: Run,
}

/// All runs.
#[derive(Debug)]
pub struct Report {
    seconds: u64,
    rounds: u32,
    connections: usize,
    processors: String,
    entries: Vec<Entry>,
}

/// A median with the least and the most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

#[derive(Serialize)]
struct Line {
    job: &'static str,
    way: &'static str,
    server: Server,
    requests: f64,
    requests_per_second: Spread,
    cpu_us_per_request: Spread,
    server_busy: Spread,
    p50_us: Spread,
    p99_us: Spread,
    resident_mib: Spread,
    errors: u64,
}

#[derive(Serialize)]
struct Ratio {
    job: &'static str,
    callboard: &'static str,
    beside: &'static str,
    cpu_per_request: Spread,
}

impl Report {
    /// A report without runs.
    pub fn new(options: &Options, connections: usize, cpus: Cpus) -> Self {
        let Options { seconds, rounds, .. } = *options;
        Self { seconds, rounds, connections, processors: cpus.text(), entries: Vec::new() }
    }

    /// Adds a run.
    pub fn add(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// For a person.
    pub fn table(&self) -> String {
        let Self { seconds, rounds, connections, processors, .. } = self;
        let mut out =
            format!("{rounds} rounds of {seconds} s, {connections} connections; {processors}; no errors\n");
        for job in JOBS.iter().filter(|job| self.entries.iter().any(|entry| entry.job == job.name)) {
            self.job(job, &mut out);
        }
        out
    }

    fn job(&self, job: &Job, out: &mut String) {
        let head = ["requests/s", "CPU µs/req", "busy %", "p50 µs", "p99 µs", "memory MiB"];
        let _ = write!(out, "\n{:<24}", job.name);
        for title in head {
            let _ = write!(out, " {title:>12}");
        }
        out.push('\n');
        for line in self.lines(job) {
            let _ = writeln!(
                out,
                "  {:<22} {:>12.0} {:>12.2} {:>12.0} {:>12.0} {:>12.0} {:>12.0}",
                line.way,
                line.requests_per_second.median,
                line.cpu_us_per_request.median,
                line.server_busy.median * 100.0,
                line.p50_us.median,
                line.p99_us.median,
                line.resident_mib.median
            );
        }
        for Ratio { callboard, beside, cpu_per_request: Spread { median, min, max }, .. } in self.ratios(job)
        {
            let pair = format!("{callboard} ÷ {beside}");
            let _ = writeln!(out, "  {pair:<42} {median:.2} × the CPU ({min:.2}–{max:.2})");
        }
    }

    /// For a machine.
    ///
    /// # Errors
    /// A number is none.
    pub fn json(&self) -> serde_json::Result<String> {
        let jobs: Vec<&Job> =
            JOBS.iter().filter(|job| self.entries.iter().any(|entry| entry.job == job.name)).collect();
        let ways: Vec<Line> = jobs.iter().flat_map(|job| self.lines(job)).collect();
        let ratios: Vec<Ratio> = jobs.iter().flat_map(|job| self.ratios(job)).collect();
        serde_json::to_string_pretty(&serde_json::json!({
            "seconds": self.seconds,
            "rounds": self.rounds,
            "connections": self.connections,
            "processors": self.processors,
            "ways": ways,
            "ratios": ratios,
        }))
    }

    fn of<'a>(&'a self, job: &'a Job, way: &'a Way) -> impl Iterator<Item = &'a Entry> {
        self.entries
            .iter()
            .filter(|entry| (entry.job, entry.way, entry.server) == (job.name, way.name, way.server))
    }

    /// Of each way that was run.
    fn lines<'a>(&'a self, job: &'a Job) -> impl Iterator<Item = Line> + 'a {
        self.run(job).map(|way| self.line(job, way))
    }

    fn run<'a>(&'a self, job: &'a Job) -> impl Iterator<Item = &'a Way> {
        job.ways().filter(|way| self.of(job, way).next().is_some())
    }

    fn line(&self, job: &Job, way: &Way) -> Line {
        let spread =
            |of: fn(&Run) -> f64| Spread::of(self.of(job, way).map(|entry| of(&entry.run)).collect());
        Line {
            job: job.name,
            way: way.name,
            server: way.server,
            requests: spread(|run| run.requests as f64).median,
            requests_per_second: spread(Run::rate),
            cpu_us_per_request: spread(Run::cpu_each),
            server_busy: spread(Run::busy),
            p50_us: spread(|run| run.p50.as_secs_f64() * 1e6),
            p99_us: spread(|run| run.p99.as_secs_f64() * 1e6),
            resident_mib: spread(|run| run.resident as f64 / f64::from(1 << 20)),
            // A run with an error ends the bench.
            errors: 0,
        }
    }

    /// Each way of callboard beside each way of the others.
    fn ratios(&self, job: &Job) -> Vec<Ratio> {
        let (ours, others): (Vec<&Way>, Vec<&Way>) =
            self.run(job).partition(|way| way.server == Server::Callboard);
        let mut ratios = Vec::new();
        for ours in ours {
            for other in &others {
                let of_round = |entry: &Entry| {
                    let beside = self.of(job, other).find(|other| other.round == entry.round)?;
                    Some(entry.run.cpu_each() / beside.run.cpu_each())
                };
                ratios.push(Ratio {
                    job: job.name,
                    callboard: ours.name,
                    beside: other.name,
                    cpu_per_request: Spread::of(self.of(job, ours).filter_map(of_round).collect()),
                });
            }
        }
        ratios
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        let median = if values.len() % 2 == 1 {
            at(middle)
        } else {
            f64::midpoint(at(middle.wrapping_sub(1)), at(middle))
        };
        Self { median, min: at(0), max: values.last().copied().unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_spread_is_the_median_with_the_least_and_the_most() {
        for (values, median, min, max) in [
            (vec![], 0.0, 0.0, 0.0),
            (vec![2.0], 2.0, 2.0, 2.0),
            (vec![3.0, 1.0], 2.0, 1.0, 3.0),
            (vec![9.0, 1.0, 2.0], 2.0, 1.0, 9.0),
        ] {
            assert_eq!(Spread::of(values), Spread { median, min, max });
        }
    }

    #[test]
    fn a_ratio_is_taken_within_a_round() {
        let run = |cpu| Run {
            requests: 1_000,
            wall: Duration::from_secs(1),
            cpu: Duration::from_millis(cpu),
            p50: Duration::from_micros(400),
            p99: Duration::from_micros(900),
            resident: 50 << 20,
        };
        let entry = |way, server, round, cpu| Entry { job: "hello", way, server, round, run: run(cpu) };
        let report = Report {
            seconds: 1,
            rounds: 3,
            connections: 32,
            processors: "somewhere".to_owned(),
            entries: vec![
                entry("callboard", Server::Callboard, 1, 15),
                entry("actix-web", Server::Actix, 1, 10),
                entry("callboard", Server::Callboard, 2, 40),
                entry("actix-web", Server::Actix, 2, 20),
                entry("callboard", Server::Callboard, 3, 24),
                entry("actix-web", Server::Actix, 3, 20),
            ],
        };
        let wanted = "3 rounds of 1 s, 32 connections; somewhere; no errors\n\n\
            hello                      requests/s   CPU µs/req       busy %       p50 µs       p99 µs   memory MiB\n  \
            callboard                      1000        24.00            2          400          900           50\n  \
            actix-web                      1000        20.00            2          400          900           50\n  \
            callboard ÷ actix-web                      1.50 × the CPU (1.20–2.00)\n";
        assert_eq!(report.table(), wanted);
        assert!(report.json().unwrap().contains("\"errors\": 0"));
    }
}
