//! Thresholds: what a run has to reach, written as a sentence: `p99 < 20ms`.
//!
//! Invariant: a threshold that names what there is not is refused when it is read; one that cannot be missed by a
//! mistake of spelling.
//! Not here: what came out (`results`).

use std::fmt;
use std::time::Duration;

use serde::de::{self, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::fault::{Fault, Source};
use super::stage::time;
use super::unit::{self, Rate};

/// Kinds of what can go wrong on the way, as [`Metric::Transport`] names them.
pub const TRANSPORT: [&str; 5] = ["connect", "timeout", "closed", "protocol", "too_large"];

/// A threshold as it is written: the sentence alone, or with what belongs to it.
#[derive(Debug)]
pub(super) struct RawThreshold {
    that: Spanned<String>,
    of: Option<Spanned<String>>,
    abort: bool,
    after: Option<Spanned<String>>,
}

/// What has to hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// The sentence, as it was written.
    pub text: String,
    /// What is looked at.
    pub metric: Metric,
    /// How it is compared.
    pub compare: Compare,
    /// With what, in the metric's unit: seconds, requests, requests in a second or, where it is a
    /// [`share`](Self::share), percent of what was asked for.
    pub bound: f64,
    /// Whether the number is a share of what was asked for.
    pub share: bool,
    /// Whose; everybody's where it is nobody's.
    pub of: Option<Subject>,
    /// Whether the run ends when it does not hold.
    pub abort: bool,
    /// From when on that is looked at.
    pub after: Duration,
}

/// Whom a threshold is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A request of the plan, by its number.
    Request(usize),
    /// A class of devices, by its number.
    Class(usize),
}

/// What a threshold looks at.
#[derive(Debug, Clone, PartialEq)]
pub enum Metric {
    /// A quantile of the time to an answer, between 0 and 1.
    Quantile(f64),
    /// The longest time.
    Max,
    /// The mean time.
    Mean,
    /// Answers in a second, without refusals.
    Rate,
    /// Requests that went wrong, whatever way.
    Errors,
    /// Refusals, all or those with a code.
    Refused(Option<String>),
    /// Answers with a status.
    Status(u16),
    /// Requests without an answer, all or of one kind.
    Transport(Option<&'static str>),
    /// Checks that did not hold, all or those of a name.
    Checks(Option<String>),
    /// Requests that were sent later than meant.
    Late,
    /// Requests that were not sent.
    Unsent,
    /// The p99 in calm, divided by the p99 after it; at most 1.
    Isolation,
}

/// How two numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
}

impl Compare {
    /// Whether it holds.
    pub fn holds(self, found: f64, bound: f64) -> bool {
        match self {
            Self::Less => found < bound,
            Self::AtMost => found <= bound,
            Self::More => found > bound,
            Self::AtLeast => found >= bound,
            Self::Equal => (found - bound).abs() < 1e-9,
        }
    }
}

impl Threshold {
    /// Whether a plan with so much calm can tell; otherwise what is wrong, and what to do.
    pub(super) fn fits(&self, calm: Option<Duration>) -> Result<(), (&'static str, &'static str)> {
        if self.metric != Metric::Isolation {
            return Ok(());
        }
        if calm.is_none() {
            return Err((
                "isolation compares with calm, and the plan has none",
                "add `calm = \"10s\"` to the plan",
            ));
        }
        if !matches!(self.of, Some(Subject::Request(_))) {
            return Err(("isolation is that of one request", "name it: `of = \"home\"`"));
        }
        if self.abort {
            return Err(("isolation is known when the run is over", "leave out `abort`"));
        }
        Ok(())
    }
}

/// What a threshold can name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) requests: &'a [String],
    pub(super) classes: &'a [String],
    pub(super) checks: &'a [String],
}

const SENTENCE: &str =
    "write it like `p99 < 20ms`, `errors < 0.1%`, `refused.rate.exceeded == 0` or `rate >= 490/s`";

/// Reads a threshold.
pub(super) fn read(raw: &RawThreshold, known: Known<'_>, source: Source<'_>) -> Result<Threshold, Fault> {
    let text = raw.that.get_ref();
    let fault = |problem: String, advice: &str| source.fault(raw.that.span(), problem, advice);
    let (found, rest) = text
        .find(['<', '>', '='])
        .map(|at| text.split_at(at))
        .ok_or_else(|| fault(format!("`{text}` compares nothing"), SENTENCE))?;
    let (compare, bound) = [
        ("<=", Compare::AtMost),
        (">=", Compare::AtLeast),
        ("==", Compare::Equal),
        ("<", Compare::Less),
        (">", Compare::More),
    ]
    .into_iter()
    .find_map(|(sign, compare)| rest.strip_prefix(sign).map(|bound| (compare, bound.trim())))
    .ok_or_else(|| fault(format!("`{text}` compares nothing"), SENTENCE))?;
    let metric = metric(found.trim(), known).map_err(|(problem, advice)| fault(problem, advice.as_str()))?;
    let wrong = |what: &str| fault(format!("`{bound}` is no bound for `{}`", found.trim()), what);
    let (bound, share) = match metric {
        Metric::Quantile(_) | Metric::Max | Metric::Mean => {
            (unit::time(bound).map_err(|_| wrong("a time has a unit: `20ms`"))?.as_secs_f64(), false)
        }
        Metric::Isolation => match unit::split(bound) {
            Some((number, "")) if (0.0..=1.0).contains(&number) => (number, false),
            _ => {
                return Err(wrong(
                    "write a number from 0 to 1: `isolation >= 0.5` bears twice the p99 of calm",
                ));
            }
        },
        Metric::Rate => (bound.parse::<Rate>().map_err(|_| wrong("a rate has a unit: `490/s`"))?.0, false),
        _ => match unit::split(bound) {
            Some((number, "")) => (number, false),
            Some((number, "%")) => (number, true),
            _ => return Err(wrong("write a number, or a share of what was asked for: `0.1%`")),
        },
    };
    if !raw.abort
        && let Some(after) = &raw.after
    {
        return Err(source.fault(after.span(), "`after` is for `abort = true`", "add that, or leave it out"));
    }
    let of = raw.of.as_ref().map(|name| subject(name, known, source)).transpose()?;
    Ok(Threshold {
        text: text.clone(),
        metric,
        compare,
        bound,
        share,
        of,
        abort: raw.abort,
        after: raw.after.as_ref().map_or(Ok(Duration::ZERO), |after| time(after, source))?,
    })
}

/// Reads a threshold again that was read once: names in it are taken as they are.
///
/// # Errors
/// It is no threshold.
pub fn again(text: &str) -> Result<Threshold, Fault> {
    let that = Spanned::new(0..0, text.to_owned());
    let raw = RawThreshold { that, of: None, abort: false, after: None };
    let named = text.split(['<', '>', '=']).next().and_then(|metric| metric.trim().strip_prefix("checks."));
    let checks: Vec<String> = named.map(str::to_owned).into_iter().collect();
    let known = Known { requests: &[], classes: &[], checks: &checks };
    read(&raw, known, Source { file: "a threshold of the results", text: "" })
}

fn subject(name: &Spanned<String>, known: Known<'_>, source: Source<'_>) -> Result<Subject, Fault> {
    let place = |names: &[String]| names.iter().position(|known| known == name.get_ref());
    if let Some(request) = place(known.requests) {
        return Ok(Subject::Request(request));
    }
    if let Some(class) = place(known.classes) {
        return Ok(Subject::Class(class));
    }
    let names: Vec<&str> = known.requests.iter().chain(known.classes).map(String::as_str).collect();
    Err(source.fault(
        name.span(),
        format!("there is no request and no class `{}`", name.get_ref()),
        format!("there are: {}", names.join(", ")),
    ))
}

fn metric(text: &str, known: Known<'_>) -> Result<Metric, (String, String)> {
    let (head, tail) = text.split_once('.').map_or((text, None), |(head, tail)| (head, Some(tail)));
    let one_of = |what: &str, names: &[&str]| {
        (
            format!("there is no {what} `{}`", tail.unwrap_or_default()),
            format!("there are: {}", names.join(", ")),
        )
    };
    let unknown = || {
        let all =
            "pN, max, mean, rate, errors, refused, status.N, transport, checks, late, unsent, isolation";
        (format!("there is nothing called `{text}`"), format!("there are: {all}"))
    };
    Ok(match (head, tail) {
        ("max", None) => Metric::Max,
        ("mean", None) => Metric::Mean,
        ("rate", None) => Metric::Rate,
        ("errors", None) => Metric::Errors,
        ("late", None) => Metric::Late,
        ("unsent", None) => Metric::Unsent,
        ("isolation", None) => Metric::Isolation,
        ("refused", None) => Metric::Refused(None),
        ("refused", Some(code)) => {
            let code = api::codes::find(code).ok_or_else(|| {
                let family = code.split('.').next().unwrap_or_default();
                let all = || api::codes::CODES.iter().map(|code| code.code);
                let near: Vec<&str> = all().filter(|code| code.split('.').next() == Some(family)).collect();
                one_of("code", &if near.is_empty() { all().collect() } else { near })
            })?;
            Metric::Refused(Some(code.code.to_owned()))
        }
        ("status", Some(status)) => match status.parse::<u16>() {
            Ok(status @ 100..=999) => Metric::Status(status),
            _ => return Err((format!("`{status}` is no status"), "write it like `status.503`".to_owned())),
        },
        ("transport", None) => Metric::Transport(None),
        ("transport", Some(kind)) => {
            let kind = TRANSPORT.into_iter().find(|known| *known == kind);
            Metric::Transport(Some(kind.ok_or_else(|| one_of("transport error", &TRANSPORT))?))
        }
        ("checks", None) => Metric::Checks(None),
        ("checks", Some(name)) => {
            let names: Vec<&str> = known.checks.iter().map(String::as_str).collect();
            if !names.contains(&name) {
                return Err(one_of("check", &names));
            }
            Metric::Checks(Some(name.to_owned()))
        }
        _ => match text.strip_prefix('p').and_then(|digits| digits.parse::<f64>().ok()) {
            Some(percent) if percent > 0.0 && percent < 100.0 => Metric::Quantile(percent / 100.0),
            _ => return Err(unknown()),
        },
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Long {
    that: Spanned<String>,
    of: Option<Spanned<String>>,
    #[serde(default)]
    abort: bool,
    after: Option<Spanned<String>>,
}

impl<'de> Deserialize<'de> for RawThreshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = RawThreshold;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sentence like \"p99 < 20ms\", or a table with `that`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawThreshold, E> {
                // The place is that of the whole, which who reads the list knows.
                let that = Spanned::new(0..0, text.to_owned());
                Ok(RawThreshold { that, of: None, abort: false, after: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawThreshold, A::Error> {
                let Long { that, of, abort, after } = Long::deserialize(MapAccessDeserializer::new(map))?;
                Ok(RawThreshold { that, of, abort, after })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl RawThreshold {
    /// The threshold with its place in the list, where it has none of its own.
    pub(super) fn placed(mut self, span: std::ops::Range<usize>) -> Self {
        if self.that.span().is_empty() {
            self.that = Spanned::new(span, self.that.into_inner());
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(text: &str) -> Result<Threshold, String> {
        let raw =
            RawThreshold { that: Spanned::new(0..0, text.to_owned()), of: None, abort: false, after: None };
        let checks = ["has-rows".to_owned()];
        let known = Known { requests: &[], classes: &[], checks: &checks };
        read(&raw, known, Source { file: "plan.toml", text: "" }).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_sentence_is_a_metric_a_comparison_and_a_bound() {
        for (text, metric, compare, bound, share) in [
            ("p99 < 20ms", Metric::Quantile(0.99), Compare::Less, 0.02, false),
            ("p99.9<=1s", Metric::Quantile(0.999), Compare::AtMost, 1.0, false),
            ("max < 2s", Metric::Max, Compare::Less, 2.0, false),
            ("rate >= 490/s", Metric::Rate, Compare::AtLeast, 490.0, false),
            ("errors < 0.1%", Metric::Errors, Compare::Less, 0.1, true),
            (
                "refused.rate.exceeded == 0",
                Metric::Refused(Some("rate.exceeded".into())),
                Compare::Equal,
                0.0,
                false,
            ),
            ("refused > 5%", Metric::Refused(None), Compare::More, 5.0, true),
            ("status.503 < 10", Metric::Status(503), Compare::Less, 10.0, false),
            ("transport.timeout == 0", Metric::Transport(Some("timeout")), Compare::Equal, 0.0, false),
            ("checks.has-rows == 0", Metric::Checks(Some("has-rows".into())), Compare::Equal, 0.0, false),
        ] {
            let read = read_one(text).unwrap();
            assert!((read.bound - bound).abs() < 1e-12, "{text}");
            if let (Metric::Quantile(one), Metric::Quantile(other)) = (&read.metric, &metric) {
                assert!((one - other).abs() < 1e-12, "{text}");
            } else {
                assert_eq!(read.metric, metric, "{text}");
            }
            assert_eq!((read.compare, read.share), (compare, share), "{text}");
        }
    }

    #[test]
    fn what_there_is_not_is_refused_with_what_there_is() {
        for (text, problem) in [
            ("p99", "`p99` compares nothing"),
            ("p99 = 20ms", "`p99 = 20ms` compares nothing"),
            ("p100 < 1s", "there is nothing called `p100`"),
            ("p99 < 20", "`20` is no bound for `p99`"),
            ("p99 < 20%", "`20%` is no bound for `p99`"),
            ("rate > 5", "`5` is no bound for `rate`"),
            ("errors < 5ms", "`5ms` is no bound for `errors`"),
            ("refusd == 0", "there is nothing called `refusd`"),
            ("refused.rate.exceded == 0", "there is no code `rate.exceded`"),
            ("checks.has-row == 0", "there is no check `has-row`"),
            ("transport.slow == 0", "there is no transport error `slow`"),
            ("status.5xx == 0", "`5xx` is no status"),
        ] {
            let fault = read_one(text).unwrap_err();
            assert!(fault.starts_with(&format!("plan.toml:1:1: {problem}\n  ")), "{fault}");
        }
        assert!(read_one("refused.rate.exceded == 0").unwrap_err().ends_with("there are: rate.exceeded"));
    }
}
