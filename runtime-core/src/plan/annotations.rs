//! Annotations: what is wrong with them, and those few that change what happens. The specification leaves their keys to
//! others; these came up in crun, and engines set them.

use super::cgroup::UNIT_PROPERTY;
use super::hooks::HookOutput;
use super::problems::{Pointer, Problems};
use crate::spec::Spec;
use std::path::{Path, PathBuf};

/// "1" or anything but "0": the process keeps the groups of who calls the runtime, and gets no others.
const KEEP_GROUPS: &str = "run.oci.keep_original_groups";
/// Files that get what hooks say.
const HOOKS_STDOUT: &str = "run.oci.hooks.stdout";
const HOOKS_STDERR: &str = "run.oci.hooks.stderr";

/// The socket of the agent that answers notified system calls, where the profile names none.
pub(super) const SECCOMP_RECEIVER: &str = "run.oci.seccomp.receiver";
/// Anything but "0": a system call in the profile that nobody knows is an error.
pub(super) const FAIL_UNKNOWN_SYSCALL: &str = "run.oci.seccomp_fail_unknown_syscall";
/// The socket that gets the pidfd of the container's process, as `--pidfd-socket` names one.
const PIDFD_RECEIVER: &str = "run.oci.pidfd_receiver";

/// Which parameter carries the mount label: `context`, or another one of its kind.
pub(super) const CONTEXT_TYPE: &str = "run.oci.mount_context_type";

/// Those that reach beyond the container, for `features`: an engine should not pass them on from an untrusted user. One
/// that ends with a dot stands for all that start so.
pub(crate) const UNSAFE: [&str; 7] =
    [UNIT_PROPERTY, HOOKS_STDERR, HOOKS_STDOUT, KEEP_GROUPS, PIDFD_RECEIVER, SECCOMP_RECEIVER, CONTEXT_TYPE];

/// What no annotation may be.
pub(super) fn check(spec: &Spec, problems: &mut Problems) {
    let place = Pointer::ROOT.key("annotations");
    for (key, value) in spec.annotations().iter().flatten() {
        if key.is_empty() {
            problems.add(&place.key(key), "an annotation's key must not be empty");
        }
        if key.contains('\0') || value.contains('\0') {
            problems.add(&place.key(key), "contains a NUL byte");
        }
    }
}

fn value<'a>(spec: &'a Spec, key: &str) -> Option<&'a str> {
    spec.annotations().as_ref()?.get(key).map(String::as_str)
}

/// Whether setgroups(2) is to be left out.
pub(super) fn keep_groups(spec: &Spec) -> bool {
    value(spec, KEEP_GROUPS).is_some_and(|value| value != "0")
}

/// The agent for a profile that names none.
pub(super) fn seccomp_receiver(spec: &Spec) -> Option<&Path> {
    value(spec, SECCOMP_RECEIVER).map(Path::new)
}

/// Whether names in the profile have to be known.
pub(super) fn fail_unknown_syscall(spec: &Spec) -> bool {
    value(spec, FAIL_UNKNOWN_SYSCALL).is_some_and(|value| value != "0")
}

/// Who gets the pidfd of the container's process.
pub(super) fn pidfd_receiver(spec: &Spec, problems: &mut Problems) -> Option<PathBuf> {
    let path = Path::new(value(spec, PIDFD_RECEIVER)?);
    if !path.is_absolute() {
        let place = Pointer::ROOT.key("annotations");
        problems.add(&place.key(PIDFD_RECEIVER), format!("must be an absolute path, not {path:?}"));
    }
    Some(path.to_owned())
}

/// Where what the hooks say goes.
pub(super) fn hook_output(spec: &Spec, problems: &mut Problems) -> HookOutput {
    let place = Pointer::ROOT.key("annotations");
    let mut file = |key: &str| {
        let path = Path::new(value(spec, key)?);
        if !path.is_absolute() {
            problems.add(&place.key(key), format!("must be an absolute path, not {path:?}"));
        }
        Some(problems.path(&place.key(key), path))
    };
    HookOutput { stdout: file(HOOKS_STDOUT), stderr: file(HOOKS_STDERR) }
}
