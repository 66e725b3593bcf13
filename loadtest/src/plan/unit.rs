//! Units: times and rates as a plan writes them.
//!
//! Invariant: a number without its unit is refused, since nobody knows afterwards what was meant.
//! Not here: where in a file a text stood (`fault`).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Requests in a second.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rate(pub f64);

/// A text that is no time or no rate, said so that it can be put right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}; write it like {like}")]
pub struct NoUnit {
    text: String,
    what: &'static str,
    like: &'static str,
}

/// Reads `250us`, `20ms`, `1.5s`, `10m` or `2h`.
///
/// # Errors
/// It is none of these, or longer than a week.
pub fn time(text: &str) -> Result<Duration, NoUnit> {
    let fault = || NoUnit { text: text.to_owned(), what: "time", like: "`20ms`, `1.5s` or `10m`" };
    let (number, unit) = split(text).ok_or_else(fault)?;
    let seconds = match unit {
        "us" | "µs" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3_600.0,
        _ => return Err(fault()),
    };
    if seconds > 7.0 * 86_400.0 {
        return Err(fault());
    }
    Ok(Duration::from_nanos((seconds * 1e9).round() as u64))
}

impl FromStr for Rate {
    type Err = NoUnit;

    fn from_str(text: &str) -> Result<Self, NoUnit> {
        let fault = || NoUnit { text: text.to_owned(), what: "rate", like: "`500/s`, `30/m` or `2/h`" };
        let (number, unit) = split(text).ok_or_else(fault)?;
        let per = match unit {
            "/s" => 1.0,
            "/m" => 60.0,
            "/h" => 3_600.0,
            _ => return Err(fault()),
        };
        if number > 10_000_000.0 {
            return Err(fault());
        }
        Ok(Self(number / per))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

/// A number that is at least zero, with what follows it.
pub(super) fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let number = digits.replace('_', "").parse::<f64>().ok()?;
    number.is_finite().then_some((number, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        for (text, wanted) in [
            ("250us", Some(Duration::from_micros(250))),
            ("20ms", Some(Duration::from_millis(20))),
            ("1.5s", Some(Duration::from_millis(1_500))),
            ("10m", Some(Duration::from_secs(600))),
            ("2 h", Some(Duration::from_secs(7_200))),
            ("20", None),
            ("ms", None),
            ("-1s", None),
            ("1sec", None),
            ("1.2.3s", None),
            ("9999h", None),
        ] {
            assert_eq!(time(text).ok(), wanted, "{text}");
        }
        assert_eq!(
            time("20").unwrap_err().to_string(),
            "`20` is no time; write it like `20ms`, `1.5s` or `10m`"
        );
    }

    #[test]
    fn a_rate_says_of_what_time() {
        for (text, wanted) in [
            ("500/s", Some(500.0)),
            ("1_000 /s", Some(1_000.0)),
            ("30/m", Some(0.5)),
            ("0/s", Some(0.0)),
            ("500", None),
            ("500/d", None),
            ("/s", None),
            ("99999999/s", None),
        ] {
            assert_eq!(text.parse::<Rate>().ok().map(|rate| rate.0), wanted, "{text}");
        }
    }
}
