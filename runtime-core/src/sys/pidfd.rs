//! Processes by fd: no id is ever signalled or waited for that could have been reused.

use super::files::owned;
use super::{Call, Failed, Result, check};
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// `pidfd_open(pid, 0)`, pidfd_open(2), since Linux 5.3.
pub(crate) fn pidfd_open(pid: i32) -> Result<OwnedFd> {
    // SAFETY: numbers only.
    check(Call::PidfdOpen, unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) }).map(owned)
}

/// `pidfd_send_signal(pidfd, signal, NULL, 0)`, pidfd_send_signal(2), since Linux 5.1.
pub(crate) fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    let info: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: a null info means what kill(2) would send.
    let value = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, info, 0) };
    check(Call::Kill, value).map(drop)
}

/// `pidfd_getfd(pidfd, fd, 0)`, pidfd_getfd(2), since Linux 5.6: a copy of a process's fd, close-on-exec. Takes the right
/// to trace the process.
pub(crate) fn pidfd_getfd(pidfd: BorrowedFd<'_>, fd: RawFd) -> Result<OwnedFd> {
    // SAFETY: numbers only.
    let copy = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0) };
    check(Call::PidfdGetfd, copy).map(owned)
}

/// How a process ended, as waitid(2) tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(i32),
    Signalled(i32),
}

/// `waitid(P_PIDFD, pidfd, &info, WEXITED | …)`, waitid(2), since Linux 5.4; `None` when it still runs and
/// `block` is false. The process is reaped.
pub(crate) fn waitid(pidfd: BorrowedFd<'_>, block: bool) -> Result<Option<Ended>> {
    loop {
        // SAFETY: a siginfo_t is plain numbers, for which zero is a value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let flags = libc::WEXITED | libc::__WALL | if block { 0 } else { libc::WNOHANG };
        // SAFETY: the kernel fills `info`.
        let value =
            unsafe { libc::waitid(libc::P_PIDFD, pidfd.as_raw_fd().unsigned_abs(), &raw mut info, flags) };
        match check(Call::Waitid, i64::from(value)) {
            Err(Failed { errno: Errno::EINTR, .. }) => continue,
            Err(failed) => return Err(failed),
            Ok(_) => {}
        }
        // SAFETY: waitid filled the fields of a SIGCHLD, or left them zero when there was nothing to report.
        let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
        return Ok(match (pid, info.si_code) {
            (0, _) => None,
            (_, libc::CLD_EXITED) => Some(Ended::Exited(status)),
            _ => Some(Ended::Signalled(status)),
        });
    }
}

/// The soft and the hard value of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

/// `prlimit(pid, resource, &new, &old)`, prlimit(2): gives the old limit; process 0 is the caller.
pub(crate) fn prlimit(pid: i32, resource: u32, new: Option<Limit>) -> Result<Limit> {
    let new = new.map(|limit| libc::rlimit64 { rlim_cur: limit.soft, rlim_max: limit.hard });
    let mut old = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let pointer = new.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the kernel reads the new struct if there is one, and fills the old one.
    let value = unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, pointer, &raw mut old) };
    check(Call::Prlimit, value).map(|_| Limit { soft: old.rlim_cur, hard: old.rlim_max })
}
