//! The seccomp(2) system call: the only unsafe code of this crate.
//!
//! [`Program::install`] runs between clone3 and execve, in a process that may be a copy of a threaded one. So
//! nothing here allocates, locks, panics or unwinds.

#![allow(unsafe_code)]

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;

use libc::{c_long, c_uint, c_void, sock_filter, sock_fprog};

use crate::program::Program;

impl Program {
    /// Puts this filter over the calling thread and everything that it becomes, for good.
    ///
    /// `seccomp(SECCOMP_SET_MODE_FILTER, flags, &program)`, seccomp(2), since Linux 3.17. One system call;
    /// no allocation, no lock, no panic. The calls that follow it have to be allowed by the profile, execve
    /// first of all.
    ///
    /// Gives the listener of a program that [notifies](Program::notifies), close-on-exec. Notified calls wait until
    /// somebody answers them over it, and fail with ENOSYS once nobody has it open (seccomp_unotify(2)).
    ///
    /// # Errors
    /// The errno: EACCES when the thread has neither `no_new_privs` nor CAP_SYS_ADMIN in its user namespace,
    /// ENOMEM when the filters of this thread together have become too long, EBUSY when one of them has a listener
    /// and this is to have another.
    #[inline]
    pub fn install(&self) -> Result<Option<OwnedFd>, i32> {
        // At most MAX_INSTRUCTIONS by the type's invariant, so the conversion is exact.
        #[allow(clippy::cast_possible_truncation)]
        let len = self.instructions.len() as u16;
        let program = sock_fprog { len, filter: self.instructions.as_ptr().cast_mut() };
        let listener = seccomp(libc::SECCOMP_SET_MODE_FILTER, self.flags, (&raw const program).cast())?;
        // SAFETY: with NEW_LISTENER the kernel has just made this descriptor, and nobody else knows it.
        Ok(self.notifies().then(|| unsafe { OwnedFd::from_raw_fd(listener) }))
    }
}

/// Whether the kernel knows an action, one of `SECCOMP_RET_*` (`SECCOMP_GET_ACTION_AVAIL`, since Linux 4.14).
pub(crate) fn action_is_available(action: u32) -> bool {
    seccomp(libc::SECCOMP_GET_ACTION_AVAIL, 0, (&raw const action).cast()).is_ok()
}

/// Whether the kernel knows these flags for `SECCOMP_SET_MODE_FILTER`. Installs nothing.
pub(crate) fn flags_are_available(flags: u32) -> bool {
    // The kernel looks at the flags first (EINVAL) and then reads the program, which is not there (EFAULT).
    seccomp(libc::SECCOMP_SET_MODE_FILTER, flags, ptr::null()) == Err(libc::EFAULT)
}

/// `int seccomp(unsigned int operation, unsigned int flags, void *args)`, seccomp(2).
#[inline]
fn seccomp(operation: c_uint, flags: u32, argument: *const c_void) -> Result<RawFd, i32> {
    // SAFETY: the kernel only reads through `argument`, and answers EFAULT for a pointer that it cannot
    // read. The callers above pass null, or the address of a local whose type is the one that the operation
    // takes; in the sock_fprog, `filter` and `len` describe one live boxed slice.
    let result: c_long = unsafe { libc::syscall(libc::SYS_seccomp, operation, flags, argument) };
    if result >= 0 {
        return Ok(RawFd::try_from(result).unwrap_or(RawFd::MAX));
    }
    // SAFETY: the C library returns the address of the calling thread's errno, valid for the thread's life.
    Err(unsafe { *libc::__errno_location() })
}

// `install` hands the boxed slice to the kernel as it lies.
const _: () = assert!(size_of::<sock_filter>() == 8);
