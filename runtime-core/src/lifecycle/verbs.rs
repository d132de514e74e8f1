//! The verbs as methods: what a [`Runtime`] and a [`Container`] can be asked to do. What they do stands beside this
//! file, one verb a file.

use super::readiness::{self, Readiness};
use super::watch::Watch;
use super::{create, delete, exec, freeze, kill, live_mounts, start, update, watch};
use crate::bundle::Bundle;
use crate::cgroup::Stats;
use crate::container::{Container, Created, DeleteError, Deleted, Force};
use crate::error::Result;
use crate::id::ContainerId;
use crate::options::{CreateOptions, ExecOptions};
use crate::process::handle::Process;
use crate::runtime::Runtime;
use crate::spec;
use std::path::Path;

impl Runtime {
    /// Makes a container whose process waits to be started. The process is this program's child; who drops the handle
    /// leaves it waiting.
    ///
    /// # Errors
    /// A failure leaves nothing behind: no process, mount, cgroup or file. [`Error::step`](crate::Error::step) says how far it came.
    pub fn create(&self, id: &ContainerId, bundle: &Bundle, options: &CreateOptions) -> Result<Created> {
        create::create(self, id, bundle, options)
    }
}

impl Container {
    /// Starts its process. Returns when the process has executed its program, and the poststart hooks have run.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidState`](crate::ErrorKind::InvalidState) when it has been started before; [`ErrorKind::NotExecutable`](crate::ErrorKind::NotExecutable) when the program is
    /// none.
    pub fn start(&self) -> Result<()> {
        start::start(self)
    }

    /// Listens for its word that it is ready, for the service manager whose socket (`NOTIFY_SOCKET`) is `manager`. To be
    /// called before [`start`](Container::start), and only for one that was created with
    /// [`CreateOptions::notify_socket`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidState`](crate::ErrorKind::InvalidState) when it was created without.
    pub fn readiness(&self, manager: &Path) -> Result<Readiness> {
        readiness::listen(self, manager)
    }

    /// Sends a signal to its init. SIGKILL ends all its processes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidState`](crate::ErrorKind::InvalidState), `container not running`, when the init has ended.
    pub fn kill(&self, signal: i32) -> Result<()> {
        kill::kill(self, signal)
    }

    /// Sends a signal to every process in its cgroup.
    ///
    /// # Errors
    /// [`ErrorKind::System`](crate::ErrorKind::System) when a process cannot be signalled.
    pub fn kill_all(&self, signal: i32) -> Result<()> {
        kill::kill_all(self, signal)
    }

    /// Freezes its processes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidState`](crate::ErrorKind::InvalidState) when it does not run.
    pub fn pause(&self) -> Result<()> {
        freeze::pause(self)
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidState`](crate::ErrorKind::InvalidState) when it is not paused.
    pub fn resume(&self) -> Result<()> {
        freeze::resume(self)
    }

    /// Changes its limits: those that are given, the others stay. Device rules are never changed. The config that later
    /// operations go by is changed with them.
    ///
    /// # Errors
    /// All values are taken or none. [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when one makes no sense or this host has no such limit;
    /// [`ErrorKind::InvalidState`](crate::ErrorKind::InvalidState) when the container does not run, or uses more than `checkBeforeUpdate` allows.
    pub fn update(&self, resources: &spec::LinuxResources) -> Result<()> {
        update::update(self, resources, &[])
    }

    /// As [`update`](Container::update), and with new lines for the `schemata` of its resctrl group, whose other lines stay.
    ///
    /// # Errors
    /// As there; and [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) where this host has no resctrl file system,
    /// [`ErrorKind::InvalidState`](crate::ErrorKind::InvalidState) where the container has no group in it.
    pub fn update_with_schemata(&self, resources: &spec::LinuxResources, schemata: &[String]) -> Result<()> {
        update::update(self, resources, schemata)
    }

    /// Mounts these into it while it runs, as its config would have: all of them or none. They are not remembered.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when one makes no sense; [`ErrorKind::InvalidState`](crate::ErrorKind::InvalidState) when the
    /// container does not run or shares the runtime's mounts.
    pub fn add_mounts(&self, mounts: &[spec::Mount]) -> Result<()> {
        live_mounts::add(self, mounts)
    }

    /// Unmounts what is at the destinations of these in it, one after the other.
    ///
    /// # Errors
    /// Likewise; [`ErrorKind::System`](crate::ErrorKind::System) when nothing is mounted there.
    pub fn remove_mounts(&self, mounts: &[spec::Mount]) -> Result<()> {
        live_mounts::remove(self, mounts)
    }

    /// What it uses now.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidState`](crate::ErrorKind::InvalidState) when it does not run.
    pub fn stats(&self) -> Result<Stats> {
        watch::stats(self)
    }

    /// Looks at it until it ends: lack of memory is told.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidState`](crate::ErrorKind::InvalidState) when it does not run.
    pub fn watch(&self) -> Result<Watch> {
        watch::watch(self)
    }

    /// Executes a further process in it. When this returns, the process has executed its program.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidState`](crate::ErrorKind::InvalidState) when it is stopped or paused; [`ErrorKind::NotExecutable`](crate::ErrorKind::NotExecutable) when the program is none.
    pub fn exec(&self, process: &spec::Process, options: &ExecOptions) -> Result<Process> {
        exec::exec(self, process, options)
    }

    /// Takes it away: its processes, its cgroup, its state; then runs its poststop hooks.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidState`](crate::ErrorKind::InvalidState) when it runs and `force` is [`Force::No`]. The error gives the handle back.
    pub fn delete(self, force: Force) -> Result<Deleted, DeleteError> {
        delete::delete(&self, force).map_err(|error| DeleteError { error, container: self })
    }
}
