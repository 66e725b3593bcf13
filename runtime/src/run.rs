//! One call: a unit, a request and an allowance in, an answer or a typed failure and its cost out.
//!
//! Invariant: the call never runs outside of its meter, its memory limit and the panic boundary, and it
//! ends at its deadline, also when it waits for somebody who does not answer. Dropping it ends it.
//! Not here: whether it may start (`quotas`), which thread it runs on (`actors`).

pub(crate) mod stack;
mod waiting;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use quotas::limits::Allowance;
use quotas::units::{Bytes, Fuel};
use rune::Vm;
use rune::runtime::{VmError, VmResult};
use tokio::time::Sleep;

use crate::error::Failure;
use crate::fuel::{self, IsKilled, Meter, Stop, now_nanos};
use crate::host::Engine;
use crate::host::call::{CallContext, LogLine};
use crate::host::request::Request;
use crate::host::response::{self, Response};
use crate::processor::give_way;
use crate::unit::{Entry, Unit};
use stack::{OnStack, Progress};

pub use stack::set_stack_size;
pub use waiting::wake_waiting;

/// A call that took so much memory at a time may have used its stack deeply, too, in bytes.
const HEAVY: usize = 1024 * 1024;

/// What a call used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Fuel that it burnt.
    pub fuel: Fuel,
    /// The most memory that it held, when somebody looked.
    pub peak_memory: Bytes,
    /// Memory of its script that was not given back at its end, and cannot be.
    pub left_behind: Bytes,
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
    /// Whether it waits, or did at its end, for something else than its thread: a service, or a time.
    pub waits: bool,
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

type Answer = VmResult<Result<Response, String>>;
type ScriptFuture = Pin<Box<dyn Future<Output = Answer>>>;
/// A poll of a script: what is left of the script, and what came of it.
type Polled = (ScriptFuture, Poll<Answer>);

/// Where a script is between two turns.
enum Script {
    /// It waits for something, or has not begun.
    Idle(ScriptFuture),
    /// It was stopped in the middle, and only waits for its turn.
    Paused(OnStack<Polled>),
    /// It is over.
    Gone,
}

/// A script's memory is counted with that of all other calls when it changed by so many bytes.
const MEMORY_STEP: u64 = 64 * 1024;

/// A call under way: a future that ends with its [`Outcome`].
#[must_use = "a call runs when it is awaited"]
pub struct Call {
    script: Script,
    /// Memory that it may still take, in bytes.
    memory_left: usize,
    /// What it held when that was last counted with all other calls, in bytes.
    memory_counted: u64,
    unit: Arc<Unit>,
    context: Rc<CallContext>,
    meter: Meter,
    allowance: Allowance,
    started: u64,
    running: u64,
    sleep: Option<Pin<Box<Sleep>>>,
    waiting: waiting::Place,
}

/// Starts a call. Nothing runs before it is polled; its deadline counts from `since`, a time on the clock of
/// [`now_nanos`].
///
/// `killed` is asked, after every change of the switches, whether the call may go on.
pub fn call(
    unit: Arc<Unit>,
    entry: Entry,
    request: Request,
    allowance: Allowance,
    since: u64,
    context: CallContext,
    killed: Option<IsKilled>,
) -> Call {
    let deadline = since.saturating_add(u64::try_from(allowance.deadline.as_nanos()).unwrap_or(u64::MAX));
    let vm = Vm::new(Engine::get().runtime.clone(), unit.code().clone());
    let script: ScriptFuture = Box::pin(run(vm, entry, request));
    let memory = usize::try_from(allowance.memory.get()).unwrap_or(usize::MAX);
    Call {
        script: Script::Idle(script),
        memory_left: memory,
        memory_counted: 0,
        unit,
        context: Rc::new(context),
        meter: Meter::new(allowance.fuel, deadline, killed),
        allowance,
        started: since,
        running: 0,
        sleep: None,
        waiting: waiting::Place::default(),
    }
}

/// A poll of a script on a stack of its own.
fn poll_on_stack(
    mut script: ScriptFuture,
    waker: Waker,
) -> Result<OnStack<Polled>, Box<dyn FnOnce() -> Polled>> {
    OnStack::new(move || {
        let polled = script.as_mut().poll(&mut Context::from_waker(&waker));
        (script, polled)
    })
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
    Paused,
    Ended(Answer),
    Panicked,
}

impl Call {
    /// Whether it waits for something else than its thread: a service, or a time.
    pub fn waits(&self) -> bool {
        matches!(self.script, Script::Idle(_))
    }

    fn step(&mut self, began: u64, task: &mut Context<'_>) -> Step {
        let on_stack = match std::mem::replace(&mut self.script, Script::Gone) {
            Script::Idle(script) => poll_on_stack(script, task.waker().clone()),
            Script::Paused(on_stack) => Ok(on_stack),
            Script::Gone => return Step::Panicked,
        };
        let least_left =
            usize::try_from(self.allowance.memory.get()).unwrap_or(usize::MAX).saturating_sub(HEAVY);
        let progress = self.bounded(began, || match on_stack {
            Ok(on_stack) => on_stack.resume(|_| fuel::least_memory_left() >= least_left),
            // Without a stack of its own it cannot be paused, and is stopped all the same.
            Err(work) => Progress::Done(work()),
        });
        match progress {
            Ok(Progress::Paused(on_stack)) => {
                self.script = Script::Paused(on_stack);
                Step::Paused
            }
            Ok(Progress::Done((script, Poll::Pending))) => {
                self.script = Script::Idle(script);
                Step::Waits
            }
            Ok(Progress::Done((script, Poll::Ready(result)))) => {
                self.script = Script::Idle(script);
                Step::Ended(result)
            }
            Err(_) => Step::Panicked,
        }
    }

    /// Runs a part of the call in all of its bounds: meter, context, memory, panics.
    fn bounded<T>(&mut self, now: u64, work: impl FnOnce() -> T) -> std::thread::Result<T> {
        let (context, memory_left) = (&self.context, &mut self.memory_left);
        let in_memory = || {
            let limited = rune::alloc::limit::with(*memory_left, || {
                let done = catch_unwind(AssertUnwindSafe(work));
                (done, rune::alloc::limit::get())
            });
            let (done, left) = limited.call();
            *memory_left = left;
            done
        };
        self.meter.enter_at(now, || context.enter(in_memory))
    }

    /// Counts what the script holds with all other calls. False where they hold too much and this one took more.
    fn count_memory(&mut self) -> bool {
        let held = self.held().get();
        let counted = std::mem::replace(&mut self.memory_counted, held);
        if held.abs_diff(counted) < MEMORY_STEP {
            self.memory_counted = counted;
            true
        } else if held < counted {
            self.context.memory.shrink(counted - held);
            true
        } else {
            self.context.memory.took(held - counted).is_ok()
        }
    }

    /// Drops what the script holds, in the same bounds that it ran in, and counts what is left all the same.
    fn drop_script(&mut self, now: u64) {
        match std::mem::replace(&mut self.script, Script::Gone) {
            // What a script holds may panic when it is dropped, too; the call is over either way.
            Script::Idle(script) => drop(self.bounded(now, || drop(script))),
            // It ends where it is, as any other that is stopped.
            Script::Paused(on_stack) => {
                self.meter.stop(Stop::Killed);
                drop(self.bounded(now, || drop(on_stack.resume(|_| false))));
            }
            Script::Gone => {}
        }
        self.end_cycles(now);
        self.context.memory.shrink(std::mem::take(&mut self.memory_counted));
        if self.left_behind().get() > 0 {
            self.context.memory.leave(self.left_behind().get());
        }
    }

    /// Empties what may hold itself, on a stack as large as the script's: it may nest as deep.
    fn end_cycles(&mut self, now: u64) {
        let context = Rc::clone(&self.context);
        if context.noted.borrow().is_empty() {
            return;
        }
        let is_light = self.held().get() < HEAVY as u64;
        let empty = move || context.noted.take().empty();
        drop(self.bounded(now, || match OnStack::new(empty) {
            Ok(on_stack) => drop(on_stack.resume(|()| is_light)),
            Err(empty) => empty(),
        }));
    }

    /// What the script holds.
    fn held(&self) -> Bytes {
        let left = u64::try_from(self.memory_left).unwrap_or(u64::MAX);
        Bytes::new(self.allowance.memory.get().saturating_sub(left))
    }

    /// What it holds although it is gone; with it, perhaps, what lies outside of its own memory: the request's body, what
    /// services answered, answers that it made. Which of it, nobody can tell.
    fn left_behind(&self) -> Bytes {
        match self.held().get() {
            0 => Bytes::new(0),
            _ if !matches!(self.script, Script::Gone) => Bytes::new(0),
            held => {
                let beside = self.context.memory.bytes().get().saturating_sub(self.memory_counted);
                let made = self.context.answered.get();
                Bytes::new(held.saturating_add(beside).saturating_add(made))
            }
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
        let mut message = crate::instrument::sentence(&self.unit.named(&message));
        // The mistakes that everybody makes once.
        if message.starts_with("Missing index by static string slot") {
            // The engine knows the key only by its number.
            message =
                "There is no such key in the object; `object.get(\"key\")` answers an option".to_owned();
        } else if let Some((_, lock)) =
            message.split_once(", value is ").filter(|(what, _)| what.starts_with("Cannot "))
        {
            // The engine shows the bits of its lock.
            message = if lock.starts_with('M') {
                "The value is gone: it was dropped, or somebody took it".to_owned()
            } else {
                "The value is in use: what a loop or a function works on cannot be changed meanwhile; \
                       `clone()` it before"
                    .to_owned()
            };
        } else if message.starts_with("Missing instance function") {
            if message.ends_with("`::std::future::Future`") {
                message.push_str("; is an `.await` missing?");
            } else if message.ends_with("`::std::result::Result`") {
                message.push_str("; a `?` takes the value out of a result");
            }
        }
        Failure::Script { message, place }
    }

    fn end(&mut self, now: u64, result: Result<Response, Failure>) -> Outcome {
        let waits = self.waits();
        self.drop_script(now);
        self.waiting.leave();
        let cost = Cost { waits, ..self.cost_at(now) };
        Outcome { result, cost, log: self.context.log.take(), log_dropped: self.context.log_dropped.get() }
    }

    /// What it has used until now.
    pub fn cost(&self) -> Cost {
        self.cost_at(now_nanos())
    }

    fn cost_at(&self, now: u64) -> Cost {
        let total = now.saturating_sub(self.started);
        let memory = self.allowance.memory.get();
        let least_left = u64::try_from(self.meter.least_memory_left()).unwrap_or(u64::MAX);
        Cost {
            fuel: Fuel::new(self.allowance.fuel.get().saturating_sub(self.meter.left().get())),
            peak_memory: Bytes::new(memory.saturating_sub(least_left)),
            left_behind: self.left_behind(),
            running: Duration::from_nanos(self.running),
            waiting: Duration::from_nanos(total.saturating_sub(self.running)),
            host_calls: self.context.host_calls.get(),
            host_bytes: Bytes::new(self.context.host_bytes.get()),
            longest_gap: self.meter.longest_gap(),
            waits: self.waits(),
        }
    }
}

impl Future for Call {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Outcome> {
        let this = &mut *self;
        let began = now_nanos();
        if let Some(stop) = this.meter.look(began) {
            return Poll::Ready(this.end(began, Err(Failure::Stopped { stop, place: None })));
        }
        let step = this.step(began, task);
        let now = now_nanos();
        this.running += now.saturating_sub(began);
        this.meter.poll_ended(now);
        if matches!(step, Step::Waits | Step::Paused) && !this.count_memory() {
            let stop = Stop::SharedMemory;
            this.meter.stop(stop);
            return Poll::Ready(this.end(now, Err(Failure::Stopped { stop, place: None })));
        }
        match step {
            Step::Waits => {
                let deadline = this.meter.deadline();
                let sleep = this.sleep.get_or_insert_with(|| {
                    let left = Duration::from_nanos(deadline.saturating_sub(now));
                    Box::pin(tokio::time::sleep(left))
                });
                if sleep.as_mut().poll(task).is_ready() {
                    let stop = Stop::Deadline;
                    return Poll::Ready(this.end(now, Err(Failure::Stopped { stop, place: None })));
                }
                this.waiting.enter(task.waker());
                Poll::Pending
            }
            Step::Paused => {
                give_way::now();
                // Behind everybody who is ready, and behind those whom the driver finds ready now: waking itself
                // at once would keep it from being asked. Whether it may go on is seen when its turn comes.
                let _ = std::pin::pin!(tokio::task::yield_now()).poll(task);
                Poll::Pending
            }
            Step::Ended(VmResult::Ok(Ok(response))) => Poll::Ready(this.end(now, Ok(response))),
            Step::Ended(VmResult::Ok(Err(message))) => {
                Poll::Ready(this.end(now, Err(Failure::Returned { message })))
            }
            Step::Ended(VmResult::Err(error)) => {
                let failure = this.failure(&error);
                // The error holds values of the script: it is dropped within the call's bounds.
                drop(this.bounded(now, || drop(error)));
                Poll::Ready(this.end(now, Err(failure)))
            }
            Step::Panicked => {
                let stopped = this.meter.stopped();
                let failure = stopped.map_or(Failure::Engine, |stop| Failure::Stopped { stop, place: None });
                Poll::Ready(this.end(now, Err(failure)))
            }
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // One that has ended has nothing left that could run.
        if !matches!(self.script, Script::Gone) {
            self.drop_script(now_nanos());
        }
    }
}
