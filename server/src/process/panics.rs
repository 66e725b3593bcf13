//! Panics: what is written of those that are caught, which a script can cause as often as it is called.
//!
//! Invariant: of a minute at most [`A_MINUTE`] are written in full, and how many more there were.
//! Not here: catching them (`runtime::run`).

use std::panic;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How many are written in a minute.
const A_MINUTE: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// The minute under way.
#[derive(Debug)]
struct Minute {
    began: Instant,
    seen: u32,
}

/// What becomes of a panic.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It is written, after so many of the minute before that were not.
    Written(u32),
    LeftOut,
}

impl Minute {
    fn panicked(&mut self, now: Instant) -> Fate {
        let mut left_out = 0;
        if now.saturating_duration_since(self.began) >= MINUTE {
            left_out = self.seen.saturating_sub(A_MINUTE);
            *self = Self { began: now, seen: 0 };
        }
        self.seen = self.seen.saturating_add(1);
        if self.seen <= A_MINUTE { Fate::Written(left_out) } else { Fate::LeftOut }
    }
}

/// Bounds what this process writes of panics from now on.
pub fn bound() {
    let usual = panic::take_hook();
    let minute = Mutex::new(Minute { began: Instant::now(), seen: 0 });
    panic::set_hook(Box::new(move |panic| {
        // Whoever panics while it holds this would wait for itself.
        let fate = minute.try_lock().map_or(Fate::LeftOut, |mut minute| minute.panicked(Instant::now()));
        if let Fate::Written(left_out) = fate {
            if left_out > 0 {
                eprintln!("{left_out} panics of the minute before were not written");
            }
            usual(panic);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_minute_some_are_written_and_the_rest_counted() {
        let began = Instant::now();
        let mut minute = Minute { began, seen: 0 };
        let written = (0..500).filter(|_| minute.panicked(began) != Fate::LeftOut).count();
        assert_eq!(written, A_MINUTE as usize);
        assert_eq!(minute.panicked(began + MINUTE), Fate::Written(490));
        assert_eq!(minute.panicked(began + MINUTE), Fate::Written(0));
    }
}
