//! Exposition: what was counted, in the text that scrapers read.
//!
//! Invariant: labels are bounded: endpoints by what a lane counts one by one, outcomes by the codes. Names end
//! in base units.

use std::fmt::Error;
use std::time::Duration;

use actors::metrics::EndpointStats;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use quotas::units::Bytes;

use crate::http::manage::VERSION;

/// The upper bounds of the buckets of calls' durations, in microseconds.
const BUCKETS: [u64; 13] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000,
];
/// The label of the endpoints that are counted together.
const REST: &str = "_rest";

type Labels<'a> = [(&'static str, &'a str); 3];

/// What there is at one time.
#[derive(Debug, Default, Clone)]
pub(super) struct Scrape {
    pub(super) answered: bool,
    pub(super) endpoints: Vec<EndpointStats>,
    pub(super) store: bool,
    pub(super) loaded: bool,
    pub(super) draining: bool,
    pub(super) in_flight: u32,
    pub(super) in_flight_max: u32,
    pub(super) lanes: usize,
    pub(super) lag: Duration,
    pub(super) cutoff: u8,
    pub(super) memory: Bytes,
    pub(super) memory_max: Bytes,
    pub(super) routes: usize,
    pub(super) switches: usize,
    pub(super) switch_hits: Vec<(&'static str, &'static str, u64)>,
    pub(super) unserved: usize,
    pub(super) missing: usize,
    pub(super) nodes: usize,
    pub(super) pauses: u64,
    pub(super) behind_ms: Option<u64>,
    pub(super) events: Vec<(&'static str, u64)>,
    /// Of each rule, the calls that it refused and those that it would have.
    pub(super) rules: Vec<(&'static str, u64, u64)>,
}

impl Scrape {
    /// All of it as text.
    pub(super) fn text(self) -> Result<String, Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut out = String::new();
        text::encode(&mut out, &registry)?;
        Ok(out)
    }

    fn calls(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let help = "Calls that ended, by what became of them";
        let mut family = encoder.encode_descriptor("callboard_calls", help, None, MetricType::Counter)?;
        for stats in &self.endpoints {
            let [team, script, endpoint] = labels(stats);
            for (outcome, count) in &stats.outcomes {
                let labels = [team, script, endpoint, ("outcome", *outcome)];
                family.encode_family(&labels)?.encode_counter::<[(&str, &str); 0], u64, u64>(count, None)?;
            }
        }
        Ok(())
    }

    fn durations(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let help = "How long the calls took that ran";
        let name = "callboard_call_duration";
        let mut family =
            encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for stats in &self.endpoints {
            let count = stats.latency.len();
            let sum = if count == 0 { 0.0 } else { stats.latency.mean() * count as f64 / 1e6 };
            let labels = labels(stats);
            let mut one = family.encode_family(&labels)?;
            one.encode_histogram::<[(&str, &str); 0]>(sum, count, &buckets(stats), None)?;
        }
        Ok(())
    }

    fn counter(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help, unit): (&str, &str, Option<&Unit>),
        value: impl Fn(&EndpointStats) -> f64,
    ) -> Result<(), Error> {
        let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Counter)?;
        for stats in &self.endpoints {
            let labels = labels(stats);
            let mut one = family.encode_family(&labels)?;
            one.encode_counter::<[(&str, &str); 0], f64, f64>(&value(stats), None)?;
        }
        Ok(())
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let encoder = &mut encoder;
        self.calls(encoder)?;
        self.durations(encoder)?;
        let fuel = ("callboard_fuel", "Fuel that scripts burnt", None);
        self.counter(encoder, fuel, |stats| stats.fuel as f64)?;
        let running = ("callboard_running", "Time that scripts held their threads", Some(&Unit::Seconds));
        self.counter(encoder, running, |stats| stats.running.as_secs_f64())?;
        let help = "Answers that were given instead of a refusal or a failure";
        let mut family = encoder.encode_descriptor("callboard_fallbacks", help, None, MetricType::Counter)?;
        for stats in &self.endpoints {
            let [team, script, endpoint] = labels(stats);
            for (source, count) in &stats.fallbacks {
                let labels = [team, script, endpoint, ("source", *source)];
                family.encode_family(&labels)?.encode_counter::<[(&str, &str); 0], u64, u64>(count, None)?;
            }
        }
        let help = "Calls under way, by endpoint";
        let mut family = encoder.encode_descriptor("callboard_in_flight", help, None, MetricType::Gauge)?;
        for stats in &self.endpoints {
            let labels = labels(stats);
            family.encode_family(&labels)?.encode_gauge(&number(stats.in_flight))?;
        }
        for (name, help, value) in [
            ("callboard_node_in_flight", "Calls under way", self.in_flight.into()),
            ("callboard_node_in_flight_max", "Calls that may be under way", self.in_flight_max.into()),
            ("callboard_switches", "Switches that are off", number(self.switches)),
            ("callboard_unserved", "Scripts not served as the store has them", number(self.unserved)),
            ("callboard_missing", "Scripts that are served and that the store lacks", number(self.missing)),
            ("callboard_nodes", "Nodes that are known, with this one", number(self.nodes)),
            ("callboard_routes", "Endpoints that are served", number(self.routes)),
            ("callboard_lanes", "Threads that run scripts", number(self.lanes)),
            (
                "callboard_shed_cutoff",
                "The highest score that the most laden thread lets in",
                self.cutoff.into(),
            ),
            ("callboard_held_bytes", "Memory that all calls hold", number(self.memory.get())),
            ("callboard_held_bytes_max", "Memory that they may hold", number(self.memory_max.get())),
            ("callboard_lanes_answered", "Whether all of them told what they counted", self.answered.into()),
            ("callboard_store_up", "Whether the store answers", self.store.into()),
            ("callboard_loaded", "Whether the scripts were read since the start", self.loaded.into()),
            ("callboard_draining", "Whether the node is about to stop", self.draining.into()),
        ] {
            let value: i64 = value;
            encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)?;
        }
        let (name, help) = ("callboard_lag", "How long what is ready waits for the most laden thread");
        let mut gauge = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?;
        gauge.encode_gauge(&self.lag.as_secs_f64())?;
        if let Some(behind_ms) = self.behind_ms {
            let (name, help) =
                ("callboard_snapshot_age", "Time since the store was last compared with what is served");
            let mut gauge = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?;
            gauge.encode_gauge(&(behind_ms as f64 / 1e3))?;
        }
        let help = "What switches refused, or would have if they did not merely observe, by kind";
        let mut family =
            encoder.encode_descriptor("callboard_switch_hits", help, None, MetricType::Counter)?;
        for (kind, state, count) in &self.switch_hits {
            let labels = [("kind", *kind), ("state", *state)];
            family.encode_family(&labels)?.encode_counter::<[(&str, &str); 0], u64, u64>(count, None)?;
        }
        let help = "How often a connection that was refused again and again was not read for a moment";
        let mut pauses = encoder.encode_descriptor("callboard_pauses", help, None, MetricType::Counter)?;
        pauses.encode_counter::<[(&str, &str); 0], u64, u64>(&self.pauses, None)?;
        let help = "What happened, by kind";
        let mut family = encoder.encode_descriptor("callboard_events", help, None, MetricType::Counter)?;
        for (event, count) in &self.events {
            let event = event.replace(' ', "_");
            let labels = [("event", event.as_str())];
            family.encode_family(&labels)?.encode_counter::<[(&str, &str); 0], u64, u64>(count, None)?;
        }
        let help = "Calls that a quota refused, or would have where it only observes";
        let mut family =
            encoder.encode_descriptor("callboard_quota_refusals", help, None, MetricType::Counter)?;
        for (rule, refused, observed) in &self.rules {
            for (mode, count) in [("enforce", refused), ("observe", observed)] {
                let labels = [("rule", *rule), ("mode", mode)];
                family.encode_family(&labels)?.encode_counter::<[(&str, &str); 0], u64, u64>(count, None)?;
            }
        }
        let mut build =
            encoder.encode_descriptor("callboard_build", "The program", None, MetricType::Info)?;
        build.encode_info(&[("version", VERSION)])
    }
}

fn labels(stats: &EndpointStats) -> Labels<'_> {
    match &stats.endpoint {
        Some(id) => [
            ("team", id.script.team.as_str()),
            ("script", id.script.script.as_str()),
            ("endpoint", id.name.as_str()),
        ],
        None => [("team", REST), ("script", REST), ("endpoint", REST)],
    }
}

/// How many calls fall into each bucket alone, in seconds.
fn buckets(stats: &EndpointStats) -> Vec<(f64, u64)> {
    let mut counts = [0; BUCKETS.len() + 1];
    for recorded in stats.latency.iter_recorded() {
        let place = BUCKETS.partition_point(|bound| *bound < recorded.value_iterated_to());
        counts[place] += recorded.count_at_value();
    }
    let bounds = BUCKETS.iter().map(|micros| *micros as f64 / 1e6).chain([f64::INFINITY]);
    bounds.zip(counts).collect()
}

fn number(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
