//! exec, ps, pause, resume: what is done to a container that runs.
//!
//! The options of exec and ps end at the first word that is none: what follows is the program's own.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Run one more program in a container
///
/// The program gets the container's environment, user, capabilities and limits; options change them. Without --detach the
/// exit status is the program's, or 128 and the number of the signal that ended it; 255 when it could not be started.
#[derive(Debug, Args)]
#[command(
    override_usage = "husk exec [OPTIONS] CONTAINER COMMAND [ARGUMENT]...\n       \
                      husk exec [OPTIONS] --process FILE CONTAINER",
    after_help = "Examples:\n  husk exec --tty web sh\n  husk exec --user 1000:1000 --env LANG=C web id -u"
)]
pub(crate) struct Exec {
    /// Give it a terminal
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Return when the program runs
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Run as this numeric user and group
    #[arg(short, long, value_name = "UID[:GID]", allow_hyphen_values = true)]
    pub(crate) user: Option<String>,
    /// Be in this group too; may be repeated
    #[arg(short = 'g', long, value_name = "GID")]
    pub(crate) additional_gids: Vec<u32>,
    /// Start in this directory of the container
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<PathBuf>,
    /// Set an environment variable; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE", allow_hyphen_values = true)]
    pub(crate) env: Vec<String>,
    /// Have this capability too; may be repeated
    #[arg(short, long, value_name = "CAP_NAME")]
    pub(crate) cap: Vec<String>,
    /// Let set-user-id programs and file capabilities give it nothing
    #[arg(long)]
    pub(crate) no_new_privs: bool,
    /// Run under this AppArmor profile
    #[arg(long, value_name = "PROFILE")]
    pub(crate) apparmor: Option<String>,
    /// Run under this SELinux label
    #[arg(long, value_name = "LABEL")]
    pub(crate) process_label: Option<String>,
    /// Read the process from FILE, or from standard input for -, as /process of config.json describes it
    #[arg(short, long, value_name = "FILE")]
    pub(crate) process: Option<PathBuf>,
    /// Write the process's pid to FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// Send the terminal's master over the unix socket that listens at PATH
    #[arg(long, value_name = "PATH")]
    pub(crate) console_socket: Option<PathBuf>,
    /// Pass N more open files on, from descriptor 3
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) preserve_fds: u32,
    /// Allow it in a paused container: the program runs when the container resumes
    #[arg(long)]
    pub(crate) ignore_paused: bool,
    /// Join the cgroup at PATH below the container's; for each controller of v1 there may be one
    #[arg(long, value_name = "[CONTROLLER[,CONTROLLER]:]PATH")]
    pub(crate) cgroup: Vec<String>,
    /// Send a pidfd of the process over the unix socket that listens at PATH
    #[arg(long, value_name = "PATH")]
    pub(crate) pidfd_socket: Option<PathBuf>,
    /// The container's id, and the command with its arguments
    #[arg(value_name = "CONTAINER", hide = true, required = true, num_args = 1.., trailing_var_arg = true)]
    pub(crate) id_and_command: Vec<String>,
}

/// Show a container's processes
#[derive(Debug, Args)]
#[command(
    override_usage = "husk ps [--format FORMAT] CONTAINER [PS OPTION]...",
    after_help = "The table is this machine's ps(1), with -ef or the options given, cut down to the container.\n\n\
                  Examples:\n  husk ps web\n  husk ps --format json web\n  husk ps web -o pid,rss,args"
)]
pub(crate) struct Ps {
    /// table, or json for the pids alone
    #[arg(short, long, value_name = "FORMAT", default_value = "table", hide_possible_values = true)]
    pub(crate) format: super::TableFormat,
    /// The container's id, and options for ps(1)
    #[arg(value_name = "CONTAINER", hide = true, required = true, num_args = 1.., trailing_var_arg = true)]
    pub(crate) id_and_options: Vec<String>,
}

/// Mount into a running container, or unmount
#[derive(Debug, Args)]
#[command(after_help = "\
The file holds a list as /mounts of a config.json does. All of an added list are mounted or none, and nothing remembers \
them; of a removed one only the destinations are looked at.

Example:
  echo '[{\"destination\": \"/data\", \"source\": \"/srv/data\", \"options\": [\"rbind\", \"ro\"]}]' >data.json
  husk mounts add web data.json && husk mounts remove web data.json")]
pub(crate) struct Mounts {
    /// What to do
    #[arg(value_enum)]
    pub(crate) action: MountsAction,
    /// The container's id
    #[arg(value_name = "CONTAINER")]
    pub(crate) id: String,
    /// A JSON file, or - for stdin
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MountsAction {
    /// Mount what the file lists
    Add,
    /// Unmount what is mounted at the destinations in the file
    Remove,
}

/// Freeze all processes of a container
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  husk pause web && husk resume web")]
pub(crate) struct Pause {
    /// The container's id
    #[arg(value_name = "CONTAINER")]
    pub(crate) id: String,
}

/// Let the processes of a paused container go on
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  husk resume web")]
pub(crate) struct Resume {
    /// The container's id
    #[arg(value_name = "CONTAINER")]
    pub(crate) id: String,
}
