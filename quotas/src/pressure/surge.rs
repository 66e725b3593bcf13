//! Surges: what a thread refuses by itself, from one call to the next.
//!
//! Invariant: no class is refused anything before all of every less important one is refused, users' calls never
//! below the floor, and nothing while the thread is in time.
//! Not here: what lasts longer than a surge, and the node's other signals (`cutoff`).
//!
//! **Why.** The cut-off of the node follows every 100 ms. At ten times the load that a thread can bear, a thousand
//! calls of a millisecond come in that time; let in, they keep it busy for a second, and calls that share it
//! by turns miss their deadlines together. In the simulator (`loadtest simulate`) a node with the cut-off alone
//! answered 65 % of what it could, and every seventh user's call was late. So each thread looks how late it is every
//! 10 ms, as WeChat's DAGOR and Uber's Cinnamon look at the time in their queues. That rule is proportional: the
//! later the thread, the more is refused, and it comes to rest where what is let in is what the thread can do. It
//! needs no history, and so it is over when the surge is.
//!
//! The waits follow from the turns: a call of fifteen turns that has 300 ms must not wait 20 ms for each, so
//! that background and prefetch have to be gone by 14 ms. Users' calls begin to be refused only far beyond, where
//! otherwise all of them would be late.

use std::time::Duration;

use super::cutoff::UserFloor;
use crate::priority::{Priority, Score};
use crate::units::Moment;

/// How late a thread is where it refuses the first of a class and where it refuses all of it: of the users' that is all
/// but the floor.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bands {
    background: [f64; 2],
    prefetch: [f64; 2],
    user: [f64; 2],
}

/// In milliseconds, of a thread whose calls take turns.
const TURNS: Bands = Bands { background: [4.0, 8.0], prefetch: [8.0, 14.0], user: [40.0, 60.0] };

/// The highest score that a thread lets in whose calls begin one after the other, with so much work before a call of
/// this deadline. There a call is late once, and what counts is whether its answer comes in time: users' calls are
/// refused from where half of their time would be over before they begin.
///
/// The work is known when a call comes, and not only when the first of the queue has waited: where that wait was
/// measured, the queue filled with half a second's work before the first refusal, and users were refused for it.
pub fn queue_cutoff(ahead: Duration, deadline: Duration, floor: UserFloor) -> u8 {
    const PERCENT: Bands = Bands { background: [5.0, 10.0], prefetch: [10.0, 20.0], user: [50.0, 80.0] };
    let percent = ahead.as_secs_f64() / deadline.as_secs_f64().max(1e-3) * 100.0;
    among(percent, &PERCENT, floor)
}

/// What a thread noted last. A thread that is late for a moment (the machine gave it no time, a call held it, a
/// thousand devices connected at once) works off what waited, and users who came meanwhile must not be refused for
/// it. So they are only where it was late for as long as [`STANDING`], and then by what three notes in a row say; the
/// others are refused at once.
#[derive(Debug, Default)]
pub struct Waits {
    last: [Duration; 3],
    next: usize,
    /// Since when each note was beyond what users bear.
    since: Option<Moment>,
}

/// How long a thread is late before its users are refused: as long as the cut-off's own patience with them.
const STANDING: Duration = Duration::from_millis(500);

impl Waits {
    /// Takes a note, and answers how late the thread is taken to be.
    pub fn note(&mut self, wait: Duration, now: Moment) -> Duration {
        self.last[self.next] = wait;
        self.next = (self.next + 1) % self.last.len();
        let bearable = Duration::from_secs_f64(TURNS.user[0] / 1e3);
        if wait <= bearable {
            self.since = None;
            return wait;
        }
        let since = *self.since.get_or_insert(now);
        let lasting = self.last.into_iter().min().unwrap_or(wait);
        if now.since(since) < STANDING { bearable } else { lasting.max(bearable) }
    }
}

/// The highest score that a thread lets in whose calls take turns, and which is so late: each of their turns is.
pub fn cutoff(wait: Duration, floor: UserFloor) -> u8 {
    among(wait.as_secs_f64() * 1e3, &TURNS, floor)
}

fn among(late: f64, bands: &Bands, floor: UserFloor) -> u8 {
    let refused = |[from, to]: [f64; 2]| ((late - from) / (to - from)).clamp(0.0, 1.0);
    let user = f64::from(*Priority::User.scores().end());
    let prefetch = f64::from(*Priority::Prefetch.scores().end());
    let points = f64::from(Score::MAX)
        - refused(bands.background) * (f64::from(Score::MAX) - prefetch)
        - refused(bands.prefetch) * (prefetch - user)
        - refused(bands.user) * (user - floor.points());
    points as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_not_let_in_where_too_much_is_before_it_to_be_in_time() {
        let ms = Duration::from_millis;
        let at = |ahead, deadline| queue_cutoff(ms(ahead), ms(deadline), UserFloor::percent(10).unwrap());
        for (percent, score) in
            [(0, 100), (5, 100), (10, 70), (20, 30), (50, 30), (65, 16), (80, 3), (500, 3)]
        {
            assert_eq!((at(percent * 3, 300), at(percent * 20, 2_000)), (score, score), "{percent} %");
        }
    }

    #[test]
    fn a_thread_that_is_late_for_a_moment_refuses_no_user() {
        let ms = Duration::from_millis;
        let mut waits = Waits::default();
        let mut now = Moment::default();
        // A thread notes every 10 ms, and later by as much as it is late.
        let noted = [0, 200, 0, 10, 700, 700, 30, 200, 200, 300, 300, 80, 0].map(|wait| {
            now = now + ms(10 + wait);
            waits.note(ms(wait), now)
        });
        assert_eq!(noted, [0, 40, 0, 10, 40, 40, 30, 40, 40, 200, 200, 80, 0].map(ms));
        assert_eq!(cutoff(ms(40), UserFloor::default()), *Priority::User.scores().end());
    }

    #[test]
    fn the_later_a_thread_is_the_more_it_refuses_down_to_the_floor() {
        let at = |micros| cutoff(Duration::from_micros(micros), UserFloor::percent(10).unwrap());
        for (micros, score) in [
            (0, 100),
            (4_000, 100),
            (4_200, 98),
            (6_000, 85),
            (8_000, 70),
            (11_000, 50),
            (14_000, 30),
            (25_000, 30),
            (40_000, 30),
            (50_000, 16),
            (60_000, 3),
            (10_000_000, 3),
        ] {
            assert_eq!(at(micros), score, "{micros} µs");
        }
        let cutoffs: Vec<u8> = (0..70_000).step_by(100).map(at).collect();
        assert!(cutoffs.is_sorted_by(|one, next| one >= next));
    }
}
