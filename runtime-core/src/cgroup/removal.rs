//! Removing a cgroup, as far as the kernel lets go of it.

#![forbid(unsafe_code)]

use super::directory::{Directory, is_gone};
use super::{Cgroup, EMPTY_WITHIN, events};
use crate::error::{Error, Result};
use nix::errno::Errno;
use std::time::{Duration, Instant};

impl Cgroup {
    /// Removes the cgroup and all below it. Kills nothing: waits, for a time, until those who were killed are gone.
    /// Removing what is gone already succeeds.
    pub(crate) fn destroy(&self) -> Result<()> {
        let deadline = Instant::now() + EMPTY_WITHIN;
        let mut waited = false;
        for directory in self.directories() {
            let mut pause = Duration::from_micros(500);
            loop {
                let errno = match std::fs::remove_dir(directory.path()) {
                    Ok(()) => break,
                    Err(error) => Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)),
                };
                match errno {
                    errno if is_gone(errno) => break,
                    Errno::EBUSY if Instant::now() < deadline => {}
                    errno => return Err(self.remove_error(directory, errno)),
                }
                if let (Some(v2), false) = (&self.v2, waited) {
                    // The processes are the same in all hierarchies, but only v2 tells when the last one has gone.
                    waited = true;
                    let _ = events::wait_for(v2, "populated", false, deadline);
                } else {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(50));
                }
                match directory.remove_children() {
                    Ok(()) => {}
                    Err(failed) if failed.errno == Errno::EBUSY || is_gone(failed.errno) => {}
                    Err(failed) => return Err(self.remove_error(directory, failed.errno)),
                }
            }
        }
        Ok(())
    }

    /// Removes its directories as far as they are empty: they may be somebody else's.
    pub(crate) fn remove_unused(&self) {
        for directory in self.directories() {
            let _ = std::fs::remove_dir(directory.path());
        }
    }

    fn remove_error(&self, directory: &Directory, errno: Errno) -> Error {
        let error = Error::os(format!("cannot remove cgroup {}", directory.path().display()), "rmdir", errno);
        match directory.pids() {
            Ok(pids) if !pids.is_empty() => error.with_hint(format!("processes are left in it: {pids:?}")),
            _ => error,
        }
    }
}
