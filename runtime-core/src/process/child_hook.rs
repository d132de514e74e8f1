//! Hooks that run in the container's namespaces: the new process runs them as children of its own.

use super::filter;
use crate::plan::HookPlan;
use crate::sys::{self, CStrings, Call, Ended, Failed, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// A hook with its `argv` and `envp` laid out before the clone.
#[derive(Debug)]
pub(crate) struct ChildHook<'a> {
    plan: &'a HookPlan,
    argv: CStrings<'a>,
    /// `None` for that of the container's process.
    envp: Option<CStrings<'a>>,
}

impl<'a> ChildHook<'a> {
    pub(crate) fn new(plan: &'a HookPlan) -> ChildHook<'a> {
        ChildHook {
            plan,
            argv: CStrings::new(plan.args.iter().map(|arg| arg.as_c_str())),
            envp: plan.env.as_ref().map(|env| CStrings::new(env.iter().map(|entry| entry.as_c_str()))),
        }
    }

    /// Which of its list it is.
    pub(crate) fn item(&self) -> u32 {
        self.plan.item
    }

    /// Runs it: the state on stdin, what it says into `stdout` and `stderr`, killed at its timeout; with a filter that this
    /// process does not have yet. `envp` is that of the container's process.
    pub(crate) fn run(
        &self,
        state: BorrowedFd<'_>,
        [stdout, stderr]: [BorrowedFd<'_>; 2],
        filter: Option<&husk_seccomp::Program>,
        envp: &CStrings<'_>,
    ) -> Result<()> {
        nix::unistd::lseek(state, 0, nix::unistd::Whence::SeekSet).map_err(Failed::from(Call::Lseek))?;
        let hook = sys::clone(|| {
            let connected = sys::dup_to(state.as_raw_fd(), 0)
                .and_then(|()| sys::dup_to(stdout.as_raw_fd(), 1))
                .and_then(|()| sys::dup_to(stderr.as_raw_fd(), 2))
                .and_then(|()| sys::reset_signals())
                .and_then(|()| filter.map_or(Ok(()), |filter| filter::install(filter).map(drop)));
            if connected.is_ok() {
                sys::execve(&self.plan.path, &self.argv, self.envp.as_ref().unwrap_or(envp));
            }
            sys::exit(127)
        })?;
        let timeout = self
            .plan
            .timeout
            .map_or(PollTimeout::NONE, |timeout| PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX));
        let mut ended = [PollFd::new(hook.pidfd.as_fd(), PollFlags::POLLIN)];
        let timed_out = loop {
            match poll(&mut ended, timeout) {
                Err(Errno::EINTR) => {}
                other => break other == Ok(0),
            }
        };
        if timed_out {
            sys::pidfd_send_signal(hook.pidfd.as_fd(), libc::SIGKILL)?;
        }
        let status = sys::waitid(hook.pidfd.as_fd(), true)?;
        match status {
            _ if timed_out => Err(Failed::new(Call::HookTimedOut, Errno::ETIMEDOUT)),
            Some(Ended::Exited(0)) => Ok(()),
            Some(Ended::Exited(status)) => Err(Failed::with_number(Call::HookExited, status)),
            Some(Ended::Signalled(signal)) => Err(Failed::with_number(Call::HookSignalled, signal)),
            None => Ok(()),
        }
    }
}
