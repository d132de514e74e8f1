//! Identity: user, groups, capabilities, and the bits beside them. Raw system calls, for this thread alone:
//! libc's wrappers try to bring every thread along, and a cloned process has no other threads.

use super::{Call, Result, check};
use std::ffi::CStr;

/// `setresuid(uid, uid, uid)`, setresuid(2).
pub(crate) fn setresuid(uid: u32) -> Result<()> {
    // SAFETY: takes numbers only.
    check(Call::Setresuid, unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

/// `setresgid(gid, gid, gid)`, setresgid(2).
pub(crate) fn setresgid(gid: u32) -> Result<()> {
    // SAFETY: takes numbers only.
    check(Call::Setresgid, unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(drop)
}

/// `setgroups(size, list)`, setgroups(2).
pub(crate) fn setgroups(groups: &[u32]) -> Result<()> {
    // SAFETY: the kernel reads `len` ids from the slice and keeps no pointer.
    let value = unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) };
    check(Call::Setgroups, value).map(drop)
}

/// The three sets of capset(2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Capabilities {
    pub(crate) effective: u64,
    pub(crate) permitted: u64,
    pub(crate) inheritable: u64,
}

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

/// `_LINUX_CAPABILITY_VERSION_3`: 64 bits in two halves, low first.
const CAP_VERSION_3: u32 = 0x2008_0522;

/// `capset(&header, data)`, capset(2), for this thread.
#[allow(clippy::cast_possible_truncation)] // the halves of a 64-bit set
pub(crate) fn capset(sets: Capabilities) -> Result<()> {
    let header = CapHeader { version: CAP_VERSION_3, pid: 0 };
    let half = |set: u64, shift: u32| (set >> shift) as u32;
    let data = [0, 32].map(|shift| {
        [half(sets.effective, shift), half(sets.permitted, shift), half(sets.inheritable, shift)]
    });
    // SAFETY: header and data have the layout of version 3: two structs of three u32.
    check(Call::Capset, unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) })
        .map(drop)
}

pub(super) fn prctl(option: i32, arg2: u64, arg3: u64) -> Result<i64> {
    // SAFETY: every option used in this file takes numbers only.
    check(Call::Prctl, i64::from(unsafe { libc::prctl(option, arg2, arg3, 0u64, 0u64) }))
}

/// Removes a capability from the bounding set; `PR_CAPBSET_DROP`.
pub(crate) fn drop_bounding(capability: u8) -> Result<()> {
    prctl(libc::PR_CAPBSET_DROP, u64::from(capability), 0).map(drop)
}

/// Adds a capability to the ambient set; `PR_CAP_AMBIENT_RAISE`.
pub(crate) fn raise_ambient(capability: u8) -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as u64, u64::from(capability)).map(drop)
}

/// Empties the ambient set; `PR_CAP_AMBIENT_CLEAR_ALL`.
pub(crate) fn clear_ambient() -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0).map(drop)
}

/// Whether permitted capabilities outlive a change from user 0; `PR_SET_KEEPCAPS`.
pub(crate) fn keep_capabilities(yes: bool) -> Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, u64::from(yes), 0).map(drop)
}

/// Bars this process from gaining privileges by execve(2), for ever; `PR_SET_NO_NEW_PRIVS`.
pub(crate) fn set_no_new_privs() -> Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map(drop)
}

/// Whether others of the same user may trace this process and read its `/proc` entries; `PR_SET_DUMPABLE`.
pub(crate) fn set_dumpable(yes: bool) -> Result<()> {
    prctl(libc::PR_SET_DUMPABLE, u64::from(yes), 0).map(drop)
}

/// The name that `ps` shows, at most 15 bytes; `PR_SET_NAME`.
pub(crate) fn set_name(name: &CStr) -> Result<()> {
    prctl(libc::PR_SET_NAME, name.as_ptr() as u64, 0).map(drop)
}

/// `keyctl(KEYCTL_JOIN_SESSION_KEYRING, name)`, keyctl(2): the keyring of that name that this user may search, or a new
/// one, becomes the session's; gives its serial.
pub(crate) fn join_session_keyring(name: &CStr) -> Result<i64> {
    const KEYCTL_JOIN_SESSION_KEYRING: i32 = 1;
    // SAFETY: the kernel reads the name up to its NUL.
    check(Call::Keyctl, unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr())
    })
}

/// Everything for who possesses it; view, read, search and link for its owner (keyrings(7)): what the kernel gives a new
/// session keyring, and the right to search it.
pub(crate) const KEYRING_PERMISSIONS: u32 = 0x3f1b_0000;

/// `keyctl(KEYCTL_SETPERM, key, permissions)`, keyctl(2).
pub(crate) fn set_key_permissions(key: i64, permissions: u32) -> Result<()> {
    const KEYCTL_SETPERM: i32 = 5;
    // SAFETY: numbers only.
    check(Call::Keyctl, unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_SETPERM, key, permissions) })
        .map(drop)
}
