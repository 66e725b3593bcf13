//! Tally: how many experiments were tried, which were lost, and of what.
//!
//! Invariant: groups run one after the other, whatever the test runner does: they would disturb each other.

use std::fmt;
use std::io::Write;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::experiment::{Experiment, Skipped};
use super::machine::Used;
use super::stage::Stage;

/// What an experiment that is not survived costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something acknowledged is gone, or something is there by half.
    Data,
    /// Who should be answered is not.
    Availability,
    /// It reaches somebody whom it has nothing to do with.
    Isolation,
    /// The wrong one is held to be guilty, or what is said does not help.
    Blame,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Data => "data",
            Self::Availability => "availability",
            Self::Isolation => "isolation",
            Self::Blame => "blame",
        })
    }
}

/// What became of an experiment.
#[derive(Debug)]
pub struct Outcome {
    /// Its name.
    pub name: &'static str,
    /// What was lost, and how that showed; nothing where it was survived.
    pub lost: Vec<(Kind, String)>,
    /// Why it could not be done here.
    pub skipped: Option<Skipped>,
}

impl Outcome {
    fn may_be_the_machines(&self) -> bool {
        !self.lost.is_empty() && self.lost.iter().all(|(_, how)| how.contains("pressure.shed"))
    }
}

/// How often an experiment is done that may have been lost to the machine's other work.
const ATTEMPTS: u32 = 3;

static OUTCOMES: Mutex<Vec<Outcome>> = Mutex::new(Vec::new());
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn outcomes() -> MutexGuard<'static, Vec<Outcome>> {
    OUTCOMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Not by a macro, whose output the test runner swallows.
fn say(text: impl fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Counts an outcome.
fn count(outcome: Outcome) {
    match &outcome.skipped {
        Some(Skipped(why)) => say(format_args!("skipped: {}: {why}", outcome.name)),
        None if outcome.lost.is_empty() => say(format_args!("survived: {}", outcome.name)),
        None => {}
    }
    for (kind, how) in &outcome.lost {
        say(format_args!("lost ({kind}): {}: {how}", outcome.name));
    }
    outcomes().push(outcome);
}

/// Does an experiment and counts what became of it. A server gives up calls when its threads are late, and on a machine
/// that does other work they are late without any fault: what was lost to that alone is tried again. A fault that has
/// this effect has it each time; where others used much of the machine each time, nothing can be said.
pub async fn to_the_end(experiment: &Experiment, stage: impl AsyncFn() -> Result<Rc<Stage>, Skipped>) {
    for left in (0..ATTEMPTS).rev() {
        let used = Used::now();
        let mut outcome = match stage().await {
            Ok(stage) => experiment.to(&stage).await,
            Err(skipped) => experiment.skipped(skipped),
        };
        if !outcome.may_be_the_machines() {
            return count(outcome);
        }
        if left == 0 {
            if let Some(share) = used.much_by_others() {
                let why =
                    format!("others used {:.0} % of the machine, and {:?}", share * 100.0, outcome.lost);
                outcome = experiment.skipped(Skipped(why));
            }
            return count(outcome);
        }
        say(format_args!("again: {}: {:?}", outcome.name, outcome.lost));
    }
}

/// Runs a group while no other runs, and says what all that ran so far came to.
///
/// # Panics
/// One of the group's experiments was lost.
pub async fn alone(group: &str, experiments: impl AsyncFnOnce()) {
    let _alone = ALONE.lock().await;
    let (before, began) = (outcomes().len(), Instant::now());
    say(format_args!("{group}:"));
    tokio::task::LocalSet::new().run_until(experiments()).await;
    say(format_args!("{group} took {:.0?}", began.elapsed()));
    say(summary(&outcomes()));
    let outcomes = outcomes();
    let lost = outcomes[before..].iter().filter(|one| !one.lost.is_empty());
    let lost: Vec<_> = lost.map(|one| one.name).collect();
    assert!(lost.is_empty(), "lost: {}", lost.join(", "));
}

/// `faults: tried 41, survived 40, lost 1: a name (data)`.
fn summary(outcomes: &[Outcome]) -> String {
    let tried: Vec<_> = outcomes.iter().filter(|outcome| outcome.skipped.is_none()).collect();
    let lost: Vec<_> = tried.iter().filter(|outcome| !outcome.lost.is_empty()).collect();
    let survived = tried.len() - lost.len();
    let mut line = format!("faults: tried {}, survived {survived}, lost {}", tried.len(), lost.len());
    for (number, outcome) in lost.iter().enumerate() {
        let mut kinds: Vec<String> = outcome.lost.iter().map(|(kind, _)| kind.to_string()).collect();
        kinds.dedup();
        let mark = if number == 0 { ": " } else { "; " };
        line.push_str(&format!("{mark}{} ({})", outcome.name, kinds.join(", ")));
    }
    line
}
