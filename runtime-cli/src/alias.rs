//! husk installed under the name `runc`: failures and help begin with the words that people, and programs that read them,
//! know from there. What husk itself has to say stands behind them.

use husk_core::plan::Step;
use husk_core::spec::{Capabilities, Process};
use std::ffi::OsStr;
use std::path::Path;

/// Whether this program was started as `runc`.
pub(crate) fn is_runc() -> bool {
    let name = std::env::args_os().next();
    name.is_some_and(|name| Path::new(&name).file_name() == Some(OsStr::new("runc")))
}

/// A failure as runc introduces it: by the command, and by whose work it was.
pub(crate) fn introduced(message: &str, command: &str, step: Option<Step>) -> String {
    let command = match (command, step) {
        // Told by the container's process itself, which has nobody above it any more.
        ("run" | "start", Some(Step::Exec)) => return message.to_owned(),
        ("create" | "run", _) => format!("runc {command} failed: "),
        ("exec", _) => "exec failed: ".to_owned(),
        _ => return message.to_owned(),
    };
    let who = match step {
        None => "",
        Some(Step::OpenSource) => "unable to start container process: error during container init: ",
        Some(Step::FindExecutable | Step::Exec) => "unable to start container process: ",
        Some(step) if step.belongs_to_runtime() => "unable to start container process: ",
        Some(_) => "unable to start container process: error during container init: ",
    };
    format!("{command}{who}{message}")
}

/// Of which ambient capabilities runc warns that it could not raise them. husk's plan leaves them out: the kernel raises
/// only what is permitted and inheritable, too (capabilities(7)), and runc's own default config of old asks for others.
pub(crate) fn unraisable(process: &Process) -> Vec<String> {
    let Some(sets) = process.capabilities() else { return Vec::new() };
    let has = |set: &Option<Capabilities>, one| set.as_ref().is_some_and(|set| set.contains(one));
    let others = sets.ambient().iter().flatten();
    let others = others.filter(|one| !has(sets.permitted(), *one) || !has(sets.inheritable(), *one));
    let warning = |one| format!("can't raise ambient capability CAP_{one}: not permitted and inheritable");
    others.map(warning).collect()
}

/// The first line of `--version`. As `runc` it tells the release whose commands and flags these are, for programs that
/// compare it, and whose they really are, where a version number has room for that (semver.org, "build metadata").
pub(crate) fn version(own: &str) -> String {
    match is_runc() {
        true => format!("runc version 1.5.0+husk.{own}"),
        false => format!("husk version {own}"),
    }
}

/// What runc's help begins with.
pub(crate) fn help_heading(command: Option<&clap::Command>) -> String {
    match command {
        Some(command) => {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            format!("NAME:\n   runc {} - {about}\n\n", command.get_name())
        }
        None => "NAME:\n   runc - Open Container Initiative runtime, which here is husk\n\n".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_introduced_by_command_and_place() {
        let init = "unable to start container process: error during container init: ";
        for (command, step, expected) in [
            ("run", Some(Step::Mount), format!("runc run failed: {init}x")),
            ("create", None, "runc create failed: x".to_owned()),
            (
                "create",
                Some(Step::MakeCgroup),
                "runc create failed: unable to start container process: x".to_owned(),
            ),
            (
                "exec",
                Some(Step::FindExecutable),
                "exec failed: unable to start container process: x".to_owned(),
            ),
            ("run", Some(Step::Exec), "x".to_owned()),
            ("kill", None, "x".to_owned()),
        ] {
            assert_eq!(introduced("x", command, step), expected);
        }
    }
}
