//! The system call filter (runtime-spec config-linux.md, "Seccomp"): compiled, placed, and with the agent that answers the
//! calls that it does not decide itself.

use super::annotations::{self, FAIL_UNKNOWN_SYSCALL, SECCOMP_RECEIVER};
use super::problems::{Pointer, Problems};
use crate::spec::{LinuxSeccomp, Spec};
use husk_seccomp::Program;
use std::path::{Path, PathBuf};

/// When the filter is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeccompPoint {
    /// Without no_new_privs it takes CAP_SYS_ADMIN, which goes with the other capabilities.
    BeforeCapabilities,
    /// With no_new_privs, but with a listener: before the start gate, while the runtime is there that has to take it.
    BeforeStart,
    /// With no_new_privs it can be the very last thing, so the profile need not allow what husk still does.
    LastBeforeExec,
}

/// The system call filter.
#[derive(Debug, Clone)]
pub struct SeccompPlan {
    /// Compiled.
    pub program: Program,
    /// When.
    pub point: SeccompPoint,
    /// Who answers notified calls, when the program notifies some.
    pub listener: Option<ListenerPlan>,
}

/// An agent: it gets the filter's listener, and with it the state of the container's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerPlan {
    /// The `AF_UNIX` socket that it listens on, absolute; with `@` at its front an abstract one.
    pub path: PathBuf,
    /// Text for it, as it stands in the config.
    pub metadata: Option<String>,
    /// The runtime has no privilege by which to take the listener, and is only the owner of the process's new user
    /// namespace: the process has to let itself be looked into.
    pub taken_by_owner: bool,
}

/// Who compiles profiles.
pub(crate) trait Compile: std::fmt::Debug {
    /// As [`husk_seccomp::compile`].
    fn compile(&self, profile: &LinuxSeccomp) -> Result<Program, Vec<husk_seccomp::Problem>>;
}

/// Compiles each time, and remembers nothing.
#[derive(Debug)]
pub(crate) struct Anew;

impl Compile for Anew {
    fn compile(&self, profile: &LinuxSeccomp) -> Result<Program, Vec<husk_seccomp::Problem>> {
        husk_seccomp::compile(profile)
    }
}

/// What the plan of a filter depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SeccompContext<'a> {
    /// The container's config.
    pub(crate) spec: &'a Spec,
    /// Who compiles its profile.
    pub(crate) compiler: &'a dyn Compile,
    /// The socket of the agent that the caller names, for a config that names none.
    pub(crate) receiver: Option<&'a Path>,
}

/// Compiles the profile and decides when it is installed.
pub(super) fn plan(
    context: SeccompContext<'_>,
    no_new_privileges: bool,
    problems: &mut Problems,
) -> Option<SeccompPlan> {
    let profile = context.spec.linux().as_ref()?.seccomp().as_ref()?;
    let linux = Pointer::ROOT.key("linux");
    let at = linux.key("seccomp");
    let program = match context.compiler.compile(profile) {
        Ok(program) => program,
        Err(found) => {
            let found = found.into_iter().map(|problem| (problem.pointer, problem.message));
            problems.extend_below(&at, found);
            return None;
        }
    };
    if annotations::fail_unknown_syscall(context.spec) {
        let message = |name: &str| format!("unknown system call {name:?}, and {FAIL_UNKNOWN_SYSCALL} is set");
        let unknown = program.unknown_names().iter();
        let unknown = unknown.map(|unknown| (unknown.pointer.clone(), message(&unknown.name)));
        problems.extend_below(&at, unknown);
    }
    // A listener that no rule asks is left alone.
    let listener = program.notifies().then(|| plan_listener(context, profile, &at, problems));
    let point = match (no_new_privileges, &listener) {
        (false, _) => SeccompPoint::BeforeCapabilities,
        (true, Some(_)) => SeccompPoint::BeforeStart,
        (true, None) => SeccompPoint::LastBeforeExec,
    };
    Some(SeccompPlan { program, point, listener })
}

fn plan_listener(
    context: SeccompContext<'_>,
    profile: &LinuxSeccomp,
    at: &Pointer<'_>,
    problems: &mut Problems,
) -> ListenerPlan {
    let (place, of_container) = (at.key("listenerPath"), Pointer::ROOT.key("annotations"));
    let given = [
        (&place, profile.listener_path().as_deref()),
        (&of_container.key(SECCOMP_RECEIVER), annotations::seccomp_receiver(context.spec)),
        (&place, context.receiver),
    ];
    let mut named = given.into_iter().filter_map(|(place, path)| Some((place, path?)));
    let (place, path) = named.find(|(_, path)| *path != Path::new("")).unwrap_or((&place, Path::new("")));
    if path.as_os_str().is_empty() {
        problems
            .add(place, "seccomp listenerPath is not set, and a rule with SCMP_ACT_NOTIFY needs an agent");
    } else if !path.is_absolute() && !path.as_os_str().as_encoded_bytes().starts_with(b"@") {
        problems.add(place, format!("must be an absolute path, not {path:?}"));
    }
    let metadata = profile.listener_metadata().clone().filter(|metadata| !metadata.is_empty());
    ListenerPlan { path: path.to_owned(), metadata, taken_by_owner: false }
}
