//! clone3(2): how a container's process is born.

use super::credentials::prctl;
use super::{Call, Failed, Result, check};
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// `struct clone_args` (clone(2)), version 2: with `cgroup`, since Linux 5.7.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000; // since Linux 5.5
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000; // since Linux 5.7

/// A process that was just made.
#[derive(Debug)]
pub(crate) struct Born {
    /// Its id, as the caller's pid namespace counts.
    pub(crate) pid: i32,
    /// It, for poll(2), waitid(2) and pidfd_send_signal(2).
    pub(crate) pidfd: OwnedFd,
}

/// Makes a process with these `CLONE_*` flags, inside the cgroup v2 directory `cgroup` if one is given, with all
/// signal handlers reset. The child runs `child` on a copy of this memory, and ends with the status that it returns.
/// Whatever locks other threads held at that moment stay locked for ever in the copy, so `child` must not allocate,
/// lock or panic.
///
/// `clone3(&args, sizeof args)`, clone(2), since Linux 5.3.
pub(crate) fn clone3(
    flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce() -> i32,
) -> Result<Born> {
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: flags | CLONE_CLEAR_SIGHAND | libc::CLONE_PIDFD as u64,
        pidfd: &raw mut pidfd as u64,
        // With CLONE_PARENT the signal is the one of our own creation and must be 0 here.
        exit_signal: if flags & libc::CLONE_PARENT as u64 != 0 { 0 } else { libc::SIGCHLD as u64 },
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::from(cgroup.as_raw_fd().unsigned_abs());
    }
    // SAFETY: the size is the struct's own, and the kernel accepts every size since version 0; `pidfd` outlives the
    // call. Without CLONE_VM the child gets its own copy of this stack and of everything else, so nothing is shared.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    match check(Call::Clone3, pid)? {
        0 => exit(child()),
        pid => {
            let pid = i32::try_from(pid).map_err(|_| Failed::new(Call::Clone3, Errno::ERANGE))?;
            // SAFETY: the kernel has just stored a new fd there, close-on-exec, and nobody else knows it.
            Ok(Born { pid, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } })
        }
    }
}

/// Makes a process that does nothing until it is killed, or until the thread that made it ends. It shares the fds and
/// the working directory of its maker, so that it keeps nothing open.
pub(crate) fn placeholder() -> Result<Born> {
    // SAFETY: getpid(2) takes nothing.
    let maker = unsafe { libc::getpid() };
    clone3((libc::CLONE_FILES | libc::CLONE_FS) as u64, None, || {
        let dies_with_maker = prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0).is_ok();
        // SAFETY: as above.
        let is_orphan = unsafe { libc::getppid() } != maker;
        if !dies_with_maker || is_orphan {
            return 1;
        }
        loop {
            // SAFETY: pause(2) takes nothing.
            unsafe { libc::pause() };
        }
    })
}

/// Makes a plain child process, which keeps the rules of [`clone3`] and has the same signal handlers. For a process under a
/// filter: engines' profiles know this call and, since a filter cannot look into its arguments, answer clone3(2) with ENOSYS.
///
/// `clone(CLONE_PIDFD | SIGCHLD, NULL, &pidfd, NULL, NULL)`, clone(2), with CLONE_PIDFD since Linux 5.2.
pub(crate) fn clone(child: impl FnOnce() -> i32) -> Result<Born> {
    let mut pidfd: RawFd = -1;
    let flags = libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: without CLONE_VM the child goes on with a copy of this stack, as after fork(2); the kernel stores an int in
    // `pidfd`, the third argument on every architecture that husk runs on.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) };
    match check(Call::Clone, pid)? {
        0 => exit(child()),
        pid => {
            let pid = i32::try_from(pid).map_err(|_| Failed::new(Call::Clone, Errno::ERANGE))?;
            // SAFETY: as in `clone3`.
            Ok(Born { pid, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } })
        }
    }
}

/// Ends a cloned process at once: no destructors, no exit handlers, which belong to the process it was copied from.
///
/// `_exit(status)`, `_exit(2)`.
pub(crate) fn exit(status: i32) -> ! {
    // SAFETY: `_exit` touches no memory of ours.
    unsafe { libc::_exit(status) }
}
