//! The system call filter of a new process, and how its listener gets out (seccomp_unotify(2)).
//!
//! A call that the profile notifies waits for an agent, which needs the listener: an fd that exists in this process
//! alone, under the filter, where sending it could be just such a call. So the process sends nothing. It says that it
//! is about to install the filter, installs it, leaves the fd's number in the flight recorder, and spins, without a
//! system call, until the runtime has taken the fd out of it (pidfd_getfd(2)) and the agent has it.

use super::channel::{Word, say};
use crate::plan::{ProcessPlan, SeccompPoint, Step};
use crate::recorder::Recorder;
use crate::sys::{self, Call, Failed, Result};
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Installs the plan's filter if this is its place.
pub(super) fn install_at(
    point: SeccompPoint,
    plan: &ProcessPlan,
    channel: BorrowedFd<'_>,
    recorder: &Recorder,
) -> Result<()> {
    let Some(seccomp) = plan.seccomp.as_ref().filter(|seccomp| seccomp.point == point) else { return Ok(()) };
    if let Some(listener) = &seccomp.listener {
        say(channel, Word::Filtered)?;
        if listener.taken_by_owner {
            // Nobody else lives in the new user namespace yet.
            sys::set_dumpable(true)?;
        }
    }
    recorder.at(Step::Seccomp)?;
    recorder.be_silent();
    if let Some(listener) = install(&seccomp.program)? {
        recorder.offer_listener(listener.as_raw_fd())?;
        if seccomp.listener.as_ref().is_some_and(|listener| listener.taken_by_owner) {
            // While it waits to be started others may come, and it has files of the host open. A profile that does not
            // let it loses nothing else.
            let _ = sys::set_dumpable(false);
        }
        // Dropping closes it: who holds a listener itself waits for ever when its agent is gone.
    }
    Ok(())
}

/// Installs a compiled filter.
pub(super) fn install(program: &husk_seccomp::Program) -> Result<Option<OwnedFd>> {
    program.install().map_err(|errno| Failed::new(Call::Seccomp, Errno::from_raw(errno)))
}
