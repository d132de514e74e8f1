//! Taking away what is mounted at a path in the root.

use super::resolve;
use crate::sys::{self, Call, Failed, Result};
use nix::mount::{MntFlags, umount2};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

/// Detaches the topmost mount there, with all below it; whoever uses it keeps it until then. umount2(2) takes a path
/// and no fd: a directory is entered and is `.` then, and anything else is a name in the directory that was opened,
/// which is not followed.
pub(crate) fn unmount(root: BorrowedFd<'_>, path: &CStr) -> Result<()> {
    let there = resolve::open(root, path)?;
    let flags = MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW;
    if sys::fstat(there.as_fd())?.is_dir() {
        nix::unistd::fchdir(there.as_fd()).map_err(Failed::from(Call::Fchdir))?;
        return umount2(c".", flags).map_err(Failed::from(Call::Umount));
    }
    drop(there);
    let (parent, name) = resolve::parent_and_name(root, path)?;
    nix::unistd::fchdir(parent.as_fd()).map_err(Failed::from(Call::Fchdir))?;
    umount2(name.as_cstr(), flags).map_err(Failed::from(Call::Umount))
}
