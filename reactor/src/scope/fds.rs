//! Descriptors of the operating system, with level semantics: a handler that does not take everything is called
//! again.

use std::any::Any;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use super::{ReadyItem, Scope, unwatch};
use crate::backend::Token;
use crate::{Error, FdKey, Interest, Ready, Rejected, SourceKey};

pub(super) struct FdSlot {
    descriptor: Box<dyn Descriptor>,
    pub(super) fd: RawFd,
    pub(super) owner: SourceKey,
    pub(super) place: usize,
    pub(super) tag: usize,
    pub(super) interest: Interest,
    /// Who is told what, and when.
    pub(super) trigger: Trigger,
    /// What the back end has signalled and nobody was told yet.
    pub(super) signalled: Ready,
    /// It is in the list of those that are ready.
    pub(super) queued: bool,
    /// Its source wants to be called in the next turn, whatever is signalled.
    pub(super) again: bool,
}

/// When a descriptor is signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    /// As long as it is ready: it is armed anew after each call.
    Level,
    /// When something arrives.
    Edge,
}

impl FdSlot {
    /// Lets go of a descriptor that somebody closed: its owner would close the number once more, which may be another's
    /// by now.
    pub(super) fn leak(self) {
        std::mem::forget(self.descriptor);
    }
}

/// A descriptor whose type is forgotten, and can be asked for.
trait Descriptor: Any + Send {
    fn borrow(&self) -> BorrowedFd<'_>;
}

impl<F: AsFd + Any + Send> Descriptor for F {
    fn borrow(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

impl<S: 'static> Scope<S> {
    /// Registers a descriptor that belongs to a source; `tag` comes back in its events.
    ///
    /// The reactor owns it from then on. It need not be non-blocking; a handler that wants to take more than one
    /// helping without blocking needs it to be. What the system cannot watch, a regular file for example, is refused
    /// with [`Error::Io`].
    pub fn own_fd<F: AsFd + Send + 'static>(
        &mut self,
        owner: SourceKey,
        tag: usize,
        fd: F,
        interest: Interest,
    ) -> Result<FdKey, Rejected<F>> {
        self.insert_fd(owner, tag, fd, interest, Trigger::Level)
    }

    /// Registers a descriptor that belongs to a source and is watched for reading and writing at once, by its edges.
    ///
    /// The source is called for what the descriptor is ready for at the beginning, and then once for each arrival: of
    /// something to read, of room after a write that would have blocked. It is not called again for what it leaves,
    /// unless it asks for that by [`call_again`](Self::call_again); so it reads until that would block, or until a read
    /// fills less than its buffer and [`Ready::ended`] was never set. The descriptor is to be non-blocking, and has this
    /// interest for as long as it is registered.
    ///
    /// That is for many descriptors that carry much: no system call is made for them but the first. Where there are few,
    /// [`own_fd`](Self::own_fd) is easier to be right with.
    pub fn own_edge_fd<F: AsFd + Send + 'static>(
        &mut self,
        owner: SourceKey,
        tag: usize,
        fd: F,
    ) -> Result<FdKey, Rejected<F>> {
        let interest = Interest::READ | Interest::WRITE;
        self.insert_fd(owner, tag, fd, interest, Trigger::Edge)
    }

    /// Has the source of a descriptor called for it in the next turn, which does not sleep, whatever it is ready for
    /// then: how a source that is told of edges shares the turn with others. Tells whether it was there.
    pub fn call_again(&mut self, key: FdKey) -> bool {
        let Some(slot) = self.fds.get_mut(key.0) else {
            return false;
        };
        slot.again = true;
        if !slot.queued {
            slot.queued = true;
            self.ready.push(ReadyItem::Fd(key));
        }
        true
    }

    fn insert_fd<F: AsFd + Send + 'static>(
        &mut self,
        owner: SourceKey,
        tag: usize,
        fd: F,
        interest: Interest,
        trigger: Trigger,
    ) -> Result<FdKey, Rejected<F>> {
        let raw = fd.as_fd().as_raw_fd();
        let place = match self.admit_fd(owner, raw, interest, trigger) {
            Ok(place) => place,
            Err(error) => return Err(Rejected::new(error, fd)),
        };
        let key = FdKey(self.fds.insert(FdSlot {
            descriptor: Box::new(fd),
            fd: raw,
            owner,
            place,
            tag,
            interest,
            trigger,
            signalled: Ready::NONE,
            queued: false,
            again: false,
        }));
        self.own(owner, key);
        Ok(key)
    }

    /// The descriptor as what it was registered as: a `TcpStream`, a `File`. Those can be read and written by shared
    /// reference.
    ///
    /// ```
    /// # use std::os::unix::net::UnixStream;
    /// # fn f<S: 'static>(scope: &mut reactor::Scope<S>, key: reactor::FdKey) -> std::io::Result<()> {
    /// use std::io::Read;
    ///
    /// if let Some(mut stream) = scope.fd::<UnixStream>(key) {
    ///     let mut bytes = [0; 1024];
    ///     let length = stream.read(&mut bytes)?;
    /// #   let _ = length;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn fd<F: AsFd + Send + 'static>(&self, key: FdKey) -> Option<&F> {
        let descriptor: &dyn Any = &*self.fds.get(key.0)?.descriptor;
        descriptor.downcast_ref()
    }

    /// Lends the descriptor, whatever it was registered as.
    pub fn with_fd<R>(
        &mut self,
        key: FdKey,
        f: impl FnOnce(BorrowedFd<'_>) -> R,
    ) -> Result<R, Error> {
        let slot = self.fds.get(key.0).ok_or(Error::Stale)?;
        Ok(f(slot.descriptor.borrow()))
    }

    /// Removes and closes a descriptor. Tells whether it was there.
    pub fn remove_fd(&mut self, key: FdKey) -> bool {
        self.release_fd(key).is_some()
    }

    /// Takes a descriptor out of the reactor and hands it back, if it was registered as an `F`; otherwise it stays.
    pub fn take_fd<F: AsFd + Send + 'static>(&mut self, key: FdKey) -> Option<F> {
        self.fd::<F>(key)?;
        let descriptor: Box<dyn Any> = self.release_fd(key)?.descriptor;
        descriptor.downcast().ok().map(|fd| *fd)
    }

    pub(super) fn release_fd(&mut self, key: FdKey) -> Option<FdSlot> {
        let slot = self.fds.remove(key.0)?;
        self.watched.remove(&slot.fd);
        if !slot.interest.is_none() {
            unwatch(&mut *self.poll, slot.fd);
        }
        self.disown(slot.owner, slot.place);
        Some(slot)
    }

    pub(super) fn set_fd_interest(&mut self, key: FdKey, interest: Interest) -> Result<(), Error> {
        let slot = self.fds.get_mut(key.0).ok_or(Error::Stale)?;
        if slot.trigger == Trigger::Edge {
            return Err(Error::Invalid(
                "a descriptor that is watched for its edges keeps its interest",
            ));
        }
        let token = Token::fd(key);
        // One that waits for nothing is not with the back end at all: it would hear of a hang-up for ever.
        match (slot.interest.is_none(), interest.is_none()) {
            (true, true) => {}
            (true, false) => self.poll.add_once(slot.fd, token, interest)?,
            (false, false) => self.poll.rearm(slot.fd, token, interest)?,
            (false, true) => self.poll.remove(slot.fd)?,
        }
        slot.interest = interest;
        Ok(())
    }

    /// Makes sure that the descriptor can be registered, and has the back end watch it.
    fn admit_fd(
        &mut self,
        owner: SourceKey,
        fd: RawFd,
        interest: Interest,
        trigger: Trigger,
    ) -> Result<usize, Error> {
        let place = self.next_place(owner)?;
        if self.watched.contains(&fd) {
            return Err(Error::Duplicate);
        }
        if !interest.is_none() {
            let token = Token::fd(FdKey(self.fds.next_key()));
            match trigger {
                Trigger::Level => self.poll.add_once(fd, token, interest)?,
                Trigger::Edge => self.poll.add_edge(fd, token, interest)?,
            }
        }
        self.watched.insert(fd);
        Ok(place)
    }
}
