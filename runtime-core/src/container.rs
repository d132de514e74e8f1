//! [`Container`]: a handle to a container.

use crate::cgroup::Cgroup;
use crate::config;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ContainerId;
use crate::options::{CreateOptions, ExecOptions};
use crate::own_binary::Shelter;
use crate::plan::{HookPlan, Plan, ProcessPlan, SeccompContext, Step, plan_exec};
use crate::process::handle::Process;
use crate::recorder::Recorder;
use crate::runtime::{Runtime, Shared};
use crate::spec;
use crate::state::{Alive, FilterCache, Record, State, StateDirectory, Status, standing, status};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

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
    /// Poststop hooks that failed, and a systemd that could not be asked to forget the container's unit.
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

    pub(crate) fn shelter(&self) -> Result<Option<Shelter>> {
        self.shared.shelter()
    }

    pub(crate) fn step_timeout(&self) -> Duration {
        self.shared.step_timeout()
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

    pub(crate) fn spec(&self) -> Result<spec::Spec> {
        config::parse(&self.directory.read_config()?).map(|config| config.spec)
    }

    /// The plan that it was made by, made again.
    pub(crate) fn plan(&self, record: &Record) -> Result<Plan> {
        let mut options = CreateOptions::new();
        options.seccomp_receiver.clone_from(&record.seccomp_receiver);
        let (spec, host) = (self.spec()?, self.shared.host());
        Plan::compiled_by(&self.filters(), &spec, &record.bundle, &self.id, host, &options)
    }

    /// The same with other mounts than those that it was made with.
    pub(crate) fn plan_with_mounts(&self, record: &Record, mounts: &[spec::Mount]) -> Result<Plan> {
        let mut spec = self.spec()?;
        spec.set_mounts(Some(mounts.to_vec()));
        let mut options = CreateOptions::new();
        options.seccomp_receiver.clone_from(&record.seccomp_receiver);
        let host = self.shared.host();
        Plan::compiled_by(&self.filters(), &spec, &record.bundle, &self.id, host, &options)
    }

    pub(crate) fn plan_exec(
        &self,
        process: &spec::Process,
        record: &Record,
        options: &ExecOptions,
    ) -> Result<ProcessPlan> {
        let receiver = options.seccomp_receiver.as_deref().or(record.seccomp_receiver.as_deref());
        let spec = self.spec()?;
        let filters = self.filters();
        let seccomp = SeccompContext { spec: &spec, compiler: &filters, receiver };
        plan_exec(&spec, process, self.shared.host(), seccomp, options).inspect(|_| filters.remember())
    }

    fn filters(&self) -> FilterCache {
        FilterCache::of(self.directory.path().parent().unwrap_or(self.directory.path()))
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
        let standing = standing(&self.directory, status);
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
                step: standing.step,
                step_item: standing.item,
                step_seconds: standing.seconds,
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
                step: standing.step,
                step_item: standing.item,
                step_seconds: standing.seconds,
            },
        })
    }

    /// Each step of its making that was reached, and how long after the first, in that order.
    ///
    /// # Errors
    /// [`ErrorKind::System`] when the flight recorder cannot be read.
    pub fn timeline(&self) -> Result<Vec<(Step, Duration)>> {
        let recorder = self.directory.recorder_file(false).ok().and_then(|file| Recorder::read(&file));
        let recorder =
            recorder.ok_or_else(|| Error::new(ErrorKind::System, "the flight recorder is damaged"))?;
        let mut times = recorder.times();
        times.sort_by_key(|&(_, time)| time);
        let first = times.first().map_or(0, |&(_, time)| time);
        Ok(times.into_iter().map(|(step, time)| (step, Duration::from_nanos(time - first))).collect())
    }

    /// The ids of its processes, as the caller's pid namespace counts, ascending.
    ///
    /// # Errors
    /// [`ErrorKind::System`] when its cgroup cannot be read.
    pub fn processes(&self) -> Result<Vec<i32>> {
        let cgroup = Cgroup::open(&self.record()?.cgroup)?;
        cgroup.required_to("list the processes")?;
        let mut pids = cgroup.pids()?;
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
}

impl Runtime {
    /// A container that was created earlier, by this program or another.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn load(&self, id: &ContainerId) -> Result<Container> {
        StateDirectory::open(self.root(), id)
            .map(|directory| Container::new(self.shared(), id.clone(), directory))
    }

    /// Every container, in the order of their ids.
    ///
    /// # Errors
    /// [`ErrorKind::System`] when the directory cannot be read. One that is not there holds
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
        // One that is deleted meanwhile is no longer one of them, and another runtime's never was.
        let loaded = ids.iter().filter_map(|id| self.load(id).ok());
        Ok(loaded.filter(|container| container.directory.is_ours()).collect())
    }
}
