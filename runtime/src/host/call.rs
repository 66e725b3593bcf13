//! The call that a thread is working on: what host functions know of it.
//!
//! Invariant: a host function reaches exactly the call that is current, so a script cannot name
//! another's configuration, services or log.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use quotas::limits::Allowance;
use quotas::memory::Hold;
use quotas::scope::TeamName;
use rune::runtime::VmError;

use super::json_build::Shapes;
use super::service::Services;
use crate::cycles::Noted;
use crate::fuel::{self, Stop};
use crate::unit::Unit;

/// A value of an endpoint's own configuration, from its manifest.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Yes or no.
    Bool(bool),
}

/// An endpoint's own configuration.
pub type Settings = BTreeMap<String, Setting>;

/// How important a line of a script's log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For whoever works on the script.
    Debug,
    /// Worth knowing.
    Info,
    /// Something is not as it should be.
    Warn,
    /// Something failed.
    Error,
}

/// A line that a script wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How important it is.
    pub level: Level,
    /// The text, control characters replaced, at most [`LOG_LINE`] bytes.
    pub text: String,
}

/// The longest line that a script may log, in bytes.
pub const LOG_LINE: usize = 8 * 1024;
/// All answers that a call makes may be as large as so many of the largest.
pub const ANSWERS: u64 = 8;
/// The most lines that a call may log; the rest is counted.
pub const LOG_LINES: usize = 32;

/// What belongs to an endpoint, and is the same for all its calls.
#[derive(Debug)]
pub struct EndpointContext {
    /// Whose it is.
    pub team: TeamName,
    /// The services that it may call.
    pub services: Services,
    /// Its configuration.
    pub settings: Arc<Settings>,
}

/// What belongs to one call besides its meter.
pub struct CallContext {
    /// The unit's `json!` shapes.
    pub shapes: Arc<Shapes>,
    /// The endpoint that is called.
    pub endpoint: Arc<EndpointContext>,
    /// The request's id, sent on to services.
    pub request_id: Arc<str>,
    /// How many callboards this request has come through already.
    pub hops: u32,
    /// The largest answer, in bytes.
    pub response_max: usize,
    /// The most host calls.
    pub host_calls_max: u32,
    /// The most bytes that host calls may move, both ways together.
    pub host_bytes_max: u64,
    /// The memory that it holds beside its script's own, and that of its script when it gives its thread away.
    pub memory: Arc<Hold>,
    /// What was logged.
    pub log: RefCell<Vec<LogLine>>,
    /// Lines that were not kept.
    pub log_dropped: Cell<u32>,
    /// Host calls so far.
    pub host_calls: Cell<u32>,
    /// Bytes moved by host calls so far.
    pub host_bytes: Cell<u64>,
    /// Bytes of answers that it made, which lie outside of the script's memory.
    pub answered: Cell<u64>,
    /// Values that may hold themselves.
    pub noted: RefCell<Noted>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<CallContext>>> = const { RefCell::new(None) };
}

impl CallContext {
    /// The context of a call of this endpoint that has begun.
    pub fn new(
        endpoint: &Arc<EndpointContext>,
        unit: &Unit,
        allowance: &Allowance,
        (request_id, hops): (Arc<str>, u32),
        memory: Arc<Hold>,
    ) -> Self {
        Self {
            shapes: Arc::clone(unit.shapes()),
            endpoint: Arc::clone(endpoint),
            request_id,
            hops,
            response_max: usize::try_from(allowance.response.get()).unwrap_or(usize::MAX),
            host_calls_max: allowance.host_calls,
            host_bytes_max: allowance.host_bytes.get(),
            memory,
            log: RefCell::default(),
            log_dropped: Cell::default(),
            host_calls: Cell::default(),
            host_bytes: Cell::default(),
            answered: Cell::default(),
            noted: RefCell::default(),
        }
    }

    /// Runs `f` with this call as the thread's current one.
    pub fn enter<T>(self: &Rc<Self>, f: impl FnOnce() -> T) -> T {
        struct Leave;
        impl Drop for Leave {
            fn drop(&mut self) {
                CURRENT.with(|current| current.borrow_mut().take());
            }
        }
        CURRENT.with(|current| *current.borrow_mut() = Some(self.clone()));
        let _leave = Leave;
        f()
    }

    /// Counts one host call.
    ///
    /// # Errors
    /// The call made more of them than it may: it is stopped.
    pub fn count_host_call(&self) -> Result<(), VmError> {
        let calls = self.host_calls.get() + 1;
        self.host_calls.set(calls);
        if calls > self.host_calls_max {
            return Err(fuel::stop(Stop::HostCalls));
        }
        Ok(())
    }

    /// Counts bytes that a host call moved.
    ///
    /// # Errors
    /// The call moved more of them than it may: it is stopped.
    pub fn count_host_bytes(&self, bytes: usize) -> Result<(), VmError> {
        let moved = self.host_bytes.get().saturating_add(bytes as u64);
        self.host_bytes.set(moved);
        if moved > self.host_bytes_max {
            return Err(fuel::stop(Stop::HostBytes));
        }
        Ok(())
    }

    /// Counts an answer that the script made. It needs one; a few for this and that are fine.
    ///
    /// # Errors
    /// One is larger than an answer may be, or all are larger than so many: the call is stopped.
    pub fn count_answer(&self, bytes: usize) -> Result<(), VmError> {
        let answered = self.answered.get().saturating_add(bytes as u64);
        self.answered.set(answered);
        if bytes > self.response_max || answered > (self.response_max as u64).saturating_mul(ANSWERS) {
            return Err(fuel::stop(Stop::Response));
        }
        Ok(())
    }

    /// Keeps a line of the script's log, or counts it when there are too many.
    pub fn log(&self, level: Level, text: &str) {
        let mut log = self.log.borrow_mut();
        if log.len() >= LOG_LINES {
            self.log_dropped.set(self.log_dropped.get().saturating_add(1));
            return;
        }
        let mut end = text.len().min(LOG_LINE);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = text[..end].chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        log.push(LogLine { level, text });
    }
}

/// The thread's current call.
///
/// # Errors
/// There is none: a host function was called outside of a call, as by a constant.
pub fn current() -> Result<Rc<CallContext>, VmError> {
    CURRENT
        .with(|current| current.borrow().clone())
        .ok_or_else(|| VmError::panic("callboard's functions can only be called while a request is served"))
}

/// Runs `f` with the thread's current call, which may be stopped in the middle of it: nothing of the thread is
/// borrowed meanwhile.
///
/// # Errors
/// As [`current`].
pub fn with_current<T>(f: impl FnOnce(&CallContext) -> T) -> Result<T, VmError> {
    Ok(f(&*current()?))
}

/// What is left of the call's time, at most `ceiling`.
pub fn time_left(ceiling: Duration) -> Duration {
    fuel::time_left().min(ceiling)
}
