//! What is to be done: links first, then copies of requests.

use std::time::Instant;

use super::server::{Link, Name, Reach, Up};
use super::{Action, Engine};

impl<B, R> Engine<B, R> {
    /// The next thing to do at `now`.
    pub fn poll_action(&mut self, now: Instant) -> Option<Action> {
        self.confirm_ping(now);
        if !self.closed {
            self.recover(now);
        }
        if let Some(server) = self.hang_ups.pop_front() {
            return Some(Action::HangUp { server });
        }
        if self.closed {
            return None;
        }
        self.poll_link(now).or_else(|| self.poll_send(now))
    }

    fn poll_link(&mut self, now: Instant) -> Option<Action> {
        for entry in &mut self.servers {
            let server = entry.id;
            match &mut entry.link {
                Link::Down { redial_at } if *redial_at <= now => {
                    entry.link = Link::Dialling {
                        give_up_at: now + self.config.dial_timeout,
                    };
                    return Some(Action::Dial { server });
                }
                Link::Down { .. } | Link::Dialling { .. } => {}
                Link::Up(Up {
                    reach, heard_at, ..
                }) => match reach {
                    Reach::Given => {}
                    Reach::Sought { name, .. } if *name == Name::Due => {
                        *name = Name::Asked {
                            give_up_at: now + self.config.dial_timeout,
                        };
                        return Some(Action::AskName { server });
                    }
                    Reach::Sought { ping_at, pause, .. } if *ping_at <= now => {
                        *ping_at = now + *pause;
                        *pause = (*pause * 2).min(self.config.retry_pause);
                        self.pinged = Some(server);
                        return Some(Action::Ping { server });
                    }
                    Reach::Found { ping_at } if *ping_at <= now => {
                        *heard_at += now - *ping_at;
                        *ping_at = now + self.config.ping_interval;
                        return Some(Action::Ping { server });
                    }
                    Reach::Sought { .. } | Reach::Found { .. } => {}
                },
            }
        }
        None
    }
}
