//! [`Runtime`]: a directory that knows containers.

use crate::error::{Error, Result};
use crate::host::Host;
use crate::own_binary;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A state directory, and what this machine can do. Cheap to clone; every method takes `&self`, from any thread.
///
/// Several runtimes, in one program or many, may use one directory at the same time.
#[derive(Debug, Clone)]
pub struct Runtime {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    root: PathBuf,
    host: Host,
    allow_unsealed: bool,
}

impl Shared {
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    pub(crate) fn check_own_binary(&self) -> Result<()> {
        if self.allow_unsealed { Ok(()) } else { own_binary::check() }
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
        Ok(Runtime { shared: Arc::new(Shared { root, host: Host::probe()?, allow_unsealed: false }) })
    }

    /// Creates containers although this program's binary is not protected against them
    /// ([`reenter_sealed`](crate::reenter_sealed)). For tests, and where the binary is read-only anyway.
    #[must_use]
    pub fn allow_unsealed_binary(self) -> Runtime {
        let shared =
            Shared { root: self.shared.root.clone(), host: self.shared.host.clone(), allow_unsealed: true };
        Runtime { shared: Arc::new(shared) }
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
