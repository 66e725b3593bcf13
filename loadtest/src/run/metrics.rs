//! The server's own metrics, read each second while a run goes on.
//!
//! Invariant: a server that does not answer costs a sample and never the run.
//! Not here: what is shown of them (`results::page`).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};

use super::wire::{Sender, Target};
use crate::results::Sample;

/// How often they are read.
const EVERY: Duration = Duration::from_secs(1);
/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest text that is read.
const TEXT_MAX: usize = 16 * 1024 * 1024;
/// Where the token is read from.
pub const TOKEN: &str = "CALLBOARD_TOKEN";

/// Reads them for ever.
pub async fn sample(target: Target, began: Instant, samples: &std::cell::RefCell<Vec<Sample>>) {
    let mut next = tokio::time::interval(EVERY);
    let mut complained = false;
    loop {
        next.tick().await;
        let at = began.elapsed().as_secs_f64();
        match tokio::time::timeout(PATIENCE, read(&target)).await {
            Ok(Ok(text)) => samples.borrow_mut().push(Sample { at, values: values(&text) }),
            Ok(Err(error)) if !complained => {
                eprintln!("no metrics: {error:#}");
                complained = true;
            }
            _ => {}
        }
    }
}

async fn read(target: &Target) -> anyhow::Result<String> {
    let Sender::One(mut sender) = Sender::open(target).await? else {
        anyhow::bail!("that is HTTP/1.1 alone")
    };
    let path = if target.prefix.is_empty() { "/metrics" } else { &target.prefix };
    let mut request = Request::get(path).header(HOST, target.authority.as_str());
    if let Ok(token) = std::env::var(TOKEN) {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let answer = sender.send_request(request.body(Full::<Bytes>::default())?).await?;
    anyhow::ensure!(answer.status() == StatusCode::OK, "{path} was answered with {}", answer.status());
    let body =
        Limited::new(answer.into_body(), TEXT_MAX).collect().await.map_err(|error| anyhow::anyhow!(error))?;
    Ok(String::from_utf8(body.to_bytes().into())?)
}

/// Each metric of an OpenMetrics text, summed over its labels. Buckets are left out.
fn values(text: &str) -> BTreeMap<String, f64> {
    let mut values = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some(end) = line.find(['{', ' ']) else { continue };
        let (name, rest) = line.split_at(end);
        // A label's value may hold a brace, and no number does.
        let rest = rest.rsplit_once('}').map_or(rest, |(_, after)| after);
        let value = rest.split_whitespace().next().and_then(|number| number.parse::<f64>().ok());
        if let Some(value) = value.filter(|value| value.is_finite())
            && !name.ends_with("_bucket")
        {
            *values.entry(name.to_owned()).or_default() += value;
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let text = "# HELP a b\na_total{team=\"x}\",b=\"1\"} 3\na_total{team=\"y\"} 4 1700000000\nlag_seconds 0.25\n\
            d_bucket{le=\"1\"} 5\nd_count 5\nbad NaN\nworse\n# EOF\n";
        let wanted = [("a_total", 7.0), ("d_count", 5.0), ("lag_seconds", 0.25)];
        assert_eq!(values(text), wanted.map(|(name, value)| (name.to_owned(), value)).into());
    }
}
