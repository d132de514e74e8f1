//! update and events: what a container may use, and what it uses.

use super::duration::parse_duration;
use super::size::parse_memory;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Change the limits of a container
///
/// What is not given stays as it is; a value that is refused leaves all others unchanged. Device rules cannot be changed.
/// A SIZE is a number of bytes, with K, M or G after it if one likes, or -1 for no limit; 0 says nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  husk update --memory 512M --pids-limit 100 web\n  \
                  echo '{\"cpu\": {\"quota\": 50000}}' | husk update --resources - web")]
pub(crate) struct Update {
    /// The container's id
    #[arg(value_name = "CONTAINER")]
    pub(crate) id: String,
    /// Read the limits from FILE, or from standard input for -, as /linux/resources of config.json; no other option but the schemata counts then
    #[arg(short, long, value_name = "FILE")]
    pub(crate) resources: Option<PathBuf>,
    /// Weight of its block input and output, 10 to 1000
    #[arg(long, value_name = "WEIGHT")]
    pub(crate) blkio_weight: Option<u16>,
    /// The period of the CPU quota, in microseconds
    #[arg(long, value_name = "US")]
    pub(crate) cpu_period: Option<u64>,
    /// CPU time in a period, in microseconds; -1 for no limit
    #[arg(long, value_name = "US", allow_hyphen_values = true)]
    pub(crate) cpu_quota: Option<i64>,
    /// CPU time that may be saved up beyond the quota, in microseconds
    #[arg(long, value_name = "US")]
    pub(crate) cpu_burst: Option<u64>,
    /// Its share of the CPUs beside others', 2 to 262144; 1024 is usual
    #[arg(long, value_name = "SHARES")]
    pub(crate) cpu_share: Option<u64>,
    /// The period of the real-time CPU limit, in microseconds
    #[arg(long, value_name = "US")]
    pub(crate) cpu_rt_period: Option<u64>,
    /// Real-time CPU time in a period, in microseconds
    #[arg(long, value_name = "US", allow_hyphen_values = true)]
    pub(crate) cpu_rt_runtime: Option<i64>,
    /// CPUs that it may use, such as 0-2,7
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_cpus: Option<String>,
    /// Memory nodes that it may use, such as 0-1
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_mems: Option<String>,
    /// 1 to let it run only when nobody else wants the CPU, 0 to end that
    #[arg(long, value_name = "0|1", allow_hyphen_values = true)]
    pub(crate) cpu_idle: Option<i64>,
    /// Memory limit
    #[arg(long, value_name = "SIZE", value_parser = parse_memory, allow_hyphen_values = true)]
    pub(crate) memory: Option<i64>,
    /// Memory that it keeps when memory is short
    #[arg(long, value_name = "SIZE", value_parser = parse_memory, allow_hyphen_values = true)]
    pub(crate) memory_reservation: Option<i64>,
    /// Limit of memory and swap together
    #[arg(long, value_name = "SIZE", value_parser = parse_memory, allow_hyphen_values = true)]
    pub(crate) memory_swap: Option<i64>,
    /// Number of processes and threads; -1 for no limit
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) pids_limit: Option<i64>,
    /// Kernels since 5.16 have none: refused by the library.
    #[arg(long, value_name = "SIZE", value_parser = parse_memory, allow_hyphen_values = true, hide = true)]
    pub(crate) kernel_memory: Option<i64>,
    /// Only under cgroup v1.
    #[arg(long, value_name = "SIZE", value_parser = parse_memory, allow_hyphen_values = true, hide = true)]
    pub(crate) kernel_memory_tcp: Option<i64>,
    /// Shares of the last-level cache, such as L3:0=ff;1=f, of a container with /linux/intelRdt
    #[arg(long, value_name = "SCHEMA")]
    pub(crate) l3_cache_schema: Option<String>,
    /// Shares of the memory bandwidth, such as MB:0=50;1=20, likewise
    #[arg(long, value_name = "SCHEMA")]
    pub(crate) mem_bw_schema: Option<String>,
}

/// Tell what a container uses, and when it runs out of memory
///
/// Each line of the output is a JSON object: {"type":"stats","id":…,"data":{…}} or {"type":"oom","id":…}. It ends when the
/// container ends.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  husk events --stats web\n  husk events --interval 500ms web")]
pub(crate) struct Events {
    /// The container's id
    #[arg(value_name = "CONTAINER")]
    pub(crate) id: String,
    /// Print what it uses now, once, and end
    #[arg(long)]
    pub(crate) stats: bool,
    /// The time between two lines of what it uses, such as 1m30s [default: 5s]
    #[arg(long, value_name = "DURATION", default_value = "5s", hide_default_value = true,
          value_parser = parse_duration, allow_hyphen_values = true)]
    pub(crate) interval: Duration,
}
