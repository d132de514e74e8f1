//! The command line as one table: runc's commands and flags, and husk's own `plan` and `try`.
//!
//! Parsing, `--help`, the completions and the man pages all come from here. A flag that husk does not support yet is
//! in the table too, hidden, so that its refusal can name it. Nothing is decided here: see `commands`.

mod duration;
mod global;
mod inside;
mod lifecycle;
mod limits;
mod signal;
mod size;
mod spelling;
mod sub_cgroup;
mod throwaway;
mod tools;
mod user;

pub(crate) use global::{CgroupManager, Global, LogFormat, Rootless};
pub(crate) use inside::{Exec, Mounts, MountsAction, Pause, Ps, Resume};
pub(crate) use lifecycle::{Create, Delete, Kill, NewContainer, Run, Start};
pub(crate) use limits::{Events, Update};
pub(crate) use signal::parse_signal;
pub(crate) use size::CPU_PERIOD_US;
pub(crate) use spelling::spell_out;
pub(crate) use sub_cgroup::parse_sub_cgroups;
pub(crate) use throwaway::{Network, Try, Watcher};
pub(crate) use tools::{
    Completion, Doctor, Features, List, Man, PlanArgs, Shell, SpecArgs, State, TableFormat,
};
pub(crate) use user::parse_user;

use clap::{ArgMatches, Args, FromArgMatches};
use std::ffi::OsString;

/// Everything on one line of a shell.
#[derive(Debug)]
pub(crate) struct Cli {
    pub(crate) global: Global,
    pub(crate) command: Option<Command>,
}

impl Cli {
    /// Reads a line by the commands that it names alone, since to build the others is work for nothing. What cannot be read
    /// that way, such as a call for help, is read once more by the whole table, which knows what to say.
    pub(crate) fn read(line: &[OsString]) -> Result<Cli, clap::Error> {
        let is_named = |name: &str| line.iter().skip(1).any(|word| word == name);
        Cli::read_by(table_of(is_named), line).or_else(|_| Cli::read_by(table(), line))
    }

    fn read_by(table: clap::Command, line: &[OsString]) -> Result<Cli, clap::Error> {
        let matches = table.try_get_matches_from(line)?;
        let command = matches.subcommand().is_some().then(|| Command::from_arg_matches(&matches));
        Ok(Cli { global: Global::from_arg_matches(&matches)?, command: command.transpose()? })
    }
}

/// How lines look and read, as clap sees it.
pub(crate) fn table() -> clap::Command {
    table_of(|_| true)
}

/// The same with some of the commands alone.
fn table_of(is_wanted: impl Fn(&str) -> bool) -> clap::Command {
    let top = clap::Command::new("husk")
        .about("Runs Linux containers described by OCI bundles")
        .args_override_self(true)
        .disable_version_flag(true)
        .help_template(TOP_HELP)
        .subcommand_help_heading("Commands")
        .subcommand_value_name("COMMAND");
    Command::add_to(Global::augment_args(top), is_wanted)
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
  mounts       Mount into it, or unmount
  pause        Freeze all its processes
  resume       Let them go on
  update       Change its limits
  events       Tell what it uses, and when it runs out of memory
  ps           Show its processes
  state        Show one container, as JSON
  list         Show all containers

About husk:
  doctor       Say whether this machine and its engines are set up for husk
  features     What this husk supports, as JSON, for engines
  completion   Print the completions of a shell
  help         Explain a command: husk help exec

Global options, before the command:
{options}
";

/// Declares [`Command`] and how clap reads it.
///
/// By hand, because the derive would build the arguments of every command at each start; here each is built when it is
/// needed, which almost halves the time until a command runs.
macro_rules! commands {
    ($($name:literal $variant:ident($args:ty) $(, $setting:ident)?;)*) => {
        #[derive(Debug)]
        pub(crate) enum Command {
            $($variant($args),)*
        }

        impl Command {
            fn add_to(mut table: clap::Command, is_wanted: impl Fn(&str) -> bool) -> clap::Command {
                $(if is_wanted($name) {
                    table = table.subcommand(
                        clap::Command::new($name)$(.$setting(true))?.defer(<$args as Args>::augment_args),
                    );
                })*
                table
            }

            fn from_arg_matches(matches: &ArgMatches) -> Result<Command, clap::Error> {
                match matches.subcommand() {
                    $(Some(($name, matches)) => Ok(Command::$variant(<$args>::from_arg_matches(matches)?)),)*
                    _ => Err(clap::Error::new(clap::error::ErrorKind::MissingSubcommand)),
                }
            }

            pub(crate) fn name(&self) -> &'static str {
                match self {
                    $(Command::$variant(_) => $name,)*
                }
            }
        }
    };
}

commands! {
    "try" Try(Try);
    "plan" Plan(PlanArgs);
    "spec" Spec(SpecArgs);
    "run" Run(Run);
    "create" Create(Create);
    "start" Start(Start);
    "kill" Kill(Kill);
    "delete" Delete(Delete);
    "exec" Exec(Exec);
    "mounts" Mounts(Mounts);
    "pause" Pause(Pause);
    "resume" Resume(Resume);
    "update" Update(Update);
    "events" Events(Events);
    "ps" Ps(Ps);
    "state" State(State);
    "list" List(List);
    "doctor" Doctor(Doctor);
    "features" Features(Features);
    "completion" Completion(Completion);
    "man" Man(Man), hide;
    "checkpoint" Checkpoint(Anything), hide;
    "restore" Restore(Anything), hide;
    "try-watcher" TryWatcher(Watcher), hide;
}

// The arguments of a command that is refused whatever they are; `--help` too, because engines ask for it to learn
// whether a command exists.
#[derive(Debug, Args)]
#[command(disable_help_flag = true, about = "Not supported yet")]
pub(crate) struct Anything {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) words: Vec<OsString>,
}

/// What stands behind the container's id, as in `exec ID -- COMMAND`: the dashes say only that no option of husk's follows.
pub(crate) fn after_dashes(words: &[String]) -> &[String] {
    match words.split_first() {
        Some((dashes, rest)) if dashes == "--" => rest,
        _ => words,
    }
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
        let mut table = table();
        table.build();
        for command in table.get_subcommands().filter(|c| c.get_name() != "help").filter(|c| !c.is_hide_set())
        {
            assert!(command.get_about().is_some(), "{} has no description", command.get_name());
            let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(example.contains("husk "), "{} has no example", command.get_name());
        }
    }
}
