//! `/linux/resources` in the files of cgroup v1 (the kernel's admin-guide/cgroup-v1).

#![forbid(unsafe_code)]

use super::fields::{
    block_weight, bytes, check_swap, cpuset, hugepages, idle, leaf_weight, obsolete_memory, pids_max, rdma,
    swappiness,
};
use super::{Absent, Writer};
use oci_spec::runtime as spec;

const MEMORY: &str = "/linux/resources/memory";
const CPU: &str = "/linux/resources/cpu";
const BLOCK_IO: &str = "/linux/resources/blockIO";

pub(super) fn resources(resources: &spec::LinuxResources, writer: &mut Writer<'_>) {
    if let Some(memory) = resources.memory() {
        self::memory(memory, writer);
    }
    if let Some(cpu) = resources.cpu() {
        self::cpu(cpu, writer);
    }
    if let Some(pids) = resources.pids() {
        writer.set("pids.max", pids_max(pids.limit()), "/linux/resources/pids/limit");
    }
    if let Some(io) = resources.block_io() {
        block_io(io, writer);
    }
    hugepages(resources, "limit_in_bytes", writer);
    if let Some(network) = resources.network() {
        self::network(network, writer);
    }
    rdma(resources, writer);
    if resources.unified().as_ref().is_some_and(|map| !map.is_empty()) {
        writer.refuse("/linux/resources/unified", "invalid configuration: cannot use unified on cgroup v1");
    }
}

fn memory(memory: &spec::LinuxMemory, writer: &mut Writer<'_>) {
    let limit = bytes(memory.limit(), "/linux/resources/memory/limit", writer);
    let swap = bytes(memory.swap(), "/linux/resources/memory/swap", writer);
    let swap_fits = check_swap(limit, swap, writer);
    // The limit first: memory and swap together may not be limited lower than memory alone.
    if let Some(limit) = limit {
        writer.set("memory.limit_in_bytes", limit, format!("{MEMORY}/limit"));
    }
    match (limit, swap) {
        (_, Some(swap)) if swap_fits => {
            writer.set("memory.memsw.limit_in_bytes", swap, format!("{MEMORY}/swap"));
        }
        (Some(-1), None) => {
            let pointer = format!("{MEMORY}/limit");
            writer.set_or(Absent::Skip, "memory.memsw.limit_in_bytes", -1, pointer);
        }
        _ => {}
    }
    let pointer = format!("{MEMORY}/reservation");
    if let Some(reservation) = bytes(memory.reservation(), &pointer, writer) {
        writer.set("memory.soft_limit_in_bytes", reservation, pointer);
    }
    let pointer = format!("{MEMORY}/kernelTCP");
    if let Some(tcp) = bytes(memory.kernel_tcp(), &pointer, writer) {
        writer.set("memory.kmem.tcp.limit_in_bytes", tcp, pointer);
    }
    if memory.disable_oom_killer() == Some(true) {
        writer.set("memory.oom_control", 1, format!("{MEMORY}/disableOOMKiller"));
    }
    if let Some(swappiness) = swappiness(memory, writer) {
        writer.set("memory.swappiness", swappiness, format!("{MEMORY}/swappiness"));
    }
    obsolete_memory(memory, writer);
}

fn cpu(cpu: &spec::LinuxCpu, writer: &mut Writer<'_>) {
    if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
        let pointer = format!("{CPU}/shares");
        // The kernel would clamp it without a word.
        match shares {
            ..2 => writer.refuse(&pointer, "the minimum allowed cpu-shares is 2"),
            262_145.. => writer.refuse(&pointer, "the maximum allowed cpu-shares is 262144"),
            _ => writer.set("cpu.shares", shares, pointer),
        }
    }
    // After the shares: the kernel refuses shares for an idle group (sched_group_set_shares).
    if let Some(idle) = idle(cpu, writer) {
        writer.set("cpu.idle", idle, format!("{CPU}/idle"));
    }
    // A new group's quota is unlimited, so any period goes; the burst may not exceed the quota.
    if let Some(period) = cpu.period().filter(|period| *period != 0) {
        writer.set("cpu.cfs_period_us", period, format!("{CPU}/period"));
    }
    if let Some(quota) = cpu.quota().filter(|quota| *quota != 0) {
        writer.set("cpu.cfs_quota_us", quota, format!("{CPU}/quota"));
    }
    if let Some(burst) = cpu.burst() {
        let absent = if burst == 0 { Absent::Skip } else { Absent::Fail };
        writer.set_or(absent, "cpu.cfs_burst_us", burst, format!("{CPU}/burst"));
    }
    if let Some(period) = cpu.realtime_period().filter(|period| *period != 0) {
        writer.set("cpu.rt_period_us", period, format!("{CPU}/realtimePeriod"));
    }
    if let Some(runtime) = cpu.realtime_runtime().filter(|runtime| *runtime != 0) {
        writer.set("cpu.rt_runtime_us", runtime, format!("{CPU}/realtimeRuntime"));
    }
    cpuset(cpu, writer);
}

fn block_io(io: &spec::LinuxBlockIo, writer: &mut Writer<'_>) {
    // Since the CFQ scheduler went (Linux 5.0), only BFQ knows weights here.
    let pointer = format!("{BLOCK_IO}/weight");
    if let Some(weight) = block_weight(io.weight(), &pointer, writer) {
        writer.set("blkio.bfq.weight", weight, pointer);
    }
    leaf_weight(io.leaf_weight(), &format!("{BLOCK_IO}/leafWeight"), writer);
    for (index, device) in io.weight_device().iter().flatten().enumerate() {
        let pointer = format!("{BLOCK_IO}/weightDevice/{index}");
        leaf_weight(device.leaf_weight(), &format!("{pointer}/leafWeight"), writer);
        if let Some(weight) = block_weight(device.weight(), &format!("{pointer}/weight"), writer) {
            let value = format!("{}:{} {weight}", device.major(), device.minor());
            writer.set("blkio.bfq.weight_device", value, pointer);
        }
    }
    let throttles = [
        (io.throttle_read_bps_device(), "throttleReadBpsDevice", "read_bps_device"),
        (io.throttle_write_bps_device(), "throttleWriteBpsDevice", "write_bps_device"),
        (io.throttle_read_iops_device(), "throttleReadIOPSDevice", "read_iops_device"),
        (io.throttle_write_iops_device(), "throttleWriteIOPSDevice", "write_iops_device"),
    ];
    for (devices, field, file) in throttles {
        for (index, device) in devices.iter().flatten().enumerate() {
            let value = format!("{}:{} {}", device.major(), device.minor(), device.rate());
            writer.set(format!("blkio.throttle.{file}"), value, format!("{BLOCK_IO}/{field}/{index}"));
        }
    }
}

fn network(network: &spec::LinuxNetwork, writer: &mut Writer<'_>) {
    if let Some(id) = network.class_id().filter(|id| *id != 0) {
        writer.set("net_cls.classid", id, "/linux/resources/network/classID");
    }
    for (index, priority) in network.priorities().iter().flatten().enumerate() {
        let value = format!("{} {}", priority.name(), priority.priority());
        writer.set("net_prio.ifpriomap", value, format!("/linux/resources/network/priorities/{index}"));
    }
}
