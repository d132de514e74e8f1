//! What the security modules are told about the process: AppArmor's profile, SELinux's contexts (proc_pid_attr(5)).

use crate::rootfs;
use crate::sys::{self, RESOLVE_STRICT, Result};
use std::ffi::CStr;
use std::os::fd::AsFd;

/// Writes an attribute of this thread. Written to a procfs that nobody else can reach, and never to what the image has
/// at `/proc` (CVE-2019-16884, CVE-2025-52881).
pub(crate) fn set(attribute: &CStr, text: &[u8]) -> Result<()> {
    let proc = rootfs::detached_proc()?;
    let own = sys::openat2(
        proc.as_fd(),
        c"thread-self",
        libc::O_PATH,
        0,
        libc::RESOLVE_BENEATH | libc::RESOLVE_NO_XDEV,
    )?;
    let file = sys::openat2(own.as_fd(), attribute, libc::O_WRONLY, 0, RESOLVE_STRICT)?;
    sys::write_all(file.as_fd(), text)
}
