//! The file of results: JSON, with histograms as HdrHistogram's compressed form in base64.
//!
//! Invariant: a file is read strictly: another format, a key that is not known or sums that are not those of the
//! intervals are an error, and what was read and written again is the same.
//! Not here: what the figures mean.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::{FORMAT, Results};
use crate::tally::{Tally, Times};

impl Results {
    /// Reads a file.
    ///
    /// # Errors
    /// It is no such file, or does not add up.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is no file of results", path.display()))
    }

    /// Reads a text.
    ///
    /// # Errors
    /// It is no such text, or does not add up.
    pub fn parse(text: &[u8]) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
        }
        let head: Head = serde_json::from_slice(text)?;
        ensure!(head.format == FORMAT, "its format is `{}`, and this program reads `{FORMAT}`", head.format);
        let read: Self = serde_json::from_slice(text)?;
        ensure!(read.interval > 0.0 && read.interval.is_finite(), "its intervals have no length");
        let is_time = |calm: f64| calm > 0.0 && calm.is_finite();
        ensure!(read.calm.is_none_or(is_time), "its calm is no time");
        let mut summed = read.clone();
        summed.sum_up();
        ensure!(summed.requests == read.requests, "its sums are not those of its intervals");
        Ok(read)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// A figure is no number.
    pub fn json(&self) -> anyhow::Result<String> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }
}

/// A tally as it stands in a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counts {
    asked: u64,
    late: u64,
    waited: u64,
    unsent: u64,
    errors: u64,
    statuses: BTreeMap<u16, u64>,
    refused: BTreeMap<String, u64>,
    transport: BTreeMap<String, u64>,
    checks: BTreeMap<String, u64>,
    #[serde(with = "histogram")]
    latency_us: Times,
    #[serde(with = "histogram")]
    refusal_latency_us: Times,
}

impl Serialize for Tally {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tally = self.clone();
        Counts {
            asked: tally.asked,
            late: tally.late,
            waited: tally.waited,
            unsent: tally.unsent,
            errors: tally.errors,
            statuses: tally.statuses,
            refused: tally.refused,
            transport: tally.transport,
            checks: tally.checks,
            latency_us: tally.times,
            refusal_latency_us: tally.refusal_times,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Tally {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let counts = Counts::deserialize(deserializer)?;
        Ok(Self {
            asked: counts.asked,
            late: counts.late,
            waited: counts.waited,
            unsent: counts.unsent,
            errors: counts.errors,
            statuses: counts.statuses,
            refused: counts.refused,
            transport: counts.transport,
            checks: counts.checks,
            times: counts.latency_us,
            refusal_times: counts.refusal_latency_us,
        })
    }
}

/// Times as a histogram in base64; none are an empty text.
pub(super) mod histogram {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::{Deserializer as Reader, Serializer as _, V2DeflateSerializer};
    use serde::{Deserialize, Deserializer, Serializer, de, ser};

    use crate::tally::Times;

    pub(in super::super) fn serialize<S: Serializer>(
        times: &Times,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        if times.count() > 0 {
            V2DeflateSerializer::new()
                .serialize(&times.histogram(), &mut bytes)
                .map_err(|error| ser::Error::custom(format!("{error:?}")))?;
        }
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Times, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Times::default());
        }
        let bytes = STANDARD.decode(text).map_err(de::Error::custom)?;
        let histogram: Histogram<u64> = Reader::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| de::Error::custom(format!("that is no histogram: {error}")))?;
        Ok(Times::from(&histogram))
    }
}
