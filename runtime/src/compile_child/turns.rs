//! Turns: whose compilation is next, fair between those who ask.
//!
//! Invariant: never more run than there are slots. The next is of whoever runs the fewest, those in turn, and
//! of one's own the first that came; the last of several free slots goes only to somebody who runs none, so
//! that whoever asks for much makes nobody wait for all of it.
//! Not here: who asks (a text of the caller's), what runs.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The part of the places that one may wait in is one of so many.
const SHARES: usize = 4;

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
    free: usize,
    running: HashMap<Arc<str>, usize>,
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
        let state = State { free: slots.max(1), running: HashMap::new(), lines: VecDeque::new(), next: 0 };
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
        // The sender is dropped only with the turn itself.
        let _ = (&mut self.granted).await;
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
        while let Some(mut line) = self.next().and_then(|at| self.lines.remove(at)) {
            let Some((_, grant)) = line.waiting.pop_front() else { continue };
            self.free -= 1;
            *self.running.entry(Arc::clone(&line.of)).or_default() += 1;
            if !line.waiting.is_empty() {
                self.lines.push_back(line);
            }
            // Who gave up a moment ago gives the slot back when its turn is dropped.
            let _ = grant.send(());
        }
    }

    /// The line whose turn it is, if a slot is free for it.
    fn next(&self) -> Option<usize> {
        let running = |line: &Line| self.running.get(&line.of).copied().unwrap_or(0);
        // Of equals, the first.
        let (at, runs) = self.lines.iter().map(running).enumerate().min_by_key(|(_, runs)| *runs)?;
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
            ["a-1", "a-2", "b-1", "c-1", "a-3", "b-2"]
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
