//! [`Runtime`]: a directory that knows containers.

use crate::bundle::Bundle;
use crate::container::{Container, Created};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::id::ContainerId;
use crate::lifecycle;
use crate::options::CreateOptions;
use crate::own_binary;
use crate::state::StateDirectory;
use std::io;
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

    /// Makes a container whose process waits to be started. The process is this program's child; who drops the handle
    /// leaves it waiting.
    ///
    /// # Errors
    /// A failure leaves nothing behind: no process, mount, cgroup or file. [`Error::step`] says how far it came.
    pub fn create(&self, id: &ContainerId, bundle: &Bundle, options: &CreateOptions) -> Result<Created> {
        lifecycle::create::create(self, id, bundle, options)
    }

    /// A container that was created earlier, by this program or another.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound).
    pub fn load(&self, id: &ContainerId) -> Result<Container> {
        StateDirectory::open(self.root(), id)
            .map(|directory| Container::new(&self.shared, id.clone(), directory))
    }

    /// Every container, in the order of their ids.
    ///
    /// # Errors
    /// [`ErrorKind::System`](crate::ErrorKind::System) when the directory cannot be read. One that is not there holds
    /// no containers.
    pub fn list(&self) -> Result<Vec<Container>> {
        let cannot =
            |error: &io::Error| Error::io(format!("cannot read {}", self.root().display()), "open", error);
        let entries = match std::fs::read_dir(self.root()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(cannot(&error)),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| cannot(&error))?;
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if let (true, Some(Ok(id))) =
                (is_directory, entry.file_name().to_str().map(str::parse::<ContainerId>))
            {
                ids.push(id);
            }
        }
        ids.sort();
        // One that is deleted meanwhile is no longer one of them.
        Ok(ids.iter().filter_map(|id| self.load(id).ok()).collect())
    }
}
