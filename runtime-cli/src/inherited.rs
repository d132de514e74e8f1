//! What husk was given to pass on, beside its arguments: open files (`--preserve-fds`, `LISTEN_FDS`) and paths.
//!
//! They are counted from descriptor 3, and so is what husk opens itself when fewer were given: its log, for one. What was
//! given stays open across an execve(2), what is husk's own does not; a container gets none of the latter.

use crate::report::Failure;
use std::path::PathBuf;

/// Whether all of `count` descriptors from 3 on were given.
pub(crate) fn check(count: u32) -> Result<(), Failure> {
    for descriptor in (3..).take(count as usize) {
        // proc_pid_fdinfo(5): the flags of open(2), in octal.
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).unwrap_or_default();
        if !was_given(&info) {
            let last = count.saturating_add(2);
            return Err(Failure::new(format!(
                "cannot pass on descriptors 3 to {last}: {descriptor} was not given"
            ))
            .hint("--preserve-fds N passes on as many, from 3 upwards; the caller has to leave them open"));
        }
    }
    Ok(())
}

fn was_given(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|octal| i32::from_str_radix(octal.trim(), 8).ok());
    flags.is_some_and(|flags| flags & nix::libc::O_CLOEXEC == 0)
}

/// How many sockets a service manager passed to this process: `LISTEN_FDS`, if `LISTEN_PID` means us (sd_listen_fds(3)).
pub(crate) fn sockets_to_activate() -> u32 {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    match number("LISTEN_PID") {
        Some(pid) if pid == std::process::id() => number("LISTEN_FDS").unwrap_or(0),
        _ => 0,
    }
}

/// Their names, separated by colons: `LISTEN_FDNAMES`.
pub(crate) fn names_of_sockets() -> Option<String> {
    std::env::var("LISTEN_FDNAMES").ok()
}

/// The socket of the service manager that wants to know when the container is ready: `NOTIFY_SOCKET` (sd_notify(3)).
pub(crate) fn notify_socket() -> Option<PathBuf> {
    std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The socket of the agent that answers notified system calls, for a config that names none (crun's variable).
pub(crate) fn seccomp_receiver() -> Option<PathBuf> {
    std::env::var_os("RUN_OCI_SECCOMP_RECEIVER").map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_closes_at_exec_is_our_own() {
        assert!(was_given("pos:\t0\nflags:\t0100000\nmnt_id:\t13\n"));
        assert!(!was_given("pos:\t0\nflags:\t02100000\nmnt_id:\t13\n"));
        assert!(!was_given(""));
    }
}
