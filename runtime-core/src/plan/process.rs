//! A process: the container's init, or one that is executed in it later (runtime-spec config.md, "Process").

use std::ffi::CString;

/// Who the process is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserPlan {
    /// User id inside the container.
    pub uid: u32,
    /// Group id inside the container.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// False where the user namespace forbids setgroups(2) (`/proc/PID/setgroups` says `deny`).
    pub set_groups: bool,
    /// File mode creation mask, 0o022 unless given.
    pub umask: u32,
}

/// The five sets of capabilities(7), bit N being capability N.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CapabilityPlan {
    /// Ceiling of what can ever be gained.
    pub bounding: u64,
    /// In force.
    pub effective: u64,
    /// What may be made effective.
    pub permitted: u64,
    /// Kept across execve(2) by files that have them.
    pub inheritable: u64,
    /// Kept across execve(2) by ordinary files.
    pub ambient: u64,
}

/// One limit, for prlimit(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RlimitPlan {
    /// `RLIMIT_*`.
    pub resource: u32,
    /// Soft limit, in the resource's own unit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
    /// Its index in `/process/rlimits`.
    pub item: u32,
}

/// When the filter is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeccompPoint {
    /// Without no_new_privs it takes CAP_SYS_ADMIN, which goes with the other capabilities.
    BeforeCapabilities,
    /// With no_new_privs it can be the very last thing, so the profile need not allow what husk still does.
    LastBeforeExec,
}

/// The system call filter.
#[derive(Debug, Clone)]
pub struct SeccompPlan {
    /// Compiled.
    pub program: husk_seccomp::Program,
    /// When.
    pub point: SeccompPoint,
}

/// A terminal's size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalPlan {
    /// Lines; 0 to leave it.
    pub rows: u16,
    /// Characters a line; 0 to leave it.
    pub columns: u16,
}

/// A process, ready to be made.
#[derive(Debug, Clone)]
pub struct ProcessPlan {
    /// `argv`.
    pub args: Vec<CString>,
    /// `envp`, without `HOME` when `home_from_passwd` is set.
    pub env: Vec<CString>,
    /// `HOME` is not given: look the user up in the container's `/etc/passwd`; `/` when it is not there.
    pub home_from_passwd: bool,
    /// The paths at which `args[0]` is tried, in order: itself if it has a slash, else one for each part of `PATH`.
    pub candidates: Vec<CString>,
    /// Working directory, absolute.
    pub cwd: CString,
    /// Who.
    pub user: UserPlan,
    /// With which capabilities.
    pub capabilities: CapabilityPlan,
    /// With which limits.
    pub rlimits: Vec<RlimitPlan>,
    /// Whether it is barred from gaining privileges by execve(2).
    pub no_new_privileges: bool,
    /// Its `oom_score_adj`, when one is given.
    pub oom_score_adj: Option<i32>,
    /// Whether it gets a terminal of its own.
    pub terminal: Option<TerminalPlan>,
    /// Its filter, when one is given.
    pub seccomp: Option<SeccompPlan>,
    /// The text for `/proc/self/attr/apparmor/exec`, `exec PROFILE`, when a profile is given.
    pub apparmor: Option<Vec<u8>>,
    /// How many fds beyond stdio it keeps: 3 up to 3 + this.
    pub preserve_fds: u32,
}
