//! update: new limits, from flags or from a file.

use super::Context;
use crate::args::Update;
use crate::given;
use crate::report::Failure;
use husk_core::spec::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxPids, LinuxResources};

#[inline(never)] // see `dispatch`
pub(crate) fn run(context: &Context<'_>, args: &Update) -> Result<u8, Failure> {
    let container = context.load(&args.id)?;
    let resources = match &args.resources {
        Some(path) => given::read(path, "resources", husk_core::read_resources)?,
        None => limits(args),
    };
    container.update_with_schemata(&resources, &schemata(args)?)?;
    Ok(0)
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
