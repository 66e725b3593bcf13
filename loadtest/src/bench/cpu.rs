//! Processors: which one serves and which one calls, and how much time and memory a process used.

use std::time::Duration;

use anyhow::Context;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Linux counts a process's time in hundredths of a second, whatever its timer is set to.
const TICK: Duration = Duration::from_millis(10);

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessId(pub u32);

/// Two processors of this machine, or none when it has only one, or does not let us choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpus(Option<Pair>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pair {
    server: usize,
    load: usize,
    /// All that there were before any was chosen.
    all: CpuSet,
}

impl Cpus {
    /// The first two that this thread may use.
    pub fn of_this_thread() -> Self {
        let Ok(allowed) = sched_getaffinity(None) else { return Self(None) };
        let mut each = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
        Self(each.next().zip(each.next()).map(|(server, load)| Pair { server, load, all: allowed }))
    }

    /// Starts a process on the server's processor: it inherits ours.
    pub fn for_server<T>(self, start: impl FnOnce() -> T) -> T {
        self.on(self.0.map(|pair| pair.server), start)
    }

    /// Starts a process on the processor of the load.
    pub fn beside_load<T>(self, start: impl FnOnce() -> T) -> T {
        self.on(self.0.map(|pair| pair.load), start)
    }

    /// Keeps this thread on the processor of the load from now on.
    pub fn pin_load(self) {
        self.on(self.0.map(|pair| pair.load), || ());
    }

    /// Lets this thread go where it may, and what it starts.
    pub fn release(self) {
        if let Some(pair) = self.0 {
            // Without it the numbers are noisier and still right.
            let _ = sched_setaffinity(None, &pair.all);
        }
    }

    /// What a person reads about it.
    pub fn text(self) -> String {
        match self.0 {
            Some(Pair { server, load, .. }) => {
                format!("server on CPU {server}, load and services on CPU {load}")
            }
            None => "not pinned to processors".to_owned(),
        }
    }

    fn on<T>(self, cpu: Option<usize>, work: impl FnOnce() -> T) -> T {
        if let Some(cpu) = cpu {
            let mut only = CpuSet::new();
            only.set(cpu);
            // Without it the numbers are noisier and still right.
            let _ = sched_setaffinity(None, &only);
        }
        work()
    }
}

/// The processor time that a process used so far, its own and the kernel's for it.
///
/// # Errors
/// The process is gone.
pub fn used(process: ProcessId) -> anyhow::Result<Duration> {
    let path = format!("/proc/{}/stat", process.0);
    let stat = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    ticks(&stat).map(|ticks| TICK * ticks).with_context(|| format!("{path} is not understood"))
}

/// `utime` and `stime`. The name before them may hold anything, spaces and brackets, too.
fn ticks(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let mut next = || fields.next()?.parse::<u32>().ok();
    Some(next()? + next()?)
}

/// The memory that a process holds, in bytes.
///
/// # Errors
/// The process is gone.
pub fn resident(process: ProcessId) -> anyhow::Result<u64> {
    let path = format!("/proc/{}/statm", process.0);
    let statm = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .with_context(|| format!("{path} is not understood"))?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// The only process whose parent is `parent`.
pub fn child_of(parent: ProcessId) -> Option<ProcessId> {
    let path = format!("/proc/{0}/task/{0}/children", parent.0);
    std::fs::read_to_string(path).ok()?.split_whitespace().next()?.parse().ok().map(ProcessId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_process_is_its_own_and_the_kernels_for_it() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194304 500 0 0 0 123 45 7 8 20 0 1 0 100 0 0";
        assert_eq!(ticks(stat), Some(168));
        assert_eq!(ticks("42 (cut) S 1"), None);
        let myself = ProcessId(std::process::id());
        assert!(used(myself).is_ok());
        assert!(resident(myself).unwrap() > 1 << 20);
    }
}
