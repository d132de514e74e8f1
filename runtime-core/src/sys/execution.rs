//! How the kernel runs the calling thread: its policy, its turn at the disks, its processors, its execution domain.

use super::{Call, Result, check};

/// `struct sched_attr` (sched_setattr(2)), the version without utilization clamps.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SchedAttr {
    /// Filled in by the call.
    pub(crate) size: u32,
    pub(crate) policy: u32,
    pub(crate) flags: u64,
    pub(crate) nice: i32,
    pub(crate) priority: u32,
    pub(crate) runtime_ns: u64,
    pub(crate) deadline_ns: u64,
    pub(crate) period_ns: u64,
}

/// `sched_setattr(0, &attr, 0)`, sched_setattr(2), since Linux 3.14.
#[allow(clippy::cast_possible_truncation)] // 48
pub(crate) fn sched_setattr(attr: SchedAttr) -> Result<()> {
    let attr = SchedAttr { size: size_of::<SchedAttr>() as u32, ..attr };
    // SAFETY: the kernel reads as many bytes as the struct says that it has.
    check(Call::SchedSetattr, unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) })
        .map(drop)
}

/// `sched_setaffinity(0, sizeof words, words)`, sched_setaffinity(2). Processors that are not there, or not in the
/// cgroup's set, do not matter as long as one is.
pub(crate) fn sched_setaffinity(words: &[u64]) -> Result<()> {
    // SAFETY: the kernel reads the words.
    let value = unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(words), words.as_ptr()) };
    check(Call::SchedSetaffinity, value).map(drop)
}

/// `ioprio_set(IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(class, level))`, ioprio_set(2).
pub(crate) fn ioprio_set(class: u16, level: u16) -> Result<()> {
    const IOPRIO_WHO_PROCESS: i32 = 1;
    let value = i32::from(class) << 13 | i32::from(level);
    // SAFETY: numbers only.
    check(Call::IoprioSet, unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, value) })
        .map(drop)
}

/// `set_mempolicy(mode, nodemask, maxnode)`, set_mempolicy(2), for this thread and what it becomes.
pub(crate) fn set_mempolicy(mode: u32, nodes: &[u64]) -> Result<()> {
    // The kernel reads one bit less than it is told.
    let (mask, bits) =
        if nodes.is_empty() { (std::ptr::null(), 0) } else { (nodes.as_ptr(), size_of_val(nodes) * 8 + 1) };
    // SAFETY: the kernel reads as many bits as the words have; none where there is no mask.
    check(Call::SetMempolicy, unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) }).map(drop)
}

/// `personality(persona)`, personality(2).
pub(crate) fn personality(persona: u32) -> Result<()> {
    // SAFETY: numbers only.
    check(Call::Personality, unsafe { libc::syscall(libc::SYS_personality, u64::from(persona)) }).map(drop)
}
