//! What failed, said once: a line `husk: …` and perhaps a line `hint: …` on standard error, one record in the log, and
//! the exit status.

use crate::alias;
use crate::log::Log;
use husk_core::plan::Step;
use std::io::Write;
use std::process::ExitCode;

/// A command that did not do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    code: u8,
    /// The command that failed.
    command: Option<&'static str>,
    /// Where, while a container or a process was being made.
    step: Option<Step>,
    /// For standard output, before the failure is reported: the help, after a usage error.
    shown_before: Option<String>,
}

impl Failure {
    /// Status 1, unless [`Failure::code`] says otherwise.
    pub(crate) fn new(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            hint: None,
            code: 1,
            command: None,
            step: None,
            shown_before: None,
        }
    }

    /// A flag or command that runc knows and husk refuses.
    pub(crate) fn unsupported(what: &str) -> Failure {
        Failure::new(format!("{what} is not supported yet"))
    }

    /// A failed call of the standard library or of nix: what was wanted, and the operating system's words.
    pub(crate) fn system(what: impl std::fmt::Display, error: impl Into<std::io::Error>) -> Failure {
        let error: std::io::Error = error.into();
        match error.raw_os_error() {
            Some(number) => {
                let errno = nix::errno::Errno::from_raw(number);
                Failure::new(format!("{what}: {} ({errno:?})", errno.desc().to_lowercase()))
            }
            None => Failure::new(format!("{what}: {error}")),
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn code(mut self, code: u8) -> Failure {
        self.code = code;
        self
    }

    /// Says which command it was that failed.
    pub(crate) fn of(mut self, command: &'static str) -> Failure {
        self.command = Some(command);
        self
    }

    pub(crate) fn shown_before(mut self, text: String) -> Failure {
        self.shown_before = Some(text);
        self
    }
}

impl From<husk_core::Error> for Failure {
    fn from(error: husk_core::Error) -> Failure {
        let mut failure = Failure::new(error.to_string());
        failure.step = error.step();
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// Something went wrong that does not keep the command from its work.
pub(crate) fn warn(log: &Log, message: &str) {
    let _ = writeln!(std::io::stderr(), "husk: warning: {message}");
    log.warning(message);
}

/// Says it, and gives the status to end with. What cannot be written is not written: there is nobody left to tell.
pub(crate) fn fail(log: &Log, mut failure: Failure) -> ExitCode {
    if let Some(text) = &failure.shown_before {
        let _ = std::io::stdout().write_all(text.as_bytes());
    }
    let mut text = format!("husk: {}\n", failure.message);
    if alias::is_runc() {
        failure.message =
            alias::introduced(&failure.message, failure.command.unwrap_or_default(), failure.step);
        failure.hint = failure.hint.filter(|_| failure.step != Some(Step::Exec));
        text = format!("{}\n", failure.message);
    }
    if let Some(hint) = &failure.hint {
        text.push_str(&format!("hint: {hint}\n"));
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
    log.error(&failure.message);
    ExitCode::from(failure.code)
}
