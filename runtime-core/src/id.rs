//! [`ContainerId`]: a container's name, checked once, so that it can be a directory name ever after.

use crate::error::{Error, ErrorKind};
use std::fmt;
use std::str::FromStr;

/// The name of a container, unique in its [`Runtime`](crate::Runtime).
///
/// 1 to 255 of the characters `A-Z a-z 0-9 _ + - .`, and neither `.` nor `..`: the set that runc accepts.
///
/// ```
/// let id: husk_core::ContainerId = "web-1".parse()?;
/// assert_eq!(id.as_str(), "web-1");
/// assert!("../etc".parse::<husk_core::ContainerId>().is_err());
/// # Ok::<(), husk_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerId(String);

/// A directory name may have 255 bytes (`NAME_MAX`); runc's limit of 1024 fails later and less clearly.
const LONGEST: usize = 255;

impl ContainerId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::new(ErrorKind::InvalidInput, "container id cannot be empty"));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-' | '.');
        if !text.chars().all(allowed) || text == "." || text == ".." || text.len() > LONGEST {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("invalid container ID format: {text:?}"),
            )
            .with_hint(format!("1 to {LONGEST} of A-Z a-z 0-9 _ + - .")));
        }
        Ok(ContainerId(text.to_owned()))
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
