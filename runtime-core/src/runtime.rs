//! [`Runtime`]: a directory that knows containers.

use crate::error::{Error, Result};
use crate::host::Host;
use crate::own_binary::{self, Shelter};
use crate::patience::STEP_WITHIN;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A state directory, and what this machine can do. Cheap to clone; every method takes `&self`, from any thread.
///
/// Several runtimes, in one program or many, may use one directory at the same time.
#[derive(Debug, Clone)]
pub struct Runtime {
    shared: Arc<Shared>,
}

#[derive(Debug, Clone)]
pub(crate) struct Shared {
    root: PathBuf,
    host: Host,
    allow_unsealed: bool,
    step_timeout: Duration,
}

impl Shared {
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    pub(crate) fn step_timeout(&self) -> Duration {
        self.step_timeout
    }

    /// What a new process runs from, out of the container's reach.
    pub(crate) fn shelter(&self) -> Result<Option<Shelter>> {
        if self.allow_unsealed { Ok(None) } else { own_binary::shelter() }
    }
}

impl Runtime {
    /// Looks at this machine, and at nothing else: the directory is made by the first `create`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) on a kernel older than 5.14.
    pub fn open(root: impl AsRef<Path>) -> Result<Runtime> {
        let root = std::path::absolute(root.as_ref())
            .map_err(|error| Error::io("cannot find the state directory", "getcwd", &error))?;
        let host = Host::probe()?;
        let shared = Shared { root, host, allow_unsealed: false, step_timeout: STEP_WITHIN };
        Ok(Runtime { shared: Arc::new(shared) })
    }

    /// Creates containers although this program's binary is not protected against them
    /// ([`seal_own_binary`](crate::seal_own_binary)). For tests, and where the binary is read-only anyway.
    #[must_use]
    pub fn allow_unsealed_binary(self) -> Runtime {
        Runtime { shared: Arc::new(Shared { allow_unsealed: true, ..Shared::clone(&self.shared) }) }
    }

    /// How long one step of a new process may take, two minutes if nothing else is said. What takes longer, such as
    /// a mount from a server that is gone, ends in [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut), and a
    /// creation or an `exec` is taken back. Hooks have timeouts of their own in the config.
    #[must_use]
    pub fn step_timeout(self, limit: Duration) -> Runtime {
        Runtime { shared: Arc::new(Shared { step_timeout: limit, ..Shared::clone(&self.shared) }) }
    }

    /// What this machine can do.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.shared.host
    }

    /// The state directory, absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.shared.root
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}
