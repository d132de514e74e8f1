//! create, and what run shares with it: from a bundle and flags to a container that waits at its start gate.

use super::{Context, parse_id};
use crate::args::{Create, NewContainer};
use crate::console::console;
use crate::report::{Failure, warn};
use crate::{alias, inherited, narrate};
use husk_core::spec::LinuxNamespaceType;
use husk_core::{Bundle, ContainerId, CreateOptions, Created};

#[inline(never)] // see `dispatch`
pub(crate) fn run(context: &Context<'_>, args: Create) -> Result<u8, Failure> {
    make(context, args.new, true)?;
    Ok(0)
}

/// The compiled filter, for who wants to know what became of a profile; the first sentence in runc's words.
fn tell_filter(context: &Context<'_>, id: &ContainerId, bundle: &Bundle, options: &CreateOptions) {
    let Ok(plan) = bundle.plan(id, context.runtime.host(), options) else { return };
    if let Some(seccomp) = &plan.process.seccomp {
        context.log.debug(format_args!("seccomp filter flags: {}", seccomp.program.flags()));
        for unknown in seccomp.program.unknown_names() {
            let at = &unknown.pointer;
            context.log.debug(format_args!("unknown system call {:?} at /linux/seccomp{at}", unknown.name));
        }
    }
}

/// The second sentence is runc's.
const UNBOUNDED: &str = "without a cgroup and a pid namespace of its own, nobody can find all the processes that have to be \
                         killed with it. Such configuration is strongly discouraged";

fn has_own_pids(bundle: &Bundle) -> bool {
    let linux = bundle.spec().linux().as_ref();
    let mut namespaces = linux.and_then(|linux| linux.namespaces().as_ref()).into_iter().flatten();
    namespaces.any(|one| one.typ() == LinuxNamespaceType::Pid && one.path().is_none())
}

/// `detached`: this program will not stay to serve a terminal.
pub(crate) fn make(context: &Context<'_>, args: NewContainer, detached: bool) -> Result<Created, Failure> {
    let listen_fds = inherited::sockets_to_activate();
    inherited::check(listen_fds.saturating_add(args.preserve_fds))?;
    let id = parse_id(&args.id)?;
    let bundle = Bundle::open(&args.bundle)?;
    for warning in bundle.warnings() {
        warn(context.log, &warning.to_string());
    }
    if alias::is_runc() {
        let warnings = bundle.spec().process().iter().flat_map(alias::unraisable);
        warnings.for_each(|warning| warn(context.log, &warning));
    }
    let terminal = bundle.spec().process().as_ref().and_then(husk_core::spec::Process::terminal);
    let mut options = context
        .create_options()
        .console(console(detached, terminal.unwrap_or(false), args.console_socket)?)
        .preserve_fds(args.preserve_fds)
        .listen_fds(listen_fds)
        .notify_socket(inherited::notify_socket().is_some())
        .no_pivot(args.no_pivot)
        .no_new_keyring(args.no_new_keyring);
    if let Some(path) = args.pid_file {
        options = options.pid_file(path);
    }
    if let Some(path) = args.pidfd_socket {
        options = options.pidfd_socket(path);
    }
    if let Some(path) = args.trace {
        options = options.trace(path);
    }
    if let Some(names) = inherited::names_of_sockets() {
        options = options.listen_fd_names(names);
    }
    if let Some(path) = inherited::seccomp_receiver() {
        options = options.seccomp_receiver(path);
    }
    if context.log.is_debugging() {
        tell_filter(context, &id, &bundle, &options);
    }
    let created = context.runtime.create(&id, &bundle, &options)?;
    if !has_own_pids(&bundle) && created.container.processes().is_err() {
        warn(context.log, UNBOUNDED);
    }
    if context.log.is_debugging() {
        narrate::creation(context, &created.container);
    }
    context.log.debug(format_args!("created {id}, its init is process {}", created.init.pid()));
    // The container waits to be started, and this program's memory goes with it anyway.
    std::mem::forget((bundle, options));
    Ok(created)
}
