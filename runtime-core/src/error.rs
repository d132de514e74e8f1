//! One error type: a sentence, the object named, the operating system's error last.
//!
//! Nothing in this crate logs or prints: a failure travels up as one [`Error`] and is reported once, by the caller.
//! The words that engines match on (`container does not exist`, `executable file not found in $PATH`, …) stand
//! literally in the messages, so a front end can pass them on unchanged.

use crate::step::Step;
use nix::errno::Errno;
use std::fmt;

/// What went wrong, in a form that a program can branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The config, an id or an option is malformed or contradictory; see [`Error::problems`].
    InvalidInput,
    /// No container of that id exists.
    NotFound,
    /// A container of that id exists already.
    AlreadyExists,
    /// The container is in a state in which the operation makes no sense.
    InvalidState,
    /// The kernel or the host lacks something that the operation needs.
    Unsupported,
    /// The caller lacks a privilege.
    PermissionDenied,
    /// The container's executable is missing, is no executable, or cannot be executed.
    NotExecutable,
    /// A hook failed or ran out of time.
    Hook,
    /// A wait ended at its deadline.
    TimedOut,
    /// A system call failed in another way.
    System,
}

/// One thing that is wrong with a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// JSON pointer (RFC 6901) into config.json, for example `/mounts/3/options/1`; empty for the document itself.
    pub pointer: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() {
            write!(f, "config.json: {}", self.message)
        } else {
            write!(f, "{}: {}", self.pointer, self.message)
        }
    }
}

/// A failed operation. Opaque, so that it can grow: see [`kind`](Error::kind), [`step`](Error::step),
/// [`errno`](Error::errno), [`hint`](Error::hint) and [`problems`](Error::problems).
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    step: Option<Step>,
    call: Option<&'static str>,
    errno: Option<Errno>,
    hint: Option<String>,
    problems: Vec<Problem>,
}

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure that no system call reported.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            step: None,
            call: None,
            errno: None,
            hint: None,
            problems: Vec::new(),
        }))
    }

    /// A failed system call: what was wanted, the call's name, and its error number.
    pub(crate) fn os(what: impl Into<String>, call: &'static str, errno: Errno) -> Error {
        let kind = match errno {
            Errno::EPERM | Errno::EACCES => ErrorKind::PermissionDenied,
            Errno::ENOSYS | Errno::EOPNOTSUPP => ErrorKind::Unsupported,
            _ => ErrorKind::System,
        };
        let mut error = Error::new(kind, what);
        error.0.call = Some(call);
        error.0.errno = Some(errno);
        error
    }

    /// A failed operation of the standard library.
    pub(crate) fn io(what: impl Into<String>, call: &'static str, error: &std::io::Error) -> Error {
        match error.raw_os_error() {
            Some(number) => Error::os(what, call, Errno::from_raw(number)),
            None => Error::new(ErrorKind::System, format!("{}: {call}: {error}", what.into())),
        }
    }

    /// A config in which at least one thing is wrong.
    pub(crate) fn problems_found(problems: Vec<Problem>) -> Error {
        let message = match problems.as_slice() {
            [one] => one.to_string(),
            many => {
                let mut text = format!("config.json has {} problems", many.len());
                for problem in many {
                    text.push_str("\n  ");
                    text.push_str(&problem.to_string());
                }
                text
            }
        };
        let mut error = Error::new(ErrorKind::InvalidInput, message);
        error.0.problems = problems;
        error
    }

    pub(crate) fn with_kind(mut self, kind: ErrorKind) -> Error {
        self.0.kind = kind;
        self
    }

    pub(crate) fn at(mut self, step: Step) -> Error {
        self.0.step.get_or_insert(step);
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Error {
        self.0.hint = Some(hint.into());
        self
    }

    /// The same error with more behind its sentence.
    pub(crate) fn followed_by(mut self, text: &str) -> Error {
        self.0.message.push_str(text);
        self
    }

    /// What went wrong, for programs.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The step that failed, if the failure happened while a container or process was being made.
    #[must_use]
    pub fn step(&self) -> Option<Step> {
        self.0.step
    }

    /// The error number of the system call that failed.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        self.0.errno.map(|errno| errno as i32)
    }

    /// What the user can do about it, where there is something.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Everything that is wrong with the config, when [`kind`](Error::kind) is [`ErrorKind::InvalidInput`].
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.0.problems
    }
}

/// What an error number means, in small letters as engines look for it.
pub(crate) fn words(errno: Errno) -> String {
    errno.desc().to_lowercase()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(call) = self.0.call {
            write!(f, ": {call}")?;
        }
        if let Some(errno) = self.0.errno {
            write!(f, ": {} ({errno:?})", words(errno))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::error::Error for Error {}
