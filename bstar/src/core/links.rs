//! The state links of a node: one, or two that carry the same.
//!
//! A link keeps the order of what it carries, and two of them keep none between each other: a slow
//! one may deliver an older word after a newer one came by the other. So a node with two numbers
//! its words (`seq=`, growing within one life), and an older word than the last is dropped:
//!
//! | The word, beside the last that was taken | Verdict |
//! |---|---|
//! | of the same life, with a higher number | [new](Verdict::New) |
//! | of the same life, with another number | [old](Verdict::Old) |
//! | nothing was taken for a peer timeout | new |
//! | of an earlier life, by a link that has not brought the last one yet | old: the link lags behind the peer's restart |
//! | of another life | new: the peer was restarted |
//! | without a number, or after one without: by the same link | new |
//! | the same, by the other link | [of unknown order](Verdict::Unordered): the peer lives, and no more is known |
//!
//! So a peer that numbers nothing, such as the Guide's, is listened to on one link at a time: the
//! other one keeps it alive when that is cut, and is listened to after a peer timeout.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::wire::{Announcement, Subscribers};

/// Lives of the peer that are remembered: more restarts than a link can lag behind.
const MAX_LIVES: usize = 8;

/// What is known of one link, for those who watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkStatus {
    /// How long ago the link brought a word of the peer, or this node started.
    pub silence: Duration,
    /// How many words of the peer it brought.
    pub heard: u64,
}

/// What a word of the peer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the last that the peer said, as far as anybody can know.
    New,
    /// The peer lives; whether it said this before or after the last word is not known.
    Unordered,
    /// The peer has said something else since. The link works, and that is all.
    Old,
}

/// The links by their number: 0, and 1 where there is a second one.
#[derive(Clone, Debug)]
pub(super) struct Links {
    links: Vec<Link>,
    /// The number of our last word.
    said: u64,
    taken: Option<Taken>,
    /// Lives of the peer whose words were taken, the last one at the end.
    lives: VecDeque<u64>,
    /// Since when one of them, at least, has been heard, and no pause of ours was in between: only
    /// since then the silence of another means something.
    heard_since: Instant,
}

#[derive(Clone, Debug)]
struct Link {
    subscribers: Subscribers,
    /// Its last word, or our start.
    silent_since: Instant,
    /// When it last brought a word or was dialled.
    dialled: Instant,
    heard: u64,
    /// The life of the peer that it brought a word of last.
    life: Option<u64>,
    silence_told: bool,
}

/// The last word that was taken.
#[derive(Clone, Debug)]
struct Taken {
    link: usize,
    at: Instant,
    /// Of which life, and its number.
    number: Option<(u64, u64)>,
}

impl Links {
    /// One link.
    pub(super) fn new(now: Instant) -> Links {
        Links {
            links: vec![Link::new(now)],
            said: 0,
            taken: None,
            lives: VecDeque::new(),
            heard_since: now,
        }
    }

    /// One more.
    pub(super) fn add(&mut self, now: Instant) {
        self.links.push(Link::new(now));
    }

    /// Who listens on a link.
    pub(super) fn subscribers(&mut self, link: usize) -> &mut Subscribers {
        &mut self.links[link].subscribers
    }

    /// Whether everyone who listens on a link reads a second frame.
    pub(super) fn reads_metadata(&self, link: usize) -> bool {
        self.links[link].subscribers.all_read_metadata()
    }

    /// Whether anyone listens on a link.
    pub(super) fn has_listeners(&self, link: usize) -> bool {
        self.links[link].subscribers.is_any()
    }

    /// How many words of the peer came by a link.
    pub(super) fn heard(&self, link: usize) -> u64 {
        self.links[link].heard
    }

    /// The number of our next word, if it needs one.
    pub(super) fn number(&mut self) -> Option<u64> {
        if self.links.len() == 1 {
            return None;
        }
        self.said += 1;
        Some(self.said)
    }

    /// Notes a word of the peer, and judges it.
    pub(super) fn judge(
        &mut self,
        link: usize,
        said: &Announcement,
        now: Instant,
        timeout: Duration,
    ) -> Verdict {
        if self
            .links
            .iter()
            .all(|link| now >= link.silent_since + timeout)
        {
            self.heard_since = now;
        }
        let metadata = said.metadata.as_ref();
        let life = metadata.map(|m| m.incarnation);
        let by = &mut self.links[link];
        by.heard += 1;
        by.silent_since = now;
        by.dialled = now;
        let brought = by.life;
        by.life = life.or(brought);
        let number = metadata.and_then(|m| Some((m.incarnation, m.seq?)));
        let verdict = match &self.taken {
            Some(last) => self.compare(last, link, number, brought, now < last.at + timeout),
            None => Verdict::New,
        };
        if verdict == Verdict::New {
            self.take(link, number, now);
        }
        verdict
    }

    fn compare(
        &self,
        last: &Taken,
        link: usize,
        number: Option<(u64, u64)>,
        brought: Option<u64>,
        recent: bool,
    ) -> Verdict {
        match (last.number, number) {
            (Some((last_life, last)), Some((life, number))) if life == last_life => {
                if number > last {
                    Verdict::New
                } else {
                    Verdict::Old
                }
            }
            _ if !recent => Verdict::New,
            (Some((last_life, _)), Some((life, _))) => {
                if self.lives.contains(&life) && brought != Some(last_life) {
                    Verdict::Old
                } else {
                    Verdict::New
                }
            }
            (None, _) | (_, None) if last.link == link => Verdict::New,
            (None, _) | (_, None) => Verdict::Unordered,
        }
    }

    fn take(&mut self, link: usize, number: Option<(u64, u64)>, at: Instant) {
        self.taken = Some(Taken { link, at, number });
        if let Some((life, _)) = number
            && self.lives.back() != Some(&life)
        {
            self.lives.retain(|other| *other != life);
            self.lives.push_back(life);
            if self.lives.len() > MAX_LIVES {
                self.lives.pop_front();
            }
        }
    }

    /// A pause of our own ended: the links' words may wait unread, and must not be thrown away by
    /// a new connection.
    pub(super) fn wake(&mut self, now: Instant) {
        self.heard_since = now;
        for link in &mut self.links {
            link.dialled = now;
        }
    }

    /// A link that has been silent for so long, once more. It counts as dialled with that.
    pub(super) fn redial(&mut self, now: Instant, after: Duration) -> Option<usize> {
        let overdue = |link: &Link| now >= link.dialled + after;
        let link = self.links.iter().position(overdue)?;
        self.links[link].dialled = now;
        Some(link)
    }

    /// A link that fell silent for a peer timeout while another was heard, or that is heard again;
    /// each is told once. `true`: it is silent.
    pub(super) fn change(&mut self, timeout: Duration) -> Option<(usize, bool)> {
        let last = self.links.iter().map(|link| link.silent_since).max()?;
        for (n, link) in self.links.iter_mut().enumerate() {
            let since = if link.silence_told {
                link.silent_since
            } else {
                link.silent_since.max(self.heard_since)
            };
            let silent = last >= since + timeout;
            if silent != link.silence_told {
                link.silence_told = silent;
                return Some((n, silent));
            }
        }
        None
    }

    /// What is known of each.
    pub(super) fn status(&self, now: Instant) -> Vec<LinkStatus> {
        let status = |link: &Link| LinkStatus {
            silence: now.saturating_duration_since(link.silent_since),
            heard: link.heard,
        };
        self.links.iter().map(status).collect()
    }
}

impl Link {
    fn new(now: Instant) -> Link {
        Link {
            subscribers: Subscribers::default(),
            silent_since: now,
            dialled: now,
            heard: 0,
            life: None,
            silence_told: false,
        }
    }
}

#[cfg(test)]
impl Links {
    /// What decides of the only link, for a search to tell states apart. The patterns name every
    /// field, so that none is forgotten.
    pub(super) fn canonical(&self) -> Subscribers {
        let Links {
            links,
            said,
            // By one link every word is new.
            taken: _,
            lives: _,
            heard_since: _,
        } = self;
        let [
            Link {
                subscribers,
                silent_since: _,
                dialled: _,
                heard: _,
                life: _,
                silence_told,
            },
        ] = &links[..]
        else {
            panic!("the search has one link")
        };
        assert!(*said == 0 && !silence_told);
        subscribers.clone()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::{Announced, Heard, Metadata, PairId, Role};

    const TIMEOUT: Duration = Duration::from_secs(2);
    const SECOND: Duration = Duration::from_secs(1);

    fn word(number: Option<(u64, u64)>) -> Announcement {
        Announcement {
            state: Announced::Active,
            metadata: number.map(|(incarnation, seq)| Metadata {
                pair: PairId::default(),
                role: Role::Backup,
                incarnation,
                epoch: 0,
                heard: Heard::Nothing,
                timeout: TIMEOUT,
                offer: None,
                answer: None,
                wants: false,
                maintenance: false,
                seq: Some(seq),
            }),
        }
    }

    /// Two links and their time.
    struct Bench {
        links: Links,
        now: Instant,
    }

    impl Bench {
        fn new() -> Bench {
            let now = Instant::now();
            let mut links = Links::new(now);
            links.add(now);
            Bench { links, now }
        }

        fn says(&mut self, link: usize, life: u64, seq: u64) -> Verdict {
            let word = word(Some((life, seq)));
            self.links.judge(link, &word, self.now, TIMEOUT)
        }

        fn says_bare(&mut self, link: usize) -> Verdict {
            self.links.judge(link, &word(None), self.now, TIMEOUT)
        }

        fn changes(&mut self) -> Vec<(usize, bool)> {
            std::iter::from_fn(|| self.links.change(TIMEOUT)).collect()
        }
    }

    #[test]
    fn a_word_counts_once_and_never_after_a_newer_one() {
        let mut bench = Bench::new();
        assert_eq!(bench.says(0, 7, 1), Verdict::New);
        assert_eq!(bench.says(1, 7, 1), Verdict::Old);
        assert_eq!(bench.says(1, 7, 3), Verdict::New);
        assert_eq!(bench.says(0, 7, 2), Verdict::Old);
        // However long nothing was said: it is known to be older.
        bench.now += 10 * TIMEOUT;
        assert_eq!(bench.says(0, 7, 3), Verdict::Old);
        assert_eq!(bench.says(0, 7, 4), Verdict::New);
        let status = bench.links.status(bench.now);
        assert_eq!(status.iter().map(|s| s.heard).collect::<Vec<_>>(), [4, 2]);
    }

    #[test]
    fn a_restarted_peer_begins_anew_and_its_past_is_over() {
        let mut bench = Bench::new();
        assert_eq!(bench.says(0, 7, 100), Verdict::New);
        assert_eq!(bench.says(0, 8, 1), Verdict::New);
        // The other link lags behind, also one that brought nothing yet.
        assert_eq!(bench.says(1, 7, 101), Verdict::Old);
        assert_eq!(bench.says(1, 7, 102), Verdict::Old);
        assert_eq!(bench.says(1, 8, 1), Verdict::Old);
        assert_eq!(bench.says(1, 8, 2), Verdict::New);
        assert_eq!(bench.says(0, 9, 1), Verdict::New);
        assert_eq!(bench.says(1, 8, 3), Verdict::Old);
    }

    #[test]
    fn two_who_take_turns_are_heard_as_on_one_link() {
        let mut bench = Bench::new();
        for seq in 1..5 {
            assert_eq!(bench.says(0, 7, seq), Verdict::New);
            assert_eq!(bench.says(0, 8, seq), Verdict::New);
        }
        // Nobody is deaf to a life for good.
        assert_eq!(bench.says(1, 7, 9), Verdict::Old);
        bench.now += TIMEOUT;
        assert_eq!(bench.says(1, 7, 10), Verdict::New);
    }

    #[test]
    fn a_peer_without_numbers_is_listened_to_on_one_link_at_a_time() {
        let mut bench = Bench::new();
        assert_eq!(bench.says_bare(1), Verdict::New);
        assert_eq!(bench.says_bare(0), Verdict::Unordered);
        bench.now += SECOND;
        assert_eq!(bench.says_bare(1), Verdict::New);
        // Its link is cut.
        bench.now += SECOND;
        assert_eq!(bench.says_bare(0), Verdict::Unordered);
        bench.now += SECOND;
        assert_eq!(bench.says_bare(0), Verdict::New);
        assert_eq!(bench.says_bare(1), Verdict::Unordered);
    }

    #[test]
    fn one_link_needs_no_numbers() {
        let mut links = Links::new(Instant::now());
        assert_eq!(links.number(), None);
        let mut bench = Bench::new();
        assert_eq!(bench.links.number(), Some(1));
        assert_eq!(bench.links.number(), Some(2));
    }

    #[test]
    fn a_link_that_falls_silent_beside_another_is_told_of_once_and_so_is_its_return() {
        let mut bench = Bench::new();
        let mut seq = 0;
        let mut beat = |bench: &mut Bench, links: &[usize]| {
            bench.now += SECOND;
            seq += 1;
            for link in links {
                bench.says(*link, 7, seq);
            }
            bench.changes()
        };
        // Nobody is there for a while, and then one comes sooner by one of the links.
        bench.now += 10 * TIMEOUT;
        assert_eq!(beat(&mut bench, &[0]), []);
        assert_eq!(beat(&mut bench, &[0, 1]), []);
        assert_eq!(beat(&mut bench, &[1]), []);
        assert_eq!(beat(&mut bench, &[1]), [(0, true)]);
        assert_eq!(beat(&mut bench, &[1]), []);
        assert_eq!(beat(&mut bench, &[0, 1]), [(0, false)]);
        // The peer itself is gone: that is no matter of links.
        for _ in 0..10 {
            assert_eq!(beat(&mut bench, &[]), []);
        }
        assert_eq!(beat(&mut bench, &[0]), []);
        assert_eq!(beat(&mut bench, &[0]), []);
        assert_eq!(beat(&mut bench, &[0]), [(1, true)]);
        // It dies while one of its links is cut, and comes back.
        for _ in 0..10 {
            assert_eq!(beat(&mut bench, &[]), []);
        }
        assert_eq!(beat(&mut bench, &[0]), []);
        assert_eq!(beat(&mut bench, &[1]), [(1, false)]);
    }

    #[test]
    fn after_a_pause_of_our_own_silence_counts_anew() {
        let mut bench = Bench::new();
        bench.says(0, 7, 1);
        bench.says(1, 7, 1);
        bench.now += 10 * TIMEOUT;
        bench.links.wake(bench.now);
        assert_eq!(bench.links.redial(bench.now, TIMEOUT), None);
        bench.says(0, 7, 2);
        assert_eq!(bench.changes(), []);
        bench.now += SECOND;
        bench.says(0, 7, 3);
        assert_eq!(bench.changes(), []);
        bench.now += SECOND;
        bench.says(0, 7, 4);
        assert_eq!(bench.changes(), [(1, true)]);
        assert_eq!(bench.links.redial(bench.now, TIMEOUT), Some(1));
        assert_eq!(bench.links.redial(bench.now, TIMEOUT), None);
    }

    proptest! {
        /// Each link keeps its order and lags as it likes, over restarts of the peer too.
        #[test]
        fn what_is_taken_is_in_order(
            lives in prop::collection::vec(1_u64..6, 1..MAX_LIVES),
            steps in prop::collection::vec(0_usize..2, 1..100),
        ) {
            let said: Vec<_> = (0_u64..)
                .zip(lives)
                .flat_map(|(life, words)| (1..=words).map(move |seq| (life, seq)))
                .collect();
            let mut bench = Bench::new();
            let mut next = [0; 2];
            let mut taken = Vec::new();
            for link in steps {
                let Some((life, seq)) = said.get(next[link]) else { continue };
                next[link] += 1;
                if bench.says(link, *life, *seq) == Verdict::New {
                    taken.push((*life, *seq));
                }
            }
            let newest = next.into_iter().max().and_then(|next| said.get(next - 1));
            prop_assert!(taken.is_sorted_by(|a, b| a < b), "{taken:?}");
            prop_assert_eq!(taken.last(), newest, "the newest is heard");
        }
    }
}
