//! create, run, start, kill, delete: a container's life.

use clap::Args;
use std::path::PathBuf;

/// What create and run have in common.
#[derive(Debug, Args)]
pub(crate) struct NewContainer {
    /// The new container's id, unique on this machine: 1 to 255 of A-Z a-z 0-9 _ + . -
    #[arg(value_name = "CONTAINER")]
    pub(crate) id: String,
    /// The bundle: a directory with config.json, by default this one
    #[arg(short, long, value_name = "DIR", default_value = ".", hide_default_value = true)]
    pub(crate) bundle: PathBuf,
    /// Write the first process's pid to FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// Send the terminal's master over the unix socket that listens at PATH
    #[arg(long, value_name = "PATH")]
    pub(crate) console_socket: Option<PathBuf>,
    /// Pass N more open files on, from descriptor 3
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) preserve_fds: u32,
    /// Enter the root with chroot in place of pivot_root, as an initramfs needs it; less safe
    #[arg(long)]
    pub(crate) no_pivot: bool,
    /// Keep the caller's session keyring
    #[arg(long)]
    pub(crate) no_new_keyring: bool,
    /// Send a pidfd of the first process over the unix socket that listens at PATH
    #[arg(long, value_name = "PATH")]
    pub(crate) pidfd_socket: Option<PathBuf>,
    /// Write how long each step of the creation took to FILE, for a viewer of Chrome traces
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
}

/// Make a container that waits to be started
#[derive(Debug, Args)]
#[command(after_help = "Example, in a directory with config.json:\n  husk create web && husk start web")]
pub(crate) struct Create {
    #[command(flatten)]
    pub(crate) new: NewContainer,
}

/// Let a created container's program run
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  husk start web")]
pub(crate) struct Start {
    /// The container's id
    #[arg(value_name = "CONTAINER")]
    pub(crate) id: String,
}

/// Create, start, wait for and delete a container
///
/// Without --detach, signals that husk gets go to the container's first process, its terminal is joined with this one,
/// and the exit status is the process's, or 128 and the number of the signal that ended it.
#[derive(Debug, Args)]
#[command(after_help = "Example, in an empty directory, with busybox's static binary:\n  \
    husk spec && mkdir -p rootfs/bin && cp /bin/busybox rootfs/bin/sh && husk run demo")]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) new: NewContainer,
    /// Return when the program runs
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Leave the container when its program has ended; `husk delete` removes it
    #[arg(long)]
    pub(crate) keep: bool,
    /// Do not adopt and reap processes that outlive their parents
    #[arg(long)]
    pub(crate) no_subreaper: bool,
}

/// Send a signal to a container's first process
#[derive(Debug, Args)]
#[command(
    override_usage = "husk kill [--all] [--regex] CONTAINER [SIGNAL]",
    after_help = "SIGNAL is a number or a name, KILL or SIGKILL, in any case; TERM by default.\n\n\
                  Examples:\n  husk kill web HUP\n  husk kill --regex '^test-' KILL"
)]
pub(crate) struct Kill {
    /// Signal every process of the container; a stopped container is no failure then
    #[arg(short, long)]
    pub(crate) all: bool,
    /// CONTAINER is a regular expression: signal all containers in whose id it is found
    #[arg(short, long)]
    pub(crate) regex: bool,
    /// The container's id, and a signal
    #[arg(value_name = "CONTAINER", hide = true, required = true, num_args = 1..=2, trailing_var_arg = true)]
    pub(crate) id_and_signal: Vec<String>,
}

/// Remove a stopped container
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  husk delete --force web\n  husk delete --force --regex '^test-'")]
pub(crate) struct Delete {
    /// CONTAINER is a regular expression: remove all containers in whose id it is found
    #[arg(short, long)]
    pub(crate) regex: bool,
    /// The container's id
    #[arg(value_name = "CONTAINER")]
    pub(crate) id: String,
    /// Kill it first if it runs; clean up what is left of it; a container that does not exist is no failure
    #[arg(short, long)]
    pub(crate) force: bool,
}
