//! try: the throwaway container.

use super::size::{parse_cpus, parse_size};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// A shell, or a command, in a throwaway copy-on-write view of this machine
///
/// Its root shows this machine's directories; what it changes goes to memory and vanishes at exit. It has its own processes,
/// host name, /tmp, /run and, unless asked otherwise, no network. It needs no image, and root.
#[derive(Debug, Args)]
#[command(
    override_usage = "husk try [OPTIONS] [--] [COMMAND [ARGUMENT]...]",
    after_help = "Examples:\n  husk try\n  husk try -- rm -rf /usr\n  husk try --memory 64M --pids 20 -- sh -c 'ls /; ps'\n  \
                  husk try --keep-bundle demo -- true && husk run --bundle demo again"
)]
pub(crate) struct Try {
    /// At most this much memory: bytes, or with K, M or G
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) memory: Option<i64>,
    /// At most this much processor time: 1.5 is one and a half processors
    #[arg(long = "cpus", value_name = "N", value_parser = parse_cpus)]
    pub(crate) cpu_quota_us: Option<i64>,
    /// At most this many processes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) pids: Option<i64>,
    /// none: a loopback of its own; host: this machine's network
    #[arg(long, value_name = "KIND", default_value = "none", hide_possible_values = true)]
    pub(crate) network: Network,
    /// Leave the bundle, with what was changed, in a new directory for study and for `husk run --bundle DIR`
    #[arg(long, value_name = "DIR")]
    pub(crate) keep_bundle: Option<PathBuf>,
    /// What to run, by default $SHELL
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Network {
    None,
    Host,
}

/// The hidden second process of `husk try`, which cleans up whatever ends the first.
#[derive(Debug, Args)]
pub(crate) struct Watcher {
    /// The container to remove
    #[arg(value_name = "CONTAINER")]
    pub(crate) id: String,
    /// The empty directory to remove
    #[arg(long, value_name = "DIR")]
    pub(crate) mount_point: Option<PathBuf>,
}
