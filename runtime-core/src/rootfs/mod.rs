//! The file-system steps of a new container's process, in the order in which init.rs calls them.
//!
//! Who runs here: the container's init, root in its user namespace, before its root is its own. Everything under the
//! root is hostile; see [`resolve`] for how paths in it are handled. Mounts are made detached, looked at, and attached
//! to the very fd that was looked at. Nothing here allocates.

mod copy_up;
mod device;
mod input;
mod legacy;
mod mask;
mod mount;
mod pivot;
mod places;
pub(crate) mod resolve;
mod source;
mod unmount;

pub(crate) use device::{Directories, cover_target, make_device, make_link};
pub(crate) use input::MountInput;
pub(crate) use legacy::Legacy;
pub(crate) use mask::{Mask, empty_directory, make_readonly, open_null};
pub(crate) use mount::Mounter;
pub(crate) use pivot::{
    Small, attach, attach_at, change_root, enter, hide_host_proc, isolate, pivot, set_propagation,
};
pub(crate) use places::Places;
pub(crate) use source::{open_bind, open_inside, open_rootfs};
pub(crate) use unmount::unmount;

use crate::sys::{self, Result};
use std::os::fd::{AsFd, OwnedFd};

/// A procfs of our own that lies nowhere: nobody can put anything over its files (CVE-2019-16884, CVE-2025-52881).
/// It shows the pid namespace that the caller lives in.
pub(crate) fn detached_proc() -> Result<OwnedFd> {
    let fs = sys::fsopen(c"proc")?;
    sys::fsconfig_create(fs.as_fd())?;
    let attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
    sys::fsmount(fs.as_fd(), attributes)
}
