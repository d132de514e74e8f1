//! `start`: lets a created container's process through its gate.

use super::explain::{Subject, explain, unheard};
use super::hooks;
use crate::container::Container;
use crate::error::{Error, ErrorKind, Result};
use crate::patience::Patience;
use crate::plan::{HookKind, Step};
use crate::recorder::{Position, Recorder};
use crate::start_gate;
use crate::state::{Record, Status, status};
use crate::sys;
use nix::errno::Errno;

pub(crate) fn start(container: &Container) -> Result<()> {
    let directory = container.directory();
    let _lock = directory.lock()?;
    let record = directory.read_record()?;
    let (status, alive) = status(directory, record.as_ref())?;
    let wrong = |message: String| Err(Error::new(ErrorKind::InvalidState, message));
    let (alive, record) = match (status, alive.zip(record)) {
        (Status::Created, Some(waiting)) => waiting,
        // A process that ends lets go of the gate first, and for a moment looks like one that runs.
        (Status::Running, _) if was_started(container) => {
            return wrong("cannot start an already running container".to_owned());
        }
        (Status::Running | Status::Stopped, _) => return Err(has_stopped(container)),
        (status, _) => return wrong(format!("cannot start a container in the {status} state")),
    };
    let recorder = directory.recorder_file(false).ok().and_then(|file| Recorder::read(&file));
    let recorder = recorder.ok_or_else(|| Error::new(ErrorKind::System, "the flight recorder is damaged"))?;
    let mut patience = Patience::new(&recorder, Some(container.step_timeout()));
    let passed = match start_gate::open(directory.as_fd(), &mut patience) {
        Ok(passed) => passed,
        Err(failed) if failed.errno == Errno::ETIMEDOUT => {
            let plan = container.plan(&record)?;
            return Err(unheard(failed, &recorder, Subject { plan: Some(&plan), process: &plan.process }));
        }
        Err(failed) => {
            return Err(Error::os("cannot open the start gate", failed.call.name(), failed.errno));
        }
    };
    if !passed {
        return Err(has_stopped(container));
    }
    executed(&recorder, container, &record)?;
    if !record.has_poststart {
        return Ok(());
    }
    let plan = container.plan(&record)?;
    let state =
        hooks::state_json(&record.id, Status::Running, alive.pid, &record.bundle, &record.annotations);
    // A container whose poststart hook failed is stopped (runtime-spec runtime.md, "Lifecycle").
    hooks::run_all(HookKind::Poststart, &plan.hooks.poststart, &record.bundle, &state).inspect_err(|_| {
        let _ = sys::pidfd_send_signal(std::os::fd::AsFd::as_fd(&alive.pidfd), libc::SIGKILL);
    })
}

fn was_started(container: &Container) -> bool {
    container.record().and_then(|record| check_executed(container, &record)).is_ok()
}

/// Its init has ended. If that was before anybody started it, what became of it is said.
fn has_stopped(container: &Container) -> Error {
    let error = Error::new(ErrorKind::InvalidState, "cannot start a container that has stopped");
    match container.record().and_then(|record| check_executed(container, &record)) {
        Ok(()) => error,
        Err(reason) => match reason.step() {
            Some(step) => error.followed_by(&format!(": {reason}")).at(step),
            None => error,
        },
    }
}

/// The gate is empty: the process has executed its program, or has failed to.
fn check_executed(container: &Container, record: &Record) -> Result<()> {
    let Ok(file) = container.directory().recorder_file(false) else { return Ok(()) };
    let Some(recorder) = Recorder::read(&file) else { return Ok(()) };
    executed(&recorder, container, record)
}

fn executed(recorder: &Recorder, container: &Container, record: &Record) -> Result<()> {
    let at_exec = matches!(recorder.position(), Some(Position { step: Step::Exec, .. }));
    if recorder.report().is_none() && at_exec {
        return Ok(());
    }
    let plan = container.plan(record)?;
    let error = explain(recorder, Subject { plan: Some(&plan), process: &plan.process }, None, false);
    if error.kind() != ErrorKind::Hook {
        return Err(error);
    }
    let said = container.directory().hooks_file(false).map(|mut file| hooks::quote(&mut file));
    Err(error.followed_by(&said.unwrap_or_default()))
}
