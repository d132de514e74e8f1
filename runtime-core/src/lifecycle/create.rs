//! `create`: from a plan to a process that waits at the start gate.
//!
//! The sequence stands in [`assemble`]; what has been made when it fails is taken away again by [`Undo`].

use super::birth::{Birth, give_birth};
use super::guide::{Guide, Owed};
use super::prepare::{check_preserved, write_pid_file};
use super::readiness;
use super::request::Request;
use super::undo::Undo;
use crate::bundle::Bundle;
use crate::cgroup::{Cgroup, CgroupRecord, UnitRecord};
use crate::container::{Container, Created};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ContainerId;
use crate::options::CreateOptions;
use crate::own_binary::Shelter;
use crate::plan::{NamespaceKind, Step};
use crate::process::handle::Process;
use crate::recorder::Recorder;
use crate::resctrl::RdtGroup;
use crate::runtime::Runtime;
use crate::socket::Whose;
use crate::state::{FilterCache, InitRecord, Record, StateDirectory, now, start_time};
use crate::trace;
use std::os::fd::AsFd;
use std::path::PathBuf;

pub(crate) fn create(
    runtime: &Runtime,
    id: &ContainerId,
    bundle: &Bundle,
    options: &CreateOptions,
) -> Result<Created> {
    let shelter = runtime.shared().shelter()?;
    let with_socket;
    let bundle = if options.notify_socket {
        with_socket = readiness::offer(bundle, &runtime.root().join(id.as_str()));
        &with_socket
    } else {
        bundle
    };
    let filters = FilterCache::of(runtime.root());
    let plan = bundle.plan_compiled_by(&filters, id, runtime.host(), options)?;
    check_preserved(plan.process.preserve_fds)?;
    let annotations = bundle.spec().annotations().clone().unwrap_or_default().into_iter().collect();
    let request = Request { runtime, id, bundle, options, plan: &plan, annotations };

    let directory = StateDirectory::claim(runtime.root(), id)?;
    let mut undo = Undo {
        directory: &directory,
        cgroup: None,
        process: None,
        crossing: None,
        rdt: None,
        owes_poststop: None,
    };
    let built = directory.lock().and_then(|lock| {
        let init = build(&request, &directory, shelter, &mut undo)?;
        drop(lock);
        Ok(init)
    });
    match built {
        Ok(init) => {
            filters.remember();
            Ok(Created { container: Container::new(runtime.shared(), id.clone(), directory), init })
        }
        Err(error) => {
            undo.run(&plan, bundle.path());
            Err(error)
        }
    }
}

fn build(
    request: &Request<'_>,
    directory: &StateDirectory,
    shelter: Option<Shelter>,
    undo: &mut Undo<'_>,
) -> Result<Process> {
    let recorder = directory
        .recorder_file(true)
        .and_then(|file| Recorder::begin(&file))
        .map_err(|error| Error::io("cannot make the flight recorder", "write", &error).at(Step::ClaimId))?;
    #[cfg(feature = "fault-injection")]
    let recorder = recorder.with_fault(request.options.fault);
    assemble(request, directory, shelter, undo, &recorder).map_err(|error| match recorder.runtime_step() {
        Some(step) => error.at(step),
        None => error,
    })
}

/// What the new process reports has its own step; all other failures are those of the runtime's step.
fn assemble(
    request: &Request<'_>,
    directory: &StateDirectory,
    shelter: Option<Shelter>,
    undo: &mut Undo<'_>,
    recorder: &Recorder,
) -> Result<Process> {
    let plan = request.plan;
    recorder.runtime_at(Step::ClaimId)?;
    // From here on a crash leaves a record that says what there is to remove.
    recorder.runtime_at(Step::WriteRecord)?;
    let mut record = new_record(request);
    directory.write_config(request.bundle.config())?;
    directory.write_record(&record)?;
    if request.options.notify_socket {
        readiness::make_directory(directory)?;
    }

    recorder.runtime_at(Step::MakeCgroup)?;
    let cgroup = undo.cgroup.insert(Cgroup::create(&plan.cgroup)?);
    recorder.runtime_at(Step::LimitCgroup)?;
    cgroup.apply(&plan.cgroup)?;

    if let Some(rdt) = &plan.rdt {
        recorder.runtime_at(Step::RdtGroup)?;
        record.rdt = Some(undo.rdt.insert(RdtGroup::make(rdt)?).clone());
        directory.write_record(&record)?;
    }

    // After the cgroup, whose directories may be among the bind sources.
    let Birth { newborn, is_joiner, moved_in, console, pidfd_sockets, agent, hooks, id_maps } =
        give_birth(request, directory, cgroup, shelter.as_ref(), recorder)?;
    let process = undo.process.insert(newborn);
    let owed = Owed { poststop: &mut undo.owes_poststop, crossing: &mut undo.crossing };
    let rdt = record.rdt.as_ref();
    Guide { request, recorder, cgroup, shelter, moved_in, rdt, hooks, id_maps, agent }
        .run(process, is_joiner, owed)?;
    cgroup.settle(&plan.cgroup)?;
    let terminal = match console {
        Some(console) => console.receive()?,
        None => None,
    };
    for socket in pidfd_sockets {
        socket.send(process.pidfd.as_fd(), Whose::Init)?;
    }

    recorder.runtime_at(Step::WriteRecord)?;
    let (start_time, _) = start_time(process.pid).unwrap_or((0, true));
    record.cgroup = cgroup.record();
    record.init = Some(InitRecord { pid: process.pid, start_time });
    directory.write_record(&record)?;
    if let Some(path) = &request.options.trace {
        trace::write(path, recorder)?;
    }
    // Last of all, since nothing takes it back.
    if let Some(path) = &request.options.pid_file {
        recorder.runtime_at(Step::PidFile)?;
        write_pid_file(path, process.pid)?;
    }
    let Some(process) = undo.process.take() else {
        return Err(Error::new(ErrorKind::System, "no process"));
    };
    Ok(Process::new(process.pid, process.pidfd, terminal))
}

fn new_record(request: &Request<'_>) -> Record {
    let plan = request.plan;
    let kinds = NamespaceKind::ALL.into_iter().filter(|&kind| plan.namespaces.is_private(kind));
    let text = |text: &std::ffi::CString| text.to_string_lossy().into_owned();
    Record {
        id: request.id.as_str().to_owned(),
        bundle: request.bundle.path().to_owned(),
        rootfs: PathBuf::from(text(&plan.rootfs.path)),
        created: now(),
        owner: request.runtime.host().euid,
        annotations: request.annotations.clone(),
        cgroup: CgroupRecord::planned(&plan.cgroup),
        unit: UnitRecord::planned(&plan.cgroup),
        rdt: None,
        namespaces: kinds.map(|kind| kind.spec_name().to_owned()).collect(),
        chrooted: plan.rootfs.no_pivot || !plan.namespaces.is_new(NamespaceKind::Mount),
        session_keyring: plan.session_keyring.as_ref().map(text),
        seccomp_receiver: request.options.seccomp_receiver.clone(),
        has_poststart: !plan.hooks.poststart.is_empty(),
        has_last_hooks: !plan.hooks.poststop.is_empty(),
        init: None,
    }
}
