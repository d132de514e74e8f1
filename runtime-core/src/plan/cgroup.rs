//! Where in the cgroup tree the container lives, and what is written there
//! (runtime-spec config-linux.md, "Control groups").

/// The container's cgroup, planned.
#[derive(Debug, Clone, Default)]
pub struct CgroupPlan {}
