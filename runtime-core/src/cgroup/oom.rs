//! Being told when a cgroup runs out of memory: v1 writes to an eventfd (the kernel's admin-guide/cgroup-v1/memory,
//! "OOM Control"), v2 counts the processes that it kills and wakes who polls the counter.

#![forbid(unsafe_code)]

use super::Cgroup;
use super::directory::{Directory, is_gone};
use crate::error::{Error, Result};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;

/// A subscription. What happened before it was made is not told.
#[derive(Debug)]
pub(crate) struct OomWatch {
    source: Source,
    path: String,
}

#[derive(Debug)]
enum Source {
    V1 { event: EventFd, control: File },
    V2 { events: File, seen: u64 },
}

impl Cgroup {
    /// `None` where no memory controller is.
    pub(crate) fn watch_oom(&self) -> Result<Option<OomWatch>> {
        let open = |directory: &Directory, file: &str, flags| {
            directory.open_file(file, flags).map(File::from).map_err(|errno| {
                Error::os(format!("cannot open {}", directory.file_path(file)), "open", errno)
            })
        };
        if let Some(directory) = self.v1_directory("memory") {
            let control = open(directory, "memory.oom_control", OFlag::O_RDONLY)?;
            let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
            let event = EventFd::from_value_and_flags(0, flags)
                .map_err(|errno| Error::os("cannot watch for lack of memory", "eventfd2", errno))?;
            let request = format!("{} {}", event.as_fd().as_raw_fd(), control.as_raw_fd());
            directory.write("cgroup.event_control", &request).map_err(|failed| {
                let path = directory.file_path("cgroup.event_control");
                Error::os(format!("cannot write {request:?} to {path}"), failed.call, failed.errno)
            })?;
            let path = directory.file_path("memory.oom_control");
            return Ok(Some(OomWatch { source: Source::V1 { event, control }, path }));
        }
        let Some(directory) = &self.v2 else { return Ok(None) };
        let events = match directory.open_file("memory.events", OFlag::O_RDONLY) {
            Ok(fd) => File::from(fd),
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => {
                let path = directory.file_path("memory.events");
                return Err(Error::os(format!("cannot open {path}"), "open", errno));
            }
        };
        let mut watch =
            OomWatch { source: Source::V2 { events, seen: 0 }, path: directory.file_path("memory.events") };
        watch.take()?;
        Ok(Some(watch))
    }
}

impl OomWatch {
    /// What to wait for before [`OomWatch::take`].
    pub(crate) fn poll_fd(&self) -> PollFd<'_> {
        match &self.source {
            Source::V1 { event, .. } => PollFd::new(event.as_fd(), PollFlags::POLLIN),
            Source::V2 { events, .. } => PollFd::new(events.as_fd(), PollFlags::POLLPRI),
        }
    }

    /// How often memory has run out since the last call; never waits. A cgroup that is gone has no more to tell.
    pub(crate) fn take(&mut self) -> Result<u64> {
        let failed = |path: &str, errno: Errno| Error::os(format!("cannot watch {path}"), "read", errno);
        let mut buffer = [0u8; 512];
        match &mut self.source {
            Source::V1 { event, control } => {
                let count = match event.read() {
                    Ok(count) => count,
                    Err(Errno::EAGAIN) => return Ok(0),
                    Err(errno) => return Err(failed(&self.path, errno)),
                };
                // The removal of the cgroup writes to the eventfd too.
                match control.read_at(&mut buffer, 0) {
                    Ok(_) => Ok(count),
                    Err(error) if is_gone(errno_of(&error)) => Ok(0),
                    Err(error) => Err(failed(&self.path, errno_of(&error))),
                }
            }
            Source::V2 { events, seen } => {
                let length = match events.read_at(&mut buffer, 0) {
                    Ok(length) => length,
                    Err(error) if is_gone(errno_of(&error)) => return Ok(0),
                    Err(error) => return Err(failed(&self.path, errno_of(&error))),
                };
                let text = String::from_utf8_lossy(&buffer[..length]);
                let number = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
                let now = number.and_then(|number| number.trim().parse().ok()).unwrap_or(*seen);
                let new = now.saturating_sub(*seen);
                *seen = now;
                Ok(new)
            }
        }
    }
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}
