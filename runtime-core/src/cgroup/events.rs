//! Waiting for what a v2 cgroup tells in `cgroup.events`: `populated` and `frozen`, for it and all below it.

#![forbid(unsafe_code)]

use super::directory::{Directory, Failed, is_gone};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// The kernel tells of a change at most every 10 ms (`CGROUP_FILE_NOTIFY_MIN_INTV`), and most changes are there within one:
/// so the first looks are ours, each after twice the time of the one before.
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LAST_PAUSE: Duration = Duration::from_millis(1);

/// Waits until `key` is 1 (`true`) or 0; false when the deadline came first. A cgroup that is gone is neither
/// populated nor frozen.
pub(super) fn wait_for(
    directory: &Directory,
    key: &str,
    value: bool,
    deadline: Instant,
) -> Result<bool, Failed> {
    let file = match directory.open_file("cgroup.events", OFlag::O_RDONLY) {
        Ok(fd) => File::from(fd),
        Err(errno) if is_gone(errno) => return Ok(!value),
        Err(errno) => return Err(Failed { call: "open", errno }),
    };
    let mut buffer = [0u8; 256];
    let mut pause = FIRST_PAUSE;
    loop {
        // Reading also arms the next notification.
        let length = match file.read_at(&mut buffer, 0) {
            Ok(length) => length,
            Err(error) => {
                let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
                return if is_gone(errno) { Ok(!value) } else { Err(Failed { call: "read", errno }) };
            }
        };
        let text = String::from_utf8_lossy(&buffer[..length]);
        let now = text.lines().any(|line| line.split_once(' ') == Some((key, "1")));
        if now == value {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        if pause <= LAST_PAUSE {
            std::thread::sleep(pause.min(left));
            pause *= 2;
            continue;
        }
        let timeout = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLPRI)], timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Failed { call: "poll", errno }),
        }
    }
}
