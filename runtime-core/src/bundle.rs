//! [`Bundle`]: a directory with a `config.json`, read and parsed once (runtime-spec bundle.md).

#![forbid(unsafe_code)]

use crate::config::{self, Config};
use crate::error::{Error, ErrorKind, Problem, Result};
use crate::host::Host;
use crate::id::ContainerId;
use crate::options::CreateOptions;
use crate::plan::{Compile, Plan};
use crate::spec::Spec;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file that describes the container.
const CONFIG: &str = "config.json";

/// A directory, and the description of the container in it.
#[derive(Debug, Clone)]
pub struct Bundle {
    path: PathBuf,
    spec: Spec,
    warnings: Vec<Problem>,
    config: Vec<u8>,
}

impl Bundle {
    /// Reads `DIR/config.json`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when it is not there, no JSON, or has a value of the wrong kind; then with a
    /// pointer to it in [`Error::problems`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Bundle> {
        let path = absolute(dir.as_ref())?;
        let file = path.join(CONFIG);
        let config = read(&file).map_err(|error| match error.kind() {
            // Without the system's words for it, from which engines would conclude that the program is missing.
            io::ErrorKind::NotFound => Error::new(
                ErrorKind::InvalidInput,
                format!("JSON specification file {CONFIG} not found in {}", path.display()),
            ),
            _ => Error::io(format!("cannot read {}", file.display()), "read", &error),
        })?;
        let Config { spec, warnings } = config::parse(&config)?;
        Ok(Bundle { path, spec, warnings, config })
    }

    /// A container described in memory. A relative `root.path` is relative to `dir`.
    ///
    /// # Errors
    /// [`ErrorKind::System`] when `dir` is relative and there is no working directory.
    pub fn from_spec(spec: Spec, dir: impl AsRef<Path>) -> Result<Bundle> {
        let config = serde_json::to_vec(&spec).map_err(|error| {
            Error::new(ErrorKind::InvalidInput, format!("cannot write {CONFIG}: {error}"))
        })?;
        Ok(Bundle { path: absolute(dir.as_ref())?, spec, warnings: Vec::new(), config })
    }

    /// What it describes.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// What was left out of it: capabilities of which nobody here has heard.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Where it is, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of `config.json`.
    #[must_use]
    pub fn config(&self) -> &[u8] {
        &self.config
    }

    /// The same with another description; the bytes stay.
    pub(crate) fn changed(&self, change: impl FnOnce(&mut Spec)) -> Bundle {
        let mut changed = self.clone();
        change(&mut changed.spec);
        changed
    }

    /// What `create` would do with it, without doing anything.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] with everything that is wrong: see [`Error::problems`].
    pub fn plan(&self, id: &ContainerId, host: &Host, options: &CreateOptions) -> Result<Plan> {
        Plan::new(&self.spec, &self.path, id, host, options)
    }

    /// The same with a filter that this one compiles.
    pub(crate) fn plan_compiled_by(
        &self,
        compiler: &dyn Compile,
        id: &ContainerId,
        host: &Host,
        options: &CreateOptions,
    ) -> Result<Plan> {
        Plan::compiled_by(compiler, &self.spec, &self.path, id, host, options)
    }
}

/// More than a config has ever needed; what never ends is refused, as is what may never begin.
const LONGEST: u64 = 16 << 20;

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a fifo waits for its writer.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    // With room for one more read(2), which finds its end.
    let mut config = Vec::with_capacity(usize::try_from(metadata.len().min(LONGEST)).unwrap_or(0) + 64);
    if file.take(LONGEST + 1).read_to_end(&mut config)? as u64 > LONGEST {
        return Err(io::Error::other(format!("it is longer than {LONGEST} bytes")));
    }
    Ok(config)
}

fn absolute(dir: &Path) -> Result<PathBuf> {
    std::path::absolute(dir)
        .map_err(|error| Error::io(format!("cannot find {}", dir.display()), "getcwd", &error))
}
