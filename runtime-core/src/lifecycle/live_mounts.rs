//! Mounts for a container that runs, and away with them again; crun has it as `mounts add` and `mounts remove`.
//!
//! The sources are opened and their ids mapped by the runtime, as for a creation. A process that enters the container's
//! namespaces attaches them ([`crate::process::live`]).

use super::exec::kinds_to_join;
use super::explain::{Subject, explain, unheard};
use super::file_system::open_source;
use super::id_maps::IdMaps;
use super::request::internal;
use crate::container::Container;
use crate::error::{Error, ErrorKind, Problem, Result};
use crate::own_binary::Shelter;
use crate::patience::Patience;
use crate::plan::{MountSource, NamespaceKind, Plan, Step};
use crate::process::channel::Word;
use crate::process::joiner::{self, Joiner};
use crate::process::live::{self, Change, Live};
use crate::process::runtime::{Newborn, channel, needed};
use crate::recorder::Recorder;
use crate::rootfs::{Legacy, MountInput};
use crate::spec;
use crate::state::{Alive, Record};
use crate::sys;
use nix::errno::Errno;
use std::fs::File;
use std::os::fd::AsFd;

/// Mounts all of them or none.
pub(crate) fn add(container: &Container, mounts: &[spec::Mount]) -> Result<()> {
    let mut problems = Vec::new();
    let mut problem = |index: usize, message: &str| {
        problems.push(Problem { pointer: format!("/mounts/{index}"), message: message.to_owned() });
    };
    for (index, mount) in mounts.iter().enumerate() {
        let has = |name: &str| mount.options().iter().flatten().any(|option| option == name);
        if mount.typ().as_deref() == Some("cgroup") && !has("bind") && !has("rbind") {
            problem(index, "a container that runs gets no further cgroup mounts");
        }
    }
    if !problems.is_empty() {
        return Err(Error::problems_found(problems));
    }
    change(container, mounts, true)
}

/// Unmounts what is at the destinations; nothing else is looked at.
pub(crate) fn remove(container: &Container, mounts: &[spec::Mount]) -> Result<()> {
    let places: Vec<spec::Mount> = mounts
        .iter()
        .map(|mount| {
            let mut place = spec::Mount::default();
            let bind = Some(vec!["bind".to_owned()]);
            place.set_destination(mount.destination().clone()).set_source(Some("/".into())).set_options(bind);
            place.set_typ(None);
            place
        })
        .collect();
    change(container, &places, false)
}

fn change(container: &Container, mounts: &[spec::Mount], add: bool) -> Result<()> {
    let shelter = container.shelter()?;
    let _lock = container.directory().lock()?;
    let (_, Some(init)) = container.status()? else {
        return Err(Error::new(ErrorKind::InvalidState, "container not running"));
    };
    let record = container.record()?;
    let plan = container.plan_with_mounts(&record, mounts)?;
    if !plan.namespaces.is_new(NamespaceKind::Mount) {
        return Err(Error::new(ErrorKind::InvalidState, "the container has no mount namespace of its own"));
    }
    let recorder = Recorder::anonymous()
        .map_err(|error| Error::io("cannot make the flight recorder", "memfd_create", &error))?;
    recorder.runtime_at(Step::OpenSource)?;
    let inputs = if add { open_sources(&plan, &init)? } else { Vec::new() };
    let change = if add { Change::Add(&inputs) } else { Change::Remove };
    let (mut newborn, joins) = send(change, &plan, &init, &record, shelter.as_ref(), &recorder)?;
    // In a paused container it stands still, if it was born in that one's pid namespace; so it gets its time.
    let mut patience = Patience::new(&recorder, Some(container.step_timeout()));
    let subject = Subject { plan: Some(&plan), process: &plan.process };
    let word = match joins.then(|| newborn.follow(&mut patience)) {
        None | Some(Ok(true)) => newborn.next_word(&mut patience),
        Some(Ok(false)) => Ok(None),
        Some(Err(failed)) => Err(failed),
    };
    let outcome = match word {
        Ok(Some(Word::Ready)) => Ok(()),
        Ok(_) => {
            let ended = sys::waitid(newborn.pidfd.as_fd(), true).ok().flatten();
            return Err(explain(&recorder, subject, ended, false));
        }
        Err(failed) => Err(unheard(failed, &recorder, subject)),
    };
    // It has nothing more to do than to end.
    let _ = newborn.abandon();
    outcome
}

/// As for a creation; the ids of the container are there already.
fn open_sources(plan: &Plan, init: &Alive) -> Result<Vec<MountInput>> {
    let mut id_maps = IdMaps::default();
    if plan.namespaces.is_private(NamespaceKind::User) {
        id_maps.know_container(init.pid)?;
    }
    let mut inputs = Vec::with_capacity(plan.mounts.len());
    for (index, mount) in plan.mounts.iter().enumerate() {
        let mut input = MountInput { legacy: Legacy::of(mount), ..MountInput::default() };
        if matches!(mount.source, MountSource::Bind { in_rootfs: true, .. }) && mount.id_map.is_some() {
            let message = "is in the rootfs, and id-mapped: that is for a creation".to_owned();
            let problem = Problem { pointer: format!("/mounts/{}/source", mount.item), message };
            return Err(Error::problems_found(vec![problem]));
        }
        open_source(index, plan, false, &mut input, &mut id_maps).map_err(explain_privilege)?;
        inputs.push(input);
    }
    Ok(inputs)
}

/// The host's mounts are out of reach of whoever can enter the container without being root.
fn explain_privilege(error: Error) -> Error {
    if error.errno() == Some(Errno::EPERM as i32) {
        error.with_hint("binding what the host has into a container that runs takes root on the host")
    } else {
        error
    }
}

/// Lays everything out and clones. Tells whether what was born is a joiner, whose child is the process.
fn send(
    change: Change<'_>,
    plan: &Plan,
    init: &Alive,
    record: &Record,
    shelter: Option<&Shelter>,
    recorder: &Recorder,
) -> Result<(Newborn, bool)> {
    let root = File::open(format!("/proc/{}/root", init.pid))
        .map_err(|error| Error::io("cannot open the container's root", "open", &error))?;
    let kinds = kinds_to_join(record, init.pid);
    let flags = kinds.iter().fold(0, |all, kind| all | kind.clone_flag());
    let (channel, their_channel) = channel().map_err(internal("cannot make a channel"))?;
    let sources: &[MountInput] = match &change {
        Change::Add(inputs) => inputs,
        Change::Remove => &[],
    };
    let needed_fds = {
        let fds = [their_channel.as_fd(), init.pidfd.as_fd(), root.as_fd()]
            .into_iter()
            .chain(shelter.map(|shelter| shelter.image.file()))
            .chain(sources.iter().filter_map(|input| Some(input.source.as_ref()?.as_fd())));
        needed(fds, None, 0)
    };
    let targets = [(init.pidfd.as_fd(), flags)];
    // It stays in the runtime's pid namespace, where the container's processes do not see it; only what shows a pid
    // namespace has to be made by a process that lives there.
    let in_pid_namespace = plan.mounts.iter().any(|mount| {
        matches!(&mount.source, MountSource::Filesystem { fstype, .. } if fstype.as_c_str() == c"proc")
    });
    let joiner = Joiner {
        recorder,
        channel: their_channel.as_fd(),
        image: shelter.map(|shelter| &*shelter.image),
        cgroup_procs: &[],
        affinity: None,
        targets: &targets,
        limits: &[],
        new: 0,
        second_clone: in_pid_namespace && kinds.contains(&NamespaceKind::Pid),
        needed_fds: &needed_fds,
    };
    let live = Live {
        change,
        mounts: &plan.mounts,
        recorder,
        channel: their_channel.as_fd(),
        become_root: kinds.contains(&NamespaceKind::User),
        root: root.as_fd(),
    };
    recorder.runtime_at(Step::Clone)?;
    let born = sys::clone3(0, None, || joiner::run(&joiner, || live::run(&live)))
        .map_err(internal("cannot make a process"))?;
    Ok((Newborn::new(born, channel), joiner.second_clone))
}
