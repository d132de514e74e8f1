//! Masked and read-only paths: mounts over what the config wants hidden or unwritable.
//!
//! The null device that covers a file is opened on the host and checked to be one, never taken from the image
//! (CVE-2025-31133, CVE-2026-88265). All masked directories share one empty file system.

use super::resolve;
use crate::plan::Parameter;
use crate::sys::{self, Call, Failed, MOUNT_ATTR_RDONLY, Result};
use nix::errno::Errno;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Makes `path` and everything mounted below it read-only, if it exists.
pub(crate) fn make_readonly(root: BorrowedFd<'_>, path: &CStr) -> Result<()> {
    let target = match resolve::open(root, path) {
        Err(Failed { errno: Errno::ENOENT, .. }) => return Ok(()),
        target => target?,
    };
    let copy = sys::open_tree(target.as_fd(), c"", true)?;
    sys::mount_setattr(copy.as_fd(), true, MOUNT_ATTR_RDONLY, 0, 0)?;
    sys::move_mount(copy.as_fd(), target.as_fd())
}

/// What masks: opened when the first path needs it.
#[derive(Debug, Default)]
pub(crate) struct Mask<'a> {
    /// A parameter for the file system that covers directories: its security label.
    pub(crate) label: Option<&'a Parameter>,
    pub(crate) null: Option<OwnedFd>,
    pub(crate) empty: Option<OwnedFd>,
}

impl Mask<'_> {
    /// Hides `path`, if it exists: a directory behind an empty one, anything else behind the null device.
    pub(crate) fn cover(&mut self, root: BorrowedFd<'_>, path: &CStr) -> Result<()> {
        let target = match resolve::open(root, path) {
            Err(Failed { errno: Errno::ENOENT | Errno::ENOTDIR, .. }) => return Ok(()),
            target => target?,
        };
        if sys::fstat(target.as_fd())?.is_dir() {
            self.cover_directory(target.as_fd())
        } else {
            self.cover_file(target.as_fd())
        }
    }

    fn cover_directory(&mut self, target: BorrowedFd<'_>) -> Result<()> {
        if let Some(empty) = &self.empty {
            // The first one is attached by now, so it can be copied.
            let copy = sys::open_tree(empty.as_fd(), c"", false)?;
            return sys::move_mount(copy.as_fd(), target);
        }
        let empty = empty_directory(self.label)?;
        sys::move_mount(empty.as_fd(), target)?;
        self.empty = Some(empty);
        Ok(())
    }

    fn cover_file(&mut self, target: BorrowedFd<'_>) -> Result<()> {
        let null = match self.null.take() {
            Some(null) => null,
            None => host_null()?,
        };
        let copy = sys::open_tree(null.as_fd(), c"", false)?;
        self.null = Some(null);
        sys::move_mount(copy.as_fd(), target)
    }
}

/// A file system with one directory that nobody can put anything into.
pub(super) fn empty_directory(label: Option<&Parameter>) -> Result<OwnedFd> {
    let fs = sys::fsopen(c"tmpfs")?;
    if let Some(label) = label {
        sys::fsconfig_set(fs.as_fd(), &label.key, label.value.as_deref())?;
    }
    sys::fsconfig_set(fs.as_fd(), c"nr_inodes", Some(c"1"))?;
    sys::fsconfig_create(fs.as_fd())?;
    let attributes =
        libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
    sys::fsmount(fs.as_fd(), attributes)
}

/// The null device of the host: before the pivot this process's `/` is still its copy of the host's.
fn host_null() -> Result<OwnedFd> {
    let null = sys::openat2(sys::cwd(), c"/dev/null", libc::O_PATH, 0, 0)?;
    if sys::fstat(null.as_fd())?.is_char_device(1, 3) {
        Ok(null)
    } else {
        Err(Failed::new(Call::NotThisDevice, Errno::ENODEV))
    }
}
