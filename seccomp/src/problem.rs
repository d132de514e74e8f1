//! What is wrong with a profile: where, and in words.

use thiserror::Error;

/// One thing in a profile that cannot be compiled.
///
/// `compile` reports all of them at once, so that a profile is repaired in one round.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{pointer}{}{message}", if .pointer.is_empty() { "" } else { ": " })]
pub struct Problem {
    /// JSON pointer (RFC 6901) relative to the profile, such as `/syscalls/3/args/0/index`. Empty for the
    /// profile as a whole. A caller that knows the profile's own place puts `/linux/seccomp` before it.
    pub pointer: String,
    /// What is wrong, as a clause without a full stop: `argument 6 does not exist: a system call has …`.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }
}
