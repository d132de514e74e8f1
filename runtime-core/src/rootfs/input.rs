//! What a mount needs of the host, opened or laid out before it is made.

use super::legacy::Legacy;
use crate::plan::{MountPlan, MountSource};
use std::ffi::CString;
use std::os::fd::OwnedFd;

/// What the runtime has laid out for one step before the clone.
#[derive(Debug, Default)]
pub(crate) struct MountInput {
    /// The bind source, where the runtime has opened it.
    pub(crate) source: Option<OwnedFd>,
    /// Where mount(2) has to be used.
    pub(crate) legacy: Option<Legacy>,
    /// What the link at the source says, where the link is copied and not followed.
    pub(crate) link: Option<CString>,
    /// It would show a cgroup, and the container has none.
    pub(crate) lacks_cgroup: bool,
}

impl MountInput {
    /// Whether a bind source is to be opened on the host.
    pub(crate) fn is_bound_from_host(&self, plan: &MountPlan) -> bool {
        matches!(plan.source, MountSource::Bind { in_rootfs: false, .. })
            && self.link.is_none()
            && !self.lacks_cgroup
    }
}
