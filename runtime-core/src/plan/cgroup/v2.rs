//! `/linux/resources` in the files of cgroup v2 (the kernel's admin-guide/cgroup-v2).

#![forbid(unsafe_code)]

use super::fields::{
    block_weight, bytes, check_swap, cpuset, hugepages, idle, leaf_weight, obsolete_memory, pids_max, rdma,
    swappiness,
};
use super::{Absent, Writer};
use crate::plan::problems::escaped;
use oci_spec::runtime as spec;

const MEMORY: &str = "/linux/resources/memory";
const CPU: &str = "/linux/resources/cpu";
const BLOCK_IO: &str = "/linux/resources/blockIO";

pub(super) fn resources(resources: &spec::LinuxResources, writer: &mut Writer<'_>) {
    if let Some(pids) = resources.pids() {
        writer.set("pids.max", pids_max(pids.limit()), "/linux/resources/pids/limit");
    }
    if let Some(memory) = resources.memory() {
        self::memory(memory, writer);
    }
    if let Some(io) = resources.block_io() {
        block_io(io, writer);
    }
    if let Some(cpu) = resources.cpu() {
        self::cpu(cpu, writer);
    }
    hugepages(resources, "max", writer);
    rdma(resources, writer);
    if let Some(network) = resources.network() {
        if network.class_id().is_some_and(|id| id != 0) {
            writer.refuse("/linux/resources/network/classID", "cgroup v2 has no net_cls controller");
        }
        if network.priorities().as_ref().is_some_and(|list| !list.is_empty()) {
            writer.refuse("/linux/resources/network/priorities", "cgroup v2 has no net_prio controller");
        }
    }
    // Last, so that a value given in the kernel's own terms has the last word.
    unified(resources, writer);
}

fn max(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

fn memory(memory: &spec::LinuxMemory, writer: &mut Writer<'_>) {
    let limit = bytes(memory.limit(), "/linux/resources/memory/limit", writer);
    let swap_pointer = "/linux/resources/memory/swap";
    let swap = bytes(memory.swap(), swap_pointer, writer);
    if check_swap(limit, swap, writer) {
        // The config's swap counts memory and swap together, v2 counts swap alone. Unlimited memory without a word
        // about swap means both, as under v1.
        let value = match (limit, swap) {
            (Some(-1), None) | (_, Some(-1)) => Some(-1),
            (Some(limit), Some(swap)) if limit >= 0 => Some(swap - limit),
            (_, swap) => swap,
        };
        if let Some(value) = value {
            // A kernel without swap accounting has no file, and neither of these needs one.
            let absent = if value <= 0 { Absent::Skip } else { Absent::Fail };
            writer.set_or(absent, "memory.swap.max", max(value), swap_pointer);
        }
    }
    if let Some(limit) = limit {
        writer.set("memory.max", max(limit), "/linux/resources/memory/limit");
    }
    let pointer = "/linux/resources/memory/reservation";
    if let Some(reservation) = bytes(memory.reservation(), pointer, writer) {
        writer.set("memory.low", max(reservation), pointer);
    }
    if swappiness(memory, writer).is_some() {
        writer.refuse(&format!("{MEMORY}/swappiness"), "cgroup v2 has no swappiness of its own");
    }
    if memory.disable_oom_killer() == Some(true) {
        writer.refuse(&format!("{MEMORY}/disableOOMKiller"), "cgroup v2 cannot disable the OOM killer");
    }
    if memory.kernel_tcp().is_some_and(|value| value > 0) {
        writer.refuse(&format!("{MEMORY}/kernelTCP"), "cgroup v2 has no separate limit for TCP buffers");
    }
    obsolete_memory(memory, writer);
}

/// v1's shares (2 to 262144, 1024 being the default) as v2's weight (1 to 10000, 100 being the default): the
/// quadratic fit through the three points that all runtimes have used since 2025. The linear one before it made the
/// default 39.
pub(super) fn weight_of_shares(shares: u64) -> u64 {
    if shares <= 2 {
        return 1;
    }
    if shares >= 262_144 {
        return 10_000;
    }
    #[expect(clippy::cast_precision_loss, reason = "at most 18 bits")]
    let log = (shares as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 10000")]
    let weight = 10f64.powf(exponent).ceil() as u64;
    weight
}

fn cpu(cpu: &spec::LinuxCpu, writer: &mut Writer<'_>) {
    if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
        writer.set("cpu.weight", weight_of_shares(shares), "/linux/resources/cpu/shares");
    }
    // After the weight: the kernel refuses a weight for an idle group (sched_group_set_shares).
    if let Some(idle) = idle(cpu, writer) {
        writer.set("cpu.idle", idle, "/linux/resources/cpu/idle");
    }
    let quota = cpu.quota().filter(|quota| *quota != 0);
    let period = cpu.period().filter(|period| *period != 0);
    if quota.is_some() || period.is_some() {
        let quota_text = quota.map_or("max".to_owned(), max);
        // 100000 is the kernel's default.
        let value = format!("{quota_text} {}", period.unwrap_or(100_000));
        // One file for both; where the kernel is going to refuse it for its period, the period is what to point to.
        let period_is_possible = period.is_none_or(|period| (1_000..=1_000_000).contains(&period));
        let field = if quota.is_some() && period_is_possible { "quota" } else { "period" };
        writer.set("cpu.max", value, format!("{CPU}/{field}"));
    }
    // After the quota, which it may not exceed.
    if let Some(burst) = cpu.burst() {
        let absent = if burst == 0 { Absent::Skip } else { Absent::Fail };
        writer.set_or(absent, "cpu.max.burst", burst, format!("{CPU}/burst"));
    }
    if cpu.realtime_runtime().is_some_and(|value| value != 0) {
        writer.refuse(&format!("{CPU}/realtimeRuntime"), "cgroup v2 has no real-time limits");
    }
    if cpu.realtime_period().is_some_and(|value| value != 0) {
        writer.refuse(&format!("{CPU}/realtimePeriod"), "cgroup v2 has no real-time limits");
    }
    cpuset(cpu, writer);
}

/// 10..=1000 onto 1..=10000, linearly.
pub(super) fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight) - 10) * 9999 / 990
}

fn block_io(io: &spec::LinuxBlockIo, writer: &mut Writer<'_>) {
    let pointer = format!("{BLOCK_IO}/weight");
    if let Some(weight) = block_weight(io.weight(), &pointer, writer) {
        // The BFQ scheduler's own file where it is in use; else the cost model's.
        let instead = Absent::Instead { file: "io.weight".into(), value: io_weight(weight).to_string() };
        writer.set_or(instead, "io.bfq.weight", weight, pointer);
    }
    leaf_weight(io.leaf_weight(), &format!("{BLOCK_IO}/leafWeight"), writer);
    for (index, device) in io.weight_device().iter().flatten().enumerate() {
        let pointer = format!("{BLOCK_IO}/weightDevice/{index}");
        leaf_weight(device.leaf_weight(), &format!("{pointer}/leafWeight"), writer);
        if let Some(weight) = block_weight(device.weight(), &format!("{pointer}/weight"), writer) {
            let node = format!("{}:{}", device.major(), device.minor());
            let instead =
                Absent::Instead { file: "io.weight".into(), value: format!("{node} {}", io_weight(weight)) };
            writer.set_or(instead, "io.bfq.weight", format!("{node} {weight}"), pointer);
        }
    }
    let throttles = [
        (io.throttle_read_bps_device(), "throttleReadBpsDevice", "rbps"),
        (io.throttle_write_bps_device(), "throttleWriteBpsDevice", "wbps"),
        (io.throttle_read_iops_device(), "throttleReadIOPSDevice", "riops"),
        (io.throttle_write_iops_device(), "throttleWriteIOPSDevice", "wiops"),
    ];
    for (devices, field, key) in throttles {
        for (index, device) in devices.iter().flatten().enumerate() {
            // A rate of 0 lifts the limit under v1, where the field comes from.
            let rate = if device.rate() == 0 { "max".to_owned() } else { device.rate().to_string() };
            let value = format!("{}:{} {key}={rate}", device.major(), device.minor());
            writer.set("io.max", value, format!("{BLOCK_IO}/{field}/{index}"));
        }
    }
}

/// These move, kill or stop processes, or change what the cgroup is. `cgroup.procs` above all: it would take any
/// process of the host into the container.
const NO_LIMITS: [&str; 5] =
    ["cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze", "cgroup.type"];

fn unified(resources: &spec::LinuxResources, writer: &mut Writer<'_>) {
    let mut entries: Vec<_> = resources.unified().iter().flatten().collect();
    entries.sort();
    for (file, value) in entries {
        let pointer = format!("/linux/resources/unified/{}", escaped(file));
        if file.contains('/') {
            let message = format!("unified resource {file:?} must be a file name (no slashes)");
            writer.refuse(&pointer, &message);
        } else if file
            .split_once('.')
            .is_none_or(|(controller, name)| controller.is_empty() || name.is_empty())
        {
            let message = format!("unified resource {file:?} must be in the form CONTROLLER.PARAMETER");
            writer.refuse(&pointer, &message);
        } else if NO_LIMITS.contains(&file.as_str()) {
            let message = format!("{file} is no resource");
            writer.refuse(&pointer, &message);
        } else {
            // The kernel takes one line a write in the files that have several.
            for line in value.lines() {
                writer.set(file.as_str(), line, pointer.as_str());
            }
            if value.is_empty() {
                writer.set(file.as_str(), "", pointer.as_str());
            }
        }
    }
}
