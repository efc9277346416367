//! Slots with versioned keys.
//!
//! A slot is used again after its value left, a version never: a key that outlived its value finds nothing, rather
//! than whoever moved in. Versions count up over the life of an arena, so that they also tell the order of
//! registration.

use slab::Slab;

/// Names one value of one [`Arena`], for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    index: u32,
    version: u64,
}

impl Key {
    pub(crate) fn index(self) -> usize {
        self.index as usize
    }

    /// The same, as it is kept where many of them are.
    pub(crate) fn index_u32(self) -> u32 {
        self.index
    }

    /// Greater for whoever was inserted later.
    pub(crate) fn version(self) -> u64 {
        self.version
    }
}

/// As much of a key as fits beside one bit into a word: the slot, and the end of the version. That much of it tells
/// whoever moved in from whoever was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShortKey(usize);

/// A process of 32 bits has not nearly as many descriptors as its part of them can count, nor one of 64 bits.
const SLOT_BITS: u32 = if usize::BITS < 64 { 24 } else { 32 };

impl ShortKey {
    /// Whatever was packed by [`bits`](Self::bits).
    pub(crate) fn from_bits(bits: usize) -> Self {
        Self(bits)
    }

    /// The topmost bit is zero.
    pub(crate) fn bits(self) -> usize {
        self.0
    }

    fn slot(self) -> usize {
        self.0 & ((1 << SLOT_BITS) - 1)
    }
}

impl From<Key> for ShortKey {
    fn from(key: Key) -> Self {
        // What does not fit is cut off on purpose.
        let version = key.version as usize;
        Self((version << SLOT_BITS | key.index()) & (usize::MAX >> 1))
    }
}

pub(crate) struct Arena<T> {
    slots: Slab<(u64, T)>,
    next_version: u64,
}

impl<T> Arena<T> {
    pub(crate) fn new() -> Self {
        Self {
            slots: Slab::new(),
            next_version: 0,
        }
    }

    /// The key that the next [`insert`](Self::insert) will give.
    pub(crate) fn next_key(&self) -> Key {
        Key {
            index: index_of(self.slots.vacant_key()),
            version: self.next_version,
        }
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        let version = self.next_version;
        self.next_version += 1;
        Key {
            index: index_of(self.slots.insert((version, value))),
            version,
        }
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        match self.slots.get(key.index()) {
            Some((version, value)) if *version == key.version => Some(value),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slots.get_mut(key.index()) {
            Some((version, value)) if *version == key.version => Some(value),
            _ => None,
        }
    }

    /// Whatever lives in the slot now; for those who know that the slot has not changed hands.
    #[inline]
    pub(crate) fn at(&self, index: usize) -> Option<&T> {
        self.slots.get(index).map(|(_, value)| value)
    }

    /// As [`at`](Self::at), to change it.
    #[inline]
    pub(crate) fn at_mut(&mut self, index: usize) -> Option<&mut T> {
        self.slots.get_mut(index).map(|(_, value)| value)
    }

    /// The key of whatever lives in the slot now; for those who know that the slot has not changed hands.
    #[inline]
    pub(crate) fn key_at(&self, index: usize) -> Option<Key> {
        self.slots.get(index).map(|(version, _)| Key {
            index: index_of(index),
            version: *version,
        })
    }

    /// The key that this is the short one of, if that names something still.
    #[inline]
    pub(crate) fn find(&self, short: ShortKey) -> Option<Key> {
        self.key_at(short.slot())
            .filter(|key| ShortKey::from(*key) == short)
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        Some(self.slots.remove(key.index()).1)
    }

    /// Every key at this moment, for those who change the arena while they go through it.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let key = |(index, (version, _)): (usize, &(u64, T))| Key {
            index: index_of(index),
            version: *version,
        };
        self.slots.iter().map(key).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Empties the arena; the versions go on, so that old keys stay stale.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.slots.drain().map(|(_, value)| value)
    }
}

fn index_of(slot: usize) -> u32 {
    u32::try_from(slot).expect("four thousand million values do not fit into memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_slot_does_not_answer_to_the_old_key() {
        let mut arena = Arena::new();
        let old = arena.insert("old");
        assert_eq!(arena.remove(old), Some("old"));
        let new = arena.insert("new");
        assert_eq!(
            old.index(),
            new.index(),
            "the test is about a slot that is used again"
        );
        assert_eq!(arena.get(old), None);
        assert_eq!(arena.get_mut(old), None);
        assert_eq!(arena.remove(old), None);
        assert_eq!(arena.get(new), Some(&"new"));
        assert_eq!(arena.key_at(new.index()), Some(new));
        assert_eq!(arena.find(old.into()), None);
        assert_eq!(arena.find(new.into()), Some(new));
    }

    #[test]
    fn the_next_key_is_the_one_that_insert_gives() {
        let mut arena = Arena::new();
        for round in 0..10 {
            let expected = arena.next_key();
            let key = arena.insert(round);
            assert_eq!(key, expected);
            if round % 3 == 0 {
                arena.remove(key);
            }
        }
    }

    #[test]
    fn draining_leaves_old_keys_stale() {
        let mut arena = Arena::new();
        let old = arena.insert(1);
        assert_eq!(arena.drain().collect::<Vec<_>>(), [1]);
        let new = arena.insert(2);
        assert_eq!(arena.get(old), None);
        assert!(new.version() > old.version());
        assert_eq!(arena.len(), 1);
    }
}
