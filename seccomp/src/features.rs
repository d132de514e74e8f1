//! What this crate, the libseccomp that it runs with, and the running kernel can do.
//!
//! The answers of `husk features`. Each function asks (libseccomp or the kernel), none guesses from a
//! version.

use libseccomp::{ScmpAction, ScmpFilterContext, ScmpVersion};

use crate::install::{action_is_available, flags_are_available};
use crate::program::{FLAG_LOG, FLAG_NEW_LISTENER, FLAG_SPEC_ALLOW, FLAG_WAIT_KILLABLE_RECV};
use crate::vocabulary::{ACTIONS, ARCHITECTURES};

/// The actions that this crate accepts and the running kernel knows.
#[must_use]
pub fn supported_actions() -> Vec<&'static str> {
    let value = |name: &str| match name {
        "SCMP_ACT_KILL_PROCESS" => libc::SECCOMP_RET_KILL_PROCESS,
        "SCMP_ACT_TRAP" => libc::SECCOMP_RET_TRAP,
        "SCMP_ACT_ERRNO" => libc::SECCOMP_RET_ERRNO,
        "SCMP_ACT_TRACE" => libc::SECCOMP_RET_TRACE,
        "SCMP_ACT_ALLOW" => libc::SECCOMP_RET_ALLOW,
        "SCMP_ACT_LOG" => libc::SECCOMP_RET_LOG,
        "SCMP_ACT_NOTIFY" => libc::SECCOMP_RET_USER_NOTIF,
        _ => libc::SECCOMP_RET_KILL_THREAD,
    };
    ACTIONS.into_iter().filter(|name| action_is_available(value(name))).collect()
}

/// The architectures that a filter of this libseccomp can have on this machine, as a profile spells them: those of
/// another byte order it knows, but takes into no filter.
#[must_use]
pub fn supported_architectures() -> Vec<String> {
    let is_taken = |arch| {
        ScmpFilterContext::new(ScmpAction::Allow)
            .and_then(|mut filter| filter.add_arch(arch).map(drop))
            .is_ok()
    };
    ARCHITECTURES.iter().filter(|(_, scmp)| is_taken(*scmp)).map(|(spec, _)| spec.to_string()).collect()
}

/// The flags that take effect on the running kernel.
///
/// TSYNC always does: a container's process has one thread when its filter is installed.
#[must_use]
pub fn supported_flags() -> Vec<&'static str> {
    let mut flags = vec!["SECCOMP_FILTER_FLAG_TSYNC"];
    for (name, bit) in [
        ("SECCOMP_FILTER_FLAG_LOG", FLAG_LOG),
        ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", FLAG_SPEC_ALLOW),
        ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", FLAG_WAIT_KILLABLE_RECV | FLAG_NEW_LISTENER),
    ] {
        if flags_are_available(bit) {
            flags.push(name);
        }
    }
    flags
}

/// The version of the libseccomp in use, `2.5.4`; none when it does not tell.
#[must_use]
pub fn libseccomp_version() -> Option<String> {
    ScmpVersion::current().ok().map(|version| version.to_string())
}
