//! [`Container`]: a handle to a container.

use crate::cgroup::Cgroup;
use crate::config;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ContainerId;
use crate::lifecycle::{delete, exec, freeze, kill, start};
use crate::options::{CreateOptions, ExecOptions};
use crate::plan::{HookPlan, Plan, ProcessPlan, plan_exec};
use crate::process::handle::Process;
use crate::runtime::Shared;
use crate::spec;
use crate::state::{Alive, Record, State, StateDirectory, Status, status, step_of_init};
use std::fmt;
use std::sync::Arc;

/// What [`Runtime::create`](crate::Runtime::create) makes.
#[derive(Debug)]
pub struct Created {
    /// The container.
    pub container: Container,
    /// Its init, which waits to be started.
    pub init: Process,
}

/// Whether [`Container::delete`] also ends a container that still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// Only one that is stopped, or has not been started.
    No,
    /// Any, killed first.
    Yes,
}

/// What [`Container::delete`] has to say beside that the container is gone.
#[derive(Debug)]
pub struct Deleted {
    pub(crate) warnings: Vec<Error>,
}

impl Deleted {
    /// Poststop hooks that failed.
    #[must_use]
    pub fn warnings(&self) -> &[Error] {
        &self.warnings
    }
}

/// A container that could not be deleted, and why.
pub struct DeleteError {
    /// Why.
    pub error: Error,
    /// It.
    pub container: Container,
}

impl fmt::Debug for DeleteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeleteError").field("error", &self.error).field("id", &self.container.id).finish()
    }
}

impl fmt::Display for DeleteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl std::error::Error for DeleteError {}

impl From<DeleteError> for Error {
    fn from(error: DeleteError) -> Error {
        error.error
    }
}

/// A container, by its state directory. Other programs may change it at any time: what a method finds is what is true
/// at that moment.
#[derive(Debug)]
pub struct Container {
    shared: Arc<Shared>,
    id: ContainerId,
    directory: StateDirectory,
}

impl Container {
    pub(crate) fn new(shared: &Arc<Shared>, id: ContainerId, directory: StateDirectory) -> Container {
        Container { shared: Arc::clone(shared), id, directory }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    pub(crate) fn directory(&self) -> &StateDirectory {
        &self.directory
    }

    pub(crate) fn check_own_binary(&self) -> Result<()> {
        self.shared.check_own_binary()
    }

    /// Its record, which must be there.
    pub(crate) fn record(&self) -> Result<Record> {
        self.directory.read_record()?.ok_or_else(|| {
            Error::new(ErrorKind::InvalidState, format!("container {} was never completed", self.id))
                .with_hint("its runtime died while it was made; delete --force removes what is left")
        })
    }

    pub(crate) fn status(&self) -> Result<(Status, Option<Alive>)> {
        status(&self.directory, self.directory.read_record()?.as_ref())
    }

    fn spec(&self) -> Result<spec::Spec> {
        config::parse(&self.directory.read_config()?).map(|config| config.spec)
    }

    /// The plan that it was made by, made again.
    pub(crate) fn plan(&self, record: &Record) -> Result<Plan> {
        Plan::new(&self.spec()?, &record.bundle, &self.id, self.shared.host(), &CreateOptions::new())
    }

    pub(crate) fn plan_exec(&self, process: &spec::Process, options: &ExecOptions) -> Result<ProcessPlan> {
        plan_exec(&self.spec()?, process, self.shared.host(), options)
    }

    pub(crate) fn poststop_hooks(&self, record: &Record) -> Result<Vec<HookPlan>> {
        if record.has_last_hooks { self.plan(record).map(|plan| plan.hooks.poststop) } else { Ok(Vec::new()) }
    }

    /// Where it is in its life, asked of the kernel.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it has been deleted meanwhile.
    pub fn state(&self) -> Result<State> {
        let record = self.directory.read_record()?;
        let (status, alive) = status(&self.directory, record.as_ref())?;
        let step = (status == Status::Creating).then(|| step_of_init(&self.directory)).flatten();
        let pid = alive.map_or(0, |alive| alive.pid);
        let oci_version = crate::SPEC_VERSION.to_owned();
        let id = self.id.as_str().to_owned();
        Ok(match record {
            Some(record) => State {
                oci_version,
                id,
                pid,
                status,
                bundle: record.bundle,
                rootfs: record.rootfs,
                created: record.created,
                annotations: record.annotations,
                owner: record.owner,
                step,
            },
            None if !self.directory.exists() => {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    format!("container does not exist: {}", self.id),
                ));
            }
            None => State {
                oci_version,
                id,
                pid,
                status,
                bundle: Default::default(),
                rootfs: Default::default(),
                created: String::new(),
                annotations: Default::default(),
                owner: self.shared.host().euid,
                step,
            },
        })
    }

    /// Starts its process. Returns when the process has executed its program, and the poststart hooks have run.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidState`] when it has been started before; [`ErrorKind::NotExecutable`] when the program is
    /// none.
    pub fn start(&self) -> Result<()> {
        start::start(self)
    }

    /// Sends a signal to its init. SIGKILL ends all its processes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidState`], `container not running`, when the init has ended.
    pub fn kill(&self, signal: i32) -> Result<()> {
        kill::kill(self, signal)
    }

    /// Sends a signal to every process in its cgroup.
    ///
    /// # Errors
    /// [`ErrorKind::System`] when a process cannot be signalled.
    pub fn kill_all(&self, signal: i32) -> Result<()> {
        kill::kill_all(self, signal)
    }

    /// Freezes its processes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidState`] when it does not run.
    pub fn pause(&self) -> Result<()> {
        freeze::pause(self)
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidState`] when it is not paused.
    pub fn resume(&self) -> Result<()> {
        freeze::resume(self)
    }

    /// The ids of its processes, as the caller's pid namespace counts, ascending.
    ///
    /// # Errors
    /// [`ErrorKind::System`] when its cgroup cannot be read.
    pub fn processes(&self) -> Result<Vec<i32>> {
        let mut pids = Cgroup::open(&self.record()?.cgroup)?.pids()?;
        pids.sort_unstable();
        Ok(pids)
    }

    /// `/process` of its config: what an [`exec`](Container::exec) usually starts from.
    ///
    /// # Errors
    /// [`ErrorKind::System`] when the config cannot be read.
    pub fn default_process(&self) -> Result<spec::Process> {
        Ok(self.spec()?.process().clone().unwrap_or_default())
    }

    /// Executes a further process in it. When this returns, the process has executed its program.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidState`] when it is stopped or paused; [`ErrorKind::NotExecutable`] when the program is none.
    pub fn exec(&self, process: &spec::Process, options: &ExecOptions) -> Result<Process> {
        exec::exec(self, process, options)
    }

    /// Takes it away: its processes, its cgroup, its state; then runs its poststop hooks.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidState`] when it runs and `force` is [`Force::No`]. The error gives the handle back.
    pub fn delete(self, force: Force) -> Result<Deleted, DeleteError> {
        delete::delete(&self, force).map_err(|error| DeleteError { error, container: self })
    }
}
