//! `events`: what a container uses, and what happens to it while it runs.

use crate::cgroup::{Cgroup, OomWatch, Stats};
use crate::container::Container;
use crate::error::{Error, ErrorKind, Result};
use crate::state::Alive;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// What [`Watch::next`] saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happened {
    /// The container ran out of memory; a process of it was killed, or waits where the config disables that.
    OutOfMemory,
    /// Its init has ended. Nothing comes after this.
    Ended,
    /// Nothing, until the time was over.
    Nothing,
}

/// Looks at a container that runs, until it ends.
#[derive(Debug)]
pub struct Watch {
    oom: Option<OomWatch>,
    /// Seen and not told yet.
    pending: u64,
    init: Alive,
}

fn alive(container: &Container) -> Result<Alive> {
    container.status()?.1.ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidState,
            format!("container not running: container with id {} is not running", container.id()),
        )
    })
}

pub(crate) fn watch(container: &Container) -> Result<Watch> {
    let init = alive(container)?;
    let cgroup = Cgroup::open(&container.record()?.cgroup)?;
    cgroup.required_to("watch the container")?;
    let oom = cgroup.watch_oom()?;
    Ok(Watch { oom, pending: 0, init })
}

pub(crate) fn stats(container: &Container) -> Result<Stats> {
    alive(container)?;
    let record = container.record()?;
    let cgroup = Cgroup::open(&record.cgroup)?;
    cgroup.required_to("tell what it uses")?;
    let mut stats = cgroup.stats()?;
    if let Some(rdt) = &record.rdt {
        stats.intel_rdt = rdt.stats();
    }
    Ok(stats)
}

impl Watch {
    /// Waits until something happens, at most so long.
    ///
    /// # Errors
    /// [`ErrorKind::System`] when the kernel's notifications cannot be read.
    pub fn next(&mut self, within: Duration) -> Result<Happened> {
        let deadline = Instant::now().checked_add(within);
        loop {
            if self.pending > 0 {
                self.pending -= 1;
                return Ok(Happened::OutOfMemory);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let millis = left.map_or(u128::MAX, |left| left.as_nanos().div_ceil(1_000_000));
            let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
            let mut fds = vec![PollFd::new(self.init.pidfd.as_fd(), PollFlags::POLLIN)];
            fds.extend(self.oom.as_ref().map(OomWatch::poll_fd));
            match poll(&mut fds, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::os("cannot watch the container", "poll", errno)),
            }
            let ended = fds.first().and_then(PollFd::any).unwrap_or(false);
            drop(fds);
            // First: the init may have ended for lack of memory.
            if let Some(oom) = &mut self.oom {
                self.pending += oom.take()?;
            }
            if self.pending > 0 {
                continue;
            }
            if ended {
                return Ok(Happened::Ended);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(Happened::Nothing);
            }
        }
    }
}
