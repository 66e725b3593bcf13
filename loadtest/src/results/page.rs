//! The page: results as one HTML file, with charts over one axis of time.
//!
//! Invariant: it stands alone, loads nothing and runs nothing; each chart is an image of its own, so that its colours
//! do not meet those of another.
//! Not here: how a chart is drawn (`console`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use console::chart::{Axis, Column, HeatMap, Line, LineChart};

use super::{Results, Slot};
use crate::tally::Tally;

/// The metrics of a server that are shown, with what they are.
const METRICS: [(&str, &str); 6] = [
    ("callboard_node_in_flight", "calls under way"),
    ("callboard_lag_seconds", "lag of the most laden thread, in seconds"),
    ("callboard_shed_cutoff", "highest score that is let in"),
    ("callboard_held_bytes", "memory that calls hold, in bytes"),
    ("callboard_switches", "switches that are off"),
    ("callboard_pauses_total", "pauses of refused connections"),
];

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;\
    color-scheme:light dark}img{width:100%;display:block;margin:1.5rem 0}pre{overflow-x:auto;font-size:13px}";

impl Results {
    /// The page.
    pub fn page(&self) -> String {
        let title = escaped(&self.plan);
        let mut out = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n<h1>{title}</h1>\n\
             <p>Began {}.</p>\n<pre>{}</pre>\n",
            escaped(&self.started),
            escaped(&self.table())
        );
        let slots: Vec<(&Slot, Tally)> = self.intervals.iter().map(|slot| (slot, Self::slot(slot))).collect();
        image(&mut out, &self.heat(&slots).svg(), "How long answers took, over time");
        for chart in [Some(self.rates(&slots)), Some(self.quantiles(&slots)), self.refusals(&slots)] {
            chart.iter().for_each(|chart| image(&mut out, &chart.svg(), &chart.title));
        }
        for (metric, what) in METRICS {
            if self.metrics.iter().any(|sample| sample.values.contains_key(metric)) {
                let point = |sample: &super::Sample| {
                    (sample.at, sample.values.get(metric).copied().unwrap_or(f64::NAN))
                };
                let points = self.metrics.iter().map(point).collect();
                let description = "What the server told of itself, each second.";
                let chart = self.chart(metric, description, what, vec![line(metric, points)]);
                image(&mut out, &chart.svg(), metric);
            }
        }
        out.push_str("</html>\n");
        out
    }

    fn heat(&self, slots: &[(&Slot, Tally)]) -> HeatMap {
        let columns = slots.iter().map(|(slot, tally)| Column {
            at: slot.at,
            counts: tally.times.iter().map(|(micros, count)| (micros.max(1) as f64 / 1e3, count)).collect(),
        });
        HeatMap {
            title: "How long answers took".into(),
            description:
                "By when a request was meant to begin. A stall is a slope: who came at its beginning waited \
                          longest. Refusals are left out."
                    .into(),
            x: self.time(),
            label: "milliseconds".into(),
            width: self.interval,
            columns: columns.collect(),
        }
    }

    fn rates(&self, slots: &[(&Slot, Tally)]) -> LineChart {
        let points = |value: &dyn Fn(&Slot, &Tally) -> u64| {
            slots.iter().map(|(slot, tally)| (slot.at, value(slot, tally) as f64 / self.interval)).collect()
        };
        let lines = vec![
            Line { dashed: true, ..line("asked", points(&|_, tally| tally.asked)) },
            line("ended", points(&|slot, _| slot.ended)),
            line("errors", points(&|_, tally| tally.errors)),
        ];
        let description = "Requests that were asked for and that ended in each second.";
        self.chart("What was asked and what ended", description, "requests a second", lines)
    }

    fn quantiles(&self, slots: &[(&Slot, Tally)]) -> LineChart {
        let points = |quantile: f64| {
            let value =
                |tally: &Tally| tally.times.quantile(quantile).map_or(f64::NAN, |seconds| seconds * 1e3);
            slots.iter().map(|(slot, tally)| (slot.at, value(tally))).collect()
        };
        let lines = [("max", 1.0), ("p99", 0.99), ("p50", 0.5)];
        let lines = lines.map(|(name, quantile)| line(name, points(quantile))).into();
        let description = "From when a request was meant to begin to the end of its answer.";
        self.chart("Time to the answer", description, "milliseconds", lines)
    }

    fn refusals(&self, slots: &[(&Slot, Tally)]) -> Option<LineChart> {
        let count =
            |counts: &BTreeMap<String, u64>, code: &str| counts.get(code).copied().unwrap_or(0) as f64;
        let codes: BTreeSet<&String> = slots.iter().flat_map(|(_, tally)| tally.refused.keys()).collect();
        let lines: Vec<Line> = codes
            .into_iter()
            .map(|code| {
                let rate = |tally: &Tally| count(&tally.refused, code) / self.interval;
                line(code, slots.iter().map(|(slot, tally)| (slot.at, rate(tally))).collect())
            })
            .collect();
        let description = "Refusals in each second, by their code.";
        (!lines.is_empty()).then(|| self.chart("Refusals", description, "refusals a second", lines))
    }

    fn chart(&self, title: &str, description: &str, label: &str, lines: Vec<Line>) -> LineChart {
        LineChart {
            title: title.into(),
            description: description.into(),
            x: self.time(),
            y: Axis::from_zero(label),
            spans: Vec::new(),
            lines,
        }
    }

    /// The axis of all charts.
    fn time(&self) -> Axis {
        let end = self.intervals.last().map_or(self.interval, |slot| slot.at + self.interval);
        Axis::between("seconds", 0.0, end)
    }
}

fn line(name: &str, points: Vec<(f64, f64)>) -> Line {
    Line { name: name.into(), points, dashed: false }
}

fn image(out: &mut String, svg: &str, title: &str) {
    let (title, data) = (escaped(title), STANDARD.encode(svg));
    let _ = writeln!(out, "<img alt=\"{title}\" src=\"data:image/svg+xml;base64,{data}\">");
}

fn escaped(text: &str) -> std::borrow::Cow<'_, str> {
    quick_xml::escape::escape(text)
}
