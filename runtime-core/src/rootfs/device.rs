//! Device nodes and links in the rootfs.
//!
//! Each is made in a directory fd, never through a path that the image could redirect (CVE-2026-41579,
//! CVE-2026-88264), and what is there already is believed only if it is that very device.

use super::resolve::{self, Name};
use crate::plan::{DeviceLink, DeviceNode};
use crate::sys::{self, Call, Failed, RESOLVE_IN_ROOT_PLAIN, Result};
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{Mode, SFlag, mknodat};
use nix::unistd::{Gid, Uid, fchownat};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The directories of nodes and links: mostly one, which stays open from one to the next.
#[derive(Debug)]
pub(crate) struct Directories<'a> {
    root: BorrowedFd<'a>,
    last: Option<(&'a [u8], OwnedFd)>,
}

impl<'a> Directories<'a> {
    pub(crate) fn new(root: BorrowedFd<'a>) -> Directories<'a> {
        Directories { root, last: None }
    }

    /// The directory of this path, made where it is missing, and the name in it.
    fn of(&mut self, path: &'a CStr) -> Result<(BorrowedFd<'_>, Name)> {
        let (directory, name) = resolve::split(path.to_bytes());
        let known = self.last.take().filter(|(known, _)| *known == directory);
        let fd = match known {
            Some((_, fd)) => fd,
            None => resolve::open_or_make_parent(self.root, directory)?,
        };
        let (_, fd) = &*self.last.insert((directory, fd));
        Ok((fd.as_fd(), resolve::name(name)?))
    }
}

/// Makes a node, or binds the host's where nodes cannot be made.
pub(crate) fn make_device<'a>(
    directories: &mut Directories<'a>,
    node: &'a DeviceNode,
    bind: bool,
) -> Result<()> {
    let (directory, name) = directories.of(&node.path)?;
    let name = name.as_cstr();
    if bind && node.mode & libc::S_IFMT != libc::S_IFIFO {
        return bind_device(directory, name, node);
    }
    let kind = SFlag::from_bits_truncate(node.mode & libc::S_IFMT);
    let mode = Mode::from_bits_truncate(node.mode & 0o7777);
    match mknodat(directory, name, kind, mode, libc::makedev(node.major, node.minor)) {
        Ok(()) => {}
        Err(Errno::EEXIST) => {
            let found = open_same(directory, name, node)?;
            return give(found.as_fd(), c"", node, AtFlags::AT_EMPTY_PATH);
        }
        Err(errno) => return Err(Failed::new(Call::Mknodat, errno)),
    }
    give(directory, name, node, AtFlags::AT_SYMLINK_NOFOLLOW)
}

/// To the owner that the config names.
fn give(directory: BorrowedFd<'_>, name: &CStr, node: &DeviceNode, how: AtFlags) -> Result<()> {
    let (uid, gid) = (Some(Uid::from_raw(node.uid)), Some(Gid::from_raw(node.gid)));
    fchownat(directory, name, uid, gid, how).map_err(Failed::from(Call::Fchown))
}

/// Opens what has that name, if it is the device that it should be.
fn open_same(directory: BorrowedFd<'_>, name: &CStr, node: &DeviceNode) -> Result<OwnedFd> {
    let found = sys::openat2(directory, name, libc::O_PATH | libc::O_NOFOLLOW, 0, RESOLVE_IN_ROOT_PLAIN)?;
    if is_device(sys::fstat(found.as_fd())?, node) {
        Ok(found)
    } else {
        Err(Failed::new(Call::NotThisDevice, Errno::EEXIST))
    }
}

fn is_device(stat: sys::Stat, node: &DeviceNode) -> bool {
    let is_fifo = node.mode & libc::S_IFMT == libc::S_IFIFO;
    stat.mode & libc::S_IFMT == node.mode & libc::S_IFMT
        && (is_fifo || stat.rdev == libc::makedev(node.major, node.minor))
}

/// Binds the host's node of the same path, found in this process's copy of the host's mounts.
fn bind_device(directory: BorrowedFd<'_>, name: &CStr, node: &DeviceNode) -> Result<()> {
    let source = sys::open_tree(sys::cwd(), &node.path, false)?;
    if !is_device(sys::fstat(source.as_fd())?, node) {
        return Err(Failed::new(Call::NotThisDevice, Errno::ENODEV));
    }
    let make = libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_WRONLY;
    match sys::openat2(directory, name, make, 0o666, RESOLVE_IN_ROOT_PLAIN) {
        Ok(_) | Err(Failed { errno: Errno::EEXIST, .. }) => {}
        Err(failed) => return Err(failed),
    }
    let target = sys::openat2(directory, name, libc::O_PATH | libc::O_NOFOLLOW, 0, RESOLVE_IN_ROOT_PLAIN)?;
    sys::move_mount(source.as_fd(), target.as_fd())
}

/// Makes a symbolic link, unless something of that name is there.
pub(crate) fn make_link<'a>(directories: &mut Directories<'a>, link: &'a DeviceLink) -> Result<()> {
    let (directory, name) = directories.of(&link.path)?;
    match nix::unistd::symlinkat(link.text.as_c_str(), directory, name.as_cstr()) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(Failed::new(Call::Symlinkat, errno)),
    }
}

/// The file `path`, made empty if it is missing, not followed if it is a link: something is about to cover it.
pub(crate) fn cover_target(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    let (directory, name) = resolve::parent_and_name(root, path)?;
    let make = libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_WRONLY;
    match sys::openat2(directory.as_fd(), name.as_cstr(), make, 0o666, RESOLVE_IN_ROOT_PLAIN) {
        Ok(_) | Err(Failed { errno: Errno::EEXIST, .. }) => {}
        Err(failed) => return Err(failed),
    }
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    sys::openat2(directory.as_fd(), name.as_cstr(), flags, 0, RESOLVE_IN_ROOT_PLAIN)
}
