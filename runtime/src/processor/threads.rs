//! Threads: what the system tells of a thread of this process or another.

use std::fs::DirEntry;
use std::io;
use std::time::Duration;

use rustix::process::Pid;

/// How a thread is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It runs, or would if it were its turn.
    Runnable,
    /// It waits for something.
    Waits,
    /// Somebody stopped it.
    Stopped,
    /// A debugger holds it.
    Traced,
}

/// A thread at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thread {
    /// How it is doing.
    pub state: State,
    /// Processor time that it has used since its start.
    pub used: Duration,
}

/// A thread of a process; nothing when it is gone.
pub fn look(process: Pid, thread: Pid) -> Option<Thread> {
    let [process, thread] = [process, thread].map(Pid::as_raw_nonzero);
    let stat = std::fs::read_to_string(format!("/proc/{process}/task/{thread}/stat")).ok()?;
    parse(&stat, rustix::param::clock_ticks_per_second())
}

/// The threads of a process; none when it is gone.
pub fn of(process: Pid) -> Vec<Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", process.as_raw_nonzero()));
    let number = |entry: io::Result<DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    tasks.into_iter().flatten().filter_map(|entry| Pid::from_raw(number(entry)?)).collect()
}

/// See `proc_pid_stat(5)`; the name in parentheses may hold anything.
fn parse(stat: &str, ticks_per_second: u64) -> Option<Thread> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = match fields.next()? {
        "R" => State::Runnable,
        "T" => State::Stopped,
        "t" => State::Traced,
        "Z" | "X" => return None,
        _ => State::Waits,
    };
    let mut ticks = fields.skip(10).map_while(|field| field.parse::<u64>().ok());
    let used = ticks.next()?.saturating_add(ticks.next()?);
    let used = Duration::from_millis(used.saturating_mul(1_000) / ticks_per_second.max(1));
    Some(Thread { state, used })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threads_state_and_time_are_read_whatever_its_name_is() {
        let stat = |state: &str| {
            format!("77 (odd) R (name) {state} 1 77 77 0 -1 4194368 100 0 0 0 150 25 0 0 20 0 5 0 9 1 2 3")
        };
        let read = |state: &str| parse(&stat(state), 100);
        let used = Duration::from_millis(1_750);
        assert_eq!(read("R"), Some(Thread { state: State::Runnable, used }));
        for (text, state) in
            [("S", State::Waits), ("D", State::Waits), ("T", State::Stopped), ("t", State::Traced)]
        {
            assert_eq!(read(text), Some(Thread { state, used }));
        }
        assert_eq!((read("Z"), parse("", 100), parse("1 (x) R 1", 100)), (None, None, None));
    }

    #[test]
    fn this_thread_is_found() {
        let (process, thread) = (rustix::process::getpid(), rustix::thread::gettid());
        assert_eq!(look(process, thread).map(|thread| thread.state), Some(State::Runnable));
        assert_eq!(look(process, Pid::from_raw(i32::MAX).unwrap()), None);
        assert!(of(process).contains(&thread));
    }
}
