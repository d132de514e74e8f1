//! The processes of a cgroup, all of them at once: listed, frozen, signalled.

#![forbid(unsafe_code)]

use super::directory::{Directory, Failed, is_gone};
use super::freezer::Freezer;
use super::{Cgroup, EMPTY_WITHIN};
use crate::error::{Error, ErrorKind, Result};
use crate::sys;
use nix::errno::Errno;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

impl Cgroup {
    pub(super) fn freezers(&self) -> impl Iterator<Item = Freezer<'_>> {
        self.v2.as_ref().map(Freezer::V2).into_iter().chain(self.v1_directory("freezer").map(Freezer::V1))
    }

    fn freezer(&self) -> Result<Freezer<'_>> {
        self.freezers().next().ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "cannot toggle freezer: cgroups not configured for container")
        })
    }

    /// Stops every process in the cgroup and below. Returns when all stand still; a failure leaves them running.
    pub(crate) fn freeze(&self) -> Result<()> {
        self.freezer()?.freeze()
    }

    /// Lets them go on, whoever has frozen them and by which version's freezer.
    pub(crate) fn thaw(&self) -> Result<()> {
        self.freezer()?;
        self.freezers().try_for_each(Freezer::thaw)
    }

    /// Whether the cgroup was frozen, by this runtime or another tool.
    pub(crate) fn is_frozen(&self) -> Result<bool> {
        for freezer in self.freezers() {
            if freezer.is_frozen()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Every process in the cgroup and below, by its number in the caller's pid namespace.
    pub(crate) fn pids(&self) -> Result<Vec<i32>> {
        match self.leading() {
            Some(directory) => directory.pids().map_err(|failed| pids_error(directory, failed)),
            None => Ok(Vec::new()),
        }
    }

    /// Sends a signal to every process in the cgroup and below. No process escapes by forking, and the cgroup is as
    /// frozen or thawed afterwards as it was before.
    pub(crate) fn kill(&self, signal: i32) -> Result<()> {
        if signal == libc::SIGKILL {
            return self.kill_all();
        }
        let frozen_before = self.is_frozen()?;
        // Where there is no freezer, or it does not succeed, the signal still goes to all that can be seen.
        let frozen_now = !frozen_before && self.freezer().is_ok_and(|freezer| freezer.freeze().is_ok());
        let sent = self.signal_each(signal);
        if frozen_now {
            self.freezer()?.thaw()?;
        }
        sent
    }

    fn kill_all(&self) -> Result<()> {
        let by_kernel = match &self.v2 {
            // Since Linux 5.14: the whole tree at once, also frozen, and forks on the way are killed too.
            Some(directory) => match directory.write("cgroup.kill", "1") {
                Ok(()) => true,
                Err(failed) if is_gone(failed.errno) => true,
                Err(failed) => {
                    let what = format!("cannot write \"1\" to {}", directory.file_path("cgroup.kill"));
                    return Err(Error::os(what, failed.call, failed.errno));
                }
            },
            None => false,
        };
        if by_kernel {
            // A process that v1 has frozen does not even die.
            return self.v1_directory("freezer").map_or(Ok(()), |directory| Freezer::V1(directory).thaw());
        }
        if self.freezer().is_ok_and(|freezer| freezer.freeze().is_ok()) {
            let sent = self.signal_each(libc::SIGKILL);
            self.freezer()?.thaw()?;
            return sent;
        }
        // Those who fork while the list is read are in the next one; nobody forks for ever against this.
        let deadline = Instant::now() + EMPTY_WITHIN;
        while !self.pids()?.is_empty() && Instant::now() < deadline {
            self.signal_each(libc::SIGKILL)?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn signal_each(&self, signal: i32) -> Result<()> {
        for pid in self.pids()? {
            let sent = sys::pidfd_open(pid).and_then(|pidfd| sys::pidfd_send_signal(pidfd.as_fd(), signal));
            match sent {
                Ok(()) => {}
                Err(failed) if failed.errno == Errno::ESRCH => {}
                Err(failed) => {
                    let what = format!("cannot send signal {signal} to process {pid}");
                    return Err(Error::os(what, failed.call.name(), failed.errno));
                }
            }
        }
        Ok(())
    }
}

pub(super) fn pids_error(directory: &Directory, failed: Failed) -> Error {
    Error::os(
        format!("cannot list the processes of cgroup {}", directory.path().display()),
        failed.call,
        failed.errno,
    )
}
