//! Files: opening inside a root, and the small calls around it.

use super::{Call, Failed, Result, check};
use nix::errno::Errno;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Follow nothing that leads out, through the root or across a mount: a file system that we made and hold.
pub(crate) const RESOLVE_STRICT: u64 =
    libc::RESOLVE_BENEATH | libc::RESOLVE_NO_XDEV | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS;
/// As in a chroot: `/`, `..` and symbolic links stay inside; magic links are errors.
pub(crate) const RESOLVE_IN_ROOT: u64 = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
/// As [`RESOLVE_IN_ROOT`], and no symbolic links at all.
pub(crate) const RESOLVE_IN_ROOT_PLAIN: u64 = RESOLVE_IN_ROOT | libc::RESOLVE_NO_SYMLINKS;

#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// `openat2(dir, path, {flags | O_CLOEXEC, mode, resolve}, size)`, openat2(2), since Linux 5.6.
pub(crate) fn openat2(
    dir: BorrowedFd<'_>,
    path: &CStr,
    flags: i32,
    mode: u32,
    resolve: u64,
) -> Result<OwnedFd> {
    let how = OpenHow {
        flags: u64::from((flags | libc::O_CLOEXEC).unsigned_abs()),
        mode: u64::from(mode),
        resolve,
    };
    loop {
        // SAFETY: the path ends with NUL, the size is the struct's own.
        let value = unsafe {
            libc::syscall(
                libc::SYS_openat2,
                dir.as_raw_fd(),
                path.as_ptr(),
                &raw const how,
                size_of::<OpenHow>(),
            )
        };
        match check(Call::Openat2, value) {
            // A rename or mount elsewhere made the kernel unsure about `..`: it says to try again.
            Err(Failed { errno: Errno::EAGAIN | Errno::EINTR, .. }) => {}
            Err(failed) => return Err(failed),
            Ok(fd) => return Ok(owned(fd)),
        }
    }
}

/// An fd that a system call has just returned.
pub(super) fn owned(fd: libc::c_long) -> OwnedFd {
    let fd = RawFd::try_from(fd).unwrap_or(-1);
    // SAFETY: the callers pass what a call that makes an fd returned on success; nobody else knows the number.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Takes ownership of an fd that nix has just returned as a number (fcntl's F_DUPFD, a control message's fds).
pub(crate) fn adopt(fd: RawFd) -> OwnedFd {
    owned(libc::c_long::from(fd))
}

/// The current working directory and the process's root, as a directory fd for calls that take one.
pub(crate) fn cwd() -> BorrowedFd<'static> {
    // SAFETY: AT_FDCWD is no fd that could be closed, and every use here passes it to an `…at` call.
    unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) }
}

/// Standard input, output or error, as a number that every process has.
pub(crate) fn stdio(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: only 0, 1 and 2 are passed; what they lead to is checked by the call that uses them.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// What fstat(2) says of an open fd.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    pub(crate) mode: u32,
    pub(crate) rdev: u64,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Stat {
    pub(crate) fn is_dir(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFDIR
    }

    pub(crate) fn is_regular(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFREG
    }

    /// Whether it is the character device of these numbers.
    pub(crate) fn is_char_device(&self, major: u32, minor: u32) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFCHR && self.rdev == libc::makedev(major, minor)
    }
}

/// `fstat(fd, &stat)`, stat(2).
pub(crate) fn fstat(fd: BorrowedFd<'_>) -> Result<Stat> {
    let stat = nix::sys::stat::fstat(fd).map_err(Failed::from(Call::Fstat))?;
    Ok(Stat { mode: stat.st_mode, rdev: stat.st_rdev, uid: stat.st_uid, gid: stat.st_gid })
}

/// The magic number of the file system that an fd lies on; fstatfs(2).
pub(crate) fn filesystem_magic(fd: BorrowedFd<'_>) -> Result<i64> {
    let stat = nix::sys::statfs::fstatfs(fd).map_err(Failed::from(Call::Fstatfs))?;
    Ok(stat.filesystem_type().0)
}

/// The flags of the mount that an fd lies on, with those of its file system: `ST_…` bits; fstatfs(2).
pub(crate) fn mount_flags(fd: BorrowedFd<'_>) -> Result<u64> {
    let stat = nix::sys::statfs::fstatfs(fd).map_err(Failed::from(Call::Fstatfs))?;
    Ok(stat.flags().bits())
}

/// Writes all of it, in one call where the file takes it so (files of procfs and sysfs do).
pub(crate) fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<()> {
    loop {
        match nix::unistd::write(fd, bytes) {
            Ok(written) if written >= bytes.len() => return Ok(()),
            Ok(0) => return Err(Failed::new(Call::Write, Errno::EIO)),
            Ok(written) => bytes = bytes.get(written..).unwrap_or(&[]),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Failed::new(Call::Write, errno)),
        }
    }
}

/// `readlinkat(dir, name, buffer, size)`, readlink(2): how many bytes of the buffer the link's text fills.
pub(crate) fn readlinkat(dir: BorrowedFd<'_>, name: &CStr, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes at most `len` bytes.
    let value = unsafe {
        libc::syscall(libc::SYS_readlinkat, dir.as_raw_fd(), name.as_ptr(), buffer.as_mut_ptr(), buffer.len())
    };
    check(Call::Readlinkat, value).map(|length| usize::try_from(length).unwrap_or(0))
}

/// `memfd_create(name, MFD_CLOEXEC)`, memfd_create(2).
pub(crate) fn memfd(name: &CStr) -> Result<OwnedFd> {
    // SAFETY: the kernel reads the name up to its NUL.
    let value = unsafe { libc::syscall(libc::SYS_memfd_create, name.as_ptr(), libc::MFD_CLOEXEC) };
    check(Call::Memfd, value).map(owned)
}

/// `memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING)`, memfd_create(2): one that can be executed and sealed.
pub(crate) fn sealable_memfd(name: &CStr) -> Result<OwnedFd> {
    const MFD_EXEC: u32 = 0x10; // since Linux 6.3; before that every memfd can be executed
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the kernel reads the name up to its NUL.
    let create = |flags: u32| unsafe { libc::syscall(libc::SYS_memfd_create, name.as_ptr(), flags) };
    match check(Call::Memfd, create(flags | MFD_EXEC)) {
        Err(Failed { errno: Errno::EINVAL, .. }) => check(Call::Memfd, create(flags)),
        other => other,
    }
    .map(owned)
}

/// Whether the mount that an fd lies on is read-only; fstatvfs(3).
pub(crate) fn is_on_readonly_mount(fd: BorrowedFd<'_>) -> bool {
    use nix::sys::statvfs::{FsFlags, fstatvfs};
    fstatvfs(fd).is_ok_and(|stat| stat.flags().contains(FsFlags::ST_RDONLY))
}

/// Whether this program was executed by fd rather than by path; getauxval(3), `AT_EXECFN`.
pub(crate) fn executed_from_fd() -> bool {
    // SAFETY: AT_EXECFN is the address of a string that the kernel put above the stack, there for the whole life.
    let name = unsafe {
        let address = libc::getauxval(libc::AT_EXECFN);
        if address == 0 { c"" } else { CStr::from_ptr(address as *const libc::c_char) }
    };
    name.to_bytes().starts_with(b"/dev/fd/")
}

/// Nanoseconds of the monotonic clock, through the vDSO; clock_gettime(2).
pub(crate) fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills the struct.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Reads a directory entry by entry with getdents64(2), into a buffer on the stack.
pub(crate) struct DirectoryReader {
    buffer: Aligned,
    position: usize,
    end: usize,
}

/// `struct linux_dirent64` starts with 64-bit numbers.
#[repr(C, align(8))]
struct Aligned([u8; 4096]);

/// Where a `struct linux_dirent64` has its length and its name.
const DIRENT_LENGTH: usize = 16;
const DIRENT_NAME: usize = 19;

impl DirectoryReader {
    pub(crate) fn new() -> DirectoryReader {
        DirectoryReader { buffer: Aligned([0; 4096]), position: 0, end: 0 }
    }

    /// The next name, `.` and `..` among them; `None` at the end. Always with the same directory.
    pub(crate) fn next(&mut self, directory: BorrowedFd<'_>) -> Result<Option<&CStr>> {
        if self.position >= self.end {
            let buffer = self.buffer.0.as_mut_ptr();
            // SAFETY: the kernel writes at most the buffer's size.
            let value =
                unsafe { libc::syscall(libc::SYS_getdents64, directory.as_raw_fd(), buffer, 4096usize) };
            self.end = usize::try_from(check(Call::Getdents, value)?).unwrap_or(0);
            self.position = 0;
            if self.end == 0 {
                return Ok(None);
            }
        }
        let entry = self.buffer.0.get(self.position..self.end).unwrap_or(&[]);
        let (Some(&[low, high]), Some(name)) =
            (entry.get(DIRENT_LENGTH..).and_then(<[u8]>::first_chunk::<2>), entry.get(DIRENT_NAME..))
        else {
            return Err(Failed::new(Call::Getdents, Errno::EIO));
        };
        self.position += usize::from(u16::from_ne_bytes([low, high])).max(DIRENT_NAME);
        CStr::from_bytes_until_nul(name).map(Some).map_err(|_| Failed::new(Call::Getdents, Errno::EIO))
    }
}
