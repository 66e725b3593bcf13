//! Turns: whose compilation is next, fair between those who ask.
//!
//! Invariant: never more run than there are slots, and as many more as waited for longer than [`PATIENCE`] and
//! ran none, at most twice the slots in all. The next is of whoever runs the fewest, of those who run as many of whoever
//! ran the longest ago, and of one's own the first that came; the last of several free slots goes only to somebody who
//! runs none, so that whoever asks for much makes nobody wait for all of it.
//! Not here: who asks (a text of the caller's), what runs.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// The part of the places that one may wait in is one of so many.
const SHARES: usize = 4;
/// How long somebody who runs none waits for a slot before they get one beside those that there are. Most compilations
/// take milliseconds; one that takes seconds must not be what all others wait for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Of so many it is remembered when they ran last.
const REMEMBERED_MAX: usize = 1_024;

/// No place to wait in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// So many wait in all.
    All(usize),
    /// So many of the one who asks wait.
    Own(usize),
}

/// The slots, and who waits for one.
#[derive(Debug)]
pub(super) struct Turns {
    places: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    slots: isize,
    /// Below zero by those that run beside the slots.
    free: isize,
    running: HashMap<Arc<str>, usize>,
    /// The number of the turn that each had last.
    last: HashMap<Arc<str>, u64>,
    turns: u64,
    /// The lines of those who wait, in whose turn it is.
    lines: VecDeque<Line>,
    next: u64,
}

#[derive(Debug)]
struct Line {
    of: Arc<str>,
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
}

/// A place in the line and, once it is its turn, a slot; dropping it gives back whichever it is.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    of: Arc<str>,
    id: u64,
    granted: oneshot::Receiver<()>,
}

impl Turns {
    pub(super) fn new(slots: usize, places: usize) -> Self {
        let slots = isize::try_from(slots.max(1)).unwrap_or(isize::MAX);
        let (running, last, lines) = Default::default();
        let state = State { slots, free: slots, running, last, turns: 0, lines, next: 0 };
        Self { places: places.max(1), state: Mutex::new(state) }
    }

    /// Gets in line.
    pub(super) fn enter(&self, of: &str) -> Result<Turn<'_>, NoPlace> {
        let mut state = self.lock();
        let waiting: usize = state.lines.iter().map(|line| line.waiting.len()).sum();
        let line = state.lines.iter().position(|line| *line.of == *of);
        let own = line.map_or(0, |at| state.lines[at].waiting.len());
        if own >= (self.places / SHARES).max(1) {
            return Err(NoPlace::Own(own));
        }
        if waiting >= self.places {
            return Err(NoPlace::All(waiting));
        }
        let of: Arc<str> = of.into();
        let (id, (grant, granted)) = (state.next, oneshot::channel());
        state.next += 1;
        match line {
            Some(at) => state.lines[at].waiting.push_back((id, grant)),
            None => state.lines.push_back(Line { of: Arc::clone(&of), waiting: [(id, grant)].into() }),
        }
        state.grant();
        Ok(Turn { turns: self, of, id, granted })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Waits until it is its turn.
    pub(super) async fn come(&mut self) {
        loop {
            // The sender is dropped only with the turn itself.
            if tokio::time::timeout(PATIENCE, &mut self.granted).await.is_ok() {
                return;
            }
            self.turns.lock().overtake(&self.of);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        if !state.leave(&self.of, self.id) {
            state.end(&self.of);
            state.grant();
        }
    }
}

impl State {
    /// Gives the free slots to those whose turn it is.
    fn grant(&mut self) {
        while let Some(at) = self.next() {
            self.run(at);
        }
    }

    /// Lets the first of a line run.
    fn run(&mut self, at: usize) {
        let Some(mut line) = self.lines.remove(at) else { return };
        let Some((_, grant)) = line.waiting.pop_front() else { return };
        self.free -= 1;
        *self.running.entry(Arc::clone(&line.of)).or_default() += 1;
        if self.last.len() >= REMEMBERED_MAX {
            self.last.clear();
        }
        self.turns += 1;
        self.last.insert(Arc::clone(&line.of), self.turns);
        if !line.waiting.is_empty() {
            self.lines.push_back(line);
        }
        // Who gave up a moment ago gives the slot back when its turn is dropped.
        let _ = grant.send(());
    }

    /// Lets somebody run who has waited for long and runs none, beside those who hold the slots.
    fn overtake(&mut self, of: &Arc<str>) {
        let at = self.lines.iter().position(|line| line.of == *of);
        if let Some(at) = at.filter(|_| -self.free < self.slots && !self.running.contains_key(of)) {
            self.run(at);
        }
    }

    /// The line whose turn it is, if a slot is free for it.
    fn next(&self) -> Option<usize> {
        let rank = |line: &Line| {
            let runs = self.running.get(&line.of).copied().unwrap_or(0);
            (runs, self.last.get(&line.of).copied().unwrap_or(0))
        };
        // Of equals, the first.
        let (at, (runs, _)) = self.lines.iter().map(rank).enumerate().min_by_key(|(_, rank)| *rank)?;
        (self.free > 1 || (self.free == 1 && runs == 0)).then_some(at)
    }

    /// Leaves the line; false when it is not in it any more.
    fn leave(&mut self, of: &Arc<str>, id: u64) -> bool {
        let Some(at) = self.lines.iter().position(|line| line.of == *of) else { return false };
        let waiting = &mut self.lines[at].waiting;
        let Some(place) = waiting.iter().position(|(known, _)| *known == id) else { return false };
        waiting.remove(place);
        if waiting.is_empty() {
            self.lines.remove(at);
        }
        true
    }

    fn end(&mut self, of: &Arc<str>) {
        self.free += 1;
        if let Some(running) = self.running.get_mut(of) {
            *running -= 1;
            if *running == 0 {
                self.running.remove(of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those whose turn has come, by their names.
    fn come(turns: &mut [(&'static str, Turn<'_>)]) -> Vec<&'static str> {
        let come = |(name, turn): &mut (&'static str, Turn<'_>)| turn.granted.try_recv().ok().map(|()| *name);
        turns.iter_mut().filter_map(come).collect()
    }

    fn enter<'a>(turns: &'a Turns, of: &[&'static str]) -> Vec<(&'static str, Turn<'a>)> {
        of.iter().map(|of| (*of, turns.enter(of.split('-').next().unwrap()).unwrap())).collect()
    }

    /// The order in which those who ask run, when one ends after the other.
    fn order(slots: usize, of: &[&'static str]) -> Vec<&'static str> {
        let turns = Turns::new(slots, 256);
        let mut waiting = enter(&turns, of);
        let (mut order, mut running) = (Vec::new(), VecDeque::new());
        while order.len() < of.len() {
            let now = come(&mut waiting);
            order.extend(&now);
            running.extend(now);
            let first = running.pop_front().expect("somebody runs while others wait");
            waiting.retain(|(name, _)| *name != first);
        }
        order
    }

    #[test]
    fn teams_take_turns_and_a_team_keeps_its_order() {
        assert_eq!(
            order(1, &["a-1", "a-2", "a-3", "b-1", "b-2", "c-1"]),
            ["a-1", "b-1", "c-1", "a-2", "b-2", "a-3"],
            "b and c have not run yet"
        );
        assert_eq!(order(1, &["a-1", "a-2", "a-3"]), ["a-1", "a-2", "a-3"]);
        assert_eq!(order(2, &["a-1", "a-2", "a-3", "b-1"]), ["a-1", "b-1", "a-2", "a-3"]);
    }

    #[test]
    fn whoever_runs_one_leaves_the_last_free_slot_to_others() {
        let turns = Turns::new(2, 256);
        let mut mine = enter(&turns, &["a-1", "a-2"]);
        assert_eq!(come(&mut mine), ["a-1"]);
        let mut other = enter(&turns, &["b-1"]);
        assert_eq!(come(&mut other), ["b-1"]);
        drop(other);
        assert!(come(&mut mine).is_empty());
        mine.remove(0);
        assert_eq!(come(&mut mine), ["a-2"]);
        let wide = Turns::new(3, 256);
        assert_eq!(come(&mut enter(&wide, &["a-1", "a-2", "a-3"])), ["a-1", "a-2"]);
    }

    #[test]
    fn who_has_waited_for_long_runs_beside_what_takes_long() {
        let turns = Turns::new(1, 256);
        let mut all = enter(&turns, &["a-1", "a-2", "b-1", "c-1"]);
        assert_eq!(come(&mut all), ["a-1"]);
        turns.lock().overtake(&"a".into());
        assert!(come(&mut all).is_empty(), "a runs one already");
        turns.lock().overtake(&"b".into());
        assert_eq!(come(&mut all), ["b-1"]);
        turns.lock().overtake(&"c".into());
        assert!(come(&mut all).is_empty(), "twice the slots are used");
        all.remove(2);
        assert!(come(&mut all).is_empty(), "the slot is still a's");
        turns.lock().overtake(&"c".into());
        assert_eq!(come(&mut all), ["c-1"]);
        all.remove(0);
        assert!(come(&mut all).is_empty(), "c has it now");
        all.remove(1);
        assert_eq!(come(&mut all), ["a-2"]);
        drop(all);
        assert_eq!(turns.lock().free, 1);
    }

    #[test]
    fn one_may_wait_in_its_share_of_the_places_and_all_in_all_of_them() {
        let turns = Turns::new(1, 8);
        let _a = enter(&turns, &["a-1", "a-2", "a-3"]);
        assert_eq!(turns.enter("a").err(), Some(NoPlace::Own(2)));
        let _others = enter(&turns, &["b-1", "b-2", "c-1", "c-2", "d-1", "d-2"]);
        assert_eq!(turns.enter("e").err(), Some(NoPlace::All(8)));
    }

    #[test]
    fn who_gives_up_takes_nobodys_turn() {
        let turns = Turns::new(1, 8);
        let mut all = enter(&turns, &["a-1", "a-2", "b-1"]);
        assert_eq!(come(&mut all), ["a-1"]);
        all.remove(1);
        // The slot was granted to nobody who left, and whoever leaves with a slot unused passes it on.
        all.remove(0);
        drop(all.remove(0));
        assert_eq!(come(&mut enter(&turns, &["c-1"])), ["c-1"]);
        let state = turns.lock();
        assert!(state.free == 1 && state.running.is_empty() && state.lines.is_empty());
    }
}
