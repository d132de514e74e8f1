//! [`Process`]: a handle to the container's init or to a process executed in it.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::{self, Ended};
use nix::errno::Errno;
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// A process that this program made. It is this program's child; dropping the handle leaves it running, and whoever
/// does not [wait](Process::wait) for it leaves a zombie when it ends, for as long as the program itself lives.
#[derive(Debug)]
pub struct Process {
    pid: i32,
    pidfd: OwnedFd,
    terminal: Option<OwnedFd>,
    ended: Option<ExitStatus>,
}

impl Process {
    pub(crate) fn new(pid: i32, pidfd: OwnedFd, terminal: Option<OwnedFd>) -> Process {
        Process { pid, pidfd, terminal, ended: None }
    }

    /// Its id, as the caller's pid namespace counts.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// A pidfd: readable, for poll(2) and event loops, once the process has ended (pidfd_open(2)).
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// The master of its terminal, once; only with [`Console::Return`](crate::Console::Return) and a terminal.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    /// Waits until it has ended, and reaps it. Further calls give the same answer.
    ///
    /// # Errors
    /// [`ErrorKind::System`] with ECHILD when somebody else has reaped it, such as a `waitpid(-1)` in this program.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        match self.reap(true)? {
            Some(status) => Ok(status),
            None => {
                Err(Error::new(ErrorKind::System, format!("process {} ended without a status", self.pid)))
            }
        }
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// As [`wait`](Process::wait).
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        self.reap(false)
    }

    fn reap(&mut self, block: bool) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = sys::waitid(self.pidfd.as_fd(), block)
                .map_err(|failed| {
                    Error::os(format!("cannot wait for process {}", self.pid), "waitid", failed.errno)
                })?
                .map(ExitStatus);
        }
        Ok(self.ended)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidState`] when it has ended.
    pub fn kill(&self, signal: i32) -> Result<()> {
        sys::pidfd_send_signal(self.pidfd.as_fd(), signal).map_err(|failed| {
            let error = Error::os(
                format!("cannot send signal {signal} to process {}", self.pid),
                failed.call.name(),
                failed.errno,
            );
            if failed.errno == Errno::ESRCH { error.with_kind(ErrorKind::InvalidState) } else { error }
        })
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd()
    }
}

/// For event loops that take their fds as numbers, such as tokio's `AsyncFd`.
impl AsRawFd for Process {
    fn as_raw_fd(&self) -> RawFd {
        self.pidfd.as_raw_fd()
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitStatus(Ended);

impl ExitStatus {
    /// Its exit code, 0 to 255, if it exited.
    #[must_use]
    pub fn code(self) -> Option<i32> {
        match self.0 {
            Ended::Exited(code) => Some(code),
            Ended::Signalled(_) => None,
        }
    }

    /// The signal that ended it, if one did.
    #[must_use]
    pub fn signal(self) -> Option<i32> {
        match self.0 {
            Ended::Exited(_) => None,
            Ended::Signalled(signal) => Some(signal),
        }
    }

    /// One number for both, as shells and engines have it: the code, or 128 + the signal.
    #[must_use]
    pub fn shell_code(self) -> i32 {
        match self.0 {
            Ended::Exited(code) => code,
            Ended::Signalled(signal) => 128 + signal,
        }
    }

    /// Whether it exited with 0.
    #[must_use]
    pub fn success(self) -> bool {
        self.0 == Ended::Exited(0)
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ended::Exited(code) => write!(f, "exit status {code}"),
            Ended::Signalled(signal) => write!(f, "signal {signal}"),
        }
    }
}
