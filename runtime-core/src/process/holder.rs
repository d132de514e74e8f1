//! A process that is nothing but the holder of a new user namespace, until somebody has opened that.
//!
//! Who runs here: a copy of the runtime, for some microseconds, without an identity in its namespace.

use super::init::close_foreign_fds;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Waits until the other end of this pipe is closed, also by the runtime's death.
pub(crate) fn run(until_closed: BorrowedFd<'_>) -> i32 {
    // The copy of that other end is among them.
    if close_foreign_fds(&[until_closed.as_raw_fd()]).is_err() {
        return 1;
    }
    let mut byte = [0];
    i32::from(nix::unistd::read(until_closed, &mut byte).is_err())
}
