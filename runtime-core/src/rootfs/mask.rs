//! Masked and read-only paths: mounts over what the config wants hidden or unwritable.
//!
//! The null device that covers a file is opened on the host and checked to be one, never taken from the image
//! (CVE-2025-31133, CVE-2026-88265). All masked directories share one empty file system.

use super::places::Places;
use crate::plan::Parameter;
use crate::sys::{self, Call, Failed, MOUNT_ATTR_RDONLY, Result};
use nix::errno::Errno;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Makes `path` and everything mounted below it read-only, if it exists.
pub(crate) fn make_readonly(places: Places<'_>, path: &CStr) -> Result<()> {
    let target = match places.open(path) {
        Err(Failed { errno: Errno::ENOENT, .. }) => return Ok(()),
        target => target?,
    };
    let copy = sys::open_tree(target.as_fd(), c"", true)?;
    sys::mount_setattr(copy.as_fd(), true, MOUNT_ATTR_RDONLY, 0, 0)?;
    sys::move_mount(copy.as_fd(), target.as_fd())
}

/// What masks. The first path that needs it gets the thing itself, every other one a copy of that.
#[derive(Debug, Default)]
pub(crate) struct Mask<'a> {
    /// A parameter for the file system that covers directories: its security label.
    pub(crate) label: Option<&'a Parameter>,
    /// The null device, detached, if the host's cannot be reached from here.
    pub(crate) given_null: Option<BorrowedFd<'a>>,
    pub(crate) null: Option<OwnedFd>,
    pub(crate) empty: Option<OwnedFd>,
}

impl Mask<'_> {
    /// Hides `path`, if it exists: a directory behind an empty one, anything else behind the null device.
    pub(crate) fn cover(&mut self, places: Places<'_>, path: &CStr) -> Result<()> {
        let target = match places.open(path) {
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
        let label = self.label;
        cover_with(&mut self.empty, || empty_directory(label), target)
    }

    fn cover_file(&mut self, target: BorrowedFd<'_>) -> Result<()> {
        let given = self.given_null;
        let null = || match given {
            Some(null) => null.try_clone_to_owned().map_err(|_| Failed::new(Call::Fcntl, Errno::EMFILE)),
            None => open_null(),
        };
        cover_with(&mut self.null, null, target)
    }
}

fn cover_with(
    attached: &mut Option<OwnedFd>,
    make: impl FnOnce() -> Result<OwnedFd>,
    target: BorrowedFd<'_>,
) -> Result<()> {
    if let Some(attached) = attached {
        let copy = sys::open_tree(attached.as_fd(), c"", false)?;
        return sys::move_mount(copy.as_fd(), target);
    }
    let first = make()?;
    sys::move_mount(first.as_fd(), target)?;
    *attached = Some(first);
    Ok(())
}

/// A file system with one directory that nobody can put anything into.
pub(crate) fn empty_directory(label: Option<&Parameter>) -> Result<OwnedFd> {
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

/// The null device of the host, as a detached mount. In a new process, before the pivot, `/` is its copy of the host's.
pub(crate) fn open_null() -> Result<OwnedFd> {
    let null = sys::open_tree(sys::cwd(), c"/dev/null", false)?;
    if sys::fstat(null.as_fd())?.is_char_device(1, 3) {
        Ok(null)
    } else {
        Err(Failed::new(Call::NotThisDevice, Errno::ENODEV))
    }
}
