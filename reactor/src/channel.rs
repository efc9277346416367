//! A channel from other threads into the loop.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use crate::remote::lock;
use crate::scope::Plain;
use crate::{BoxError, Error, Event, Scope, SourceKey, Waker};

/// Sends into a reactor from any thread, and outlives it. See [`Scope::add_channel`].
pub struct Sender<T> {
    channel: Arc<Channel<T>>,
    waker: Waker,
    source: SourceKey,
}

struct Channel<T> {
    queue: Mutex<Queue<T>>,
    capacity: usize,
}

struct Queue<T> {
    waiting: VecDeque<T>,
    senders: usize,
    /// The reactor was told that something waits, and has not found the end of it since.
    told: bool,
    /// The reactor takes no more.
    closed: bool,
}

/// Why an item was not sent, with the item.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError<T> {
    /// As many items wait as the channel may hold: the reactor is behind.
    #[error("the channel is full")]
    Full(T),
    /// The channel was removed from the reactor, or the reactor has ended.
    #[error("the channel is closed")]
    Closed(T),
}

impl<T> SendError<T> {
    /// The item.
    pub fn into_inner(self) -> T {
        match self {
            SendError::Full(item) | SendError::Closed(item) => item,
        }
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Full(_) => "Full(..)",
            SendError::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> Sender<T> {
    /// Hands an item to the reactor. Never waits: what to do when the channel is full is the sender's to say.
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        {
            let mut queue = lock(&self.channel.queue);
            if queue.closed {
                return Err(SendError::Closed(item));
            }
            if queue.waiting.len() >= self.channel.capacity {
                return Err(SendError::Full(item));
            }
            queue.waiting.push_back(item);
            if std::mem::replace(&mut queue.told, true) {
                return Ok(());
            }
        }
        self.waker.notify(self.source);
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        lock(&self.channel.queue).senders += 1;
        Self {
            channel: Arc::clone(&self.channel),
            waker: self.waker.clone(),
            source: self.source,
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let last = {
            let mut queue = lock(&self.channel.queue);
            queue.senders -= 1;
            queue.senders == 0 && !queue.closed
        };
        if last {
            self.waker.notify(self.source);
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

/// The reactor's end. It is dropped with its source.
struct Receiver<T>(Arc<Channel<T>>);

enum Taken<T> {
    Item(T),
    Nothing,
    /// Nothing, and nobody is left to send.
    End,
}

impl<T> Receiver<T> {
    fn take(&self) -> Taken<T> {
        let mut queue = lock(&self.0.queue);
        match queue.waiting.pop_front() {
            Some(item) => Taken::Item(item),
            None if queue.senders == 0 => Taken::End,
            None => {
                queue.told = false;
                Taken::Nothing
            }
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let waiting = {
            let mut queue = lock(&self.0.queue);
            queue.closed = true;
            std::mem::take(&mut queue.waiting)
        };
        // Outside the lock, since what is dropped is the application's and may well hold a sender.
        drop(waiting);
    }
}

impl<S: 'static> Scope<S> {
    /// Opens a channel by which other threads send items to a handler, in order, and with no more of them waiting than
    /// `capacity`, which is at least one.
    ///
    /// The handler gets as many items a turn as the [budget](crate::Builder::budget) allows. When the last sender is
    /// gone and everything is handled it gets `None`, and the channel is removed. Removed
    /// [earlier](Self::remove_source), it drops what waits, and its senders are told.
    ///
    /// ```
    /// # use reactor::Reactor;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut reactor = Reactor::<u64>::new()?;
    /// let (sender, _) = reactor.scope().add_channel("numbers", 100, |sum, scope, number: Option<u64>| {
    ///     match number {
    ///         Some(number) => *sum += number,
    ///         None => scope.stop(),
    ///     }
    ///     Ok(())
    /// })?;
    /// let thread = std::thread::spawn(move || (1..=10).try_for_each(|number| sender.send(number)));
    /// let mut sum = 0;
    /// reactor.run(&mut sum)?;
    /// # thread.join().map_err(|_| "the thread panicked")??;
    /// assert_eq!(sum, 55);
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_channel<T: Send + 'static>(
        &mut self,
        name: &str,
        capacity: usize,
        mut handler: impl FnMut(&mut S, &mut Scope<S>, Option<T>) -> Result<(), BoxError> + 'static,
    ) -> Result<(Sender<T>, SourceKey), Error> {
        if capacity == 0 {
            return Err(Error::Invalid("the capacity of a channel is at least 1"));
        }
        let channel = Arc::new(Channel {
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                senders: 1,
                told: false,
                closed: false,
            }),
            capacity,
        });
        let receiver = Receiver(Arc::clone(&channel));
        let waker = self.waker();
        let budget = self.budget();
        let source = self.add_source_with(name, |source| {
            let waker = waker.clone();
            Plain(move |state: &mut S, scope: &mut Scope<S>, event| {
                if event != Event::Notified {
                    return Ok(());
                }
                for _ in 0..budget {
                    let item = match receiver.take() {
                        Taken::Item(item) => Some(item),
                        Taken::Nothing => return Ok(()),
                        Taken::End => None,
                    };
                    if item.is_none() {
                        scope.remove_source(source);
                        return handler(state, scope, None);
                    }
                    if let Err(error) = handler(state, scope, item) {
                        waker.notify(source);
                        return Err(error);
                    }
                    // Who removed the channel gets nothing more of it.
                    if !scope.has_source(source) {
                        return Ok(());
                    }
                }
                // There may be more; then it is for the next turn.
                waker.notify(source);
                Ok(())
            })
        });
        let sender = Sender {
            channel,
            waker,
            source,
        };
        Ok((sender, source))
    }
}
