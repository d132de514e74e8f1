//! Spec to plan: a pure function. Everything that can be checked without touching the system is checked here, all
//! problems are reported at once with JSON pointers, and what comes out is plain data: NUL-terminated strings,
//! numbers, flags, byte arrays, a compiled filter. Below the plan no module knows the spec.

mod cgroup;
mod devices;
mod hooks;
mod mounts;
mod namespaces;
mod process;
mod settings;
mod step;

pub(crate) use cgroup::plan as plan_cgroup;
pub use cgroup::{Absent, Access, CgroupDirectory, CgroupPlan, CgroupWrite, DeviceKind, DeviceRule};
pub use devices::{DeviceLink, DeviceNode, DevicePlan};
pub use hooks::{HookKind, HookPlan, HooksPlan};
pub use mounts::{MaskPlan, MountAttributes, MountPlan, MountSource, Parameter, RootfsPlan};
pub use namespaces::{IdMapping, Join, NamespaceKind, NamespacePlan};
pub use process::{
    CapabilityPlan, ProcessPlan, RlimitPlan, SeccompPlan, SeccompPoint, TerminalPlan, UserPlan,
};
pub use settings::SysctlPlan;
pub use step::Step;

use std::ffi::CString;

/// Everything that `create` will do, decided.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Namespaces: new, joined, mapped.
    pub namespaces: NamespacePlan,
    /// The container's root.
    pub rootfs: RootfsPlan,
    /// What is mounted into it, in order.
    pub mounts: Vec<MountPlan>,
    /// What stands in `/dev`.
    pub devices: DevicePlan,
    /// What is masked or read-only in it.
    pub masks: MaskPlan,
    /// Kernel parameters.
    pub sysctls: Vec<SysctlPlan>,
    /// The host name, when the config gives one.
    pub hostname: Option<CString>,
    /// The NIS domain name, when the config gives one.
    pub domainname: Option<CString>,
    /// The container's process. A config without one makes a container that cannot be started.
    pub process: ProcessPlan,
    /// Hooks.
    pub hooks: HooksPlan,
    /// Cgroup.
    pub cgroup: CgroupPlan,
    /// Name of the new session keyring, `_ses.ID`; `None` to keep the caller's (`--no-new-keyring`).
    pub session_keyring: Option<CString>,
}
