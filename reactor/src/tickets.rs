//! Tickets: deadlines that are put off far more often than they pass.
//!
//! All tickets of a class wait for the same time. So the one that was reset last expires last, a class is a list in the
//! order of expiry, and to reset a ticket is to move it to the end of its list. Only the first of each class competes
//! with those of the others; it has a place in a heap, which is put right when somebody asks who is next.

use std::time::{Duration, Instant};

use crate::arena::{Arena, Key};
use crate::timers::Timers;

/// No ticket.
const NONE: u32 = u32::MAX;

pub(crate) struct Tickets<C> {
    classes: Arena<Class<C>>,
    tickets: Arena<Ticket>,
    /// Of each class that had a ticket when it was last looked at: when its first one expires, or earlier.
    firsts: Timers<Key>,
}

struct Class<C> {
    data: C,
    delay: Duration,
    first: u32,
    last: u32,
    /// Its place among the others.
    first_timer: Option<Key>,
}

struct Ticket {
    deadline: Instant,
    about: u64,
    class: Key,
    state: State,
    previous: u32,
    next: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is in the list of its class.
    Waiting,
    /// It expired and waits for its turn; in no list.
    Due,
    /// Its handler runs. Unless that resets it, it ends there.
    Running,
}

/// A ticket whose handler is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expired {
    pub(crate) class: Key,
    pub(crate) about: u64,
    pub(crate) deadline: Instant,
}

impl<C> Tickets<C> {
    pub(crate) fn new() -> Self {
        Self {
            classes: Arena::new(),
            tickets: Arena::new(),
            firsts: Timers::new(),
        }
    }

    /// `delay` is short enough to be added to any moment.
    pub(crate) fn insert_class(&mut self, delay: Duration, data: C) -> Key {
        self.classes.insert(Class {
            data,
            delay,
            first: NONE,
            last: NONE,
            first_timer: None,
        })
    }

    pub(crate) fn class(&self, key: Key) -> Option<&C> {
        self.classes.get(key).map(|class| &class.data)
    }

    pub(crate) fn class_mut(&mut self, key: Key) -> Option<&mut C> {
        self.classes.get_mut(key).map(|class| &mut class.data)
    }

    /// Removes a class with its tickets: those that wait now, and those that are due when they are looked for.
    pub(crate) fn remove_class(&mut self, key: Key) -> Option<C> {
        let class = self.classes.remove(key)?;
        if let Some(timer) = class.first_timer {
            self.firsts.remove(timer);
        }
        let mut index = class.first;
        while index != NONE {
            let key = self.key_at(index);
            index = self.ticket_at(index).next;
            self.tickets.remove(key);
        }
        Some(class.data)
    }

    /// A new ticket, which expires one delay after `now`. `now` does not go back from call to call.
    pub(crate) fn insert(&mut self, class: Key, now: Instant, about: u64) -> Option<Key> {
        let delay = self.classes.get(class)?.delay;
        let key = self.tickets.insert(Ticket {
            deadline: now + delay,
            about,
            class,
            state: State::Waiting,
            previous: NONE,
            next: NONE,
        });
        self.append(class, key);
        Some(key)
    }

    /// Puts a ticket off to one delay after `now`, whether it waits, is due, or runs.
    pub(crate) fn reset(&mut self, key: Key, now: Instant) -> bool {
        let Some(ticket) = self.tickets.get(key) else {
            return false;
        };
        let (class_key, state) = (ticket.class, ticket.state);
        let Some(class) = self.classes.get(class_key) else {
            return false;
        };
        let (delay, last) = (class.delay, class.last);
        if state == State::Waiting && last as usize != key.index() {
            self.unlink(key);
        }
        let ticket = self.ticket_at_mut(key.index_u32());
        ticket.deadline = now + delay;
        ticket.state = State::Waiting;
        if state != State::Waiting || last as usize != key.index() {
            self.append(class_key, key);
        }
        true
    }

    /// Tells whether it was there: one that is due or runs is gone with its class, though it is cleared away later.
    pub(crate) fn remove(&mut self, key: Key) -> bool {
        let Some(ticket) = self.tickets.get(key) else {
            return false;
        };
        let was_there = if ticket.state == State::Waiting {
            self.unlink(key);
            true
        } else {
            self.classes.get(ticket.class).is_some()
        };
        self.tickets.remove(key);
        was_there
    }

    /// When a ticket expires; nothing for one that is due or runs.
    pub(crate) fn deadline(&self, key: Key) -> Option<Instant> {
        let ticket = self.tickets.get(key)?;
        (ticket.state == State::Waiting).then_some(ticket.deadline)
    }

    /// When the next one expires.
    pub(crate) fn next(&mut self) -> Option<Instant> {
        loop {
            let (noted, timer) = self.firsts.first()?;
            let class_key = *self.firsts.get(timer).expect("it is the first in there");
            let class = self
                .classes
                .get(class_key)
                .expect("it leaves with its timer");
            if class.first == NONE {
                self.firsts.remove(timer);
                self.class_at_mut(class_key).first_timer = None;
                continue;
            }
            let deadline = self.ticket_at(class.first).deadline;
            if deadline == noted {
                return Some(deadline);
            }
            self.firsts.set(timer, deadline);
        }
    }

    /// Takes the next ticket out of its list if it has expired; [`begin`](Self::begin) is to follow.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Key> {
        if self.next()? > now {
            return None;
        }
        let (_, timer) = self.firsts.first()?;
        let class = *self.firsts.get(timer)?;
        let key = self.key_at(self.classes.get(class)?.first);
        self.unlink(key);
        self.ticket_at_mut(key.index_u32()).state = State::Due;
        Some(key)
    }

    /// Marks a due ticket as running; nothing if it was cancelled or reset since it came due.
    pub(crate) fn begin(&mut self, key: Key) -> Option<Expired> {
        let ticket = self.tickets.get_mut(key)?;
        if ticket.state != State::Due {
            return None;
        }
        ticket.state = State::Running;
        let expired = Expired {
            class: ticket.class,
            about: ticket.about,
            deadline: ticket.deadline,
        };
        if self.classes.get(expired.class).is_none() {
            self.tickets.remove(key);
            return None;
        }
        Some(expired)
    }

    /// Ends a ticket whose handler ran and did not reset it.
    pub(crate) fn finish(&mut self, key: Key) {
        if let Some(ticket) = self.tickets.get(key)
            && ticket.state == State::Running
        {
            self.tickets.remove(key);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.tickets.len()
    }

    pub(crate) fn clear(&mut self) {
        self.firsts.clear();
        self.tickets.drain().for_each(drop);
        self.classes.drain().for_each(drop);
    }

    /// Puts a ticket that is in no list at the end of that of its class.
    fn append(&mut self, class_key: Key, key: Key) {
        let index = key.index_u32();
        let class = self.class_at_mut(class_key);
        let last = std::mem::replace(&mut class.last, index);
        if last == NONE {
            class.first = index;
            if class.first_timer.is_none() {
                let deadline = self.ticket_at(index).deadline;
                let timer = self.firsts.insert(deadline, class_key);
                self.class_at_mut(class_key).first_timer = Some(timer);
            }
        } else {
            self.ticket_at_mut(last).next = index;
        }
        let ticket = self.ticket_at_mut(index);
        ticket.previous = last;
        ticket.next = NONE;
    }

    /// Takes a ticket out of the list of its class.
    fn unlink(&mut self, key: Key) {
        let ticket = self.ticket_at(key.index_u32());
        let (class, previous, next) = (ticket.class, ticket.previous, ticket.next);
        if previous == NONE {
            self.class_at_mut(class).first = next;
        } else {
            self.ticket_at_mut(previous).next = next;
        }
        if next == NONE {
            self.class_at_mut(class).last = previous;
        } else {
            self.ticket_at_mut(next).previous = previous;
        }
    }

    fn key_at(&self, index: u32) -> Key {
        self.tickets
            .key_at(index as usize)
            .expect("lists hold living tickets")
    }

    fn ticket_at(&self, index: u32) -> &Ticket {
        self.tickets
            .at(index as usize)
            .expect("lists hold living tickets")
    }

    fn ticket_at_mut(&mut self, index: u32) -> &mut Ticket {
        self.tickets
            .at_mut(index as usize)
            .expect("lists hold living tickets")
    }

    fn class_at_mut(&mut self, key: Key) -> &mut Class<C> {
        self.classes
            .get_mut(key)
            .expect("a ticket that waits has a class")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// Everything that is due, as the loop takes it: all of it first, then one by one.
    fn expire(tickets: &mut Tickets<()>, now: Instant) -> Vec<u64> {
        let mut due = Vec::new();
        while let Some(key) = tickets.pop_due(now) {
            due.push(key);
        }
        due.into_iter()
            .filter_map(|key| {
                let expired = tickets.begin(key)?;
                tickets.finish(key);
                Some(expired.about)
            })
            .collect()
    }

    #[test]
    fn a_ticket_expires_one_delay_after_its_last_reset() {
        let start = Instant::now();
        let mut tickets = Tickets::new();
        let class = tickets.insert_class(MS(10), ());
        let first = tickets.insert(class, start, 1).unwrap();
        tickets.insert(class, start, 2).unwrap();
        assert!(tickets.reset(first, start + MS(4)));
        assert_eq!(tickets.next(), Some(start + MS(10)));
        assert_eq!(expire(&mut tickets, start + MS(10)), [2]);
        assert_eq!(tickets.deadline(first), Some(start + MS(14)));
        assert_eq!(expire(&mut tickets, start + MS(13)), []);
        assert_eq!(expire(&mut tickets, start + MS(14)), [1]);
        assert_eq!((tickets.next(), tickets.len()), (None, 0));
    }

    #[test]
    fn classes_expire_in_the_order_of_deadlines() {
        let start = Instant::now();
        let mut tickets = Tickets::new();
        let slow = tickets.insert_class(MS(20), ());
        let fast = tickets.insert_class(MS(5), ());
        tickets.insert(slow, start, 1).unwrap();
        tickets.insert(fast, start + MS(1), 2).unwrap();
        tickets.insert(fast, start + MS(18), 3).unwrap();
        assert_eq!(tickets.next(), Some(start + MS(6)));
        assert_eq!(expire(&mut tickets, start + MS(30)), [2, 1, 3]);
    }

    #[test]
    fn what_came_due_can_still_be_cancelled_or_reset() {
        let start = Instant::now();
        let mut tickets = Tickets::new();
        let class = tickets.insert_class(MS(1), ());
        let cancelled = tickets.insert(class, start, 1).unwrap();
        let reset = tickets.insert(class, start, 2).unwrap();
        let now = start + MS(1);
        assert_eq!(tickets.pop_due(now), Some(cancelled));
        assert_eq!(tickets.pop_due(now), Some(reset));
        assert!(tickets.remove(cancelled));
        assert!(tickets.reset(reset, now));
        assert_eq!(tickets.begin(cancelled), None);
        assert_eq!(tickets.begin(reset), None);
        assert_eq!(tickets.next(), Some(start + MS(2)));
    }

    #[test]
    fn a_running_ticket_ends_unless_it_is_reset() {
        let start = Instant::now();
        let mut tickets = Tickets::new();
        let class = tickets.insert_class(MS(1), ());
        let key = tickets.insert(class, start, 1).unwrap();
        tickets.pop_due(start + MS(1));
        assert!(tickets.begin(key).is_some());
        assert!(tickets.reset(key, start + MS(1)));
        tickets.finish(key);
        assert_eq!(expire(&mut tickets, start + MS(2)), [1]);
        assert!(!tickets.reset(key, start + MS(2)));
    }

    #[test]
    fn a_class_goes_with_its_tickets_the_due_ones_too() {
        let start = Instant::now();
        let mut tickets = Tickets::new();
        let class = tickets.insert_class(MS(1), ());
        let due = tickets.insert(class, start, 1).unwrap();
        let waiting = tickets.insert(class, start + MS(5), 2).unwrap();
        assert_eq!(tickets.pop_due(start + MS(1)), Some(due));
        assert!(tickets.remove_class(class).is_some());
        assert!(!tickets.reset(due, start), "its class is gone");
        assert_eq!(tickets.begin(due), None);
        assert!(!tickets.reset(waiting, start));
        assert_eq!((tickets.len(), tickets.next()), (0, None));
    }

    /// Compares with a map under many operations of a small generator.
    #[test]
    fn agrees_with_a_sorted_map() {
        let start = Instant::now();
        let mut tickets = Tickets::new();
        let delays = [MS(3), MS(10), MS(50)];
        let classes = delays.map(|delay| tickets.insert_class(delay, ()));
        // By deadline, class and order of the last reset.
        let mut model: BTreeMap<(Instant, u64), (u64, usize, Key)> = BTreeMap::new();
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |bound: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % bound as u64) as usize
        };
        let mut now = start;
        for name in 0..20_000_u64 {
            match random(6) {
                0..=1 => {
                    let class = random(3);
                    let key = tickets.insert(classes[class], now, name).unwrap();
                    model.insert((now + delays[class], name), (name, class, key));
                }
                2..=3 if !model.is_empty() => {
                    let at = *model.keys().nth(random(model.len())).unwrap();
                    let (about, class, key) = model.remove(&at).unwrap();
                    assert!(tickets.reset(key, now));
                    model.insert((now + delays[class], name), (about, class, key));
                }
                4 if !model.is_empty() => {
                    let at = *model.keys().nth(random(model.len())).unwrap();
                    let (_, _, key) = model.remove(&at).unwrap();
                    assert!(tickets.remove(key));
                    assert!(!tickets.remove(key));
                }
                _ => {
                    now += MS(random(5) as u64);
                    let later = model.split_off(&(now + Duration::from_nanos(1), 0));
                    let mut expected: Vec<u64> = model.values().map(|entry| entry.0).collect();
                    model = later;
                    let mut expired = expire(&mut tickets, now);
                    // Equal deadlines of different classes have no order of their own.
                    expected.sort_unstable();
                    expired.sort_unstable();
                    assert_eq!(expired, expected);
                }
            }
            assert_eq!(tickets.len(), model.len());
            assert_eq!(tickets.next(), model.keys().next().map(|at| at.0));
        }
    }
}
