//! Plans: what is asked of a server, when, and what has to come of it.
//!
//! Invariant: a plan that was read can be played: every name in it means something, every time and rate has a unit,
//! and what is wrong is told with file and line.
//! Not here: playing it (`run`), the single arrivals (`run::schedule`).

pub mod unit;

pub mod fault;

pub mod stage;

pub mod action;

pub mod request;

pub mod template;

pub mod check;

pub mod threshold;

pub mod trace;

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use action::{Action, RawAction};
use fault::{Fault, Source};
use request::{Class, RawClass, RawRequest, Request};
use stage::{RawStage, Shape};
use threshold::{Known, RawThreshold, Threshold};
use trace::{RawReplay, Traced};
use unit::Rate;

/// How long an answer is waited for, where a plan does not say.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Requests that may be under way at one time, where a plan does not say.
const CONNECTIONS: usize = 1_000;
/// What is counted together, where a plan does not say.
const INTERVAL: Duration = Duration::from_secs(1);

/// A plan.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// How long an answer is waited for, and how long a request waits to be sent.
    pub timeout: Duration,
    /// Connections at one time; with HTTP/2, requests under way.
    pub connections: usize,
    /// What is counted together.
    pub interval: Duration,
    /// What begins before this time is calm, and what begins later is compared with it.
    pub calm: Option<Duration>,
    /// Whether arrivals come one by one at even distances, or as independent clients make them.
    pub arrivals: Arrivals,
    /// What chance follows from.
    pub seed: u64,
    /// The rate.
    pub shape: Shape,
    /// What was recorded and is played again.
    pub trace: Vec<Traced>,
    /// What is asked.
    pub requests: Vec<Request>,
    /// By which devices.
    pub classes: Vec<Class>,
    /// What is done to the server meanwhile.
    pub actions: Vec<Action>,
    /// What has to come of it.
    pub thresholds: Vec<Threshold>,
}

/// How arrivals are spread within a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// At even distances.
    #[default]
    Even,
    /// As a Poisson process: as many independent clients would come.
    Random,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlan {
    name: Option<String>,
    timeout: Option<Spanned<String>>,
    connections: Option<Spanned<usize>>,
    interval: Option<Spanned<String>>,
    calm: Option<Spanned<String>>,
    #[serde(default)]
    arrivals: Arrivals,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    stage: Vec<RawStage>,
    replay: Option<Spanned<RawReplay>>,
    #[serde(default)]
    request: Vec<Spanned<RawRequest>>,
    #[serde(default)]
    class: Vec<Spanned<RawClass>>,
    #[serde(default)]
    action: Vec<RawAction>,
    #[serde(default)]
    thresholds: Vec<Spanned<RawThreshold>>,
}

impl Plan {
    /// Reads the plan of a file, and the trace that it names beside it.
    ///
    /// # Errors
    /// It cannot be read, or something in it is wrong.
    pub fn load(path: &Path) -> Result<Self, Fault> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| Fault {
            place: file.clone(),
            problem: format!("cannot be read: {error}"),
            advice: "name a plan; `loadtest get URL` needs none".to_owned(),
        })?;
        let beside = path.parent().unwrap_or(Path::new("")).to_owned();
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Self::read(Source { file: &file, text: &text }, &name, &beside)
    }

    /// Reads a plan from a text.
    ///
    /// # Errors
    /// Something in it is wrong.
    pub fn read(source: Source<'_>, name: &str, beside: &Path) -> Result<Self, Fault> {
        let raw: RawPlan = toml::from_str(source.text).map_err(|error| {
            let advice = "docs/loadtest.md tells every key";
            source.fault(error.span().unwrap_or(0..0), error.message(), advice)
        })?;
        let shape = stage::read(&raw.stage, source)?;
        let mut classes = request::classes(&raw.class, source)?;
        let mut requests = request::read(&raw.request, source)?;
        let trace = match &raw.replay {
            None => Vec::new(),
            Some(replay) if !raw.stage.is_empty() => {
                let advice = "leave out one of them: a trace has its own times";
                return Err(source.fault(replay.span(), "a plan has stages or a replay, not both", advice));
            }
            Some(replay) => trace::load(replay.get_ref(), source, beside, &mut requests, &mut classes)?,
        };
        if shape.pieces.is_empty() && trace.is_empty() {
            return Err(source.whole("the plan asks for nothing", "add a `[[stage]]` with `rate` and `for`"));
        }
        if requests.iter().all(|request| request.weight == 0.0) && trace.is_empty() {
            return Err(source.whole("there is no request", "add a `[[request]]` with a `path`"));
        }
        let length = length(&shape, &trace);
        let actions = action::read(&raw.action, length, source)?;
        let calm = raw.calm.as_ref().map(|text| Ok((text, stage::time(text, source)?))).transpose()?;
        let calm = calm
            .map(|(text, calm)| {
                let advice = "end it in the middle of the plan";
                let is_within = (Duration::from_millis(1)..length).contains(&calm);
                is_within
                    .then_some(calm)
                    .ok_or_else(|| source.fault(text.span(), "nothing comes before or after it", advice))
            })
            .transpose()?;
        let thresholds = thresholds(raw.thresholds, (&requests, &classes), calm, source)?;
        let time = |text: &Option<Spanned<String>>, preset: Duration| {
            text.as_ref().map_or(Ok(preset), |text| {
                let time = stage::time(text, source)?;
                if time < Duration::from_millis(10) {
                    return Err(source.fault(text.span(), "that is too short", "give it 10 ms or more"));
                }
                Ok(time)
            })
        };
        Ok(Self {
            name: raw.name.unwrap_or_else(|| name.to_owned()),
            timeout: time(&raw.timeout, TIMEOUT)?,
            connections: match raw.connections {
                None => CONNECTIONS,
                Some(count) if (1..=60_000).contains(count.get_ref()) => *count.get_ref(),
                Some(count) => {
                    let advice = "a client has 1 to 60000 of them";
                    return Err(source.fault(count.span(), "that is no number of connections", advice));
                }
            },
            interval: time(&raw.interval, INTERVAL)?,
            calm,
            arrivals: raw.arrivals,
            seed: raw.seed,
            shape,
            trace,
            requests,
            classes,
            actions,
            thresholds,
        })
    }

    /// The plan that `loadtest get` plays: one path at one rate.
    pub fn get(path: &str, rate: Rate, length: Duration) -> Self {
        Self {
            name: format!("GET {path}"),
            timeout: TIMEOUT,
            connections: CONNECTIONS,
            interval: INTERVAL,
            calm: None,
            arrivals: Arrivals::Even,
            seed: 0,
            shape: Shape::steady(rate, length),
            trace: Vec::new(),
            requests: vec![Request::get(path)],
            classes: Vec::new(),
            actions: Vec::new(),
            thresholds: Vec::new(),
        }
    }

    /// How long requests are asked for.
    pub fn length(&self) -> Duration {
        length(&self.shape, &self.trace)
    }
}

fn length(shape: &Shape, trace: &[Traced]) -> Duration {
    shape.length().max(trace.last().map_or(Duration::ZERO, |traced| traced.at))
}

fn thresholds(
    raw: Vec<Spanned<RawThreshold>>,
    (requests, classes): (&[Request], &[Class]),
    calm: Option<Duration>,
    source: Source<'_>,
) -> Result<Vec<Threshold>, Fault> {
    let requests_named: Vec<String> = requests.iter().map(|request| request.name.clone()).collect();
    let classes: Vec<String> = classes.iter().map(|class| class.name.clone()).collect();
    let checks: Vec<String> =
        requests.iter().flat_map(|request| &request.checks).map(|check| check.name.clone()).collect();
    let known = Known { requests: &requests_named, classes: &classes, checks: &checks };
    raw.into_iter()
        .map(|raw| {
            let span = raw.span();
            let threshold = threshold::read(&raw.into_inner().placed(span.clone()), known, source)?;
            threshold.fits(calm).map_err(|(problem, advice)| source.fault(span, problem, advice))?;
            Ok(threshold)
        })
        .collect()
}

#[cfg(test)]
mod tests;
