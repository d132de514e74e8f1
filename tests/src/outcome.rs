//! How a test ends: it passes, it fails, or it says that it could not be made here.
//!
//! A failed expectation panics (`assert!` and friends) and is caught by [`crate::suite`]; what goes wrong
//! in between travels as [`Stop`], which every error turns into with its place in the source.

use std::error::Error;
use std::panic::Location;

/// What a test returns.
pub type Outcome = Result<(), Stop>;

/// Why a test ended before its end.
#[derive(Debug)]
pub enum Stop {
    /// Something that has to work did not.
    Failed(String),
    /// This machine cannot do what is tested, and nobody could expect it to (no AppArmor, another cgroup layout).
    Unable(String),
    /// This machine should be able to do what is tested, but does not (not root, no busybox).
    /// It counts as a failure where `CI=true`.
    Unprovided(String),
}

impl<E: Error> From<E> for Stop {
    #[track_caller]
    fn from(error: E) -> Self {
        Stop::Failed(format!("{}: {error}", Location::caller()))
    }
}

/// Skips a test of what this machine cannot have.
pub fn unable<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Unable(why.into()))
}

/// Skips a test of what this machine should have; in CI that is a failure.
pub fn unprovided<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Unprovided(why.into()))
}
