//! What a user can do about a mount that failed.

use crate::plan::NamespaceKind::{Ipc, Network, Pid, User};
use crate::plan::{MountAttributes, MountSource, Parameter, Plan, Step};
use crate::plan::{MountPlan, locked_options};
use crate::sys::{Call, Failed};
use nix::errno::Errno;

/// For the steps that open, make and attach mounts.
pub(super) fn hint(plan: &Plan, step: Step, item: u32, failed: Failed) -> Option<String> {
    let private = |kind| plan.namespaces.is_private(kind);
    let masked = |place: &str| {
        format!(
            "parts of this machine's own {place} are masked or read-only, as in a container: the kernel then lets no user \
             namespace mount a new one; unmask {place} outside, or bind-mount it"
        )
    };
    if step == Step::OpenProc {
        return (failed.errno == Errno::EPERM && private(User)).then(|| masked("/proc"));
    }
    if step == Step::OpenSource && failed.errno == Errno::EINVAL && plan.rootfs.opened_inside {
        return Some(
            "other file systems are mounted below it, which without root can be bound with it only: use rbind".to_owned(),
        );
    }
    let mount = plan.mounts.iter().find(|mount| mount.item == item)?;
    if failed.errno != Errno::EPERM {
        return None;
    }
    if failed.call == Call::MountSetattr {
        return attributes(mount, failed);
    }
    let MountSource::Filesystem { fstype, .. } = &mount.source else { return None };
    let missing = |kind: &str| {
        format!(
            "the container has no {kind} namespace of its own; add {{\"type\":\"{kind}\"}} to /linux/namespaces"
        )
    };
    match fstype.to_bytes() {
        b"mqueue" if !private(Ipc) => Some(missing("ipc")),
        b"sysfs" if !private(Network) => Some(missing("network")),
        b"sysfs" if private(User) => Some(masked("/sys")),
        b"proc" if private(User) && !private(Pid) => Some(missing("pid")),
        b"proc" if private(User) => Some(masked("/proc")),
        b"cgroup" | b"cgroup2" if private(User) => Some(
            "only the owner of the cgroup namespace may mount its cgroups: add {\"type\":\"cgroup\"} to \
             /linux/namespaces"
                .to_owned(),
        ),
        _ => None,
    }
}

/// mount_namespaces(7), "Restrictions on mount namespaces": flags that came from a more privileged one stay.
pub(super) fn attributes(mount: &MountPlan, failed: Failed) -> Option<String> {
    if (failed.call, failed.errno) != (Call::MountSetattr, Errno::EPERM) {
        return None;
    }
    let MountAttributes { set, clear } = mount.attributes;
    let all = mount.recursive_attributes;
    let names = locked_options(MountAttributes { set: set | all.set, clear: clear | all.clear });
    (!names.is_empty()).then(|| {
        format!(
            "cannot clear locked flags: what is mounted with such flags outside keeps them in a user namespace; leave \
             out {}",
            names.join(", ")
        )
    })
}

/// The parameters of a file system, one of which may be what it does not like.
pub(super) fn parameters(mount: &MountPlan) -> String {
    let MountSource::Filesystem { parameters, .. } = &mount.source else { return String::new() };
    let each = |parameter: &Parameter| match &parameter.value {
        Some(value) => format!("{}={}", parameter.key.to_string_lossy(), value.to_string_lossy()),
        None => parameter.key.to_string_lossy().into_owned(),
    };
    let all: Vec<String> = parameters.iter().map(each).collect();
    if all.is_empty() { String::new() } else { format!(" with {}", all.join(",")) }
}
