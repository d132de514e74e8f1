//! [`Host`]: what this machine can do, looked at once. The only impure input of planning.

use std::path::PathBuf;

/// How cgroups are mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CgroupLayout {
    /// cgroup v2 alone.
    Unified {
        /// Usually `/sys/fs/cgroup`.
        mountpoint: PathBuf,
    },
    /// v1 hierarchies, perhaps with a v2 hierarchy without controllers beside them.
    Hybrid {
        /// The v1 hierarchies, in the order of `/proc/self/mountinfo`.
        hierarchies: Vec<Hierarchy>,
        /// The v2 one, usually `/sys/fs/cgroup/unified`; `None` on a pure v1 host.
        unified: Option<PathBuf>,
    },
    /// No cgroup file system is mounted.
    None,
}

/// One cgroup v1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub mountpoint: PathBuf,
    /// Its controllers, for example `cpu` and `cpuacct`; or a name, as `name=systemd`.
    pub controllers: Vec<String>,
    /// The runtime's own cgroup in it, from `/proc/self/cgroup`, relative to the mounted root: `/` or `/a/b`.
    pub own_cgroup: String,
}

/// What this machine can do.
#[derive(Debug, Clone)]
pub struct Host {
    /// Kernel version, major and minor.
    pub kernel: (u32, u32),
    /// How cgroups are mounted.
    pub cgroups: CgroupLayout,
    /// The runtime's own cgroup in the v2 hierarchy, relative to the mounted root.
    pub own_cgroup: String,
    /// The caller's effective user id.
    pub euid: u32,
    /// The caller's effective group id.
    pub egid: u32,
    /// Whether the caller may mount and make devices: CAP_SYS_ADMIN in the initial user namespace's terms.
    pub privileged: bool,
    /// Whether the caller already lives in a user namespace other than the initial one.
    pub in_user_namespace: bool,
    /// Whether AppArmor is enabled.
    pub apparmor: bool,
    /// Whether SELinux is enabled.
    pub selinux: bool,
    /// The highest capability number that this kernel knows.
    pub last_capability: u8,
}
