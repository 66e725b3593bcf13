//! One call: a unit, a request and an allowance in, an answer or a typed failure and its cost out.
//!
//! Invariant: the call never runs outside of its meter, its memory limit and the panic boundary, and it
//! ends at its deadline, also when it waits for somebody who does not answer. Dropping it ends it.
//! Not here: whether it may start (`quotas`), which thread it runs on (`actors`).

mod waiting;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use quotas::limits::Allowance;
use quotas::units::{Bytes, Fuel};
use rune::Vm;
use rune::runtime::{VmError, VmResult};
use tokio::time::Sleep;

use crate::error::Failure;
use crate::fuel::{IsKilled, Meter, Stop, now_nanos};
use crate::host::Engine;
use crate::host::call::{CallContext, LogLine};
use crate::host::request::Request;
use crate::host::response::{self, Response};
use crate::unit::{Entry, Unit};

pub use waiting::wake_waiting;

/// What a call used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Fuel that it burnt.
    pub fuel: Fuel,
    /// The most memory that it held, when somebody looked.
    pub peak_memory: Bytes,
    /// Time that it held its thread.
    pub running: Duration,
    /// Time that it waited for services, or for its turn.
    pub waiting: Duration,
    /// Host calls that it made.
    pub host_calls: u32,
    /// Bytes that they moved.
    pub host_bytes: Bytes,
    /// The longest time between two looks at the clock while it held its thread.
    pub longest_gap: Duration,
}

/// How a call ended.
#[derive(Debug)]
pub struct Outcome {
    /// The answer, or why there is none.
    pub result: Result<Response, Failure>,
    /// What it used.
    pub cost: Cost,
    /// What it logged.
    pub log: Vec<LogLine>,
    /// Lines of its log that were too many.
    pub log_dropped: u32,
}

type Script = Pin<Box<rune::alloc::limit::Memory<ScriptFuture>>>;
type ScriptFuture = Pin<Box<dyn Future<Output = VmResult<Result<Response, String>>>>>;

/// A call under way: a future that ends with its [`Outcome`].
#[must_use = "a call runs when it is awaited"]
pub struct Call {
    script: Option<Script>,
    unit: Arc<Unit>,
    context: Rc<CallContext>,
    meter: Meter,
    allowance: Allowance,
    started: u64,
    running: u64,
    sleep: Option<Pin<Box<Sleep>>>,
    waiting: waiting::Place,
}

/// Starts a call. Nothing runs before it is polled; its deadline counts from now.
///
/// `killed` is asked, after every change of the switches, whether the call may go on.
pub fn call(
    unit: Arc<Unit>,
    entry: Entry,
    request: Request,
    allowance: Allowance,
    context: CallContext,
    killed: Option<IsKilled>,
) -> Call {
    let started = now_nanos();
    let deadline = started.saturating_add(u64::try_from(allowance.deadline.as_nanos()).unwrap_or(u64::MAX));
    let vm = Vm::new(Engine::get().runtime.clone(), unit.code().clone());
    let script: ScriptFuture = Box::pin(run(vm, entry, request));
    let memory = usize::try_from(allowance.memory.get()).unwrap_or(usize::MAX);
    Call {
        script: Some(Box::pin(rune::alloc::limit::with(memory, script))),
        unit,
        context: Rc::new(context),
        meter: Meter::new(allowance.fuel, deadline, killed),
        allowance,
        started,
        running: 0,
        sleep: None,
        waiting: waiting::Place::default(),
    }
}

async fn run(mut vm: Vm, entry: Entry, request: Request) -> VmResult<Result<Response, String>> {
    let mut execution = match vm.execute(entry.0, (request,)) {
        Ok(execution) => execution,
        Err(error) => return VmResult::Err(error),
    };
    match execution.async_complete().await {
        VmResult::Ok(value) => response::from_value(value),
        VmResult::Err(error) => VmResult::Err(error),
    }
}

enum Step {
    Waits,
    Ended(VmResult<Result<Response, String>>),
    Panicked,
}

impl Call {
    fn step(&mut self, task: &mut Context<'_>) -> Step {
        let Some(script) = self.script.as_mut() else { return Step::Panicked };
        let context = &self.context;
        let polled = self
            .meter
            .enter(|| context.enter(|| catch_unwind(AssertUnwindSafe(|| script.as_mut().poll(task)))));
        match polled {
            Ok(Poll::Pending) => Step::Waits,
            Ok(Poll::Ready(result)) => Step::Ended(result),
            Err(_) => Step::Panicked,
        }
    }

    /// Drops what the script holds, in the same bounds that it ran in.
    fn drop_script(&mut self) {
        if let Some(script) = self.script.take() {
            let context = &self.context;
            // What a script holds may panic when it is dropped, too; the call is over either way.
            let _ = self.meter.enter(|| context.enter(|| catch_unwind(AssertUnwindSafe(|| drop(script)))));
        }
    }

    fn failure(&self, error: &VmError) -> Failure {
        let place = error.first_location().and_then(|location| self.unit.place(location.ip));
        if let Some(stop) = self.meter.stopped() {
            return Failure::Stopped { stop, place };
        }
        let message = error.to_string();
        if message.contains("Failed to allocate") || message.contains("Capacity overflow") {
            return Failure::Stopped { stop: Stop::Memory, place };
        }
        Failure::Script { message: crate::instrument::sentence(&self.unit.named(&message)), place }
    }

    fn end(&mut self, result: Result<Response, Failure>) -> Outcome {
        self.drop_script();
        self.waiting.leave();
        let total = now_nanos().saturating_sub(self.started);
        let memory = self.allowance.memory.get();
        let least_left = u64::try_from(self.meter.least_memory_left()).unwrap_or(u64::MAX);
        let cost = Cost {
            fuel: Fuel::new(self.allowance.fuel.get().saturating_sub(self.meter.left().get())),
            peak_memory: Bytes::new(memory.saturating_sub(least_left)),
            running: Duration::from_nanos(self.running),
            waiting: Duration::from_nanos(total.saturating_sub(self.running)),
            host_calls: self.context.host_calls.get(),
            host_bytes: Bytes::new(self.context.host_bytes.get()),
            longest_gap: self.meter.longest_gap(),
        };
        Outcome { result, cost, log: self.context.log.take(), log_dropped: self.context.log_dropped.get() }
    }
}

impl Future for Call {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Outcome> {
        let this = &mut *self;
        let began = now_nanos();
        if let Some(stop) = this.meter.look(began) {
            return Poll::Ready(this.end(Err(Failure::Stopped { stop, place: None })));
        }
        let step = this.step(task);
        this.running += now_nanos().saturating_sub(began);
        match step {
            Step::Waits => {
                let deadline = this.meter.deadline();
                let sleep = this.sleep.get_or_insert_with(|| {
                    let left = Duration::from_nanos(deadline.saturating_sub(now_nanos()));
                    Box::pin(tokio::time::sleep(left))
                });
                if sleep.as_mut().poll(task).is_ready() {
                    let stop = Stop::Deadline;
                    return Poll::Ready(this.end(Err(Failure::Stopped { stop, place: None })));
                }
                this.waiting.enter(task.waker());
                Poll::Pending
            }
            Step::Ended(VmResult::Ok(Ok(response))) => Poll::Ready(this.end(Ok(response))),
            Step::Ended(VmResult::Ok(Err(message))) => {
                Poll::Ready(this.end(Err(Failure::Returned { message })))
            }
            Step::Ended(VmResult::Err(error)) => {
                let failure = this.failure(&error);
                // The error holds values of the script: it is dropped within the call's bounds.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(error)));
                Poll::Ready(this.end(Err(failure)))
            }
            Step::Panicked => {
                let stopped = this.meter.stopped();
                let failure = stopped.map_or(Failure::Engine, |stop| Failure::Stopped { stop, place: None });
                Poll::Ready(this.end(Err(failure)))
            }
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.drop_script();
    }
}
