//! From the host's root to the container's.
//!
//! The rootfs is attached on top of the process's own `/`, the one path that always exists, or for hooks at its own path on
//! the host, then made the root with pivot_root(2), and what was the root is detached. Until then absolute paths still lead
//! to the host's files.

use super::source::propagate;
use crate::sys::{self, Call, Failed, Result};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};

/// A mount namespace that is no copy of the runtime's, to build the container in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Small<'a> {
    /// Made for this container alone.
    Own(BorrowedFd<'a>),
    /// To be copied, since others copy it too.
    Template(BorrowedFd<'a>),
}

/// Leaves the runtime's mount namespace.
pub(crate) fn enter(namespace: Small<'_>) -> Result<()> {
    match namespace {
        Small::Own(own) => sys::setns(own, libc::CLONE_NEWNS),
        Small::Template(template) => {
            // Where entering it is refused, a copy of the runtime's is as good, and dear.
            let _ = sys::setns(template, libc::CLONE_NEWNS);
            sys::unshare(libc::CLONE_NEWNS)
        }
    }
}

/// What happens in this mount namespace stays in it; what the host mounts still arrives until the pivot.
pub(crate) fn isolate() -> Result<()> {
    let none: Option<&CStr> = None;
    mount(none, c"/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none).map_err(Failed::from(Call::Mount))
}

/// Attaches the rootfs.
pub(crate) fn attach(rootfs: BorrowedFd<'_>) -> Result<()> {
    sys::move_mount_to(rootfs, sys::cwd(), c"/")
}

/// Attaches the rootfs where the host has it: a hook that enters this mount namespace by the process's pid looks for the
/// container's files there, NVIDIA's for example.
pub(crate) fn attach_at(rootfs: BorrowedFd<'_>, path: &CStr) -> Result<()> {
    match sys::openat2(sys::cwd(), path, libc::O_PATH | libc::O_DIRECTORY, 0, libc::RESOLVE_NO_MAGICLINKS) {
        Ok(place) => sys::move_mount(rootfs, place.as_fd()),
        // Root of a user namespace may not be let through to it.
        Err(Failed { errno: Errno::EACCES, .. }) => attach(rootfs),
        Err(failed) => Err(failed),
    }
}

/// Before chroot(2), which lets everything stay mounted that the host has: takes away its `/proc` and `/sys`. A process that
/// makes a user namespace may mount a new one wherever a whole one can be seen, and the container's is masked.
pub(crate) fn hide_host_proc(mountpoints: &[CString]) -> Result<()> {
    for path in mountpoints {
        match umount2(path.as_c_str(), MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            // Gone with one that it lay below.
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(Errno::EINVAL | Errno::EPERM) => cover(path)?,
            Err(errno) => return Err(Failed::new(Call::Umount, errno)),
        }
    }
    Ok(())
}

/// In a user namespace the host's mounts are locked, but not what may lie above them.
fn cover(path: &CStr) -> Result<()> {
    match mount(Some(c"none"), path, Some(c"tmpfs"), MsFlags::MS_RDONLY, None::<&CStr>) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(Failed::new(Call::Mount, errno)),
    }
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
