//! The runtime's side of a new process: the channel, the waiting, and the fds that have to be ready before the clone.

use super::channel::{Word, hear};
use crate::patience::Patience;
use crate::recorder::Recorder;
use crate::sys::{self, Born, Call, Failed, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll, ppoll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::time::{TimeSpec, TimeValLike};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// A pair of connected ends: the runtime's and the new process's.
pub(crate) fn channel() -> Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .map_err(Failed::from(Call::Connect))
}

/// How long a process may take to die of SIGKILL, in milliseconds: one in an uninterruptible system call, after a disk
/// or a network mount that went away, dies late.
pub(crate) const KILL_WITHIN_MS: u16 = 10_000;

/// A process that is being made, seen from the runtime.
#[derive(Debug)]
pub(crate) struct Newborn {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) channel: OwnedFd,
    /// What a joiner's child said before the joiner could say that it was born.
    early: Option<Word>,
    /// The fd that came with the last word.
    pub(crate) passed: Option<OwnedFd>,
}

impl Newborn {
    pub(crate) fn new(born: Born, channel: OwnedFd) -> Newborn {
        Newborn { pid: born.pid, pidfd: born.pidfd, channel, early: None, passed: None }
    }

    /// The next word; `None` when the process has given up or was killed. ETIMEDOUT when it stood still for too long.
    pub(crate) fn next_word(&mut self, patience: &mut Patience<'_>) -> Result<Option<Word>> {
        if let Some(word) = self.early.take() {
            return Ok(Some(word));
        }
        loop {
            let mut fds = [
                PollFd::new(self.channel.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN),
            ];
            let timeout = patience.left().ok_or(Failed::new(Call::Poll, Errno::ETIMEDOUT))?;
            match poll(&mut fds, timeout) {
                Ok(0) | Err(Errno::EINTR) => continue,
                Err(errno) => return Err(Failed::new(Call::Poll, errno)),
                Ok(_) => {}
            }
            let [channel, _] = fds;
            // What was said before the end is heard before the end is seen. The two were looked at one after the other:
            // a process that spoke and ended in between, on another processor, has been seen but not heard.
            if !channel.any().unwrap_or(false) && !self.has_more()? {
                return Ok(None);
            }
            let (word, passed) = hear(self.channel.as_fd())?;
            self.passed = passed;
            return Ok(word);
        }
    }

    /// Whether a word, or the end of the channel, is there to be heard.
    fn has_more(&self) -> Result<bool> {
        let mut channel = [PollFd::new(self.channel.as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut channel, PollTimeout::ZERO) {
                Ok(ready) => return Ok(ready > 0),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Failed::new(Call::Poll, errno)),
            }
        }
    }

    /// After a joiner's clone: the process that matters is its sibling. The joiner is reaped.
    pub(crate) fn follow(&mut self, patience: &mut Patience<'_>) -> Result<bool> {
        let mut early = None;
        let pid = loop {
            match self.next_word(patience)? {
                Some(Word::Born(pid)) => break pid,
                None => return Ok(false),
                // The child runs already, and may be ahead of its maker; after one word it waits for an answer.
                word => early = word,
            }
        };
        // Our own child that nobody has reaped: the number cannot mean another process.
        let pidfd = sys::pidfd_open(pid)?;
        let joiner = std::mem::replace(&mut self.pidfd, pidfd);
        (self.pid, self.early) = (pid, early);
        sys::waitid(joiner.as_fd(), true)?;
        Ok(true)
    }

    /// A copy of the listener that comes with the process's filter, once it has installed that; `None` when it has ended
    /// instead. The process cannot tell (it is under the filter), so the recorder is looked at again and again.
    pub(crate) fn take_listener(
        &self,
        recorder: &Recorder,
        patience: &mut Patience<'_>,
    ) -> Result<Option<OwnedFd>> {
        loop {
            if let Some(number) = recorder.offered_listener() {
                return sys::pidfd_getfd(self.pidfd.as_fd(), number).map(Some);
            }
            patience.left().ok_or(Failed::new(Call::Poll, Errno::ETIMEDOUT))?;
            let mut ended = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
            match ppoll(&mut ended, Some(TimeSpec::microseconds(50)), None) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(None),
                Err(errno) => return Err(Failed::new(Call::Poll, errno)),
            }
        }
    }

    /// Ends the process and reaps it; false when it does not die.
    pub(crate) fn abandon(&self) -> bool {
        let _ = sys::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGKILL);
        let ended = poll(
            &mut [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)],
            PollTimeout::from(KILL_WITHIN_MS),
        );
        if ended == Ok(0) {
            return false;
        }
        let _ = sys::waitid(self.pidfd.as_fd(), true);
        true
    }
}

/// The fds that a new process needs, ascending and each once, as `close_foreign_fds` wants them.
pub(crate) fn needed<'a>(
    fds: impl IntoIterator<Item = BorrowedFd<'a>>,
    stdio: Option<[RawFd; 3]>,
    preserved: u32,
) -> Vec<RawFd> {
    let preserved = 3..3 + RawFd::try_from(preserved).unwrap_or(0);
    let mut needed: Vec<RawFd> = fds
        .into_iter()
        .map(|fd| fd.as_raw_fd())
        .chain(stdio.into_iter().flatten())
        .chain(preserved)
        .filter(|&fd| fd > 2)
        .collect();
    needed.sort_unstable();
    needed.dedup();
    needed
}
