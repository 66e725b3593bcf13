//! Watch: where a connection is in its life, since when, and whether that is too long.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::closing::Closing;
use super::pieces::Wanted;

/// How often a thread looks at its connections.
const TICK: Duration = Duration::from_millis(250);
/// An answer that is not taken is waited for so long before its rate counts.
const WRITE_GRACE: Duration = Duration::from_secs(2);
/// How long a call goes on for a device that closed its end: who closed only half of it hears the answer until then.
const GONE: Duration = Duration::from_secs(1);
/// How long a connection may be quiet when its door is about to shut: longer than a request is on its way.
const CLOSING_IDLE: Duration = Duration::from_secs(1);

/// How long a connection may take for what.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// From a head's first byte to its last.
    pub head: Duration,
    /// Between an answer and the next head, or before the first.
    pub idle: Duration,
    /// Bytes a second that must be taken of an answer.
    pub min_rate: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing has come since the last answer.
    Idle,
    /// A head is coming.
    Head,
    /// A request is being handled, its body included: whoever handles it keeps the time.
    Handled,
    /// The same, and it is of use only to who waits for its answer.
    Called,
}

/// One connection's watch.
#[derive(Debug)]
pub struct Watch {
    bounds: Bounds,
    closing: Closing,
    phase: Cell<Phase>,
    since: Cell<Instant>,
    /// Since when the other end takes nothing or little of an answer, and how much it took since.
    stalled: Cell<Option<(Instant, u64)>>,
    /// Whether bytes wait that the other end does not take.
    blocked: Cell<bool>,
    /// What whoever handles a request waits for of its body.
    awaited: Cell<Wanted>,
    /// Whether something came that is read when it is its turn.
    held: Cell<bool>,
    /// Since when the other end has said that it says no more, while its call runs.
    closed: Cell<Option<Instant>>,
    over: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Option<Waker>>,
}

thread_local! {
    static WATCHED: RefCell<Vec<Weak<Watch>>> = const { RefCell::new(Vec::new()) };
    static NOW: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The time of the last tick: good enough for bounds of seconds, and free.
fn now() -> Instant {
    NOW.with(Cell::get).unwrap_or_else(Instant::now)
}

impl Watch {
    /// Begins to watch a connection of this thread.
    pub(super) fn begin(bounds: Bounds, closing: Closing) -> Rc<Self> {
        let watch = Rc::new(Self {
            bounds,
            closing,
            phase: Cell::new(Phase::Idle),
            since: Cell::new(Instant::now()),
            stalled: Cell::new(None),
            blocked: Cell::new(false),
            awaited: Cell::new(Wanted::Nothing),
            held: Cell::new(false),
            closed: Cell::new(None),
            over: Cell::new(false),
            reader: RefCell::default(),
            writer: RefCell::default(),
        });
        if NOW.with(Cell::get).is_none() {
            NOW.set(Some(Instant::now()));
            actix_rt::spawn(tick());
        }
        WATCHED.with(|watched| watched.borrow_mut().push(Rc::downgrade(&watch)));
        watch
    }

    /// A request's head is complete: from now on its handler keeps the time. The connection is free again
    /// when what this returns is dropped.
    pub fn handle(self: &Rc<Self>) -> Handling {
        self.phase.set(Phase::Handled);
        Handling(Rc::clone(self))
    }

    /// The same for a call, which ends soon after the other end is gone.
    pub fn handle_call(self: &Rc<Self>) -> Handling {
        self.phase.set(Phase::Called);
        Handling(Rc::clone(self))
    }

    /// Whether a head has begun to come, and nobody handles it.
    pub(super) fn is_in_head(&self) -> bool {
        self.phase.get() == Phase::Head
    }

    pub(super) fn is_called_for(&self) -> bool {
        self.phase.get() == Phase::Called
    }

    /// The other end says no more. Whoever reads is woken when the call has ended, or has to.
    pub(super) fn other_end_closed(&self, waker: &Waker) {
        if self.closed.get().is_none() {
            self.closed.set(Some(now()));
        }
        keep(&self.reader, waker);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// What is wanted now: a head, or what is awaited of a body.
    pub(super) fn wanted(&self) -> Wanted {
        match self.phase.get() {
            Phase::Idle | Phase::Head => Wanted::Head,
            Phase::Handled | Phase::Called => self.awaited.get(),
        }
    }

    /// So much came of what was wanted.
    pub(super) fn bytes_came(&self, count: u64) {
        match self.phase.get() {
            Phase::Idle => {
                self.phase.set(Phase::Head);
                self.since.set(now());
            }
            Phase::Head => {}
            Phase::Handled | Phase::Called => self.awaited.set(match self.awaited.get() {
                Wanted::Body(bytes) if bytes > count => Wanted::Body(bytes - count),
                // What comes behind a piece may be the next request: whoever still waits says so again.
                _ => Wanted::Nothing,
            }),
        }
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.get()
    }

    /// Something came that is not wanted yet. Whoever reads is woken when it is.
    pub(super) fn hold_reader(&self, waker: &Waker) {
        self.held.set(true);
        keep(&self.reader, waker);
    }

    /// Whoever handles a request waits for this of its body.
    pub(super) fn await_body(&self, wanted: Wanted) {
        self.awaited.set(wanted);
        if wanted != Wanted::Nothing && self.held.replace(false) {
            self.wake_reader();
        }
    }

    fn wake_reader(&self) {
        self.reader.borrow_mut().take().into_iter().for_each(Waker::wake);
    }

    pub(super) fn bytes_went(&self, count: usize) {
        if self.blocked.replace(false) {
            self.wake_reader();
        }
        if self.phase.get() == Phase::Idle {
            // An answer that is being taken is no quiet connection, however long it takes.
            self.since.set(now());
        }
        if let Some((since, taken)) = self.stalled.get() {
            let taken = taken + count as u64;
            // Taken fast enough: the count begins anew, so that an old burst excuses no new stall.
            let fine = self.rate_holds(since, taken, now());
            self.stalled.set(if fine { None } else { Some((since, taken)) });
        }
    }

    pub(super) fn reader_waits(&self, waker: &Waker) {
        keep(&self.reader, waker);
    }

    pub(super) fn writer_waits(&self, waker: &Waker) {
        self.blocked.set(true);
        if self.stalled.get().is_none() {
            self.stalled.set(Some((now(), 0)));
        }
        keep(&self.writer, waker);
    }

    fn rate_holds(&self, since: Instant, taken: u64, now: Instant) -> bool {
        let waited = now.saturating_duration_since(since).saturating_sub(WRITE_GRACE);
        taken as f64 >= waited.as_secs_f64() * self.bounds.min_rate as f64
    }

    fn is_too_long(&self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since.get());
        let slow_taker = self.stalled.get().is_some_and(|(since, taken)| !self.rate_holds(since, taken, now));
        slow_taker
            || match self.phase.get() {
                // One that still takes its answer is not quiet.
                Phase::Idle if self.closing.has_begun() && self.stalled.get().is_none() => {
                    passed > self.bounds.idle.min(CLOSING_IDLE)
                }
                Phase::Idle => passed > self.bounds.idle,
                Phase::Head => passed > self.bounds.head,
                Phase::Handled => false,
                Phase::Called => {
                    self.closed.get().is_some_and(|since| now.saturating_duration_since(since) > GONE)
                }
            }
    }

    fn look(&self, now: Instant) {
        if !self.over.get() && self.is_too_long(now) {
            self.over.set(true);
            let wakers = [self.reader.borrow_mut().take(), self.writer.borrow_mut().take()];
            wakers.into_iter().flatten().for_each(Waker::wake);
        }
    }
}

fn keep(place: &RefCell<Option<Waker>>, waker: &Waker) {
    let mut place = place.borrow_mut();
    match &mut *place {
        Some(known) if known.will_wake(waker) => {}
        other => *other = Some(waker.clone()),
    }
}

async fn tick() {
    let mut ticks = actix_rt::time::interval(TICK);
    loop {
        ticks.tick().await;
        let now = Instant::now();
        NOW.set(Some(now));
        // Woken connections may end at once and touch the list, so it is not borrowed while they are looked at.
        let watched: Vec<Rc<Watch>> = WATCHED.with(|watched| {
            let mut watched = watched.borrow_mut();
            watched.retain(|watch| watch.strong_count() > 0);
            watched.iter().filter_map(Weak::upgrade).collect()
        });
        watched.iter().for_each(|watch| watch.look(now));
    }
}

/// A request that is being handled on a connection.
#[derive(Debug)]
pub struct Handling(Rc<Watch>);

impl Drop for Handling {
    fn drop(&mut self) {
        self.0.phase.set(Phase::Idle);
        self.0.since.set(now());
        // What was held back from who reads: the next request, or that there is nothing more to come.
        if self.0.held.replace(false) || self.0.closed.get().is_some() {
            self.0.wake_reader();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Watch {
        Watch {
            bounds: Bounds { head: Duration::from_secs(5), idle: Duration::from_secs(30), min_rate: 1000 },
            closing: Closing::default(),
            phase: Cell::new(Phase::Idle),
            since: Cell::new(Instant::now()),
            stalled: Cell::new(None),
            blocked: Cell::new(false),
            awaited: Cell::new(Wanted::Nothing),
            held: Cell::new(false),
            closed: Cell::new(None),
            over: Cell::new(false),
            reader: RefCell::default(),
            writer: RefCell::default(),
        }
    }

    #[test]
    fn nothing_is_read_from_who_takes_nothing() {
        let watch = watch();
        assert!(!watch.is_blocked());
        watch.writer_waits(Waker::noop());
        assert!(watch.is_blocked());
        watch.bytes_went(1);
        assert!(!watch.is_blocked());
    }

    #[test]
    fn a_call_goes_on_for_a_moment_when_its_device_is_gone_and_a_change_to_its_end() {
        for (phase, millis, over) in
            [(Phase::Called, 900, false), (Phase::Called, 1_100, true), (Phase::Handled, 3_600_000, false)]
        {
            let watch = watch();
            watch.phase.set(phase);
            let at = watch.since.get() + Duration::from_millis(millis);
            assert!(!watch.is_too_long(at), "{phase:?}: nobody is gone");
            watch.closed.set(Some(watch.since.get()));
            assert_eq!(watch.is_too_long(at), over, "{phase:?} after {millis} ms");
        }
    }

    #[test]
    fn each_phase_has_its_own_bound() {
        for (phase, seconds, over) in [
            (Phase::Idle, 29, false),
            (Phase::Idle, 31, true),
            (Phase::Head, 4, false),
            (Phase::Head, 6, true),
            (Phase::Handled, 3600, false),
            (Phase::Called, 3600, false),
        ] {
            let watch = watch();
            watch.phase.set(phase);
            let at = watch.since.get() + Duration::from_secs(seconds);
            assert_eq!(watch.is_too_long(at), over, "{phase:?} after {seconds} s");
        }
    }

    #[test]
    fn a_quiet_connection_is_let_go_when_its_door_is_about_to_shut() {
        let watch = watch();
        let at = watch.since.get() + Duration::from_secs(2);
        assert!(!watch.is_too_long(at));
        watch.closing.begin();
        assert!(watch.is_too_long(at));
        watch.phase.set(Phase::Handled);
        assert!(!watch.is_too_long(at), "who is being served stays");
    }

    #[test]
    fn an_answer_must_be_taken_at_the_least_rate() {
        let start = Instant::now();
        for (taken, seconds, over) in [(0, 1, false), (0, 3, true), (2_500, 4, false), (1_500, 4, true)] {
            let watch = watch();
            watch.phase.set(Phase::Handled);
            watch.stalled.set(Some((start, taken)));
            assert_eq!(
                watch.is_too_long(start + Duration::from_secs(seconds)),
                over,
                "{taken} in {seconds} s"
            );
        }
    }
}
