//! The command line as one table: runc's commands and flags, and husk's own `plan` and `try`.
//!
//! Parsing, `--help`, the completions and the man pages all come from here. A flag that husk does not support yet is
//! in the table too, hidden, so that its refusal can name it. Nothing is decided here: see `commands`.

mod global;
mod inside;
mod lifecycle;
mod signal;
mod size;
mod spelling;
mod throwaway;
mod tools;
mod user;

pub(crate) use global::{CgroupManager, Global, LogFormat, Rootless};
pub(crate) use inside::{Exec, Ps};
pub(crate) use lifecycle::{Create, Delete, Kill, NewContainer, One, Run};
pub(crate) use signal::parse_signal;
pub(crate) use size::CPU_PERIOD_US;
pub(crate) use spelling::spell_out;
pub(crate) use throwaway::{Network, Try, Watcher};
pub(crate) use tools::{Completion, List, Man, PlanArgs, Shell, SpecArgs, TableFormat};

use clap::{Parser, Subcommand};
use std::ffi::OsString;

/// Everything on one line of a shell.
#[derive(Debug, Parser)]
#[command(
    name = "husk",
    about = "Runs Linux containers described by OCI bundles",
    args_override_self = true,
    disable_version_flag = true,
    help_template = TOP_HELP,
    subcommand_help_heading = "Commands",
    subcommand_value_name = "COMMAND"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// The screen that `husk` and `husk --help` show. A test holds it against the table below.
const TOP_HELP: &str = "\
husk: {about}

Usage: {usage}

Begin here:
  try          A shell in a throwaway copy-on-write view of this machine; no image needed
  plan         Show, step by step, what would be done with a bundle; do nothing
  spec         Write a config.json to start from

A container's life:
  run          Create, start, wait for and delete a container
  create       Make a container that waits to be started
  start        Let a created container's program run
  kill         Send a signal to a container's first process
  delete       Remove a stopped container

While it runs:
  exec         Run one more program in it
  pause        Freeze all its processes
  resume       Let them go on
  ps           Show its processes
  state        Show one container, as JSON
  list         Show all containers

About husk:
  features     What this husk supports, as JSON, for engines
  completion   Print the completions of a shell
  help         Explain a command: husk help exec

Global options, before the command:
{options}
";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Try(Try),
    Plan(PlanArgs),
    Spec(SpecArgs),
    Run(Run),
    Create(Create),
    #[command(about = "Let a created container's program run", after_help = "Example:\n  husk start web")]
    Start(One),
    Kill(Kill),
    Delete(Delete),
    Exec(Exec),
    #[command(
        about = "Freeze all processes of a container",
        after_help = "Example:\n  husk pause web && husk resume web"
    )]
    Pause(One),
    #[command(
        about = "Let the processes of a paused container go on",
        after_help = "Example:\n  husk resume web"
    )]
    Resume(One),
    Ps(Ps),
    #[command(
        about = "Show one container, as JSON",
        long_about = "Show one container as the OCI runtime specification's state object. The status comes from the \
                      kernel each time: created, running, paused or stopped.",
        after_help = "Example:\n  husk state web"
    )]
    State(One),
    List(List),
    #[command(
        about = "What this husk supports, as JSON, for engines",
        after_help = "Example:\n  husk features"
    )]
    Features,
    Completion(Completion),
    Man(Man),
    #[command(hide = true, disable_help_flag = true)]
    Update(Anything),
    #[command(hide = true, disable_help_flag = true)]
    Events(Anything),
    #[command(hide = true, disable_help_flag = true)]
    Checkpoint(Anything),
    #[command(hide = true, disable_help_flag = true)]
    Restore(Anything),
    /// The watcher behind `husk try`: see `try::watcher`.
    #[command(hide = true, name = "try-watcher")]
    TryWatcher(Watcher),
}

/// The arguments of a command that is refused whatever they are; `--help` too, because engines ask for it to learn
/// whether a command exists.
#[derive(Debug, clap::Args)]
pub(crate) struct Anything {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// How one command looks and reads, as clap sees it.
pub(crate) fn table() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_consistent() {
        table().debug_assert();
    }

    #[test]
    fn the_first_screen_names_every_command_and_no_other() {
        let names: Vec<&str> = TOP_HELP
            .lines()
            .filter_map(|line| line.strip_prefix("  "))
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| *name != "help")
            .collect();
        let table = table();
        let visible: Vec<&str> =
            table.get_subcommands().filter(|c| !c.is_hide_set()).map(clap::Command::get_name).collect();
        for name in &visible {
            assert!(names.contains(name), "{name} is not on the first screen");
        }
        for name in &names {
            assert!(visible.contains(name), "{name} is on the first screen and is no command");
        }
    }

    #[test]
    fn every_visible_command_has_a_description_and_an_example() {
        for command in table().get_subcommands().filter(|c| !c.is_hide_set()) {
            assert!(command.get_about().is_some(), "{} has no description", command.get_name());
            let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(example.contains("husk "), "{} has no example", command.get_name());
        }
    }
}
