//! Processor: when this process's threads get one, and how others find that out.
//!
//! Invariant: nothing here takes from anybody: threads ask for less than they have, or for the same at other times.

mod attributes;
pub mod give_way;
pub mod leftovers;
pub mod slice;
pub mod threads;

#[cfg(test)]
mod testing {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    /// Has this thread run on the same core as all others that ask for this.
    pub(super) fn on_one_core() {
        let (mut core, all) = (CpuSet::new(), sched_getaffinity(None).unwrap());
        core.set((0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu)).unwrap());
        sched_setaffinity(None, &core).unwrap();
    }
}
