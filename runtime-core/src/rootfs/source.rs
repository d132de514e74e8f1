//! What comes from the host: bind sources and the rootfs itself, as detached copies of mounts.
//!
//! Where the runtime may, it opens them before the clone, with its own privileges and in its own mount namespace;
//! without privileges the new process opens them, in its copy. Either way a copy gets its attributes while it is
//! detached, and it never stays a peer of the host's mount unless the config asks for `shared`.

use super::resolve;
use crate::plan::{MountPlan, MountSource};
use crate::sys::{self, Call, Failed, Result};
use nix::errno::Errno;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Sets `MS_…` propagation, with or without `MS_REC`, on a mount.
pub(super) fn propagate(mount: BorrowedFd<'_>, flags: u64) -> Result<()> {
    let recursive = flags & libc::MS_REC != 0;
    sys::mount_setattr(mount, recursive, 0, 0, flags & !libc::MS_REC)
}

/// The attributes of a mount, then those of all below it.
pub(super) fn set_attributes(mount: BorrowedFd<'_>, plan: &MountPlan) -> Result<()> {
    let own = plan.attributes;
    if !own.is_empty() {
        sys::mount_setattr(mount, false, own.set, own.clear, 0)?;
    }
    let all = plan.recursive_attributes;
    if !all.is_empty() {
        sys::mount_setattr(mount, true, all.set, all.clear, 0)?;
    }
    Ok(())
}

/// A copy of the bind source of this step, on the host, ready to be attached.
pub(crate) fn open_bind(plan: &MountPlan) -> Result<OwnedFd> {
    let MountSource::Bind { path, recursive, links, .. } = &plan.source else { return not_a_bind() };
    let copy = if links.keep_source {
        sys::open_tree_itself(sys::cwd(), path, *recursive)?
    } else {
        sys::open_tree(sys::cwd(), path, *recursive)?
    };
    ready(copy, plan)
}

/// The same for a path in the container's root, which the image cannot make lead out of it.
pub(crate) fn open_inside(root: BorrowedFd<'_>, plan: &MountPlan) -> Result<OwnedFd> {
    let MountSource::Bind { path, recursive, links, .. } = &plan.source else { return not_a_bind() };
    let place =
        if links.keep_source { resolve::open_itself(root, path)? } else { resolve::open(root, path)? };
    ready(sys::open_tree(place.as_fd(), c"", *recursive)?, plan)
}

fn not_a_bind() -> Result<OwnedFd> {
    Err(Failed::new(Call::OpenTree, Errno::EINVAL))
}

fn ready(copy: OwnedFd, plan: &MountPlan) -> Result<OwnedFd> {
    if plan.keeps_locked && !plan.attributes.is_empty() {
        let before = sys::mount_flags(copy.as_fd())?;
        set_attributes(copy.as_fd(), plan)?;
        check_locked(before, sys::mount_flags(copy.as_fd())?)?;
    } else {
        set_attributes(copy.as_fd(), plan)?;
    }
    // Mounts that the host makes later below the source still arrive; nothing travels the other way.
    let asks_for_shared = plan.propagation.iter().any(|flags| flags & libc::MS_SHARED != 0);
    if !asks_for_shared {
        propagate(copy.as_fd(), libc::MS_SLAVE | libc::MS_REC)?;
    }
    for &flags in &plan.propagation {
        propagate(copy.as_fd(), flags)?;
    }
    Ok(copy)
}

/// What the kernel would say in the container's user namespace (mount_namespaces(7)): a flag that the host has set may not
/// go, and access times may not change.
fn check_locked(before: u64, after: u64) -> Result<()> {
    const FLAGS: u64 = libc::ST_RDONLY | libc::ST_NOSUID | libc::ST_NODEV | libc::ST_NOEXEC;
    const TIMES: u64 = libc::ST_NOATIME | libc::ST_NODIRATIME | libc::ST_RELATIME;
    if before & FLAGS & !after != 0 || (before ^ after) & TIMES != 0 {
        return Err(Failed::new(Call::MountSetattr, Errno::EPERM));
    }
    Ok(())
}

/// A copy of the rootfs with everything mounted in it. pivot_root(2) wants it unshared until the pivot is done.
/// One that is to be shared in the end is so with copies of its own; the host's mounts do not arrive in it.
pub(crate) fn open_rootfs(at: BorrowedFd<'_>, path: &CStr, propagation: u64) -> Result<OwnedFd> {
    let copy = sys::open_tree(at, path, true)?;
    propagate(copy.as_fd(), libc::MS_SLAVE | libc::MS_REC)?;
    if propagation & libc::MS_SHARED != 0 {
        propagate(copy.as_fd(), libc::MS_PRIVATE)?;
    }
    Ok(copy)
}
