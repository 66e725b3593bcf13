//! Experiment: a fault, what has to hold while it lasts, and the frame in which it is done.
//!
//! Invariant: times are bounded generously, since the machine does other work; counts are not: who is answered, who is
//! refused and what is left over is exact.

use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::future::{FutureExt, LocalBoxFuture};
use tests::load::Calls;

use super::stage::{Stage, Vitals};
use super::tally::{Kind, Outcome};

/// How long the victim is called in calm, and again after the fault.
const CALM: Duration = Duration::from_millis(400);
/// How long a fault is held that does not end by itself.
pub const HOLD: Duration = Duration::from_millis(1_200);
/// How soon the victim has to be answered as in calm again.
const CALM_AGAIN: Duration = Duration::from_secs(15);
/// How soon no call may be under way and no memory be held, once nobody calls: a second, and what the machine adds.
const QUIET: Duration = Duration::from_secs(4);
/// How soon descriptors and memory have to be what they were.
const SHRINKS: Duration = Duration::from_secs(15);

/// Why an experiment cannot be done on this machine.
#[derive(Debug)]
pub struct Skipped(pub String);

/// What the fault itself comes to; what must hold of it is asserted there.
pub type Done = Result<(), Skipped>;

/// What is known of the victim while the fault lasts.
#[derive(Debug, Clone, Copy)]
enum Victim {
    /// All of its calls are answered.
    Served,
    /// A thread is late, so that what stands in its queue is given up; all others are served.
    GivenUp,
    /// Calls that are under way when the process dies are lost; who calls after that waits, and nobody is refused.
    Waits(Duration),
}

/// A fault and what has to hold.
pub struct Experiment {
    /// What goes wrong.
    pub name: &'static str,
    /// What is lost when what the fault asserts does not hold.
    loses: Kind,
    victim: Victim,
    fault: Box<dyn Fn(Rc<Stage>) -> LocalBoxFuture<'static, Done>>,
}

impl Experiment {
    /// A fault after which the same process serves, and during which all are served.
    pub fn of<F: Future<Output = Done> + 'static>(
        name: &'static str,
        loses: Kind,
        fault: impl Fn(Rc<Stage>) -> F + 'static,
    ) -> Self {
        let fault = Box::new(move |stage| fault(stage).boxed_local());
        Self { name, loses, victim: Victim::Served, fault }
    }

    /// Another process serves afterwards, at the latest so long after the last answer of the one before.
    pub fn replaces_the_process(self, within: Duration) -> Self {
        Self { victim: Victim::Waits(within), ..self }
    }

    /// A thread of the server is held up, and may give up what waited for it.
    pub fn holds_a_thread_up(self) -> Self {
        Self { victim: Victim::GivenUp, ..self }
    }

    /// What becomes of it where it cannot be done.
    pub fn skipped(&self, why: Skipped) -> Outcome {
        Outcome { name: self.name, lost: Vec::new(), skipped: Some(why) }
    }

    /// Does it once.
    pub async fn to(&self, stage: &Rc<Stage>) -> Outcome {
        let mut lost = Vec::new();
        let before = match stage.at_rest(QUIET).await {
            Ok(()) => stage.vitals().await,
            Err(why) => {
                // What the one before left over is not put down to this one, but nothing can be said of it either.
                let lost = vec![(Kind::Availability, why)];
                return Outcome { name: self.name, lost, skipped: None };
            }
        };
        let load = stage.victim();
        tokio::time::sleep(CALM).await;
        let injected = Instant::now();
        let done = tokio::task::spawn_local((self.fault)(Rc::clone(stage))).await;
        // No connection to the service is left that somebody might keep.
        stage.odd.hang_up();
        let cleared = Instant::now();
        let calls = load.end().await;
        let calm = calls.within(injected - CALM, injected);
        let skipped = match done {
            Ok(Ok(())) => None,
            Ok(Err(skipped)) => Some(skipped),
            Err(panicked) => {
                lost.push((self.loses, said(&*panicked.into_panic())));
                None
            }
        };
        lost.extend(self.victim.judge(&calls.within(injected, cleared), cleared - injected));
        lost.extend(alive_again(stage, &calm).await.err().map(|why| (Kind::Availability, why)));
        let replaced = matches!(self.victim, Victim::Waits(_)) && skipped.is_none();
        lost.extend(as_before(stage, &before, replaced).await.err().map(|why| (Kind::Availability, why)));
        Outcome { name: self.name, lost, skipped }
    }
}

/// What somebody panicked with.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

impl Victim {
    fn judge(self, calls: &Calls, lasted: Duration) -> Option<(Kind, String)> {
        let told = || format!("the victim's calls while it lasted ({lasted:.1?}): {:?}", calls.outcomes());
        match self {
            Self::Served => (calls.answered() < calls.0.len()).then(|| (Kind::Isolation, told())),
            Self::GivenUp => {
                let given_up = calls.0.iter().filter(|call| call.code == "pressure.shed").count();
                let wrong = calls.answered() + given_up < calls.0.len() || given_up * 5 > calls.0.len();
                wrong.then(|| (Kind::Isolation, told()))
            }
            Self::Waits(within) => {
                // A connection that is refused says so; one that breaks belongs to a call that was under way.
                let refused = calls.0.iter().any(|call| call.code.contains("refused"));
                let answers = calls.0.iter().filter(|call| call.status == 200);
                let mut at: Vec<Instant> = answers.map(|call| call.due + call.took).collect();
                at.sort();
                let gap = at.windows(2).map(|two| two[1] - two[0]).max().unwrap_or_default();
                let wrong = refused || gap > within || calls.0.iter().any(|call| call.status >= 400);
                wrong.then(|| (Kind::Availability, format!("{}, the longest gap {gap:.1?}", told())))
            }
        }
    }
}

/// Waits until the victim is answered as in calm.
async fn alive_again(stage: &Stage, calm: &Calls) -> Result<(), String> {
    let most = calm.quantile(500) * 4 + Duration::from_millis(50);
    let until = Instant::now() + CALM_AGAIN;
    loop {
        let calls = stage.victim().run_for(CALM).await;
        if calls.success() == 1.0 && calls.quantile(500) <= most {
            return Ok(());
        }
        if Instant::now() > until {
            let (outcomes, half) = (calls.outcomes(), calls.quantile(500));
            return Err(format!(
                "the victim is not answered as in calm again: {outcomes:?}, p50 {half:?} of {most:?}"
            ));
        }
    }
}

/// Nothing of the fault is left.
async fn as_before(stage: &Stage, before: &Vitals, replaced: bool) -> Result<(), String> {
    stage.at_rest(QUIET).await?;
    let until = Instant::now() + SHRINKS;
    loop {
        let now = stage.vitals().await;
        if (now.child == before.child) == replaced {
            let what = if replaced { "the process was not replaced" } else { "the process was replaced" };
            return Err(format!("{what}: {before:?}, now {now:?}"));
        }
        if !now.has_grown_since(before) {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!("it has grown: {before:?}, now {now:?}"));
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
