//! From words to [`Cli`]: help and usage errors end here.
//!
//! A usage error looks as runc's: `Incorrect Usage: …` and the help on standard output, the error on standard error and in
//! the log, status 1 (clap's own would be 2, and only on standard error).

use crate::alias;
use crate::args::{self, Cli};
use crate::log::Log;
use crate::report::{self, Failure};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, FromArgMatches};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

/// A line that ends before any command runs.
#[derive(Debug)]
pub(crate) enum End {
    /// The help was asked for and shown.
    Shown(ExitCode),
    /// The line makes no sense.
    Refused(Box<Refusal>),
}

#[derive(Debug)]
pub(crate) struct Refusal {
    failure: Failure,
    log: Log,
}

impl End {
    /// Reports what is to be reported.
    pub(crate) fn exit_code(self) -> ExitCode {
        match self {
            End::Shown(code) => code,
            End::Refused(refusal) => report::fail(&refusal.log, refusal.failure),
        }
    }
}

pub(crate) fn parse(args: Vec<OsString>) -> Result<Cli, End> {
    let args = args::spell_out(args, args::table);
    Cli::read(&args).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp => {
            let heading = if alias::is_runc() {
                alias::help_heading(command_of(&args).as_ref())
            } else {
                String::new()
            };
            let shown = std::io::stdout().write_all(heading.as_bytes()).and_then(|()| error.print());
            End::Shown(ExitCode::from(u8::from(shown.is_err())))
        }
        _ => End::Refused(Box::new(Refusal { failure: usage(&error, &args), log: log_of(&args) })),
    })
}

/// The log that a line asks for which is wrong elsewhere.
fn log_of(args: &[OsString]) -> Log {
    let matches = args::table().ignore_errors(true).try_get_matches_from(args);
    let global = matches.and_then(|matches| args::Global::from_arg_matches(&matches));
    global.ok().and_then(|global| Log::open(&global).ok()).unwrap_or_else(Log::nowhere)
}

/// Clap's message as one line, its tip as the hint, and the help of the command that was meant.
fn usage(error: &clap::Error, args: &[OsString]) -> Failure {
    let text = error.render().to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = first.strip_prefix("error: ").unwrap_or(first).split_whitespace().collect();
    let message = words.join(" ");
    let asks_for_help = args.iter().any(|arg| arg == "-h" || arg == "--help");
    let message = match (error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidValue)) {
        // runc's words, and the only ones that do not name the flag as it was written.
        (Some(ContextValue::String(flag)), Some(ContextValue::String(value)))
            if flag.starts_with("--log-format ") =>
        {
            format!("invalid log-format: {value} [possible values: text, json]")
        }
        _ => message,
    };
    let message = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(name)) if asks_for_help => format!("{message}: No help topic for '{name}'"),
        _ => message,
    };
    let help = command_of(args).unwrap_or_else(built_table).render_help().to_string();
    let failure = Failure::new(message.clone()).shown_before(format!("Incorrect Usage: {message}\n\n{help}"));
    match hint(error, &text) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn built_table() -> Command {
    let mut table = args::table();
    table.build();
    table
}

/// The command that a line names, with its arguments.
fn command_of(args: &[OsString]) -> Option<Command> {
    let table = built_table();
    args.iter().skip(1).find_map(|arg| table.find_subcommand(arg)).cloned()
}

fn hint(error: &clap::Error, text: &str) -> Option<String> {
    if let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) {
        let name = argument.trim_start_matches('-');
        let global = args::table().get_arguments().any(|arg| arg.get_long() == Some(name));
        if global && error.kind() == ErrorKind::UnknownArgument {
            return Some(format!("{argument} stands before the command: husk {argument} … COMMAND"));
        }
    }
    let tip = text.lines().find_map(|line| line.trim_start().strip_prefix("tip: "))?;
    Some(tip.to_owned())
}

/// `husk` alone: the first screen.
pub(crate) fn first_screen() -> Result<u8, Failure> {
    let help = args::table().render_help();
    crate::output::write(|out| write!(out, "{help}"))
}
