//! The fields that both versions read alike, checked: what engines send for "not set" is `None` here.

#![forbid(unsafe_code)]

use super::{Absent, Writer};
use crate::plan::problems::escaped;
use oci_spec::runtime as spec;

const MEMORY: &str = "/linux/resources/memory";
const CPU: &str = "/linux/resources/cpu";

/// Zero is a real limit (runtime-spec 1.3). It is written as 1, which lets the container's first process be born in
/// the cgroup and no other: at 0 the kernel refuses that one too (pids_can_fork), and systemd knows no 0 either.
pub(super) fn pids_max(limit: i64) -> String {
    match limit {
        0 => "1".to_owned(),
        limit if limit < 0 => "max".to_owned(),
        limit => limit.to_string(),
    }
}

/// A number of bytes, `None` when not set; -1 says unlimited.
pub(super) fn bytes(value: Option<i64>, pointer: &str, writer: &mut Writer<'_>) -> Option<i64> {
    let value = value.filter(|value| *value != 0)?;
    if value < -1 {
        writer.refuse(pointer, "must be a number of bytes, or -1 for no limit");
        return None;
    }
    Some(value)
}

/// Whether swap can be set beside this limit.
pub(super) fn check_swap(limit: Option<i64>, swap: Option<i64>, writer: &mut Writer<'_>) -> bool {
    let message = match (limit, swap) {
        (None, Some(swap)) if swap > 0 => "unable to set swap limit without memory limit",
        (Some(limit), Some(swap)) if swap > 0 && limit > swap => {
            "memory+swap limit should be >= memory limit"
        }
        _ => return true,
    };
    writer.refuse("/linux/resources/memory/swap", message);
    false
}

/// `None` when not set; engines send -1, as an unsigned number, for that.
pub(super) fn swappiness(memory: &spec::LinuxMemory, writer: &mut Writer<'_>) -> Option<u64> {
    let value = memory.swappiness().filter(|value| *value != u64::MAX)?;
    if value > 100 {
        writer.refuse(&format!("{MEMORY}/swappiness"), "must be between 0 and 100");
        return None;
    }
    Some(value)
}

/// What no supported kernel has under either version. `checkBeforeUpdate` needs no write: a new cgroup uses nothing,
/// so every limit passes.
pub(super) fn obsolete_memory(memory: &spec::LinuxMemory, writer: &mut Writer<'_>) {
    if memory.kernel().is_some_and(|value| value > 0) {
        writer.refuse(&format!("{MEMORY}/kernel"), "kernels since 5.16 have no kernel memory limit");
    }
    if memory.use_hierarchy() == Some(false) {
        writer.refuse(&format!("{MEMORY}/useHierarchy"), "kernels since 5.11 always account hierarchically");
    }
}

/// 0 or 1, `None` when not set or refused.
pub(super) fn idle(cpu: &spec::LinuxCpu, writer: &mut Writer<'_>) -> Option<i64> {
    let idle = cpu.idle()?;
    if !(0..=1).contains(&idle) {
        writer.refuse(&format!("{CPU}/idle"), "must be 0 or 1");
        return None;
    }
    Some(idle)
}

pub(super) fn cpuset(cpu: &spec::LinuxCpu, writer: &mut Writer<'_>) {
    for (value, file) in [(cpu.cpus(), "cpus"), (cpu.mems(), "mems")] {
        if let Some(list) = value.as_deref().filter(|list| !list.is_empty()) {
            writer.set(format!("cpuset.{file}"), list, format!("{CPU}/{file}"));
        }
    }
}

/// A weight in the config's terms, `None` when not set or refused.
pub(super) fn block_weight(weight: Option<u16>, pointer: &str, writer: &mut Writer<'_>) -> Option<u16> {
    let weight = weight.filter(|weight| *weight != 0)?;
    if !(10..=1000).contains(&weight) {
        writer.refuse(pointer, "must be between 10 and 1000");
        return None;
    }
    Some(weight)
}

pub(super) fn leaf_weight(weight: Option<u16>, pointer: &str, writer: &mut Writer<'_>) {
    if weight.is_some_and(|weight| weight != 0) {
        writer.refuse(pointer, "kernels since 5.0 have no leaf weight: it went with the CFQ scheduler");
    }
}

/// `limit_file` is the last part of the file's name.
pub(super) fn hugepages(resources: &spec::LinuxResources, limit_file: &str, writer: &mut Writer<'_>) {
    for (index, limit) in resources.hugepage_limits().iter().flatten().enumerate() {
        let pointer = format!("/linux/resources/hugepageLimits/{index}");
        let size = limit.page_size();
        if !is_page_size(size) {
            writer.refuse(&format!("{pointer}/pageSize"), "must be a size such as 64KB, 2MB or 1GB");
            continue;
        }
        if limit.limit() < 0 {
            writer.refuse(&format!("{pointer}/limit"), "must be a number of bytes");
            continue;
        }
        let pointer = format!("{pointer}/limit");
        writer.set(format!("hugetlb.{size}.{limit_file}"), limit.limit(), pointer.as_str());
        // Since Linux 5.7 reservations can be limited too, which fails an mmap(2) in place of killing at a fault.
        let reserved = format!("hugetlb.{size}.rsvd.{limit_file}");
        writer.set_or(Absent::Skip, reserved, limit.limit(), pointer);
    }
}

fn is_page_size(text: &str) -> bool {
    let digits = text.trim_start_matches(|c: char| c.is_ascii_digit());
    digits.len() < text.len() && matches!(digits, "KB" | "MB" | "GB")
}

/// The same file in both versions.
pub(super) fn rdma(resources: &spec::LinuxResources, writer: &mut Writer<'_>) {
    let mut devices: Vec<_> = resources.rdma().iter().flatten().collect();
    devices.sort_by_key(|(name, _)| name.as_str());
    for (name, limits) in devices {
        let pointer = format!("/linux/resources/rdma/{}", escaped(name));
        if name.is_empty() || name.contains(char::is_whitespace) {
            writer.refuse(&pointer, "is not the name of an RDMA device");
            continue;
        }
        let mut value = name.clone();
        for (limit, key) in [(limits.hca_handles(), "hca_handle"), (limits.hca_objects(), "hca_object")] {
            if let Some(limit) = limit {
                value.push_str(&format!(" {key}={limit}"));
            }
        }
        if value.len() > name.len() {
            writer.set("rdma.max", value, pointer);
        }
    }
}
