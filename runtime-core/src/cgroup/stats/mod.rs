//! What a container uses, in numbers: read from the cgroup's files once, serialized with runc's keys.
//!
//! A file that this kernel or this host's layout does not have leaves its numbers 0 (or the list empty), and most of
//! those are left out of the JSON, as runc does. Nothing is remembered between two calls.

#![forbid(unsafe_code)]

mod v1;
mod v2;

use super::Cgroup;
use super::directory::{Directory, is_gone};
use crate::error::{Error, Result};
use crate::resctrl::RdtStats;
use nix::errno::Errno;
use serde::Serialize;
use std::collections::BTreeMap;

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Processor time.
    pub cpu: CpuStats,
    /// Which processors and memory nodes it may use; cgroup v1 only.
    pub cpuset: CpusetStats,
    /// Memory.
    pub memory: MemoryStats,
    /// Processes.
    pub pids: PidsStats,
    /// Block devices.
    pub blkio: BlkioStats,
    /// Huge pages, by their size, such as `2MB`.
    pub hugetlb: BTreeMap<String, HugetlbStats>,
    /// Cache and memory bandwidth, of a container with a resctrl group.
    pub intel_rdt: RdtStats,
    /// Always `None`: the network is its maker's.
    pub network_interfaces: Option<Vec<()>>,
}

/// Processor time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CpuStats {
    /// How much was used.
    pub usage: CpuUsage,
    /// How often it had to wait for its quota.
    pub throttling: Throttling,
    /// How long it waited for processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// Nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CpuUsage {
    /// In sum.
    #[serde(skip_serializing_if = "is_zero")]
    pub total: u64,
    /// On each processor; cgroup v1 only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    /// On each processor, in the kernel; cgroup v1 only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_kernel: Vec<u64>,
    /// On each processor, in programs; cgroup v1 only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_user: Vec<u64>,
    /// In the kernel.
    pub kernel: u64,
    /// In programs.
    pub user: u64,
}

/// What the quota did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Throttling {
    /// Periods that have passed.
    #[serde(skip_serializing_if = "is_zero")]
    pub periods: u64,
    /// Those in which the quota was used up.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_periods: u64,
    /// Nanoseconds spent waiting.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_time: u64,
}

/// The cpuset controller's files; cgroup v1 only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is the file cpuset.NAME, cpuset(7)")]
pub struct CpusetStats {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u16>,
    pub cpu_exclusive: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<u16>,
    pub mem_hardwall: u64,
    pub mem_exclusive: u64,
    pub memory_migrate: u64,
    pub memory_spread_page: u64,
    pub memory_spread_slab: u64,
    pub memory_pressure: u64,
    pub sched_load_balance: u64,
    pub sched_relax_domain_level: i64,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MemoryStats {
    /// Of files.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache: u64,
    /// All memory.
    #[serde(skip_serializing_if = "MemoryUsage::is_zero")]
    pub usage: MemoryUsage,
    /// Memory and swap together.
    #[serde(skip_serializing_if = "MemoryUsage::is_zero")]
    pub swap: MemoryUsage,
    /// The kernel's part; cgroup v1 only.
    #[serde(skip_serializing_if = "MemoryUsage::is_zero")]
    pub kernel: MemoryUsage,
    /// Buffers of TCP; cgroup v1 only.
    #[serde(rename = "kernelTCP", skip_serializing_if = "MemoryUsage::is_zero")]
    pub kernel_tcp: MemoryUsage,
    /// `memory.stat`, in the kernel's own words.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    /// How long it waited for memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// One counter of memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MemoryUsage {
    /// Bytes that it may use; a very large number for no limit.
    pub limit: u64,
    /// Bytes that it uses.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    /// The most that it has used.
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

impl MemoryUsage {
    /// Of what this layout does not count, runc has no key.
    fn is_zero(&self) -> bool {
        *self == MemoryUsage::default()
    }
}

/// Processes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PidsStats {
    /// How many there are, threads counted.
    #[serde(skip_serializing_if = "is_zero")]
    pub current: u64,
    /// How many there may be; 0 for any number.
    #[serde(skip_serializing_if = "is_zero")]
    pub limit: u64,
}

/// Block devices; each list has an entry for a device and a kind of operation.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "each is the file blkio.….NAME_recursive of v1, see the kernel's blkio-controller"
)]
pub struct BlkioStats {
    /// Bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_bytes_recursive: Vec<BlkioEntry>,
    /// Operations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_serviced_recursive: Vec<BlkioEntry>,
    #[serde(rename = "ioQueueRecursive", skip_serializing_if = "Vec::is_empty")]
    pub io_queued_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_time_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_wait_time_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_merged_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_time_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sectors_recursive: Vec<BlkioEntry>,
    /// How long it waited for devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// One device, one kind of operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BlkioEntry {
    /// The device's major number.
    #[serde(skip_serializing_if = "is_zero")]
    pub major: u64,
    /// Its minor number.
    #[serde(skip_serializing_if = "is_zero")]
    pub minor: u64,
    /// `Read`, `Write` and so on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub op: String,
    /// The number.
    #[serde(skip_serializing_if = "is_zero")]
    pub value: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HugetlbStats {
    /// In use.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    /// The most that was in use; cgroup v1 only.
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

/// Pressure stall information (the kernel's accounting/psi); cgroup v2 only.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Pressure {
    /// While some process waited.
    pub some: Stall,
    /// While all did.
    pub full: Stall,
}

/// Shares of the last 10, 60 and 300 seconds, in per cent, and microseconds in sum.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the struct says it")]
pub struct Stall {
    pub avg10: f64,
    pub avg60: f64,
    pub avg300: f64,
    pub total: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Cgroup {
    /// Reads all that there is.
    pub(crate) fn stats(&self) -> Result<Stats> {
        if self.v1.iter().all(|legacy| legacy.controllers.iter().all(|name| name.starts_with("name="))) {
            return self.v2.as_ref().map_or(Ok(Stats::default()), |directory| v2::stats(&Files(directory)));
        }
        let of = |controller: &str| self.v1_directory(controller).map(Files);
        v1::stats(&of)
    }
}

/// The files of one directory, where what is not there is empty.
struct Files<'a>(&'a Directory);

impl Files<'_> {
    fn text(&self, file: &str) -> Result<String> {
        match self.0.read(file) {
            Ok(text) => Ok(text),
            // A kernel that does not keep pressure says so when it is read.
            Err(failed) if is_gone(failed.errno) || failed.errno == Errno::EOPNOTSUPP => Ok(String::new()),
            Err(failed) => {
                let what = format!("cannot read {}", self.0.file_path(file));
                Err(Error::os(what, failed.call, failed.errno))
            }
        }
    }

    fn number(&self, file: &str) -> Result<u64> {
        Ok(number(&self.text(file)?))
    }

    fn table(&self, file: &str) -> Result<BTreeMap<String, u64>> {
        Ok(table(&self.text(file)?))
    }

    /// Of the sizes of huge pages whose usage has a file with this end.
    fn page_sizes(&self, end: &str) -> Result<Vec<String>> {
        let cannot = |error: std::io::Error| {
            Error::io(format!("cannot list {}", self.0.path().display()), "getdents64", &error)
        };
        let is_gone =
            |error: &std::io::Error| error.raw_os_error().is_some_and(|n| is_gone(Errno::from_raw(n)));
        let mut sizes = Vec::new();
        let entries = match std::fs::read_dir(self.0.path()) {
            Err(error) if is_gone(&error) => return Ok(sizes),
            entries => entries.map_err(cannot)?,
        };
        for entry in entries {
            let name = match entry {
                Err(error) if is_gone(&error) => break,
                entry => entry.map_err(cannot)?.file_name(),
            };
            let size = name.to_str().and_then(|name| name.strip_prefix("hugetlb.")?.strip_suffix(end));
            sizes.extend(size.filter(|size| !size.contains('.')).map(str::to_owned));
        }
        Ok(sizes)
    }

    fn pressure(&self, file: &str) -> Result<Option<Pressure>> {
        Ok(pressure(&self.text(file)?))
    }
}

/// `max` is as much as a number can be; what is no number is 0.
fn number(text: &str) -> u64 {
    match text.trim() {
        "max" => u64::MAX,
        text => text.parse().unwrap_or(0),
    }
}

/// `KEY NUMBER` lines.
fn table(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.filter_map(|(key, value)| Some((key.to_owned(), value.trim().parse().ok()?))).collect()
}

fn pressure(text: &str) -> Option<Pressure> {
    let stall = |line: &str| {
        let mut stall = Stall::default();
        for (key, value) in line.split_whitespace().filter_map(|word| word.split_once('=')) {
            match key {
                "avg10" => stall.avg10 = value.parse().unwrap_or(0.0),
                "avg60" => stall.avg60 = value.parse().unwrap_or(0.0),
                "avg300" => stall.avg300 = value.parse().unwrap_or(0.0),
                "total" => stall.total = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        stall
    };
    let some = text.lines().find(|line| line.starts_with("some "))?;
    let full = text.lines().find(|line| line.starts_with("full "));
    Some(Pressure { some: stall(some), full: full.map(stall).unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_as_the_kernel_prints_it() {
        let text = "some avg10=1.50 avg60=0.20 avg300=0.00 total=12\nfull avg10=0.00 avg60=0.00 avg300=0.10 total=7\n";
        let Pressure { some, full } = pressure(text).expect("there is some");
        assert_eq!((some.avg10, some.avg60, some.total), (1.5, 0.2, 12));
        assert_eq!((full.avg300, full.total), (0.1, 7));
        assert_eq!(pressure(""), None);
    }

    #[test]
    fn numbers_of_files() {
        assert_eq!((number("max\n"), number("12\n"), number("")), (u64::MAX, 12, 0));
        assert_eq!(table("a 1\nb x\nc 3\n"), BTreeMap::from([("a".to_owned(), 1), ("c".to_owned(), 3)]));
    }
}
