//! `tmpcopyup`: a new tmpfs starts with what the rootfs has at its target.
//!
//! Directories, regular files, symbolic links, fifos and device nodes are copied with mode, owner and times of
//! modification; the source is read through fds only and no link of it is followed. Depth is bounded.

use crate::sys::{self, Call, DirectoryReader, Failed, RESOLVE_IN_ROOT_PLAIN, Result, Stat};
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, mkdirat, mknodat};
use nix::unistd::{Gid, Uid, fchownat};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

/// Each level takes some kilobytes of the stack.
const DEEPEST: u32 = 64;

/// Copies the content of the directory `from` into the directory `to`.
pub(super) fn copy_up(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    copy_directory(from, to, DEEPEST)
}

fn copy_directory(from: BorrowedFd<'_>, to: BorrowedFd<'_>, levels: u32) -> Result<()> {
    if levels == 0 {
        return Err(Failed::new(Call::TooLong, Errno::ENAMETOOLONG));
    }
    let listing = sys::openat2(from, c".", libc::O_RDONLY | libc::O_DIRECTORY, 0, RESOLVE_IN_ROOT_PLAIN)?;
    let mut reader = DirectoryReader::new();
    while let Some(name) = reader.next(listing.as_fd())? {
        if name != c"." && name != c".." {
            copy_entry(from, to, name, levels)?;
        }
    }
    Ok(())
}

fn copy_entry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, levels: u32) -> Result<()> {
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    // A plain openat2 with RESOLVE_NO_SYMLINKS refuses to give a link itself; one name needs no more than NOFOLLOW.
    let entry = sys::openat2(from, name, flags, 0, libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS)?;
    let stat = sys::fstat(entry.as_fd())?;
    let mode = Mode::from_bits_truncate(stat.mode & 0o7777);
    match stat.mode & libc::S_IFMT {
        libc::S_IFDIR => {
            mkdirat(to, name, mode).map_err(Failed::from(Call::Mkdirat))?;
            let made = sys::openat2(to, name, libc::O_PATH | libc::O_DIRECTORY, 0, RESOLVE_IN_ROOT_PLAIN)?;
            copy_directory(entry.as_fd(), made.as_fd(), levels - 1)?;
        }
        libc::S_IFLNK => {
            let mut text = [0u8; 4096];
            let length = sys::readlinkat(from, name, &mut text)?;
            let text =
                text.get(..=length).and_then(|text| CStr::from_bytes_until_nul(text).ok()).unwrap_or(c"");
            nix::unistd::symlinkat(text, to, name).map_err(Failed::from(Call::Symlinkat))?;
        }
        libc::S_IFREG => copy_file(from, to, name, stat)?,
        // A socket is an address of a process, not content.
        libc::S_IFSOCK => return Ok(()),
        kind => mknodat(to, name, SFlag::from_bits_truncate(kind), mode, stat.rdev)
            .map_err(Failed::from(Call::Mknodat))?,
    }
    let (uid, gid) = (Some(Uid::from_raw(stat.uid)), Some(Gid::from_raw(stat.gid)));
    fchownat(to, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(Failed::from(Call::Fchown))?;
    if stat.mode & libc::S_IFMT != libc::S_IFLNK {
        // chown takes set-id bits away, so the mode comes last.
        fchmodat(to, name, mode, FchmodatFlags::FollowSymlink).map_err(Failed::from(Call::Fchmod))?;
    }
    Ok(())
}

fn copy_file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, stat: Stat) -> Result<()> {
    let read = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let source = sys::openat2(from, name, read, 0, RESOLVE_IN_ROOT_PLAIN)?;
    if !sys::fstat(source.as_fd())?.is_regular() {
        // It was one a moment ago, and is refused like a link in its place: a device may have no end, or an effect.
        return Err(Failed::new(Call::Openat2, Errno::ELOOP));
    }
    let write = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_NOFOLLOW;
    let target = sys::openat2(to, name, write, stat.mode & 0o777, RESOLVE_IN_ROOT_PLAIN)?;
    let mut buffer = [0u8; 16 * 1024];
    loop {
        match nix::unistd::read(source.as_fd(), &mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => sys::write_all(target.as_fd(), buffer.get(..length).unwrap_or(&[]))?,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Failed::new(Call::Read, errno)),
        }
    }
}
