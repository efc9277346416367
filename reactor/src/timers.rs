//! The timers: an indexed heap of four children a node.
//!
//! Whoever is in the heap knows its place there, so that cancelling and moving cost `O(log n)` like inserting, and
//! looking at the earliest costs nothing. Equal deadlines fire in the order of registration.
//!
//! The place of a timer that came due is kept open for as long as it is the first: it will likely be set again, to a
//! time that is soon, and then goes back there instead of climbing through the heap once more.

use std::time::Instant;

use crate::arena::{Arena, Key};

/// Four children a node: half the levels of a binary heap, and the four are neighbours in memory.
const CHILDREN: usize = 4;

pub(crate) struct Timers<T> {
    entries: Arena<Entry<T>>,
    heap: Vec<Node>,
    /// The first place of the heap is open: what stands there does not count.
    open: bool,
}

struct Entry<T> {
    state: State,
    data: T,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits in the heap, at this place.
    Armed(usize),
    /// Came due at this moment and waits for its turn; no longer in the heap.
    Due(Instant),
    /// Its handler runs. Unless that arms it again, it ends there.
    Running,
}

#[derive(Clone, Copy)]
struct Node {
    deadline: Instant,
    key: Key,
}

impl Node {
    fn before(&self, other: &Node) -> bool {
        (self.deadline, self.key.version()) < (other.deadline, other.key.version())
    }
}

impl<T> Timers<T> {
    pub(crate) fn new() -> Self {
        Self {
            entries: Arena::new(),
            heap: Vec::new(),
            open: false,
        }
    }

    pub(crate) fn insert(&mut self, at: Instant, data: T) -> Key {
        let state = State::Running;
        let key = self.entries.insert(Entry { state, data });
        self.arm(Node { deadline: at, key });
        key
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        self.entries.get(key).map(|entry| &entry.data)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.entries.get_mut(key).map(|entry| &mut entry.data)
    }

    /// When it will fire; nothing for one that is due or runs.
    pub(crate) fn deadline(&self, key: Key) -> Option<Instant> {
        match self.entries.get(key)?.state {
            State::Armed(place) => Some(self.heap[place].deadline),
            State::Due(_) | State::Running => None,
        }
    }

    /// Moves a timer, wherever it is: waiting, due, or running.
    pub(crate) fn set(&mut self, key: Key, at: Instant) -> bool {
        let node = Node { deadline: at, key };
        match self.entries.get(key).map(|entry| entry.state) {
            None => return false,
            Some(State::Due(_) | State::Running) => self.arm(node),
            Some(State::Armed(_)) => {
                self.close();
                // Closing may have moved it.
                if let Some(State::Armed(place)) = self.entries.get(key).map(|entry| entry.state) {
                    self.heap[place] = node;
                    self.settle(place);
                }
            }
        }
        true
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        if let State::Armed(_) = self.entries.get(key)?.state {
            self.close();
        }
        let entry = self.entries.remove(key)?;
        if let State::Armed(place) = entry.state {
            self.take_out(place);
        }
        Some(entry.data)
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.first().map(|(deadline, _)| deadline)
    }

    /// The earliest deadline, and whose it is.
    pub(crate) fn first(&self) -> Option<(Instant, Key)> {
        let place = if self.open {
            self.least_child(0)
        } else {
            Some(0)
        };
        let node = self.heap.get(place?)?;
        Some((node.deadline, node.key))
    }

    /// Takes the earliest out of the heap if it is due; [`begin`](Self::begin) is to follow.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Key> {
        let (deadline, key) = self.first()?;
        if deadline > now {
            return None;
        }
        self.close();
        self.open = true;
        let entry = self
            .entries
            .get_mut(key)
            .expect("what is in the heap is in the arena");
        entry.state = State::Due(deadline);
        Some(key)
    }

    /// Marks a due timer as running and tells its deadline; nothing if it was cancelled or moved since it came due.
    pub(crate) fn begin(&mut self, key: Key) -> Option<Instant> {
        let entry = self.entries.get_mut(key)?;
        match entry.state {
            State::Due(deadline) => {
                entry.state = State::Running;
                Some(deadline)
            }
            State::Armed(_) | State::Running => None,
        }
    }

    /// Whether its handler ran and did not arm it again.
    pub(crate) fn is_spent(&self, key: Key) -> bool {
        self.entries
            .get(key)
            .is_some_and(|entry| entry.state == State::Running)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn clear(&mut self) {
        self.heap.clear();
        self.open = false;
        self.entries.drain().for_each(drop);
    }

    /// Puts someone who is not in the heap there.
    fn arm(&mut self, node: Node) {
        if std::mem::take(&mut self.open) {
            self.heap[0] = node;
            self.sink(0);
        } else {
            self.heap.push(node);
            self.rise(self.heap.len() - 1);
        }
    }

    /// Gives up the place that was kept open.
    fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            self.take_out(0);
        }
    }

    fn take_out(&mut self, place: usize) {
        self.heap.swap_remove(place);
        if place < self.heap.len() {
            self.settle(place);
        }
    }

    /// Brings the node at `place` to where it belongs and notes where that is.
    fn settle(&mut self, place: usize) {
        if place > 0 && self.heap[place].before(&self.heap[(place - 1) / CHILDREN]) {
            self.rise(place);
        } else {
            self.sink(place);
        }
    }

    fn rise(&mut self, mut place: usize) {
        let node = self.heap[place];
        while place > 0 {
            let parent = (place - 1) / CHILDREN;
            if !node.before(&self.heap[parent]) {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, node);
    }

    fn sink(&mut self, mut place: usize) {
        let node = self.heap[place];
        while let Some(child) = self.least_child(place) {
            if !self.heap[child].before(&node) {
                break;
            }
            self.put(place, self.heap[child]);
            place = child;
        }
        self.put(place, node);
    }

    /// Which child of a place comes first.
    fn least_child(&self, place: usize) -> Option<usize> {
        let first = place * CHILDREN + 1;
        let last = (first + CHILDREN).min(self.heap.len());
        (first..last).reduce(|a, b| {
            if self.heap[b].before(&self.heap[a]) {
                b
            } else {
                a
            }
        })
    }

    fn put(&mut self, place: usize, node: Node) {
        self.heap[place] = node;
        let entry = self
            .entries
            .get_mut(node.key)
            .expect("what is in the heap is in the arena");
        entry.state = State::Armed(place);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn fire(timers: &mut Timers<u32>, now: Instant) -> Vec<u32> {
        let mut due = Vec::new();
        while let Some(key) = timers.pop_due(now) {
            due.push(key);
        }
        let mut fired = Vec::new();
        for key in due {
            if timers.begin(key).is_some() {
                fired.push(*timers.get(key).unwrap());
                timers.remove(key);
            }
        }
        fired
    }

    fn check(timers: &Timers<u32>) {
        let first = usize::from(timers.open);
        for (place, node) in timers.heap.iter().enumerate().skip(first) {
            assert!(timers.entries.get(node.key).unwrap().state == State::Armed(place));
            let parent = place.saturating_sub(1) / CHILDREN;
            assert!(parent < first || !node.before(&timers.heap[parent]));
        }
    }

    #[test]
    fn fires_by_deadline_and_ties_by_registration() {
        let start = Instant::now();
        let mut timers = Timers::new();
        for name in 0..100 {
            timers.insert(start + Duration::from_millis(u64::from(name % 7)), name);
        }
        let fired = fire(&mut timers, start + Duration::from_secs(1));
        let mut expected: Vec<u32> = (0..100).collect();
        expected.sort_by_key(|name| (name % 7, *name));
        assert_eq!(fired, expected);
        assert_eq!(timers.len(), 0);
    }

    #[test]
    fn only_what_is_due_fires() {
        let start = Instant::now();
        let mut timers = Timers::new();
        timers.insert(start + Duration::from_millis(1), 1);
        timers.insert(start + Duration::from_millis(2), 2);
        assert_eq!(timers.next(), Some(start + Duration::from_millis(1)));
        assert_eq!(fire(&mut timers, start), []);
        assert_eq!(fire(&mut timers, start + Duration::from_millis(1)), [1]);
        assert_eq!(timers.next(), Some(start + Duration::from_millis(2)));
    }

    #[test]
    fn what_came_due_can_still_be_cancelled_or_moved() {
        let start = Instant::now();
        let mut timers = Timers::new();
        let cancelled = timers.insert(start, 1);
        let moved = timers.insert(start, 2);
        assert_eq!(timers.pop_due(start), Some(cancelled));
        assert_eq!(timers.pop_due(start), Some(moved));
        assert_eq!(timers.remove(cancelled), Some(1));
        assert!(timers.set(moved, start + Duration::from_secs(1)));
        assert_eq!(timers.begin(cancelled), None);
        assert_eq!(timers.begin(moved), None);
        assert_eq!(timers.deadline(moved), Some(start + Duration::from_secs(1)));
        check(&timers);
    }

    #[test]
    fn the_open_place_is_taken_by_whoever_comes_next() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::new();
        let first = timers.insert(at(0), 0);
        let others: Vec<Key> = (1..10).map(|n| timers.insert(at(n), n as u32)).collect();
        assert_eq!(timers.pop_due(start), Some(first));
        assert_eq!(timers.next(), Some(at(1)), "the first of those that wait");
        let new = timers.insert(at(5), 100);
        check(&timers);
        assert_eq!(timers.pop_due(at(1)), Some(others[0]));
        assert!(timers.set(others[8], at(2)));
        check(&timers);
        assert!(timers.set(first, at(3)) && timers.set(others[0], at(4)));
        check(&timers);
        assert_eq!(timers.remove(new), Some(100));
        check(&timers);
        assert_eq!(fire(&mut timers, at(4)), [2, 9, 0, 3, 1, 4]);
    }

    #[test]
    fn a_running_timer_is_spent_unless_it_is_armed_again() {
        let start = Instant::now();
        let mut timers = Timers::new();
        let key = timers.insert(start, 1);
        timers.pop_due(start);
        assert_eq!(timers.begin(key), Some(start));
        assert!(timers.is_spent(key));
        assert!(timers.set(key, start + Duration::from_secs(1)));
        assert!(!timers.is_spent(key));
        check(&timers);
    }

    /// Compares with a plain list under many operations of a small generator.
    #[test]
    fn agrees_with_a_sorted_list() {
        let start = Instant::now();
        let mut timers = Timers::new();
        let mut model: Vec<(Instant, u64, u32, Key)> = Vec::new();
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move |bound: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % bound
        };
        let mut now = start;
        for name in 0..20_000 {
            let at = now + Duration::from_millis(random(50));
            match random(6) {
                0..=2 => {
                    let key = timers.insert(at, name);
                    model.push((at, key.version(), name, key));
                }
                3 if !model.is_empty() => {
                    let index = random(model.len() as u64) as usize;
                    let (_, _, name, key) = model.swap_remove(index);
                    assert_eq!(timers.remove(key), Some(name));
                    assert_eq!(timers.remove(key), None);
                }
                4 if !model.is_empty() => {
                    let index = random(model.len() as u64) as usize;
                    model[index].0 = at;
                    assert!(timers.set(model[index].3, at));
                }
                _ => {
                    now += Duration::from_millis(random(5));
                    model.sort();
                    let due = model.partition_point(|entry| entry.0 <= now);
                    let expected: Vec<u32> = model.drain(..due).map(|entry| entry.2).collect();
                    assert_eq!(fire(&mut timers, now), expected);
                }
            }
            if name % 100 == 0 {
                check(&timers);
            }
            assert_eq!(timers.len(), model.len());
        }
    }
}
