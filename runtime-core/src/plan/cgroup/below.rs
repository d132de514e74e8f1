//! Cgroups below the one that is made for a container, by annotations that came up in crun: the container's own may be a
//! sub-cgroup of systemd's unit, and its processes may live in a sub-cgroup of that, which is theirs to divide.

#![forbid(unsafe_code)]

use super::{Absence, CgroupPlan, report};
use crate::error::Problem;
use crate::plan::problems::escaped;
use oci_spec::runtime::Spec;
use std::path::{Component, Path, PathBuf};

/// The container's cgroup is this one below systemd's unit; without systemd there is none to be below of.
const SUBGROUP: &str = "run.oci.systemd.subgroup";
/// The container's processes live in this one below the container's cgroup.
const DELEGATED: &str = "run.oci.delegate-cgroup";

impl CgroupPlan {
    /// The container's directory in that of its unit.
    pub(crate) fn directory_in(&self, unit: &Path) -> PathBuf {
        at(unit, &self.subgroup)
    }

    /// Where processes are born, in the container's directory.
    pub(crate) fn birthplace_in(&self, container: &Path) -> PathBuf {
        at(container, &self.delegated)
    }
}

/// A directory, or one below it. Joining nothing to a path would leave a slash at its end.
fn at(directory: &Path, below: &Path) -> PathBuf {
    directory.components().chain(below.components()).collect()
}

pub(super) fn annotations(spec: &Spec, plan: &mut CgroupPlan, problems: &mut Vec<Problem>) {
    if let (Some(_), Some(directory)) = (&plan.unit, plan.directories.first_mut()) {
        plan.subgroup = path(spec, SUBGROUP, problems);
        directory.path.extend(&plan.subgroup);
    }
    let delegated = path(spec, DELEGATED, problems);
    if delegated.as_os_str().is_empty() {
        return;
    }
    match plan.directories.as_mut_slice() {
        [only] if only.is_v2() && !plan.disabled => {
            plan.delegated = delegated;
            plan.optional = Absence::Never;
        }
        _ => report(
            problems,
            pointer(DELEGATED),
            "a cgroup can be delegated only where one is made, on a host with cgroup v2 alone",
        ),
    }
}

fn pointer(key: &str) -> String {
    format!("/annotations/{}", escaped(key))
}

/// Relative, whatever it starts with; empty where nothing is asked for.
fn path(spec: &Spec, key: &str, problems: &mut Vec<Problem>) -> PathBuf {
    let text = spec.annotations().as_ref().and_then(|all| all.get(key)).map_or("", String::as_str);
    let mut path = PathBuf::new();
    for component in Path::new(text).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => {
                report(problems, pointer(key), format!("{text:?} must not lead out: it has \"..\""));
                return PathBuf::new();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    path
}
