//! Actions: programs that are run while a plan is played, to do something to the server: deploy, flip a switch, stop a
//! process.
//!
//! Invariant: when each is run is known before the first request.
//! Not here: running them (`run::actions`), and whether they may be.

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::fault::{Fault, Source};
use super::stage;

/// How often one action is run at most.
const TIMES_MAX: u32 = 10_000;

/// An action as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAction {
    name: Option<String>,
    at: Spanned<String>,
    every: Option<Spanned<String>>,
    times: Option<Spanned<u32>>,
    run: Spanned<Vec<String>>,
}

/// An action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Its name.
    pub name: String,
    /// The program and its arguments.
    pub run: Vec<String>,
    /// When, since the run began.
    pub times: Vec<Duration>,
}

/// Reads the actions of a plan of this length.
pub(super) fn read(raw: &[RawAction], length: Duration, source: Source<'_>) -> Result<Vec<Action>, Fault> {
    raw.iter().map(|raw| one(raw, length, source)).collect()
}

fn one(raw: &RawAction, length: Duration, source: Source<'_>) -> Result<Action, Fault> {
    let Some(program) = raw.run.get_ref().first() else {
        let advice = "name a program and its arguments, like `[\"callboard\", \"switch\", \"list\"]`";
        return Err(source.fault(raw.run.span(), "there is nothing to run", advice));
    };
    let at = stage::time(&raw.at, source)?;
    if at > length {
        return Err(source.fault(raw.at.span(), "the plan is over before that", "give it an earlier time"));
    }
    let most = match &raw.times {
        None => TIMES_MAX,
        Some(times) if (1..=TIMES_MAX).contains(times.get_ref()) => *times.get_ref(),
        Some(times) => {
            let advice = format!("it is run 1 to {TIMES_MAX} times");
            return Err(source.fault(times.span(), "that is no number of times", advice));
        }
    };
    let times = match &raw.every {
        None if raw.times.is_some() => {
            let span = raw.times.as_ref().map_or(0..0, Spanned::span);
            return Err(source.fault(span, "it is not said when it is run again", "add `every`"));
        }
        None => vec![at],
        Some(every) => {
            let gap = stage::time(every, source)?;
            if gap < Duration::from_millis(10) {
                return Err(source.fault(every.span(), "that is too short", "give it 10 ms or more"));
            }
            (0..most).map(|nth| at + gap * nth).take_while(|at| *at <= length).collect()
        }
    };
    Ok(Action {
        name: raw.name.clone().unwrap_or_else(|| program.clone()),
        run: raw.run.get_ref().clone(),
        times,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Plan;
    use super::*;

    fn actions(text: &str) -> Result<Vec<Action>, String> {
        let rest = "[[stage]]\nrate = \"1/s\"\nfor = \"10s\"\n[[request]]\npath = \"/\"\n";
        let text = format!("{text}{rest}");
        Plan::read(Source { file: "plan.toml", text: &text }, "plan", std::path::Path::new(""))
            .map(|plan| plan.actions)
            .map_err(|fault| fault.to_string())
    }

    #[test]
    fn an_action_is_run_once_or_again_and_again_until_the_plan_is_over() {
        let text = "[[action]]\nat = \"4s\"\nrun = [\"true\"]\n[[action]]\nname = \"again\"\nat = \"1s\"\nevery = \"4s\"\n\
            run = [\"sleep\", \"0\"]\n[[action]]\nat = \"0s\"\nevery = \"1s\"\ntimes = 3\nrun = [\"true\"]\n";
        let seen: Vec<(String, Vec<u64>)> = actions(text)
            .unwrap()
            .into_iter()
            .map(|action| (action.name, action.times.iter().map(Duration::as_secs).collect()))
            .collect();
        let wanted = [("true", vec![4]), ("again", vec![1, 5, 9]), ("true", vec![0, 1, 2])];
        assert_eq!(seen, wanted.map(|(name, times)| (name.to_owned(), times)));
    }

    #[test]
    fn what_is_wrong_with_an_action_is_named() {
        for (text, wanted) in [
            ("at = \"1s\"\nrun = []\n", "plan.toml:3:7: there is nothing to run"),
            ("at = \"11s\"\nrun = [\"true\"]\n", "plan.toml:2:6: the plan is over before that"),
            ("at = \"1s\"\ntimes = 2\nrun = [\"true\"]\n", "plan.toml:3:9: it is not said when"),
            (
                "at = \"1s\"\nevery = \"1s\"\ntimes = 0\nrun = [\"true\"]\n",
                "plan.toml:4:9: that is no number of times",
            ),
            ("at = \"1s\"\nevery = \"1ms\"\nrun = [\"true\"]\n", "plan.toml:3:9: that is too short"),
            ("at = 1\nrun = [\"true\"]\n", "plan.toml:2:6: "),
        ] {
            let fault = actions(&format!("[[action]]\n{text}")).unwrap_err();
            assert!(fault.starts_with(wanted), "{fault}");
        }
    }
}
