//! The alarm: wakes a task when something is due, to some ten microseconds.
//!
//! Timers of the runtime go by milliseconds and are rounded up, which a server that answers in 100 microseconds would
//! be blamed for. This one is a timer of the system.
//!
//! Invariant: who waits is not woken before the time.
//! Not here: what is due (`schedule`).

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use rustix::time::{timerfd_create, timerfd_settime};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// An alarm of one task.
#[derive(Debug)]
pub struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    /// An alarm that is not set.
    ///
    /// # Errors
    /// The system has no more timers.
    #[expect(deprecated, reason = "it is for values that may close their file early; this one owns it")]
    pub fn new() -> io::Result<Self> {
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Self(AsyncFd::try_with_interest(timer, Interest::READABLE).map_err(io::Error::from)?))
    }

    /// Waits for so long.
    ///
    /// # Errors
    /// The system refused the timer.
    pub async fn wait(&self, time: Duration) -> io::Result<()> {
        // A timer of zero would be one that is off.
        let time = time.max(Duration::from_nanos(1));
        let value = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) };
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let set = Itimerspec { it_interval: never, it_value: value };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &set)?;
        loop {
            let mut ready = self.0.readable().await?;
            let rang = ready.try_io(|timer| {
                let mut count = [0; 8];
                rustix::io::read(timer.get_ref(), &mut count).map_err(io::Error::from)
            });
            match rang {
                Ok(result) => return result.map(|_| ()),
                Err(_would_block) => {}
            }
        }
    }
}
