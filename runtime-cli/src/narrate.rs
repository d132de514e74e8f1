//! `--debug`: what was done and when. The first words of some records are runc's, by which whoever knows its logs finds the
//! place.

use crate::commands::Context;
use husk_core::Container;
use husk_core::plan::{CpuSet, Step};
use husk_core::spec::Process;

/// A container that was created.
pub(crate) fn creation(context: &Context<'_>, container: &Container) {
    let log = context.log;
    log.debug(format_args!(
        "the binary is out of the container's reach; runc says of its own way: runc exeseal: using /proc/self/exe clone, \
         runc exeseal: using overlayfs for sealed /proc/self/exe"
    ));
    for (step, after) in container.timeline().unwrap_or_default() {
        let place = match step {
            Step::Clone => "nsexec container setup: ",
            Step::EnterCgroup => "child process in init(): ",
            Step::Ready => "init: closing the pipe to signal completion: ",
            _ => "",
        };
        log.debug(format_args!("{place}{step} after {after:?}"));
    }
}

/// A process that is about to be executed in a container.
pub(crate) fn execution(context: &Context<'_>, container: &Container, process: &Process) {
    let log = context.log;
    log.debug(format_args!("nsexec container setup: a process for {}", container.id()));
    let affinity = process.exec_cpu_affinity().as_ref().and_then(|affinity| affinity.initial().clone());
    if let Some(Ok(cpus)) = affinity.map(|list| list.parse::<CpuSet>()) {
        log.debug(format_args!("nsexec: affinity: {cpus:#x} until it is in the cgroup"));
    }
    let args = process.args().as_deref().unwrap_or_default();
    log.debug(format_args!("setns_init: about to exec {args:?}"));
}

/// It executes.
pub(crate) fn executed(context: &Context<'_>, process: &husk_core::Process) {
    context.log.debug(format_args!("child process in init(): process {}", process.pid()));
}
