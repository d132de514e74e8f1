//! The start gate: where a created container's process waits for `start`.
//!
//! A fifo in the state directory. The process holds it open and reads it; whoever starts it writes one byte, and knows
//! that the gate is empty when nobody has the fifo open for reading any more: execve(2) has closed it, or the process
//! has ended. While it waits the process needs read(2) and nothing else, so a filter that is installed already hardly
//! gets in the way; and that someone reads the fifo is what makes a container *created* rather than *running*, so
//! both questions have one answer.

use crate::patience::Patience;
use crate::sys::{self, Call, Failed, Result};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::stat::Mode;
use nix::unistd::mkfifoat;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The name is runc's, so that who looks for what a process holds open while it waits knows it.
pub(crate) const START: &str = "exec.fifo";

/// The process's end, opened by the runtime before the clone.
#[derive(Debug)]
pub(crate) struct StartGate {
    pub(crate) start: OwnedFd,
}

impl StartGate {
    /// Makes the gate in a state directory.
    pub(crate) fn make(directory: BorrowedFd<'_>) -> nix::Result<StartGate> {
        mkfifoat(directory, START, Mode::S_IRUSR | Mode::S_IWUSR)?;
        // Reading and writing, so that opening never waits and reading never ends by itself.
        let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        Ok(StartGate { start: openat(directory, START, flags, Mode::empty())? })
    }
}

/// The new process: waits until somebody starts it.
pub(crate) fn wait(start: BorrowedFd<'_>) -> Result<()> {
    let mut byte = [0];
    loop {
        match nix::unistd::read(start, &mut byte) {
            Ok(1) => return Ok(()),
            Ok(_) => return Err(Failed::new(Call::Read, Errno::EPIPE)),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Failed::new(Call::Read, errno)),
        }
    }
}

/// Opens the runtime's end; `None` when nobody waits at the gate.
fn knock(directory: BorrowedFd<'_>) -> nix::Result<Option<OwnedFd>> {
    let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    match openat(directory, START, flags, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::ENXIO | Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Whether a process waits at the gate.
pub(crate) fn is_waiting(directory: BorrowedFd<'_>) -> nix::Result<bool> {
    knock(directory).map(|fd| fd.is_some())
}

/// Lets the process through and waits until it has executed its program or has ended; false when nobody waited,
/// ETIMEDOUT when it stands still on its way.
pub(crate) fn open(directory: BorrowedFd<'_>, patience: &mut Patience<'_>) -> Result<bool> {
    let Some(start) = knock(directory).map_err(Failed::from(Call::Openat2))? else { return Ok(false) };
    match sys::write_all(start.as_fd(), b"!") {
        // It ended a moment ago.
        Err(Failed { errno: Errno::EPIPE, .. }) => return Ok(false),
        written => written?,
    }
    // A fifo without readers is an error to its writers (poll(2), POLLERR), which is always looked for.
    let mut readers = [PollFd::new(start.as_fd(), PollFlags::empty())];
    loop {
        let timeout = patience.left().ok_or(Failed::new(Call::Poll, Errno::ETIMEDOUT))?;
        match poll(&mut readers, timeout) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(Failed::new(Call::Poll, errno)),
        }
    }
}
