//! A change of a running container's resources: the writes for what is given and for nothing else.
//!
//! Some fields mean something only together: memory and swap, quota and period. Of such a pair the half that is not
//! given is taken from the config that the container was made with. Device rules are never changed, as in runc.

#![forbid(unsafe_code)]

use super::{
    Absent, CgroupDirectory, CgroupPlan, CgroupWrite, UnitProperty, Writer, leave_out_idle_weight, unit, v1,
    v2,
};
use crate::error::{Error, Problem, Result};
use oci_spec::runtime as spec;
use std::path::PathBuf;

/// What an update writes.
#[derive(Debug)]
pub(crate) struct UpdatePlan {
    /// Its memory writes come last: a lower limit may kill, which cannot be taken back if another value is refused.
    pub(crate) cgroup: CgroupPlan,
    /// The same for systemd, where it is its unit.
    pub(crate) properties: Vec<UnitProperty>,
    /// New limits of memory, with their names, to be compared with the usage first (`checkBeforeUpdate`).
    pub(crate) at_least_usage: Vec<(&'static str, u64)>,
}

/// Plans it for a container whose directories are these: controllers, no controllers being v2, and the path.
pub(crate) fn plan_update(
    directories: Vec<(Vec<String>, PathBuf)>,
    has_unit: bool,
    given: &spec::LinuxResources,
    saved: Option<&spec::LinuxResources>,
) -> Result<UpdatePlan> {
    let directories: Vec<CgroupDirectory> = directories
        .into_iter()
        .map(|(controllers, path)| CgroupDirectory { controllers, mountpoint: PathBuf::new(), path })
        .collect();
    let mut wanted = given.clone();
    let saved_memory = saved.and_then(|saved| saved.memory().as_ref());
    if let (Some(memory), Some(saved)) = (wanted.memory_mut(), saved_memory) {
        complete_memory(memory, saved);
    }
    let saved_cpu = saved.and_then(|saved| saved.cpu().as_ref());
    if let (Some(cpu), Some(saved)) = (wanted.cpu_mut(), saved_cpu) {
        complete_cpu(cpu, saved);
    }
    let mut problems: Vec<Problem> = Vec::new();
    let mut writer = Writer { directories: &directories, writes: Vec::new(), problems: &mut problems };
    match &directories[..] {
        [only] if only.is_v2() => v2::resources(&wanted, &mut writer),
        _ => v1::resources(&wanted, &mut writer),
    }
    let (memory, mut writes): (Vec<_>, Vec<_>) =
        writer.writes.into_iter().partition(|write| write.controller == "memory");
    writes.extend(memory);
    if !problems.is_empty() {
        return Err(Error::problems_found(problems));
    }
    leave_out_idle_weight(&mut writes);
    if has_unit {
        weight_ends_idleness(&mut writes);
    }
    let properties = if has_unit { unit::properties_of(&mut writes) } else { Vec::new() };
    Ok(UpdatePlan {
        properties,
        cgroup: CgroupPlan { directories, writes, ..CgroupPlan::default() },
        at_least_usage: given
            .memory()
            .as_ref()
            .map(|memory| checked(memory, saved_memory))
            .unwrap_or_default(),
    })
}

/// To systemd an idle group is one without a weight: who gives it one says that it is idle no longer.
fn weight_ends_idleness(writes: &mut Vec<CgroupWrite>) {
    let says_idle = writes.iter().any(|write| write.file == "cpu.idle");
    if let (false, Some(index)) = (says_idle, writes.iter().position(|write| write.file == "cpu.weight")) {
        let (file, value) = ("cpu.idle".to_owned(), "0".to_owned());
        writes.insert(index, CgroupWrite { file, value, absent: Absent::Skip, ..writes[index].clone() });
    }
}

fn set<T: PartialEq + Default>(value: Option<T>) -> Option<T> {
    value.filter(|value| *value != T::default())
}

fn complete_memory(memory: &mut spec::LinuxMemory, saved: &spec::LinuxMemory) {
    match (set(memory.limit()), set(memory.swap())) {
        (None, Some(1..)) => {
            memory.set_limit(saved.limit());
        }
        // Unlimited memory alone lifts the limit of swap too.
        (Some(0..), None) => {
            memory.set_swap(saved.swap());
        }
        _ => {}
    }
}

fn complete_cpu(cpu: &mut spec::LinuxCpu, saved: &spec::LinuxCpu) {
    match (set(cpu.quota()), set(cpu.period())) {
        (None, Some(_)) => {
            cpu.set_quota(saved.quota());
        }
        (Some(_), None) => {
            cpu.set_period(saved.period());
        }
        _ => {}
    }
}

fn checked(given: &spec::LinuxMemory, saved: Option<&spec::LinuxMemory>) -> Vec<(&'static str, u64)> {
    let check = given.check_before_update().or(saved.and_then(spec::LinuxMemory::check_before_update));
    let limits = [("memory+swap", given.swap()), ("memory", given.limit())];
    let limits = limits.into_iter().filter_map(|(name, limit)| Some((name, u64::try_from(limit?).ok()?)));
    limits.filter(|(_, limit)| check == Some(true) && *limit > 0).collect()
}
