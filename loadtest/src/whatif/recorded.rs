//! Recorded arrivals: a trace as `loadtest run` replays it, with what each call used where somebody wrote it down.
//!
//! Invariant: arrivals are in the order of their times, and a line that cannot be read is named.
//! Not here: the lines' form (`plan::trace`).

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use quotas::scope::{ClassName, EndpointId};
use quotas::units::{Bytes, Fuel};

use super::quotas::{Quotas, Use};
use crate::plan::fault::{Fault, Source};
use crate::plan::trace::{self, LIKE};

/// A call that was recorded.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// When, since the trace began.
    pub at: Duration,
    /// Of which endpoint.
    pub endpoint: Rc<EndpointId>,
    /// Of which class of devices.
    pub class: Option<Rc<ClassName>>,
    /// Which client.
    pub client: Rc<str>,
    /// What it used.
    pub used: Use,
}

/// Reads a trace.
///
/// # Errors
/// A line that cannot be read, or a path of which no endpoint is known.
pub fn read(source: Source<'_>, quotas: &Quotas) -> Result<Vec<Arrival>, Fault> {
    let mut arrivals = Vec::new();
    let (mut endpoints, mut classes, mut clients) = (HashMap::new(), HashMap::new(), HashMap::new());
    for line in trace::lines(source) {
        let (number, line) = line?;
        let at = line.at();
        let fault = |problem: String, advice: &str| source.line(number, problem, advice);
        let endpoint = match endpoints.get(&line.path) {
            Some(endpoint) => Rc::clone(endpoint),
            None => {
                let endpoint = quotas.endpoint(&line.path).ok_or_else(|| {
                    let advice = "name it in the table `[route]` of the quotas";
                    fault(format!("of which endpoint `{}` is cannot be known", line.path), advice)
                })?;
                let endpoint = Rc::new(endpoint);
                endpoints.insert(line.path.clone(), Rc::clone(&endpoint));
                endpoint
            }
        };
        let class = match line.class {
            None => None,
            Some(name) if classes.contains_key(&name) => classes.get(&name).map(Rc::clone),
            Some(name) => {
                let class = ClassName::parse(&name).map_err(|error| fault(error.to_string(), LIKE))?;
                Some(Rc::clone(classes.entry(name).or_insert_with(|| Rc::new(class))))
            }
        };
        // Of whom nothing is known, nobody knows that they are the same.
        let client = line.client.unwrap_or_else(|| format!("line {number}"));
        let client: &Rc<str> = clients.entry(client.clone()).or_insert_with(|| client.into());
        let usual = quotas.usual;
        let took = match line.took_ms {
            None => usual.took,
            Some(took) if (0.0..=6e8).contains(&took) => Duration::from_secs_f64(took / 1e3),
            Some(took) => return Err(fault(format!("`{took}` is no time in milliseconds"), LIKE)),
        };
        arrivals.push(Arrival {
            at,
            endpoint,
            class,
            client: Rc::clone(client),
            used: Use {
                took,
                fuel: line.fuel.map_or(usual.fuel, Fuel::new),
                host_calls: line.host_calls.unwrap_or(usual.host_calls),
                bytes: line.bytes.map_or(usual.bytes, Bytes::new),
            },
        });
    }
    if arrivals.is_empty() {
        return Err(source.whole("there is nothing in it", LIKE));
    }
    arrivals.sort_by_key(|arrival| arrival.at);
    Ok(arrivals)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Result<Vec<Arrival>, String> {
        read(Source { file: "trace.txt", text }, &Quotas::default()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn what_a_line_does_not_tell_is_as_usual() {
        let text = "20 /tv/home GET tv\n{\"ms\": 10, \"path\": \"/tv/home\", \"client\": \"a\", \"took_ms\": 1.5, \"fuel\": 7}\n";
        let arrivals = seen(text).unwrap();
        let [first, second] = &arrivals[..] else { panic!("{arrivals:?}") };
        assert_eq!((first.at, &*first.client), (Duration::from_millis(10), "a"));
        let used = Use { took: Duration::from_micros(1_500), fuel: Fuel::new(7), ..Use::default() };
        assert_eq!(first.used, used);
        assert_eq!((second.used, &*second.client), (Use::default(), "line 1"));
        assert_eq!(second.class.as_ref().unwrap().as_str(), "tv");
        assert_eq!(first.endpoint.to_string(), "tv/home/main");
    }

    #[test]
    fn a_line_that_says_too_little_is_named() {
        for (text, wanted) in [
            ("0 /tv\n1 /", "trace.txt:2: of which endpoint `/` is cannot be known"),
            ("0 /tv GET TV", "trace.txt:1: "),
            ("{\"ms\": 1, \"path\": \"/tv\", \"took_ms\": -1}", "trace.txt:1: `-1` is no time"),
            ("# nothing\n", "trace.txt: there is nothing in it"),
        ] {
            let fault = seen(text).unwrap_err();
            assert!(fault.starts_with(wanted), "{fault}");
        }
    }
}
