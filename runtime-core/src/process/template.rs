//! A process that makes a mount namespace of one empty directory, and ends when that is kept.
//!
//! Who runs here: a copy of the runtime, soon in a copy of its mount namespace, with all its privileges. It opens no file
//! and reads no path but `/`.

use super::channel::{Word, say, wait_for_go};
use super::init::close_foreign_fds;
use crate::rootfs;
use crate::sys::{self, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Returns when the runtime is gone; one that is there kills it.
pub(crate) fn run(channel: BorrowedFd<'_>, processor: Option<usize>) -> i32 {
    i32::from(make(channel, processor).is_err())
}

fn make(channel: BorrowedFd<'_>, processor: Option<usize>) -> Result<()> {
    close_foreign_fds(&[channel.as_raw_fd()])?;
    if let Some(number) = processor {
        // Where that is none of ours, this is one more try on any.
        let _ = sys::sched_setaffinity(&[1 << number]);
    }
    sys::unshare(libc::CLONE_NEWNS)?;
    rootfs::isolate()?;
    let empty = rootfs::empty_directory(None)?;
    rootfs::attach(empty.as_fd())?;
    rootfs::pivot(empty.as_fd())?;
    say(channel, Word::Ready)?;
    wait_for_go(channel)
}
