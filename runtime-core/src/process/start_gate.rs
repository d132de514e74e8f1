//! The start gate: where a created container's process waits for `start`.
//!
//! Two fifos in the state directory. The process holds both open and reads `start`; whoever starts it writes one byte
//! there and reads `started`, which ends when execve(2) closes the process's end, or the process ends. While it waits
//! the process needs read(2) and nothing else, so a filter that is installed already hardly gets in the way, and that
//! someone reads `start` is what makes a container *created* rather than *running*.

use crate::sys::{self, Call, Failed, Result};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::mkfifoat;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const START: &str = "start";
const STARTED: &str = "started";

/// The process's ends, opened by the runtime before the clone.
#[derive(Debug)]
pub(crate) struct StartGate {
    pub(crate) start: OwnedFd,
    pub(crate) started: OwnedFd,
}

impl StartGate {
    /// Makes the gate in a state directory.
    pub(crate) fn make(directory: BorrowedFd<'_>) -> nix::Result<StartGate> {
        let open = |name: &str| {
            mkfifoat(directory, name, Mode::S_IRUSR | Mode::S_IWUSR)?;
            // Reading and writing, so that opening never waits and reading never ends by itself.
            openat(directory, name, OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW, Mode::empty())
        };
        Ok(StartGate { start: open(START)?, started: open(STARTED)? })
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

/// Lets the process through and waits until it has executed its program or has ended; false when nobody waited.
pub(crate) fn open(directory: BorrowedFd<'_>) -> Result<bool> {
    let failed = Failed::from(Call::Openat2);
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let Some(start) = knock(directory).map_err(&failed)? else { return Ok(false) };
    let started = openat(directory, STARTED, flags, Mode::empty()).map_err(&failed)?;
    sys::write_all(start.as_fd(), b"!")?;
    let mut end = [PollFd::new(started.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut end, PollTimeout::NONE) {
            Ok(_) => return Ok(true),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Failed::new(Call::Poll, errno)),
        }
    }
}
