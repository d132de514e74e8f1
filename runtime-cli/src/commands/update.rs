//! update: new limits, from flags or from a file.

use super::Context;
use crate::args::Update;
use crate::given;
use crate::report::{Failure, warn};
use husk_core::spec::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxPids, LinuxResources};

#[inline(never)] // see `dispatch`
pub(crate) fn run(context: &Context<'_>, args: &Update) -> Result<u8, Failure> {
    let container = context.load(&args.id)?;
    let resources = match &args.resources {
        Some(path) => given::read(path, "resources", husk_core::read_resources)?,
        None => limits(args),
    };
    container.update_with_schemata(&resources, &schemata(args)?)?;
    if is_weighted_and_idle(&resources) {
        warn(context.log, "unable to apply both a CPU weight and cpu.idle: an idle cgroup has no weight");
    }
    Ok(0)
}

/// Whether it asks for a weight that the kernel does not look at (cgroup-v2, "cpu.idle").
fn is_weighted_and_idle(resources: &LinuxResources) -> bool {
    let cpu = resources.cpu().as_ref();
    let by_fields = cpu.is_some_and(|cpu| cpu.idle() == Some(1) && cpu.shares().is_some());
    let by_files = resources.unified().as_ref().is_some_and(|files| {
        files.get("cpu.idle").is_some_and(|value| value.trim() == "1") && files.contains_key("cpu.weight")
    });
    by_fields || by_files
}

/// Shares of cache and memory bandwidth. With --resources too: a file of resources has no place for them.
fn schemata(args: &Update) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for (flag, value) in
        [("--l3-cache-schema", &args.l3_cache_schema), ("--mem-bw-schema", &args.mem_bw_schema)]
    {
        let Some(line) = value.as_ref().filter(|line| !line.is_empty()) else { continue };
        if line.contains(['\n', '\0']) {
            return Err(Failure::new(format!("{flag} is more than one line")));
        }
        lines.push(line.clone());
    }
    Ok(lines)
}

/// The flags as the config has them.
fn limits(args: &Update) -> LinuxResources {
    let mut memory = LinuxMemory::default();
    memory
        .set_limit(args.memory)
        .set_reservation(args.memory_reservation)
        .set_swap(args.memory_swap)
        .set_kernel(args.kernel_memory)
        .set_kernel_tcp(args.kernel_memory_tcp);
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(args.cpu_share)
        .set_quota(args.cpu_quota)
        .set_period(args.cpu_period)
        .set_burst(args.cpu_burst)
        .set_realtime_period(args.cpu_rt_period)
        .set_realtime_runtime(args.cpu_rt_runtime)
        .set_cpus(args.cpuset_cpus.clone())
        .set_mems(args.cpuset_mems.clone())
        .set_idle(args.cpu_idle);
    let mut block_io = LinuxBlockIo::default();
    block_io.set_weight(args.blkio_weight);
    let pids = args.pids_limit.map(|limit| {
        let mut pids = LinuxPids::default();
        pids.set_limit(limit);
        pids
    });
    let mut resources = LinuxResources::default();
    resources
        .set_devices(None)
        .set_memory(Some(memory))
        .set_cpu(Some(cpu))
        .set_block_io(Some(block_io))
        .set_pids(pids);
    resources
}
