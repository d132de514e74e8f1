//! The numbers of cgroup v1 (the kernel's admin-guide/cgroup-v1).

#![forbid(unsafe_code)]

use super::{BlkioEntry, BlkioStats, CpuUsage, CpusetStats, Files, HugetlbStats, MemoryUsage, Stats, number};
use crate::error::Result;

/// `cpuacct.stat` counts in these, which are the same on all machines (USER_HZ, time(7)).
const NS_PER_TICK: u64 = 10_000_000;

pub(super) fn stats<'a>(of: &dyn Fn(&str) -> Option<Files<'a>>) -> Result<Stats> {
    let mut stats = Stats::default();
    if let Some(files) = of("cpuacct") {
        stats.cpu.usage = usage(&files)?;
    }
    if let Some(files) = of("cpu") {
        let table = files.table("cpu.stat")?;
        let value = |key: &str| table.get(key).copied().unwrap_or(0);
        stats.cpu.throttling.periods = value("nr_periods");
        stats.cpu.throttling.throttled_periods = value("nr_throttled");
        stats.cpu.throttling.throttled_time = value("throttled_time");
    }
    if let Some(files) = of("cpuset") {
        stats.cpuset = cpuset(&files)?;
    }
    if let Some(files) = of("memory") {
        stats.memory.raw = files.table("memory.stat")?;
        stats.memory.cache = stats.memory.raw.get("cache").copied().unwrap_or(0);
        stats.memory.usage = memory(&files, "memory")?;
        stats.memory.swap = memory(&files, "memory.memsw")?;
        stats.memory.kernel = memory(&files, "memory.kmem")?;
        stats.memory.kernel_tcp = memory(&files, "memory.kmem.tcp")?;
    }
    if let Some(files) = of("pids") {
        stats.pids.current = files.number("pids.current")?;
        let limit = files.number("pids.max")?;
        stats.pids.limit = if limit == u64::MAX { 0 } else { limit };
    }
    if let Some(files) = of("blkio") {
        stats.blkio = blkio(&files)?;
    }
    if let Some(files) = of("hugetlb") {
        for size in files.page_sizes(".usage_in_bytes")? {
            let part = |file: &str| files.number(&format!("hugetlb.{size}.{file}"));
            let entry = HugetlbStats {
                usage: part("usage_in_bytes")?,
                max: part("max_usage_in_bytes")?,
                failcnt: part("failcnt")?,
            };
            stats.hugetlb.insert(size, entry);
        }
    }
    Ok(stats)
}

fn usage(files: &Files<'_>) -> Result<CpuUsage> {
    let total = files.table("cpuacct.stat")?;
    let ticks = |key: &str| total.get(key).copied().unwrap_or(0).saturating_mul(NS_PER_TICK);
    let mut usage = CpuUsage {
        total: files.number("cpuacct.usage")?,
        percpu: files.text("cpuacct.usage_percpu")?.split_whitespace().map(number).collect(),
        kernel: ticks("system"),
        user: ticks("user"),
        ..CpuUsage::default()
    };
    // After a heading: the processor, user, system.
    for line in files.text("cpuacct.usage_all")?.lines().skip(1) {
        let mut words = line.split_whitespace().skip(1).map(number);
        usage.percpu_user.extend(words.next());
        usage.percpu_kernel.extend(words.next());
    }
    Ok(usage)
}

fn cpuset(files: &Files<'_>) -> Result<CpusetStats> {
    Ok(CpusetStats {
        cpus: list(&files.text("cpuset.cpus")?),
        cpu_exclusive: files.number("cpuset.cpu_exclusive")?,
        mems: list(&files.text("cpuset.mems")?),
        mem_hardwall: files.number("cpuset.mem_hardwall")?,
        mem_exclusive: files.number("cpuset.mem_exclusive")?,
        memory_migrate: files.number("cpuset.memory_migrate")?,
        memory_spread_page: files.number("cpuset.memory_spread_page")?,
        memory_spread_slab: files.number("cpuset.memory_spread_slab")?,
        memory_pressure: files.number("cpuset.memory_pressure")?,
        sched_load_balance: files.number("cpuset.sched_load_balance")?,
        sched_relax_domain_level: files
            .text("cpuset.sched_relax_domain_level")?
            .trim()
            .parse()
            .unwrap_or_default(),
    })
}

/// `0-2,5` as its numbers.
fn list(text: &str) -> Vec<u16> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<u16>().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

fn memory(files: &Files<'_>, name: &str) -> Result<MemoryUsage> {
    Ok(MemoryUsage {
        limit: files.number(&format!("{name}.limit_in_bytes"))?,
        usage: files.number(&format!("{name}.usage_in_bytes"))?,
        max: files.number(&format!("{name}.max_usage_in_bytes"))?,
        failcnt: files.number(&format!("{name}.failcnt"))?,
    })
}

/// The BFQ scheduler's numbers where it is in use, else those of throttling.
fn blkio(files: &Files<'_>) -> Result<BlkioStats> {
    let bfq = |name: &str| devices(files, "bfq", name);
    let serviced = bfq("io_serviced")?;
    if !serviced.is_empty() {
        return Ok(BlkioStats {
            io_service_bytes_recursive: bfq("io_service_bytes")?,
            io_serviced_recursive: serviced,
            io_queued_recursive: bfq("io_queued")?,
            io_service_time_recursive: bfq("io_service_time")?,
            io_wait_time_recursive: bfq("io_wait_time")?,
            io_merged_recursive: bfq("io_merged")?,
            io_time_recursive: bfq("time")?,
            sectors_recursive: bfq("sectors")?,
            psi: None,
        });
    }
    let throttle = |name: &str| devices(files, "throttle", name);
    Ok(BlkioStats {
        io_service_bytes_recursive: throttle("io_service_bytes")?,
        io_serviced_recursive: throttle("io_serviced")?,
        ..BlkioStats::default()
    })
}

fn devices(files: &Files<'_>, policy: &str, name: &str) -> Result<Vec<BlkioEntry>> {
    Ok(entries(&files.text(&format!("blkio.{policy}.{name}_recursive"))?))
}

/// `MAJOR:MINOR OPERATION NUMBER`, or without the operation. The line of the total has no device.
fn entries(text: &str) -> Vec<BlkioEntry> {
    let entry = |line: &str| {
        let (device, rest) = line.split_once(' ')?;
        let (major, minor) = device.split_once(':')?;
        let (op, value) = rest.rsplit_once(' ').unwrap_or(("", rest));
        Some(BlkioEntry {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
            op: op.to_owned(),
            value: value.parse().ok()?,
        })
    };
    text.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors() {
        assert_eq!(list("0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(list("\n"), [0; 0]);
    }

    #[test]
    fn lines_of_devices() {
        let found = entries("8:0 Read 5\n8:0 Total 6\n253:1 7\nTotal 18\n");
        let entry = |major, minor, op: &str, value| BlkioEntry { major, minor, op: op.to_owned(), value };
        assert_eq!(found, [entry(8, 0, "Read", 5), entry(8, 0, "Total", 6), entry(253, 1, "", 7)]);
    }
}
