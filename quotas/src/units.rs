//! Units: the quantities that rules are written in, each a type of its own.
//!
//! Invariant: a value prints as text that parses back to the same value, and a rate or a number of calls in
//! flight is never zero, so that a limit of "none" cannot be written down.
//! Not here: which limits there are (`limits`), what a clock reads: a [`Moment`] is handed in.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::Add;
use std::str::FromStr;
use std::time::Duration;

/// Text that is not the quantity it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: {problem}; write it like `{example}`")]
pub struct ParseUnitError {
    /// What was expected, with its article.
    pub what: &'static str,
    /// The text that was given.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
    /// A text that would have done.
    pub example: &'static str,
}

impl ParseUnitError {
    /// The stable code of this error.
    pub const CODE: &'static str = "unit.invalid";

    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        Self::CODE
    }
}

/// Metered work: what a script burns while it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fuel(u64);

/// A number of bytes, in memory or on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(u64);

/// Calls in a second, at least one and at most one a nanosecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PerSecond(NonZeroU32);

/// Calls that may be alive at one time, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InFlight(NonZeroU32);

/// A point on a monotonic clock that the caller owns, in nanoseconds since a start of the caller's choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Fuel {
    /// So many units of work.
    pub const fn new(units: u64) -> Self {
        Self(units)
    }

    /// The number of units.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl Bytes {
    /// So many bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many KiB; the greatest number of bytes when that is too many to count.
    pub const fn kib(count: u64) -> Self {
        Self(count.saturating_mul(1 << 10))
    }

    /// So many MiB; the greatest number of bytes when that is too many to count.
    pub const fn mib(count: u64) -> Self {
        Self(count.saturating_mul(1 << 20))
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl PerSecond {
    /// The highest rate that can be told apart by a clock of nanoseconds.
    pub const MAX: u32 = 1_000_000_000;

    /// So many calls in a second; nothing for zero or for more than [`PerSecond::MAX`].
    pub const fn new(calls: u32) -> Option<Self> {
        match NonZeroU32::new(calls) {
            Some(calls) if calls.get() <= Self::MAX => Some(Self(calls)),
            _ => None,
        }
    }

    /// The number of calls in a second.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The same number, known not to be zero.
    pub const fn non_zero(self) -> NonZeroU32 {
        self.0
    }

    /// The burst that goes with this rate where none was asked for: a tenth of a second's calls, at least ten.
    pub const fn usual_burst(self) -> NonZeroU32 {
        let tenth = self.get() / 10;
        NonZeroU32::new(if tenth < 10 { 10 } else { tenth }).expect("at least ten")
    }
}

impl InFlight {
    /// So many calls at one time; nothing for zero.
    pub const fn new(calls: u32) -> Option<Self> {
        match NonZeroU32::new(calls) {
            Some(calls) => Some(Self(calls)),
            None => None,
        }
    }

    /// The number of calls.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl Moment {
    /// The point this many nanoseconds after the clock's start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's start.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// This point moved on by a time; the last point there is when that lies beyond it.
    pub fn saturating_add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The time that passed since an earlier point; zero when that point is not earlier.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    /// Saturates, as [`Moment::saturating_add`] does.
    fn add(self, time: Duration) -> Self {
        self.saturating_add(time)
    }
}

/// A quantity of any unit, for sentences in which limits and observations of all kinds stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Amount {
    /// Work.
    Fuel(Fuel),
    /// Memory or bytes on the wire.
    Bytes(Bytes),
    /// A rate.
    Rate(PerSecond),
    /// A time.
    Time(Duration),
    /// A plain number of calls.
    Calls(u64),
}

impl fmt::Display for Fuel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        grouped(self.0, f)
    }
}

impl fmt::Display for Bytes {
    /// In the largest unit in which the number is whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, shift) in BYTE_UNITS {
            if self.0 != 0 && self.0.is_multiple_of(1 << shift) {
                return write!(f, "{}{name}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for PerSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

impl fmt::Display for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ns", self.0)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fuel(fuel) => fuel.fmt(f),
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Rate(rate) => rate.fmt(f),
            Self::Time(time) => write!(f, "{time:?}"),
            Self::Calls(calls) => calls.fmt(f),
        }
    }
}

impl FromStr for Fuel {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        whole(text).map(Self).map_err(wrong("an amount of fuel", text, "2_000_000"))
    }
}

impl FromStr for Bytes {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = wrong("a number of bytes", text, "8MiB");
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let shift = match unit {
            "" | "B" => 0,
            unit => match BYTE_UNITS.iter().find(|(name, _)| *name == unit) {
                Some((_, shift)) => *shift,
                None => return Err(wrong("the unit has to be KiB, MiB, GiB or nothing")),
            },
        };
        let number = whole(number).map_err(&wrong)?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(|| wrong("it is too large"))
    }
}

impl FromStr for PerSecond {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = wrong("a rate", text, "500/s");
        let number = text.strip_suffix("/s").ok_or_else(|| wrong("it has to end in `/s`"))?;
        match whole(number).map_err(&wrong)? {
            0 => Err(wrong("it must not be zero")),
            calls => u32::try_from(calls)
                .ok()
                .and_then(Self::new)
                .ok_or_else(|| wrong("it is more than one call a nanosecond")),
        }
    }
}

impl FromStr for InFlight {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = wrong("a number of calls at one time", text, "64");
        match whole(text).map_err(&wrong)? {
            0 => Err(wrong("it must not be zero")),
            calls => u32::try_from(calls).ok().and_then(Self::new).ok_or_else(|| wrong("it is too large")),
        }
    }
}

impl FromStr for Moment {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = wrong("a point in time", text, "1500ns");
        let number = text.strip_suffix("ns").ok_or_else(|| wrong("it has to end in `ns`"))?;
        whole(number).map(Self).map_err(&wrong)
    }
}

/// Units of bytes and the power of two each stands for, largest first.
const BYTE_UNITS: [(&str, u32); 3] = [("GiB", 30), ("MiB", 20), ("KiB", 10)];

/// Makes the error for one text, given what is wrong with it.
fn wrong<'a>(
    what: &'static str,
    text: &'a str,
    example: &'static str,
) -> impl Fn(&'static str) -> ParseUnitError + 'a {
    move |problem| ParseUnitError { what, text: text.to_owned(), problem, example }
}

/// A whole number, whose digits may be grouped by underscores.
fn whole(text: &str) -> Result<u64, &'static str> {
    if text.is_empty() {
        return Err("there is no number");
    }
    if text.starts_with('_') || text.ends_with('_') {
        return Err("an underscore has to stand between digits");
    }
    let mut number = 0_u64;
    for digit in text.bytes().filter(|byte| *byte != b'_') {
        if !digit.is_ascii_digit() {
            return Err("it has to be a whole number without a sign");
        }
        number = number
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(u64::from(digit - b'0')))
            .ok_or("it is too large")?;
    }
    Ok(number)
}

/// Writes a number with an underscore between every three digits.
fn grouped(number: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(group) = NonZeroU64::new(number / 1000) else { return write!(f, "{number}") };
    grouped(group.get(), f)?;
    write!(f, "_{:03}", number % 1000)
}

#[cfg(test)]
mod tests;
