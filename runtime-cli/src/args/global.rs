//! The options that stand before the command.

use super::duration::parse_duration;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Where containers are recorded [default: /run/husk; as a user $XDG_RUNTIME_DIR/husk]
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Append a record of what went wrong to FILE too
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// How records in the log look
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true,
        help = "How the log's records look: text or json [default: text]",
        hide_default_value = true
    )]
    pub(crate) log_format: LogFormat,
    /// Log what is done, too
    #[arg(long)]
    pub(crate) debug: bool,
    /// Let systemd make the cgroup: /linux/cgroupsPath reads slice:prefix:name
    #[arg(long)]
    pub(crate) systemd_cgroup: bool,
    /// Who makes cgroups: cgroupfs, systemd, or disabled: no limits, device rules, ps, pause, events [default: cgroupfs]
    #[arg(long, value_name = "NAME", hide_possible_values = true)]
    pub(crate) cgroup_manager: Option<CgroupManager>,
    /// Whether to do without cgroups that may not be made, if no limit needs them: true, false, auto [default: auto]
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub(crate) rootless: Rootless,
    /// How long one step of create, start or exec may take, such as 30s [default: 2m]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) step_timeout: Option<Duration>,
    /// Show the version
    #[arg(short = 'v', long, short_alias = 'V')]
    pub(crate) version: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// crun's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CgroupManager {
    Cgroupfs,
    Systemd,
    Disabled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rootless {
    Auto,
    #[value(aliases = ["1", "t", "T", "TRUE", "True"])]
    True,
    #[value(aliases = ["0", "f", "F", "FALSE", "False"])]
    False,
}
