//! The runtime's part while the new process sets itself up: what it may not do for itself, and the hooks that run on
//! the host.

use super::agent::Agent;
use super::container_hooks::ContainerHooks;
use super::explain::{Subject, explain, unheard};
use super::hooks;
use super::id_maps::IdMaps;
use super::prepare::write_oom_score;
use super::request::{Request, internal};
use super::user_maps::write_maps;
use crate::cgroup::Cgroup;
use crate::credentials::limits;
use crate::error::{Error, Result};
use crate::network::Crossing;
use crate::own_binary::Shelter;
use crate::patience::Patience;
use crate::plan::{HookKind, NamespaceKind, Plan, ProcessPlan, Step};
use crate::process::channel::{Word, answer};
use crate::process::runtime::Newborn;
use crate::recorder::Recorder;
use crate::resctrl::RdtGroup;
use crate::state::Status;
use crate::sys;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What has to be done should the creation fail later: each is set before there is a need for it.
pub(super) struct Owed<'a> {
    pub(super) poststop: &'a mut Option<Vec<u8>>,
    pub(super) crossing: &'a mut Option<Crossing>,
}

/// Whether the runtime has work to do, once there is a process, before that goes on.
pub(super) fn is_waited_for(plan: &Plan) -> bool {
    plan.namespaces.is_new(NamespaceKind::User) || !plan.net_devices.is_empty() || plan.rdt.is_some()
}

/// Who guides a new process until it is ready.
pub(super) struct Guide<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) recorder: &'a Recorder,
    pub(super) cgroup: &'a Cgroup,
    /// What the process runs from.
    pub(super) shelter: Option<Shelter>,
    pub(super) moved_in: bool,
    pub(super) rdt: Option<&'a RdtGroup>,
    pub(super) hooks: ContainerHooks<'a>,
    pub(super) id_maps: IdMaps,
    /// Who is to get the filter's listener.
    pub(super) agent: Option<Agent<'a>>,
}

impl Guide<'_> {
    /// Returns when the process waits at the start gate.
    pub(super) fn run(mut self, process: &mut Newborn, is_joiner: bool, owed: Owed<'_>) -> Result<()> {
        let mut patience = Patience::new(self.recorder, Some(self.request.runtime.shared().step_timeout()));
        let plan = self.request.plan;
        let subject = Subject { plan: Some(plan), process: &plan.process };
        let silent = |failed| unheard(failed, self.recorder, subject);
        if is_joiner && !process.follow(&mut patience).map_err(silent)? {
            return Err(self.why_it_ended(process));
        }
        let state = |status| self.request.state(status, process.pid);
        self.hooks.tell(&state(Status::Creating), &state(Status::Created))?;
        self.do_what_it_may_not(process, owed.crossing)?;
        // Now, while the process is at work.
        drop(self.shelter.take());
        let mut is_ready = false;
        while !is_ready || self.agent.is_some() {
            match process.next_word(&mut patience).map_err(silent)? {
                Some(Word::Ready) => is_ready = true,
                Some(Word::Filtered) => {
                    let state = self.request.state(Status::Creating, process.pid);
                    match self.agent.take() {
                        Some(agent)
                            if agent.serve(process, &state, self.recorder, &mut patience, subject)? => {}
                        _ => return Err(self.why_it_ended(process)),
                    }
                }
                Some(Word::MountsDone) => {
                    *owed.poststop = Some(self.request.state(Status::Stopped, process.pid));
                    self.run_hooks(process)?;
                }
                Some(Word::MapIds(index)) => self.map_ids(process, index)?,
                _ => {
                    let error = self.why_it_ended(process);
                    return Err(self.hooks.quoted(error));
                }
            }
        }
        Ok(())
    }

    /// Ids, limits, the out-of-memory score and network devices are the host's to give.
    fn do_what_it_may_not(&mut self, process: &Newborn, crossing: &mut Option<Crossing>) -> Result<()> {
        let (plan, recorder) = (self.request.plan, self.recorder);
        if let (true, Some(unit)) = (self.moved_in, self.cgroup.unit()) {
            unit.attach(process.pid)?;
        }
        if plan.namespaces.is_new(NamespaceKind::User) {
            recorder.runtime_at(Step::WriteMaps)?;
            let helpers = &self.request.options.map_helpers;
            write_maps(process.pid, &plan.namespaces, &plan.process, helpers)?;
            recorder.runtime_at(Step::MapMounts)?;
            self.id_maps.map_waiting(process.pid, plan)?;
            recorder.runtime_at(Step::RaiseLimits)?;
            raise_limits(process.pid, &plan.process)?;
        }
        if let Some(adjustment) = plan.process.oom_score_adj {
            recorder.runtime_at(Step::OomScore)?;
            write_oom_score(process.pid, adjustment)?;
        }
        if let Some(rdt) = self.rdt {
            recorder.runtime_at(Step::RdtGroup)?;
            rdt.enter(process.pid)?;
        }
        if !plan.net_devices.is_empty() {
            self.move_devices(process, crossing)?;
        }
        if is_waited_for(plan) {
            answer(process.channel.as_fd(), Word::Go).map_err(internal("cannot answer the new process"))?;
        }
        Ok(())
    }

    /// The new process has opened a part of its rootfs, whose ids it may not map itself.
    fn map_ids(&mut self, process: &mut Newborn, index: i32) -> Result<()> {
        self.recorder.runtime_at(Step::MapMounts)?;
        if let (Some(copy), Ok(index)) = (process.passed.take(), usize::try_from(index)) {
            self.id_maps.map_now(index, copy.as_fd(), self.request.plan)?;
        }
        answer(process.channel.as_fd(), Word::Go).map_err(internal("cannot answer the new process"))?;
        Ok(())
    }

    /// Before its mounts, so that a new sysfs and the kernel parameters know the devices.
    fn move_devices(&self, process: &Newborn, crossing: &mut Option<Crossing>) -> Result<()> {
        let plan = self.request.plan;
        self.recorder.runtime_at(Step::NetDevice)?;
        let joined = plan.namespaces.joined.iter().find(|join| join.kind == NamespaceKind::Network);
        // It may be about to enter one that exists, so that its own would be the wrong one.
        let namespace = match joined {
            Some(join) => PathBuf::from(OsStr::from_bytes(join.path.to_bytes())),
            None => PathBuf::from(format!("/proc/{}/ns/net", process.pid)),
        };
        let crossing = crossing.insert(Crossing::open(&namespace)?);
        plan.net_devices.iter().try_for_each(|device| crossing.carry(device))
    }

    /// Everything is mounted and nothing pivoted: the hooks of the runtime see the container's files and the host's.
    fn run_hooks(&self, process: &Newborn) -> Result<()> {
        self.recorder.runtime_at(Step::RuntimeHook)?;
        let (hooks, bundle) = (&self.request.plan.hooks, self.request.bundle.path());
        let creating = self.request.state(Status::Creating, process.pid);
        hooks::run_all(HookKind::Prestart, &hooks.prestart, bundle, &creating)?;
        hooks::run_all(HookKind::CreateRuntime, &hooks.create_runtime, bundle, &creating)?;
        answer(process.channel.as_fd(), Word::Go).map_err(internal("cannot answer the new process"))?;
        Ok(())
    }

    fn why_it_ended(&self, process: &Newborn) -> Error {
        let ended = sys::waitid(process.pidfd.as_fd(), true).ok().flatten();
        let oom_killed = self.cgroup.oom_kills().ok().flatten().is_some_and(|kills| kills > 0);
        let plan = self.request.plan;
        explain(self.recorder, Subject { plan: Some(plan), process: &plan.process }, ended, oom_killed)
    }
}

/// For a process in a new user namespace, whose own privileges count for nothing on the host.
fn raise_limits(pid: i32, process: &ProcessPlan) -> Result<()> {
    process.rlimits.iter().try_for_each(|limit| {
        limits::raise(pid, limit).map_err(|failed| {
            let what = format!("cannot raise a limit (/process/rlimits/{})", limit.item);
            Error::os(what, failed.call.name(), failed.errno).at(Step::RaiseLimits)
        })
    })
}
