//! From the host's root to the container's.
//!
//! The rootfs is attached on top of the process's own `/`, the one path that always exists, then made the root with
//! pivot_root(2), and what was the root is detached. Until then absolute paths still lead to the host's files.

use super::source::propagate;
use crate::sys::{self, Call, Failed, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::os::fd::{AsFd, BorrowedFd};

/// What happens in this mount namespace stays in it; what the host mounts still arrives until the pivot.
pub(crate) fn isolate() -> Result<()> {
    let none: Option<&std::ffi::CStr> = None;
    mount(none, c"/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none).map_err(Failed::from(Call::Mount))
}

/// Attaches the rootfs.
pub(crate) fn attach(rootfs: BorrowedFd<'_>) -> Result<()> {
    sys::move_mount_to(rootfs, sys::cwd(), c"/")
}

/// Makes the attached rootfs the root, and lets go of the host's.
pub(crate) fn pivot(rootfs: BorrowedFd<'_>) -> Result<()> {
    let old = sys::openat2(sys::cwd(), c"/", libc::O_PATH | libc::O_DIRECTORY, 0, 0)?;
    nix::unistd::fchdir(rootfs).map_err(Failed::from(Call::Fchdir))?;
    sys::pivot_root_here()?;
    // The old root now lies on top of the new one; from inside it, "." can only mean it.
    nix::unistd::fchdir(old.as_fd()).map_err(Failed::from(Call::Fchdir))?;
    umount2(c".", MntFlags::MNT_DETACH).map_err(Failed::from(Call::Umount))?;
    nix::unistd::chdir(c"/").map_err(Failed::from(Call::Chdir))
}

/// chroot(2) into a directory: for `--no-pivot`, and where the mount namespace is not the container's own.
pub(crate) fn change_root(rootfs: BorrowedFd<'_>) -> Result<()> {
    nix::unistd::fchdir(rootfs).map_err(Failed::from(Call::Fchdir))?;
    nix::unistd::chroot(c".").map_err(Failed::from(Call::Chroot))?;
    nix::unistd::chdir(c"/").map_err(Failed::from(Call::Chdir))
}

/// The propagation that the config wants for the root mount.
pub(crate) fn set_propagation(rootfs: BorrowedFd<'_>, flags: u64) -> Result<()> {
    if flags & libc::MS_SHARED != 0 {
        // With peers of its own, and no master among the host's mounts.
        propagate(rootfs, libc::MS_PRIVATE)?;
    }
    if flags == 0 { Ok(()) } else { propagate(rootfs, flags) }
}
