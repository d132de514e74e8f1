//! The fd-based mount interface: mounts are made detached, verified, and attached to the very fd that was verified.

use super::files::owned;
use super::{Call, Result, check};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// `MOUNT_ATTR_RDONLY`, mount_setattr(2).
pub(crate) const MOUNT_ATTR_RDONLY: u64 = 1;

const OPEN_TREE_CLONE: u32 = 1;
const OPEN_TREE_NAMESPACE: u32 = 2;
const OPEN_TREE_CLOEXEC: u32 = libc::O_CLOEXEC as u32;

/// `open_tree(dir, path, OPEN_TREE_CLONE | …)`, open_tree(2), since Linux 5.2: a detached copy of the mount at
/// `path`, with everything below it if `recursive`. An empty path means `dir` itself.
pub(crate) fn open_tree(dir: BorrowedFd<'_>, path: &CStr, recursive: bool) -> Result<OwnedFd> {
    clone_tree(dir, path, recursive, libc::AT_EMPTY_PATH)
}

/// The same with `AT_SYMLINK_NOFOLLOW`: if `path` is a symbolic link, the link.
pub(crate) fn open_tree_itself(dir: BorrowedFd<'_>, path: &CStr, recursive: bool) -> Result<OwnedFd> {
    clone_tree(dir, path, recursive, libc::AT_SYMLINK_NOFOLLOW)
}

fn clone_tree(dir: BorrowedFd<'_>, path: &CStr, recursive: bool, how: i32) -> Result<OwnedFd> {
    let mut flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | how.unsigned_abs();
    if recursive {
        flags |= libc::AT_RECURSIVE as u32;
    }
    // SAFETY: the kernel reads the path up to its NUL.
    check(Call::OpenTree, unsafe {
        libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), path.as_ptr(), flags)
    })
    .map(owned)
}

/// `open_tree(AT_FDCWD, path, OPEN_TREE_NAMESPACE | …)`, open_tree(2), since Linux 7.0: a mount namespace, for setns(2), in
/// which a copy of the mount at `path` lies and nothing else.
pub(crate) fn open_tree_namespace(path: &CStr) -> Result<OwnedFd> {
    let flags = OPEN_TREE_NAMESPACE | OPEN_TREE_CLOEXEC;
    // SAFETY: the kernel reads the path up to its NUL.
    check(Call::OpenTree, unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })
        .map(owned)
}

/// `move_mount(from, "", to, "", F_EMPTY_PATH | T_EMPTY_PATH)`, move_mount(2), since Linux 5.2: attaches the
/// detached mount `from` onto exactly the file or directory that `to` is.
pub(crate) fn move_mount(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    move_mount_to(from, to, c"")
}

/// As [`move_mount`], onto a path that is trusted, such as this process's own root.
pub(crate) fn move_mount_to(from: BorrowedFd<'_>, dir: BorrowedFd<'_>, path: &CStr) -> Result<()> {
    const F_EMPTY_PATH: u32 = 0x4;
    const T_EMPTY_PATH: u32 = 0x40;
    // SAFETY: the kernel reads the paths up to their NUL.
    let value = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            from.as_raw_fd(),
            c"".as_ptr(),
            dir.as_raw_fd(),
            path.as_ptr(),
            F_EMPTY_PATH | T_EMPTY_PATH,
        )
    };
    check(Call::MoveMount, value).map(drop)
}

/// `fsopen(type, FSOPEN_CLOEXEC)`, fsopen(2), since Linux 5.2.
pub(crate) fn fsopen(fstype: &CStr) -> Result<OwnedFd> {
    // SAFETY: the kernel reads the name up to its NUL.
    check(Call::Fsopen, unsafe { libc::syscall(libc::SYS_fsopen, fstype.as_ptr(), 1u32) }).map(owned)
}

fn fsconfig(fs: BorrowedFd<'_>, command: u32, key: Option<&CStr>, value: Option<&CStr>) -> Result<()> {
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: the kernel reads the strings up to their NUL, and takes null where the command has none.
    let result = unsafe {
        libc::syscall(libc::SYS_fsconfig, fs.as_raw_fd(), command, pointer(key), pointer(value), 0i32)
    };
    check(Call::Fsconfig, result).map(drop)
}

/// `fsconfig(fs, FSCONFIG_SET_FLAG, key)` or `…SET_STRING, key, value)`, fsconfig(2), since Linux 5.2.
pub(crate) fn fsconfig_set(fs: BorrowedFd<'_>, key: &CStr, value: Option<&CStr>) -> Result<()> {
    fsconfig(fs, u32::from(value.is_some()), Some(key), value)
}

/// `fsconfig(fs, FSCONFIG_CMD_CREATE)`: makes the superblock.
pub(crate) fn fsconfig_create(fs: BorrowedFd<'_>) -> Result<()> {
    fsconfig(fs, 6, None, None)
}

/// `fsmount(fs, FSMOUNT_CLOEXEC, attributes)`, fsmount(2), since Linux 5.2: a detached mount.
pub(crate) fn fsmount(fs: BorrowedFd<'_>, attributes: u64) -> Result<OwnedFd> {
    // SAFETY: numbers only.
    check(Call::Fsmount, unsafe { libc::syscall(libc::SYS_fsmount, fs.as_raw_fd(), 1u32, attributes) })
        .map(owned)
}

/// `struct mount_attr`, version 0.
#[repr(C)]
#[derive(Default)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// `mount_setattr(mount, "", AT_EMPTY_PATH | …, &attr, size)`, mount_setattr(2), since Linux 5.12.
/// `propagation` is one of `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`, `MS_UNBINDABLE`, or 0 to leave it.
pub(crate) fn mount_setattr(
    mount: BorrowedFd<'_>,
    recursive: bool,
    set: u64,
    clear: u64,
    propagation: u64,
) -> Result<()> {
    set_attr(mount, recursive, &MountAttr { set, clear, propagation, userns_fd: 0 })
}

/// `mount_setattr(mount, "", AT_EMPTY_PATH | …, {MOUNT_ATTR_IDMAP, userns_fd}, size)`: the ids of files are shown as
/// that user namespace maps them. The mount must be detached still.
pub(crate) fn mount_idmap(mount: BorrowedFd<'_>, recursive: bool, namespace: BorrowedFd<'_>) -> Result<()> {
    let userns_fd = u64::from(namespace.as_raw_fd().unsigned_abs());
    let attr = MountAttr { set: libc::MOUNT_ATTR_IDMAP, userns_fd, ..MountAttr::default() };
    set_attr(mount, recursive, &attr)
}

fn set_attr(mount: BorrowedFd<'_>, recursive: bool, attr: &MountAttr) -> Result<()> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the size is the struct's own (MOUNT_ATTR_SIZE_VER0).
    let value = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    };
    check(Call::MountSetattr, value).map(drop)
}

/// `pivot_root(".", ".")`, pivot_root(2): the working directory becomes the root, the old root lies on top of it.
pub(crate) fn pivot_root_here() -> Result<()> {
    // SAFETY: two paths that end with NUL.
    check(Call::PivotRoot, unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) })
        .map(drop)
}

/// `fsetxattr(file, name, value, length, 0)`, setxattr(2).
pub(crate) fn fsetxattr(file: BorrowedFd<'_>, name: &CStr, value: &CStr) -> Result<()> {
    let bytes = value.to_bytes();
    // SAFETY: the kernel reads the name up to its NUL and as many bytes of the value as it is told.
    let result =
        unsafe { libc::fsetxattr(file.as_raw_fd(), name.as_ptr(), bytes.as_ptr().cast(), bytes.len(), 0) };
    check(Call::Fsetxattr, i64::from(result)).map(drop)
}

/// Whether the caller's mount namespace has this many mounts.
///
/// `listmount(&{size, LSMT_ROOT}, ids, count, 0)`, listmount(2), since Linux 6.8.
#[allow(clippy::cast_possible_truncation)] // 24
pub(crate) fn has_mounts(count: usize) -> Result<bool> {
    const LISTMOUNT: libc::c_long = 458; // on every architecture; libc does not have it yet
    const MOST: usize = 512;
    /// `struct mnt_id_req`, version 0.
    #[repr(C)]
    struct Request {
        size: u32,
        spare: u32,
        mount: u64,
        after: u64,
    }
    let request = Request { size: size_of::<Request>() as u32, spare: 0, mount: u64::MAX, after: 0 };
    let mut ids = [0u64; MOST];
    let count = count.min(MOST);
    // SAFETY: the struct tells its size, and the kernel writes at most `count` ids, for which there is room.
    let value = unsafe { libc::syscall(LISTMOUNT, &raw const request, ids.as_mut_ptr(), count, 0) };
    check(Call::Listmount, value).map(|found| usize::try_from(found).is_ok_and(|found| found >= count))
}
