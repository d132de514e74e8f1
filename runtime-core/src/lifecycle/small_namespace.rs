//! A mount namespace with next to nothing in it, for the new process to enter.
//!
//! CLONE_NEWNS copies every mount of the runtime's namespace, and the pivot takes them all away again: on a host with
//! thousands of mounts that is most of a start. Since Linux 7.0 open_tree(2) gives a namespace that holds one mount; before
//! that a [`Template`] is copied where it pays. No path of the host leads anywhere in either, so they are for
//! containers whose set-up has none left once it is in there.

use crate::plan::{MountSource, NamespaceKind, Plan};
use crate::rootfs::{self, MountInput, Small};
use crate::runtime::Runtime;
use crate::state::Template;
use crate::sys;
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

/// The oldest kernel with OPEN_TREE_NAMESPACE.
const SINCE: (u32, u32) = (7, 0);

/// File systems that come from nowhere: neither their source nor a parameter is a path.
const WITHOUT_SOURCE: [&CStr; 7] = [c"proc", c"sysfs", c"tmpfs", c"devpts", c"mqueue", c"cgroup", c"cgroup2"];

/// The namespace, and what is needed of the host's files in it.
#[derive(Debug)]
pub(super) struct SmallNamespace {
    pub(super) namespace: OwnedFd,
    is_template: bool,
    /// The null device that covers masked files, as a detached mount.
    pub(super) null: OwnedFd,
}

impl SmallNamespace {
    /// `None` where there is no such thing, or the container needs the host's mounts: the clone copies them then.
    pub(super) fn open(plan: &Plan, runtime: &Runtime, mounts: &[MountInput]) -> Option<SmallNamespace> {
        let host = runtime.host();
        if !suits(plan) || mounts.iter().any(|mount| mount.legacy.is_some()) {
            return None;
        }
        let is_template = host.kernel < SINCE;
        let namespace = match is_template {
            // It belongs to the initial user namespace.
            true if host.privileged => Template::of(runtime.root()).open()?,
            true => return None,
            false => sys::open_tree_namespace(&plan.rootfs.path).ok()?,
        };
        let null = rootfs::open_null().ok()?;
        // No peer of the host's; what is copied by the clone is made so all at once.
        sys::mount_setattr(null.as_fd(), false, 0, 0, libc::MS_SLAVE).ok()?;
        Some(SmallNamespace { namespace, is_template, null })
    }

    /// For the new process.
    pub(super) fn way_in(&self) -> Small<'_> {
        match self.is_template {
            true => Small::Template(self.namespace.as_fd()),
            false => Small::Own(self.namespace.as_fd()),
        }
    }
}

fn suits(plan: &Plan) -> bool {
    let of_the_host = |source: &MountSource| match source {
        MountSource::Filesystem { fstype, .. } => !WITHOUT_SOURCE.contains(&fstype.as_c_str()),
        // What the runtime opens it opens before.
        MountSource::Bind { .. } | MountSource::Symlink { .. } | MountSource::Existing => false,
    };
    plan.namespaces.is_new(NamespaceKind::Mount)
        // The namespace would belong to the runtime's user namespace.
        && !plan.namespaces.is_private(NamespaceKind::User)
        && !plan.rootfs.opened_inside
        && !plan.rootfs.no_pivot
        && !plan.devices.bind
        // They see the host's files and the container's.
        && !plan.hooks.run_before_pivot()
        && plan.hooks.create_container.is_empty()
        && !plan.mounts.iter().any(|mount| of_the_host(&mount.source))
}
