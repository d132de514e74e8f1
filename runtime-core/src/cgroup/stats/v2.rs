//! The numbers of cgroup v2 (the kernel's admin-guide/cgroup-v2).

#![forbid(unsafe_code)]

use super::{BlkioEntry, BlkioStats, Files, HugetlbStats, MemoryUsage, Stats};
use crate::error::Result;

pub(super) fn stats(files: &Files<'_>) -> Result<Stats> {
    let mut stats = Stats::default();
    let table = files.table("cpu.stat")?;
    let us = |key: &str| table.get(key).copied().unwrap_or(0);
    let ns = |key: &str| us(key).saturating_mul(1000);
    stats.cpu.usage.total = ns("usage_usec");
    stats.cpu.usage.user = ns("user_usec");
    stats.cpu.usage.kernel = ns("system_usec");
    stats.cpu.throttling.periods = us("nr_periods");
    stats.cpu.throttling.throttled_periods = us("nr_throttled");
    stats.cpu.throttling.throttled_time = ns("throttled_usec");
    stats.cpu.psi = files.pressure("cpu.pressure")?;

    stats.memory.raw = files.table("memory.stat")?;
    stats.memory.cache = stats.memory.raw.get("file").copied().unwrap_or(0);
    stats.memory.usage = memory(files, "memory")?;
    let swap = memory(files, "memory.swap")?;
    // v2 counts swap alone; these are both together, as v1 has them.
    let memory = &stats.memory.usage;
    stats.memory.swap = MemoryUsage {
        limit: memory.limit.saturating_add(swap.limit),
        usage: memory.usage.saturating_add(swap.usage),
        max: 0,
        failcnt: 0,
    };
    stats.memory.psi = files.pressure("memory.pressure")?;

    stats.pids.current = files.number("pids.current")?;
    let limit = files.number("pids.max")?;
    stats.pids.limit = if limit == u64::MAX { 0 } else { limit };

    stats.blkio = io(&files.text("io.stat")?);
    stats.blkio.psi = files.pressure("io.pressure")?;

    for size in files.page_sizes(".current")? {
        let events = files.table(&format!("hugetlb.{size}.events"))?;
        let entry = HugetlbStats {
            usage: files.number(&format!("hugetlb.{size}.current"))?,
            max: 0,
            failcnt: events.get("max").copied().unwrap_or(0),
        };
        stats.hugetlb.insert(size, entry);
    }
    Ok(stats)
}

fn memory(files: &Files<'_>, name: &str) -> Result<MemoryUsage> {
    Ok(MemoryUsage {
        limit: files.number(&format!("{name}.max"))?,
        usage: files.number(&format!("{name}.current"))?,
        max: files.number(&format!("{name}.peak"))?,
        failcnt: 0,
    })
}

/// `MAJOR:MINOR rbytes=N wbytes=N rios=N wios=N …`, in v1's terms.
fn io(text: &str) -> BlkioStats {
    let mut stats = BlkioStats::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let device = words.next().and_then(|device| device.split_once(':'));
        let Some((Ok(major), Ok(minor))) = device.map(|(major, minor)| (major.parse(), minor.parse())) else {
            continue;
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let (list, op) = match key {
                "rbytes" => (&mut stats.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut stats.io_service_bytes_recursive, "Write"),
                "rios" => (&mut stats.io_serviced_recursive, "Read"),
                "wios" => (&mut stats.io_serviced_recursive, "Write"),
                _ => continue,
            };
            let value = value.parse().unwrap_or(0);
            list.push(BlkioEntry { major, minor, op: op.to_owned(), value });
        }
    }
    stats
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_in_the_terms_of_v1() {
        let stats = io("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n7:0 \n");
        let entry = |op: &str, value| BlkioEntry { major: 8, minor: 0, op: op.to_owned(), value };
        assert_eq!(stats.io_service_bytes_recursive, [entry("Read", 1), entry("Write", 2)]);
        assert_eq!(stats.io_serviced_recursive, [entry("Read", 3), entry("Write", 4)]);
    }
}
