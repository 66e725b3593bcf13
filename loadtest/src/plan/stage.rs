//! Stages: how many requests are asked for, and when.
//!
//! Invariant: a stage becomes pieces in which the rate is a straight line, one after the other without a gap.
//! Not here: the single arrivals (`schedule`).

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::fault::{Fault, Source};
use super::unit::{self, Rate};

/// A stage as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStage {
    rate: Option<Spanned<String>>,
    ramp_to: Option<Spanned<String>>,
    steps: Option<Spanned<Vec<Spanned<String>>>>,
    burst: Option<Spanned<u32>>,
    every: Option<Spanned<String>>,
    #[serde(rename = "for")]
    length: Spanned<String>,
}

/// A time in which the rate goes along a straight line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece {
    /// When it begins, in seconds since the run began.
    pub begin: f64,
    /// How long it is, in seconds.
    pub length: f64,
    /// Requests in a second at its beginning.
    pub from: f64,
    /// Requests in a second at its end.
    pub to: f64,
}

/// Requests that are asked for all at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    /// When, since the run began.
    pub at: Duration,
    /// How many.
    pub count: u32,
}

/// What all stages ask for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shape {
    /// The rate, piece by piece.
    pub pieces: Vec<Piece>,
    /// What comes on top.
    pub bursts: Vec<Burst>,
}

impl Shape {
    /// One rate for so long.
    pub fn steady(rate: Rate, length: Duration) -> Self {
        let mut shape = Self::default();
        shape.add(rate.0, rate.0, length);
        shape
    }

    /// How long it is.
    pub fn length(&self) -> Duration {
        Duration::from_secs_f64(self.pieces.last().map_or(0.0, |piece| piece.begin + piece.length))
    }

    /// Requests that it asks for, about.
    pub fn requests(&self) -> f64 {
        let even: f64 =
            self.pieces.iter().map(|piece| f64::midpoint(piece.from, piece.to) * piece.length).sum();
        even + self.bursts.iter().map(|burst| f64::from(burst.count)).sum::<f64>()
    }

    fn add(&mut self, from: f64, to: f64, length: Duration) {
        let begin = self.length().as_secs_f64();
        self.pieces.push(Piece { begin, length: length.as_secs_f64(), from, to });
    }
}

/// Reads all stages.
pub(super) fn read(stages: &[RawStage], source: Source<'_>) -> Result<Shape, Fault> {
    let mut shape = Shape::default();
    for stage in stages {
        one(stage, source, &mut shape)?;
    }
    Ok(shape)
}

fn one(stage: &RawStage, source: Source<'_>, shape: &mut Shape) -> Result<(), Fault> {
    let length = time(&stage.length, source)?;
    if length.is_zero() {
        return Err(source.fault(stage.length.span(), "the stage has no length", "give it one, like `10s`"));
    }
    let begin = shape.length();
    if let Some(steps) = &stage.steps {
        if let Some(other) = stage.rate.as_ref().or(stage.ramp_to.as_ref()) {
            let advice = "write the rates of the steps alone; `for` is how long each of them is";
            return Err(source.fault(other.span(), "a stage has steps or a rate, not both", advice));
        }
        if steps.get_ref().is_empty() {
            let advice = "write it like `steps = [\"100/s\", \"200/s\"]`";
            return Err(source.fault(steps.span(), "there is no step", advice));
        }
        for step in steps.get_ref() {
            let rate = rate(step, source)?;
            shape.add(rate, rate, length);
        }
    } else {
        let before = shape.pieces.last().map(|piece| piece.to);
        let from = match (&stage.rate, before) {
            (Some(text), _) => rate(text, source)?,
            (None, Some(before)) if stage.ramp_to.is_some() => before,
            (None, _) if stage.ramp_to.is_some() || stage.burst.is_some() => 0.0,
            (None, _) => {
                let advice = "write `rate`, `ramp_to`, `steps` or `burst` into the stage";
                return Err(source.fault(stage.length.span(), "the stage asks for nothing", advice));
            }
        };
        let to = stage.ramp_to.as_ref().map_or(Ok(from), |text| rate(text, source))?;
        shape.add(from, to, length);
    }
    let whole = shape.length() - begin;
    match (&stage.burst, &stage.every) {
        (None, None) => {}
        (None, Some(every)) => {
            let advice = "say how many: `burst = 500`";
            return Err(source.fault(every.span(), "`every` is for bursts, and there is none", advice));
        }
        (Some(burst), None) => shape.bursts.push(Burst { at: begin, count: *burst.get_ref() }),
        (Some(burst), Some(text)) => {
            let every = time(text, source)?;
            if every < Duration::from_millis(1) {
                let advice = "use a rate instead";
                return Err(source.fault(text.span(), "bursts come at most every millisecond", advice));
            }
            let mut at = Duration::ZERO;
            while at < whole {
                shape.bursts.push(Burst { at: begin + at, count: *burst.get_ref() });
                at += every;
            }
        }
    }
    Ok(())
}

/// A time of the plan.
pub(super) fn time(text: &Spanned<String>, source: Source<'_>) -> Result<Duration, Fault> {
    unit::time(text.get_ref())
        .map_err(|error| source.fault(text.span(), error, "a time is a number with a unit"))
}

fn rate(text: &Spanned<String>, source: Source<'_>) -> Result<f64, Fault> {
    let rate: Result<Rate, _> = text.get_ref().parse();
    rate.map(|rate| rate.0).map_err(|error| source.fault(text.span(), error, "a rate is a number by a time"))
}
