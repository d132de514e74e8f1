//! One macro for bare system calls, and what two or more steps need of the kernel's interface.

use std::ffi::{CStr, CString};

/// A system call by its number, that must succeed. Each argument fills a whole register: a number, or a pointer.
macro_rules! call {
    ($number:ident $(, $argument:expr)*) => {{
        // SAFETY: every pointer given is to a live object of the type that this call wants; see each use.
        let result = unsafe { libc::syscall(libc::$number $(, $argument as libc::c_long)*) };
        if result < 0 {
            panic!("{}: {}", stringify!($number), std::io::Error::last_os_error());
        }
        i32::try_from(result).expect("a small number")
    }};
}
pub(crate) use call;

pub(crate) const EMPTY: &CStr = c"";

/// `struct clone_args`, clone(2).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// clone3(2) with these flags, into this cgroup v2 if one is given; 0 in the child.
pub(crate) fn clone(flags: i32, cgroup: Option<i32>) -> i32 {
    const INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut args =
        CloneArgs { flags: u64::from(flags.unsigned_abs()), exit_signal: 17, ..CloneArgs::default() };
    if let Some(cgroup) = cgroup {
        args.flags |= INTO_CGROUP;
        args.cgroup = u64::from(cgroup.unsigned_abs());
    }
    call!(SYS_clone3, &raw const args, size_of::<CloneArgs>())
}

pub(crate) fn wait(pid: i32) {
    let mut status = 0;
    call!(SYS_wait4, pid, &raw mut status, 0, 0);
    assert_eq!(status, 0, "the program failed");
}

pub(crate) fn open(path: &CStr, flags: i32) -> i32 {
    call!(SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags | libc::O_CLOEXEC, 0)
}

pub(crate) fn write(path: &CStr, text: &str) {
    let fd = open(path, libc::O_WRONLY);
    call!(SYS_write, fd, text.as_ptr(), text.len());
    call!(SYS_close, fd);
}

/// Drops to the capabilities of `runc spec`: CAP_KILL, CAP_NET_BIND_SERVICE, CAP_AUDIT_WRITE; and no new privileges.
pub(crate) fn give_up_privileges() {
    const KEPT: u32 = 1 << 5 | 1 << 10 | 1 << 29;
    for capability in (0..=40).filter(|bit| u64::from(KEPT) >> bit & 1 == 0) {
        call!(SYS_prctl, libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
    }
    call!(SYS_setgroups, 0, 0);
    call!(SYS_setresgid, 0, 0, 0);
    call!(SYS_setresuid, 0, 0, 0);
    let header = [0x2008_0522_u32, 0];
    let sets = [KEPT, KEPT, 0, 0, 0, 0]; // effective, permitted, inheritable: the low 32 bits, then the high ones
    call!(SYS_capset, header.as_ptr(), sets.as_ptr());
    call!(SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    let limit = [1024_u64, 1024];
    call!(SYS_prlimit64, 0, libc::RLIMIT_NOFILE, limit.as_ptr(), 0);
}

pub(crate) fn install_filter(filter: &[u8]) {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len() / size_of::<libc::sock_filter>()).expect("a filter"),
        filter: filter.as_ptr().cast_mut().cast(),
    };
    call!(SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program);
}

pub(crate) fn execute(program: &[CString]) -> ! {
    call!(SYS_close_range, 3, u32::MAX, 4 /* CLOSE_RANGE_CLOEXEC */);
    let mut argv: Vec<_> = program.iter().map(|word| word.as_ptr()).collect();
    argv.push(std::ptr::null());
    let envp =
        [c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".as_ptr(), std::ptr::null()];
    call!(SYS_execve, program[0].as_ptr(), argv.as_ptr(), envp.as_ptr());
    unreachable!()
}
