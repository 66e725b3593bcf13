//! The generator: a thread that sends what is due.
//!
//! The loop is open: nothing that a server does moves a request. All that is due is sent whenever the thread wakes;
//! what finds no free connection waits in a queue, and its time runs from when it was meant to begin.
//!
//! Invariant: every arrival of the schedule is counted once as asked and once as ended, sent or not; there are never
//! more connections, nor with HTTP/2 more requests under way, than the plan allows.
//! Not here: the schedule, the counting.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use super::alarm::Alarm;
use super::record::{Ended, Outcome, Record};
use super::schedule::{Arrival, Schedule, Share};
use super::slice;
use super::wire::{self, Sender, Target};
use crate::plan::Plan;

/// How long the thread sleeps at most, so that an end is seen.
const NAP: Duration = Duration::from_millis(50);
/// Requests that are under way on one HTTP/2 connection.
const STREAMS: usize = 100;

/// What a generator needs.
#[derive(Debug, Clone)]
pub struct Work {
    /// What is played.
    pub plan: Arc<Plan>,
    /// Against whom.
    pub target: Target,
    /// Which part of it.
    pub share: Share,
    /// Requests that may be under way.
    pub limit: usize,
    /// When the run began, or begins.
    pub began: Instant,
    /// Set when the run is to end early.
    pub stop: Arc<AtomicBool>,
    /// What is counted.
    pub record: Arc<Mutex<Record>>,
}

/// Sends all, and returns when the last request has ended.
///
/// # Errors
/// The system has no timer, or no thread's runtime.
pub fn generate(work: Work) -> anyhow::Result<()> {
    slice::shorten();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async move {
        let pool = Rc::new(Pool {
            work,
            free: RefCell::new(Vec::new()),
            shared: RefCell::new(Vec::new()),
            opening: tokio::sync::Mutex::new(()),
            under_way: Cell::new(0),
            waiting: RefCell::new(VecDeque::new()),
        });
        send(&pool).await?;
        while pool.under_way.get() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    })
}

async fn send(pool: &Rc<Pool>) -> anyhow::Result<()> {
    let alarm = Alarm::new()?;
    let work = &pool.work;
    let plan = Arc::clone(&work.plan);
    let mut schedule = Schedule::new(&plan, work.share).peekable();
    alarm.wait(work.began.saturating_duration_since(Instant::now())).await?;
    while let Some(next) = schedule.peek() {
        if work.stop.load(Ordering::Relaxed) {
            break;
        }
        let now = pool.now();
        if next.due > now {
            alarm.wait((next.due - now).min(NAP)).await?;
            continue;
        }
        // Everything that is due, in one go; then the answers have their turn.
        let mut sent = 0;
        while let Some(arrival) = schedule.next_if(|next| next.due <= now) {
            Pool::start(pool, arrival);
            sent += 1;
            if sent == 256 {
                break;
            }
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

struct Pool {
    work: Work,
    /// HTTP/1.1 connections that wait for a request, the one used last on top.
    free: RefCell<Vec<Sender>>,
    /// HTTP/2 connections, each used for many at one time.
    shared: RefCell<Vec<Sender>>,
    opening: tokio::sync::Mutex<()>,
    under_way: Cell<usize>,
    waiting: RefCell<VecDeque<Arrival>>,
}

impl Pool {
    fn now(&self) -> Duration {
        self.work.began.elapsed()
    }

    fn start(pool: &Rc<Self>, arrival: Arrival) {
        pool.with_record(|record| record.asked(&arrival));
        if pool.under_way.get() >= pool.work.limit {
            pool.waiting.borrow_mut().push_back(arrival);
            return;
        }
        pool.under_way.set(pool.under_way.get() + 1);
        let pool = Rc::clone(pool);
        tokio::task::spawn_local(async move { pool.serve(arrival).await });
    }

    /// Sends a request, and then those that wait.
    async fn serve(&self, first: Arrival) {
        let mut sender = None;
        let mut next = Some((first, false));
        while let Some((arrival, waited)) = next {
            self.one(&arrival, waited, &mut sender).await;
            next = self.waiting.borrow_mut().pop_front().map(|arrival| (arrival, true));
        }
        if let Some(sender @ Sender::One(_)) = sender {
            self.free.borrow_mut().push(sender);
        }
        self.under_way.set(self.under_way.get() - 1);
    }

    async fn one(&self, arrival: &Arrival, waited: bool, sender: &mut Option<Sender>) {
        let work = &self.work;
        let lag = self.now().saturating_sub(arrival.due);
        let (outcome, at) = if waited && lag > work.plan.timeout {
            (Outcome::Unsent, self.now())
        } else {
            let asked = tokio::time::timeout(work.plan.timeout, self.ask(arrival, sender)).await;
            asked.unwrap_or_else(|_late| {
                // An answer may still come on it, and would be taken for that of the next request.
                *sender = None;
                (Outcome::Transport("timeout"), self.now())
            })
        };
        let ended = Ended { arrival, lag, waited, at, outcome };
        self.with_record(|record| record.ended(&work.plan, &ended));
    }

    async fn ask(&self, arrival: &Arrival, kept: &mut Option<Sender>) -> (Outcome, Duration) {
        let Ok(message) = wire::message(&self.work.target, &self.work.plan, arrival) else {
            return (Outcome::Transport("protocol"), self.now());
        };
        let mut sender = match kept.take().or_else(|| self.ready()) {
            Some(sender) if sender.is_ready() => sender,
            _ => match self.connect().await {
                Some(sender) => sender,
                None => return (Outcome::Transport("connect"), self.now()),
            },
        };
        let outcome = sender.ask(message, &self.work.plan, arrival).await;
        let at = self.now();
        if let Sender::Two(_) = sender {
            return (outcome, at);
        }
        if sender.is_ready() || !matches!(outcome, Outcome::Transport(_)) && sender.ready().await {
            *kept = Some(sender);
        }
        (outcome, at)
    }

    /// A connection that is open.
    fn ready(&self) -> Option<Sender> {
        if self.work.target.http2 {
            let mut shared = self.shared.borrow_mut();
            shared.retain(Sender::is_ready);
            let wanted = self.under_way.get().div_ceil(STREAMS);
            if shared.len() < wanted {
                return None;
            }
            // In turn, so that all carry the same.
            shared.rotate_left(1);
            return match shared.first() {
                Some(Sender::Two(sender)) => Some(Sender::Two(sender.clone())),
                _ => None,
            };
        }
        let mut free = self.free.borrow_mut();
        while let Some(sender) = free.pop() {
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    async fn connect(&self) -> Option<Sender> {
        // One HTTP/2 connection after the other: who waited may use the one that was opened meanwhile.
        let _turn = if self.work.target.http2 { Some(self.opening.lock().await) } else { None };
        if self.work.target.http2
            && let Some(sender) = self.ready()
        {
            return Some(sender);
        }
        let sender = Sender::open(&self.work.target).await.ok()?;
        if let Sender::Two(two) = &sender {
            self.shared.borrow_mut().push(Sender::Two(two.clone()));
        }
        Some(sender)
    }

    fn with_record(&self, act: impl FnOnce(&mut Record)) {
        act(&mut self.work.record.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
