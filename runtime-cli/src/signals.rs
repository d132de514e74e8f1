//! Signals as events: all that can be forwarded are blocked and read from a signalfd(2), so that no handler runs.

use crate::report::Failure;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::{AsFd, BorrowedFd};

/// Held while a process is served. The signals stay blocked afterwards: what comes then is too late to matter.
#[derive(Debug)]
pub(crate) struct Signals(SignalFd);

/// Left alone: faults of this program itself, which the kernel delivers even when they are blocked, and SIGPIPE, which a
/// write to a closed pipe sends to this program, not to the process that it serves.
const KEPT: [Signal; 8] = [
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGTRAP,
    Signal::SIGSYS,
    Signal::SIGABRT,
    Signal::SIGPIPE,
];

impl Signals {
    pub(crate) fn block() -> Result<Signals, Failure> {
        let mut set = SigSet::all();
        for signal in KEPT {
            set.remove(signal);
        }
        set.thread_block().map_err(|errno| Failure::system("cannot block signals", errno))?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .map_err(|errno| Failure::system("cannot open a signalfd", errno))?;
        Ok(Signals(fd))
    }

    /// The number of a signal that came, real-time ones too; `None` when there is none.
    pub(crate) fn take(&self) -> Option<i32> {
        let info = self.0.read_signal().ok().flatten()?;
        i32::try_from(info.ssi_signo).ok()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
