//! Watch: where a connection is in its life, since when, and whether that is too long.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::closing::Closing;
use super::pace::{Pace, resume_later};
use super::pieces::Wanted;

/// How often a thread looks at its connections.
const TICK: Duration = Duration::from_millis(250);
/// An answer that is not taken is waited for so long before its rate counts: a device may lose its net for a moment.
const WRITE_GRACE: Duration = Duration::from_secs(5);
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

/// How an answer is taken for which there was no room at some time.
#[derive(Debug, Clone, Copy)]
struct Stall {
    /// Since when that is looked at.
    since: Instant,
    /// How much of all that was ever said the other end had by then.
    before: u64,
    /// How much it had when that was looked at last.
    taken: u64,
}

/// One connection's watch.
#[derive(Debug)]
pub struct Watch {
    bounds: Bounds,
    closing: Closing,
    phase: Cell<Phase>,
    since: Cell<Instant>,
    /// How many bytes the system has taken from us for the other end.
    went: Cell<u64>,
    /// Whether the other end takes nothing or little of an answer.
    stalled: Cell<Option<Stall>>,
    /// Whether bytes wait that the other end does not take.
    blocked: Cell<bool>,
    /// What whoever handles a request waits for of its body.
    awaited: Cell<Wanted>,
    /// Whether something came that is read when it is its turn.
    held: Cell<bool>,
    /// Since when the other end has said that it says no more, while its call runs.
    closed: Cell<Option<Instant>>,
    over: Cell<bool>,
    pace: Pace,
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
            went: Cell::new(0),
            stalled: Cell::new(None),
            blocked: Cell::new(false),
            awaited: Cell::new(Wanted::Nothing),
            held: Cell::new(false),
            closed: Cell::new(None),
            over: Cell::new(false),
            pace: Pace::default(),
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
            Phase::Idle => Wanted::Start,
            Phase::Head => Wanted::Head,
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

    /// Whether nothing is read now: who asks does not listen, or was refused too often.
    pub(super) fn is_unheard(&self) -> bool {
        self.blocked.get() || self.pace.pauses()
    }

    /// A pause is over.
    pub(super) fn go_on(&self) {
        self.pace.goes_on();
        self.wake_reader();
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

    /// The system took so many bytes of an answer.
    pub(super) fn bytes_went(&self, count: usize) {
        self.went.set(self.went.get() + count as u64);
        if self.blocked.replace(false) {
            self.wake_reader();
        }
        if self.phase.get() == Phase::Idle {
            // An answer that is being taken is no quiet connection, however long it takes.
            self.since.set(now());
        }
    }

    pub(super) fn reader_waits(&self, waker: &Waker) {
        keep(&self.reader, waker);
    }

    /// The system has no room for more of an answer, and keeps so many bytes for the other end. Whoever writes is
    /// woken by each tick, and says so again.
    pub(super) fn writer_waits(&self, waker: &Waker, queued: u64) {
        self.blocked.set(true);
        if self.stalled.get().is_none() {
            let taken = self.went.get().saturating_sub(queued);
            self.stalled.set(Some(Stall { since: now(), before: taken, taken }));
        }
        self.is_queued(queued);
        keep(&self.writer, waker);
    }

    /// Whether it matters how much of an answer is on its way.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.get().is_some()
    }

    /// So many bytes of what went the system still keeps for the other end. That there is room says too little: the
    /// system makes some when a good part of all that it keeps is taken, and that may be megabytes.
    pub(super) fn is_queued(&self, bytes: u64) {
        let Some(stall) = self.stalled.get() else { return };
        let (taken, now) = (self.went.get().saturating_sub(bytes), now());
        let new = taken.saturating_sub(stall.before);
        let fine = new > 0 && self.is_rate(new, now.saturating_duration_since(stall.since));
        self.stalled.set(match (fine, self.blocked.get()) {
            (true, false) => None,
            // Taken fast enough: the count begins anew, so that an old burst excuses no new stall.
            (true, true) => Some(Stall { since: now, before: taken, taken }),
            (false, _) => Some(Stall { taken, ..stall }),
        });
    }

    fn is_rate(&self, bytes: u64, time: Duration) -> bool {
        bytes as f64 >= time.as_secs_f64() * self.bounds.min_rate as f64
    }

    fn is_slow_taker(&self, now: Instant) -> bool {
        self.stalled.get().is_some_and(|Stall { since, before, taken }| {
            let waited = now.saturating_duration_since(since).saturating_sub(WRITE_GRACE);
            !self.is_rate(taken.saturating_sub(before), waited)
        })
    }

    fn is_too_long(&self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since.get());
        self.is_slow_taker(now)
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
        } else if self.is_stalled() {
            let writer = self.writer.borrow_mut().take();
            writer.into_iter().for_each(Waker::wake);
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

impl Handling {
    /// The call was let in, or got an answer that is as good.
    pub fn let_in(&self) {
        self.0.pace.let_in();
    }

    /// The call was refused. Whether it is one of so many that the connection is not heard for [`super::PAUSE`].
    pub fn refused(&self) -> bool {
        let pauses = self.0.pace.refused();
        if pauses {
            resume_later(&self.0);
        }
        pauses
    }
}

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
            went: Cell::new(0),
            stalled: Cell::new(None),
            blocked: Cell::new(false),
            awaited: Cell::new(Wanted::Nothing),
            held: Cell::new(false),
            closed: Cell::new(None),
            over: Cell::new(false),
            pace: Pace::default(),
            reader: RefCell::default(),
            writer: RefCell::default(),
        }
    }

    #[test]
    fn nothing_is_read_from_who_takes_nothing() {
        let watch = watch();
        assert!(!watch.is_unheard());
        watch.writer_waits(Waker::noop(), 0);
        assert!(watch.is_unheard());
        watch.bytes_went(1);
        assert!(!watch.is_unheard());
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
        for (taken, seconds, over) in
            [(0, 4, false), (0, 6, true), (2_500, 7, false), (1_500, 7, true), (1, 5, false)]
        {
            let watch = watch();
            watch.phase.set(Phase::Handled);
            watch.stalled.set(Some(Stall { since: start, before: 70, taken: 70 + taken }));
            assert_eq!(
                watch.is_too_long(start + Duration::from_secs(seconds)),
                over,
                "{taken} in {seconds} s"
            );
        }
    }

    #[test]
    fn what_the_other_end_has_counts_and_not_what_there_is_room_for() {
        let watch = watch();
        watch.phase.set(Phase::Handled);
        watch.bytes_went(3_000_000);
        watch.writer_waits(Waker::noop(), 2_500_000);
        // No room for long; and all the while some of it is taken.
        for (second, queued) in [(1, 2_400_000), (8, 2_300_000), (20, 2_200_000)] {
            NOW.set(Some(watch.since.get() + Duration::from_secs(second)));
            watch.writer_waits(Waker::noop(), queued);
            assert!(!watch.is_too_long(now()), "after {second} s");
        }
        NOW.set(Some(now() + Duration::from_secs(6)));
        watch.writer_waits(Waker::noop(), 2_200_000);
        assert!(watch.is_too_long(now()), "nothing is taken any more");
        NOW.set(None);
    }
}
