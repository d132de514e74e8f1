//! Whose the container's cgroup is (runtime-spec config-linux.md, "Cgroup ownership"; cgroups(7), "Delegation of a
//! hierarchy").
//!
//! A container that sees no cgroup but its own, and may write there, manages cgroups of its own below it. For that its
//! cgroup is given to the user of its process: the directory, and the files that the kernel names for it. The limits
//! stay root's. Under v1 nothing is given away: there a user with a directory has all that is in it.

use super::mounts::MountPlan;
use super::{CgroupPlan, NamespaceKind, NamespacePlan};
use crate::host::Host;

/// The user as the host counts, if that is somebody else than the one who makes it. Only root gives something away;
/// what anybody else makes is their own already.
pub(super) fn plan(
    cgroup: &CgroupPlan,
    namespaces: &NamespacePlan,
    mounts: &[MountPlan],
    uid: u32,
    host: &Host,
) -> Option<u32> {
    let is_v2_alone = matches!(&cgroup.directories[..], [only] if only.is_v2()) && !cgroup.disabled;
    let sees_its_own = namespaces.is_private(NamespaceKind::Cgroup);
    let may_write = mounts.iter().any(|mount| mount.cgroup.is_some() && !mount.attributes.is_readonly());
    if !(host.privileged && is_v2_alone && sees_its_own && may_write) {
        return None;
    }
    // Without a mapping, which is a problem of its own, it is nobody.
    namespaces.outside_uid(uid).filter(|outside| *outside != host.euid)
}
