//! The names of what can fail in a new process, as numbers, since it reports numbers and never text.

use nix::errno::Errno;

macro_rules! calls {
    ($($variant:ident => $name:literal),* $(,)?) => {
        /// A system call, or a check of ours that failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u16)]
        pub(crate) enum Call { $($variant),* }

        impl Call {
            const ALL: &'static [Call] = &[$(Call::$variant),*];

            /// The name as strace prints it, or a short sentence for a check.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Call::$variant => $name),* }
            }

            pub(crate) fn from_number(number: u32) -> Option<Call> {
                Call::ALL.get(number as usize).copied()
            }
        }
    };
}

calls! {
    None => "",
    Accept => "accept4", Bind => "bind", Capset => "capset", Chdir => "chdir", Chroot => "chroot", Clone => "clone", Clone3 => "clone3",
    CloseRange => "close_range", Connect => "connect", Dup3 => "dup3", Execve => "execve", Faccessat2 => "faccessat2",
    Fchdir => "fchdir", Fchmod => "fchmod", Fchown => "fchownat", Fcntl => "fcntl", Fsconfig => "fsconfig", Fsetxattr => "fsetxattr",
    Fsmount => "fsmount", Fsopen => "fsopen", Fstat => "fstat", Fstatfs => "fstatfs", Getcwd => "getcwd",
    Getdents => "getdents64", Ioctl => "ioctl", IoprioSet => "ioprio_set", Keyctl => "keyctl", Kill => "pidfd_send_signal", Listmount => "listmount", Lseek => "lseek",
    Memfd => "memfd_create", Mkdirat => "mkdirat", Mknodat => "mknodat", Mmap => "mmap", Mount => "mount",
    MountSetattr => "mount_setattr", MoveMount => "move_mount", OpenTree => "open_tree", Openat2 => "openat2",
    Personality => "personality", PidfdGetfd => "pidfd_getfd", PidfdOpen => "pidfd_open", Pipe => "pipe2", PivotRoot => "pivot_root",
    RtmGetaddr => "RTM_GETADDR", RtmGetlink => "RTM_GETLINK", RtmNewaddr => "RTM_NEWADDR", RtmNewlink => "RTM_NEWLINK", Poll => "poll",
    Prctl => "prctl", Prlimit => "prlimit64",
    Read => "read", Readlinkat => "readlinkat", Recvmsg => "recvmsg", SchedSetaffinity => "sched_setaffinity",
    SchedSetattr => "sched_setattr", SetMempolicy => "set_mempolicy", Seccomp => "seccomp", Sendmsg => "sendmsg",
    Setdomainname => "setdomainname", Setgroups => "setgroups", Sethostname => "sethostname", Setns => "setns",
    Setresgid => "setresgid", Setresuid => "setresuid", Setsid => "setsid", Stat => "stat", Socket => "socket", Sigaction => "rt_sigaction", Sigprocmask => "rt_sigprocmask",
    Symlinkat => "symlinkat", Umount => "umount2", Unshare => "unshare", Waitid => "waitid", Write => "write",
    // Checks.
    Injected => "a fault that a test asked for",
    RuntimeGone => "the runtime has gone away",
    OutsideRoot => "current working directory is outside of container mount namespace root -- possible container breakout detected",
    NotThisDevice => "what is there is not the device that it should be",
    NotADevpts => "/dev/pts is not a devpts file system",
    NotProcfs => "not a procfs",
    InsideProc => "the image leads it into /proc by a link",
    NotADirectory => "must be mounted on ordinary directory",
    IsADirectory => "is a directory",
    NotInPath => "executable file not found in $PATH",
    HookExited => "hook exited with status",
    HookSignalled => "hook was killed by signal",
    HookTimedOut => "hook ran longer than its timeout",
    TooLong => "a path is too long",
    Unmapped => "an id has no mapping in the user namespace",
}

/// A system call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) call: Call,
    pub(crate) errno: Errno,
    /// The error number; for [`Call::HookExited`] and [`Call::HookSignalled`] the status or signal.
    pub(crate) number: i32,
}

pub(crate) type Result<T> = std::result::Result<T, Failed>;

impl Failed {
    pub(crate) const fn new(call: Call, errno: Errno) -> Failed {
        Failed { call, errno, number: errno as i32 }
    }

    /// A check whose number is no error number.
    pub(crate) const fn with_number(call: Call, number: i32) -> Failed {
        Failed { call, errno: Errno::UnknownErrno, number }
    }

    /// For `map_err` after a call that nix wraps.
    pub(crate) fn from(call: Call) -> impl Fn(Errno) -> Failed {
        move |errno| Failed::new(call, errno)
    }
}

impl From<Failed> for std::io::Error {
    fn from(failed: Failed) -> std::io::Error {
        failed.errno.into()
    }
}
