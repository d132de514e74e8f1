//! Paths inside the rootfs, which is hostile and changes while we look.
//!
//! Invariant: nothing is ever opened or made by a path that could lead out. Each step is one openat2(2) with
//! RESOLVE_IN_ROOT from the root's fd, or one `…at` call with a single component on a directory fd that was opened
//! so (CVE-2021-30465, CVE-2024-45310). What comes back is an `O_PATH` fd: the thing itself, not its name.

use crate::sys::{self, Call, Failed, RESOLVE_IN_ROOT, RESOLVE_IN_ROOT_PLAIN, Result};
use nix::errno::Errno;
use nix::sys::stat::{Mode, mkdirat};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a missing target becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    Directory,
    File,
}

/// PATH_MAX of the kernel.
const LONGEST: usize = 4096;
/// As many symbolic links as the kernel follows.
const MOST_LINKS: u32 = 40;

/// A NUL-terminated path being put together on the stack.
struct PathBuffer {
    bytes: [u8; LONGEST],
    length: usize,
}

impl PathBuffer {
    fn new() -> PathBuffer {
        PathBuffer { bytes: [0; LONGEST], length: 0 }
    }

    fn push(&mut self, part: &[u8]) -> Result<()> {
        let end = self.length + part.len();
        // The last byte stays NUL.
        match self.bytes.get_mut(self.length..end) {
            Some(room) if end < LONGEST => room.copy_from_slice(part),
            _ => return Err(Failed::new(Call::TooLong, Errno::ENAMETOOLONG)),
        }
        self.length = end;
        Ok(())
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }

    fn as_cstr(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}

/// Opens what is at `path` in the root, as `O_PATH`.
pub(crate) fn open(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    sys::openat2(root, path, libc::O_PATH, 0, RESOLVE_IN_ROOT)
}

/// Opens what is at `path` in the root, following no symbolic link anywhere.
pub(crate) fn open_plain(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    sys::openat2(root, path, libc::O_PATH, 0, RESOLVE_IN_ROOT_PLAIN)
}

/// Opens what is at `path` in the root; a symbolic link there is what is meant, and not where it leads.
pub(crate) fn open_itself(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    let (parent, name) = parent_and_name(root, path)?;
    // RESOLVE_NO_SYMLINKS would refuse to give a link itself; one name needs no more than O_NOFOLLOW.
    let resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;
    sys::openat2(parent.as_fd(), name.as_cstr(), libc::O_PATH | libc::O_NOFOLLOW, 0, resolve)
}

/// Likewise, and makes what is missing.
pub(crate) fn open_itself_or_make(root: BorrowedFd<'_>, path: &CStr, make: Make) -> Result<OwnedFd> {
    match open_itself(root, path) {
        Err(Failed { errno: Errno::ENOENT, .. }) => open_or_make(root, path, make),
        found => found,
    }
}

/// Opens what is at `path` in the root, and makes it, and the directories that lead to it, where they are missing.
pub(crate) fn open_or_make(root: BorrowedFd<'_>, path: &CStr, make: Make) -> Result<OwnedFd> {
    match open(root, path) {
        Err(Failed { errno: Errno::ENOENT, .. }) => make_and_open(root, path, make),
        found => found,
    }
}

/// The same for what was not there a moment ago.
pub(crate) fn make_and_open(root: BorrowedFd<'_>, path: &CStr, make: Make) -> Result<OwnedFd> {
    let mut whole = PathBuffer::new();
    whole.push(path.to_bytes())?;
    for _ in 0..MOST_LINKS {
        match make_missing(root, &whole, make)? {
            Made::All(fd) => return Ok(fd),
            Made::Link(detour) => whole = detour,
        }
    }
    Err(Failed::new(Call::Openat2, Errno::ELOOP))
}

#[allow(clippy::large_enum_variant)] // on the stack either way; nothing here may allocate
enum Made {
    All(OwnedFd),
    /// A symbolic link to something that does not exist stood in the way: the path with the link's text in its place.
    Link(PathBuffer),
}

/// Walks the path, making what is missing.
fn make_missing(root: BorrowedFd<'_>, path: &PathBuffer, make: Make) -> Result<Made> {
    let mut prefix = PathBuffer::new();
    let (directory, name) = split(path.as_bytes());
    prefix.push(directory)?;
    prefix.push(b"/")?;
    // Mostly no more than the last is missing: then it is not looked for once more.
    let (mut here, mut rest, mut is_missing) = match open(root, prefix.as_cstr()) {
        Ok(directory) => (directory, name, true),
        Err(_) => {
            prefix = PathBuffer::new();
            prefix.push(b"/")?;
            (open(root, c"/")?, path.as_bytes(), false)
        }
    };
    while let Some((name, after)) = first_component(rest) {
        let is_last = first_component(after).is_none();
        let parent_length = prefix.length;
        prefix.push(name)?;
        let found = match is_missing {
            true => Err(Failed::new(Call::Openat2, Errno::ENOENT)),
            false => open(root, prefix.as_cstr()),
        };
        match found {
            Ok(next) => here = next,
            Err(Failed { errno: Errno::ENOENT, .. }) => {
                let component = self::name(name)?;
                let what = if is_last { make } else { Make::Directory };
                match make_one(here.as_fd(), component.as_cstr(), what) {
                    Ok(next) => here = next,
                    // It has come in the meantime, or is a link.
                    Err(Failed { errno: Errno::EEXIST, .. }) if is_missing => {
                        is_missing = false;
                        prefix.length = parent_length;
                        continue;
                    }
                    Err(Failed { errno: Errno::EEXIST, .. }) => {
                        return detour(here.as_fd(), &prefix, parent_length, component.as_cstr(), after);
                    }
                    Err(failed) => return Err(failed),
                }
            }
            Err(failed) => return Err(failed),
        }
        prefix.push(b"/")?;
        rest = after;
    }
    Ok(Made::All(here))
}

/// The first name in a path and what follows it; `None` at the end.
pub(super) fn first_component(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = path.iter().position(|&byte| byte != b'/')?;
    let path = path.get(start..)?;
    let end = path.iter().position(|&byte| byte == b'/').unwrap_or(path.len());
    Some((path.get(..end)?, path.get(end..)?))
}

/// Makes one entry in a directory, and opens that very entry without following it.
fn make_one(parent: BorrowedFd<'_>, name: &CStr, make: Make) -> Result<OwnedFd> {
    match make {
        Make::Directory => {
            mkdirat(parent, name, Mode::from_bits_truncate(0o755)).map_err(Failed::from(Call::Mkdirat))?;
            let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_DIRECTORY;
            sys::openat2(parent, name, flags, 0, RESOLVE_IN_ROOT_PLAIN)
        }
        Make::File => {
            let flags = libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_WRONLY;
            drop(sys::openat2(parent, name, flags, 0o755, RESOLVE_IN_ROOT_PLAIN)?);
            sys::openat2(parent, name, libc::O_PATH | libc::O_NOFOLLOW, 0, RESOLVE_IN_ROOT_PLAIN)
        }
    }
}

/// The path with a dangling link's text in the link's place. The text may be absolute (from the root) or relative.
#[inline(never)] // its room on the stack is for nobody else
fn detour(
    parent: BorrowedFd<'_>,
    prefix: &PathBuffer,
    parent_length: usize,
    name: &CStr,
    after: &[u8],
) -> Result<Made> {
    let mut text = [0u8; LONGEST];
    let length = sys::readlinkat(parent, name, &mut text)?;
    let text = text.get(..length).unwrap_or(&[]);
    let mut path = PathBuffer::new();
    if text.first() != Some(&b'/') {
        path.push(prefix.as_bytes().get(..parent_length).unwrap_or(&[]))?;
    }
    path.push(text)?;
    path.push(after)?;
    Ok(Made::Link(path))
}

/// A single name, NUL-terminated, on the stack.
pub(crate) struct Name {
    bytes: [u8; 256],
}

impl Name {
    /// It, for `…at` calls.
    pub(crate) fn as_cstr(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}

/// What leads to the last component of an absolute path, and that component.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let slash = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    (path.get(..slash).unwrap_or(&[]), path.get(slash + 1..).unwrap_or(&[]))
}

/// A single component, for `…at` calls.
pub(crate) fn name(component: &[u8]) -> Result<Name> {
    let mut name = Name { bytes: [0; 256] };
    match name.bytes.get_mut(..component.len()) {
        Some(room) if component.len() < 256 => room.copy_from_slice(component),
        _ => return Err(Failed::new(Call::TooLong, Errno::ENAMETOOLONG)),
    }
    Ok(name)
}

/// The directory that [`split`] found, made where it is missing.
pub(crate) fn open_or_make_parent(root: BorrowedFd<'_>, directory: &[u8]) -> Result<OwnedFd> {
    let mut parent = PathBuffer::new();
    parent.push(b"/")?;
    parent.push(directory)?;
    open_or_make(root, parent.as_cstr(), Make::Directory)
}

/// The directory that holds the last component of `path`, made where it is missing, and that component.
pub(crate) fn parent_and_name(root: BorrowedFd<'_>, path: &CStr) -> Result<(OwnedFd, Name)> {
    let (directory, last) = split(path.to_bytes());
    Ok((open_or_make_parent(root, directory)?, name(last)?))
}
