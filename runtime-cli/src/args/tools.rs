//! plan, spec, state, list, features, doctor, completion, man: commands that change no container.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Show, step by step, what would be done with a bundle; do nothing
///
/// Every problem of the config that can be seen without touching the system is reported, each with its place.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  husk plan .\n  husk plan --json /var/lib/bundle")]
pub(crate) struct PlanArgs {
    /// The bundle: a directory with config.json
    #[arg(value_name = "BUNDLE", default_value = ".", hide_default_value = true)]
    pub(crate) bundle: PathBuf,
    /// Plan for a container of this id
    #[arg(long, value_name = "CONTAINER", default_value = "example")]
    pub(crate) id: String,
    /// As JSON, an array with one object a step
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write a config.json to start from
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  mkdir -p demo/rootfs && husk spec --bundle demo")]
pub(crate) struct SpecArgs {
    /// The directory to write it to, by default this one
    #[arg(short, long, value_name = "DIR", default_value = ".", hide_default_value = true)]
    pub(crate) bundle: PathBuf,
    /// One for a container of an unprivileged user: with a user namespace
    #[arg(long)]
    pub(crate) rootless: bool,
}

/// Show one container, as JSON
///
/// It is the OCI runtime specification's state object. The status comes from the kernel each time: created, running, paused
/// or stopped.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  husk state web")]
pub(crate) struct State {
    /// The container's id
    #[arg(value_name = "CONTAINER")]
    pub(crate) id: String,
}

/// What this husk supports, as JSON, for engines
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  husk features")]
pub(crate) struct Features {}

/// Show all containers
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  husk list\n  husk list --format json\n  husk list --quiet --regex '^test-'"
)]
pub(crate) struct List {
    /// table or json
    #[arg(short, long, value_name = "FORMAT", default_value = "table", hide_possible_values = true)]
    pub(crate) format: TableFormat,
    /// Only the ids
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Only containers in whose id this regular expression is found
    #[arg(short, long, value_name = "REGEX", allow_hyphen_values = true)]
    pub(crate) regex: Option<String>,
}

/// The two forms of list and ps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableFormat {
    Table,
    Json,
}

/// Say whether this machine and its engines are set up for husk
///
/// Engines are asked which runtime they would call; what is missing comes with the lines to add. Ends with 1 where something
/// is missing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  husk doctor\n  husk doctor --json")]
pub(crate) struct Doctor {
    /// As JSON, an array with one object a finding
    #[arg(long)]
    pub(crate) json: bool,
}

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  husk completion bash > /etc/bash_completion.d/husk")]
pub(crate) struct Completion {
    /// bash, zsh or fish
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Write the man pages, for packagers
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  husk man --dir /usr/local/share/man/man8")]
pub(crate) struct Man {
    /// The directory to write husk.8, husk-run.8 and so on to
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
}
