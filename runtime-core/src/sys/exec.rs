//! The last acts before a new program: fds, signals, execve.

use super::{Call, Failed, Result, check};
use nix::errno::Errno;
use std::ffi::{CStr, c_char};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// Pointers to C strings with a null at the end, as execve(2) wants them. Made before the clone, since it allocates.
#[derive(Debug)]
pub(crate) struct CStrings<'a> {
    pointers: Vec<*const c_char>,
    strings: std::marker::PhantomData<&'a CStr>,
}

impl<'a> CStrings<'a> {
    /// The strings, and room for one more: see [`CStrings::append`].
    pub(crate) fn new(strings: impl IntoIterator<Item = &'a CStr>) -> CStrings<'a> {
        let mut pointers: Vec<*const c_char> = strings.into_iter().map(CStr::as_ptr).collect();
        pointers.extend([std::ptr::null(), std::ptr::null()]);
        CStrings { pointers, strings: std::marker::PhantomData }
    }

    /// Uses the spare room. Only once; a second call changes nothing.
    pub(crate) fn append(&mut self, string: &'a CStr) {
        let length = self.pointers.len();
        if let [.., room, _] = self.pointers.as_mut_slice()
            && room.is_null()
            && length >= 2
        {
            *room = string.as_ptr();
        }
    }
}

/// `execve(path, argv, envp)`, execve(2). Comes back only to say why not.
pub(crate) fn execve(path: &CStr, argv: &CStrings<'_>, envp: &CStrings<'_>) -> Failed {
    // SAFETY: both arrays end with a null pointer and their strings live as long as the borrows.
    unsafe { libc::execve(path.as_ptr(), argv.pointers.as_ptr(), envp.pointers.as_ptr()) };
    Failed::new(Call::Execve, Errno::last())
}

/// `execveat(fd, "", argv, envp, AT_EMPTY_PATH)`, execveat(2). Comes back only to say why not.
pub(crate) fn execve_fd(fd: BorrowedFd<'_>, argv: &CStrings<'_>, envp: &CStrings<'_>) -> Failed {
    // SAFETY: as in `execve`.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            fd.as_raw_fd(),
            c"".as_ptr(),
            argv.pointers.as_ptr(),
            envp.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Failed::new(Call::Execve, Errno::last())
}

/// `close_range(first, last, 0)`, close_range(2), since Linux 5.9.
///
/// In a cloned process only: it closes fds that this program's `OwnedFd`s believe to own.
pub(crate) fn close_range(first: RawFd, last: RawFd) -> Result<()> {
    if first > last {
        return Ok(());
    }
    // SAFETY: numbers only; the caller is a cloned process, which leaves by exec or exit and drops nothing.
    check(Call::CloseRange, unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// `close_range(first, ~0, CLOSE_RANGE_CLOEXEC)`: everything from `first` on closes at execve. Since Linux 5.11.
pub(crate) fn cloexec_from(first: RawFd) -> Result<()> {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    // SAFETY: numbers only; a flag that every owner of an fd here wants set anyway.
    check(Call::CloseRange, unsafe {
        libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC)
    })
    .map(drop)
}

/// `fcntl(fd, F_SETFD, 0)`: the fd stays open across execve.
pub(crate) fn keep_on_exec(fd: RawFd) -> Result<()> {
    // SAFETY: changes a flag of a number; a bad number is EBADF.
    check(Call::Fcntl, i64::from(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) })).map(drop)
}

/// `fcntl(fd, F_GETFD)`: whether that number is an open fd.
pub(crate) fn is_open(fd: RawFd) -> bool {
    // SAFETY: reads a flag of a number.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}

/// `dup3(old, new, 0)`, dup2(2): for the stdio numbers of a cloned process. Equal numbers only lose close-on-exec.
pub(crate) fn dup_to(old: RawFd, new: RawFd) -> Result<()> {
    if old == new {
        return keep_on_exec(old);
    }
    // SAFETY: replaces a number that nothing in the cloned process owns (0, 1 or 2).
    check(Call::Dup3, i64::from(unsafe { libc::dup3(old, new, 0) })).map(drop)
}

/// All signals to their defaults and none blocked, whatever the caller had ignored (Rust's start-up ignores SIGPIPE).
///
/// `rt_sigaction(2)`, `rt_sigprocmask(2)`.
pub(crate) fn reset_signals() -> Result<()> {
    default_signals(&[libc::SIGKILL, libc::SIGSTOP]);
    unblock_signals()
}

/// The signals that ask a process to end (signal(7)).
const ENDING: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// Those that ask a process to end do so until execve(2), which takes handlers away, and none is blocked. Process 1 of
/// a pid namespace has to want it: what stays at its default does nothing to it (pid_namespaces(7)).
///
/// `sigaction(2)`, `rt_sigprocmask(2)`.
pub(crate) fn end_on_signals() -> Result<()> {
    extern "C" fn end(signal: i32) {
        super::exit(128 + signal);
    }
    for signal in ENDING {
        // SAFETY: a sigaction is plain numbers, for which zero is a value: no flags, an empty mask. The handler makes one
        // system call and never returns, so it may come at any moment.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = end as extern "C" fn(i32) as libc::sighandler_t;
            check(
                Call::Sigaction,
                i64::from(libc::sigaction(signal, &raw const action, std::ptr::null_mut())),
            )?;
        }
    }
    unblock_signals()
}

/// As [`reset_signals`], after [`end_on_signals`], which stays.
pub(crate) fn reset_other_signals() {
    let [hup, int, quit, term] = ENDING;
    default_signals(&[libc::SIGKILL, libc::SIGSTOP, hup, int, quit, term]);
}

/// All but those.
fn default_signals(but: &[i32]) {
    for signal in (1..=64).filter(|signal| !but.contains(signal)) {
        // `struct kernel_sigaction` all zero is SIG_DFL without flags; the fourth argument is the size of its mask.
        let default = [0u64; 4];
        // SAFETY: 32 bytes of zeros are a whole kernel sigaction on 64-bit architectures; no handler is installed.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), std::ptr::null::<u64>(), 8usize)
        };
    }
}

fn unblock_signals() -> Result<()> {
    let none = 0u64;
    // SAFETY: a mask of 8 bytes, as the last argument says.
    let value = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const none,
            std::ptr::null::<u64>(),
            8usize,
        )
    };
    check(Call::Sigprocmask, value).map(drop)
}

/// `faccessat2(AT_FDCWD, path, X_OK, AT_EACCESS)`, access(2), since Linux 5.8.
pub(crate) fn may_execute(path: &CStr) -> Result<()> {
    // SAFETY: the kernel reads the path up to its NUL.
    let value = unsafe {
        libc::syscall(libc::SYS_faccessat2, libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS)
    };
    check(Call::Faccessat2, value).map(drop)
}

/// `getcwd(buffer, size)`, getcwd(2), the system call: a directory outside the root reads `(unreachable)…`.
pub(crate) fn getcwd(buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes at most `len` bytes.
    let value = unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) };
    check(Call::Getcwd, value).map(|length| usize::try_from(length).unwrap_or(0))
}

/// `setns(fd, type)`, setns(2). A pidfd joins every kind of the flags at once, since Linux 5.8.
pub(crate) fn setns(fd: BorrowedFd<'_>, kinds: i32) -> Result<()> {
    // SAFETY: changes the namespaces of this thread; the callers are cloned, single-threaded processes.
    check(Call::Setns, i64::from(unsafe { libc::setns(fd.as_raw_fd(), kinds) })).map(drop)
}

/// `unshare(flags)`, unshare(2), for `CLONE_NEW*` flags.
pub(crate) fn unshare(kinds: i32) -> Result<()> {
    // SAFETY: as for setns.
    check(Call::Unshare, i64::from(unsafe { libc::unshare(kinds) })).map(drop)
}

/// `setdomainname(name, len)`, setdomainname(2).
pub(crate) fn setdomainname(name: &CStr) -> Result<()> {
    let bytes = name.to_bytes();
    // SAFETY: the kernel reads `len` bytes.
    check(Call::Setdomainname, i64::from(unsafe { libc::setdomainname(name.as_ptr(), bytes.len()) }))
        .map(drop)
}

/// `sethostname(name, len)`, sethostname(2).
pub(crate) fn sethostname(name: &CStr) -> Result<()> {
    let bytes = name.to_bytes();
    // SAFETY: the kernel reads `len` bytes.
    check(Call::Sethostname, i64::from(unsafe { libc::sethostname(name.as_ptr(), bytes.len()) })).map(drop)
}
