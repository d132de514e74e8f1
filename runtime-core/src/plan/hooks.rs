//! Hooks (runtime-spec config.md, "POSIX-platform Hooks").

use super::problems::{Pointer, Problems};
use crate::spec::{Hook, Hooks};
use std::ffi::CString;
use std::time::Duration;

/// The six moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HookKind {
    /// Runtime namespace, namespaces made, before pivot_root (deprecated by the spec, used by engines).
    Prestart,
    /// Likewise, after the prestart hooks.
    CreateRuntime,
    /// Container namespace, before pivot_root.
    CreateContainer,
    /// Container namespace, after `start`, before the container's process.
    StartContainer,
    /// Runtime namespace, after the container's process has started.
    Poststart,
    /// Runtime namespace, after the container is deleted.
    Poststop,
}

impl HookKind {
    /// The key in config.json, under `/hooks`.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            HookKind::Prestart => "prestart",
            HookKind::CreateRuntime => "createRuntime",
            HookKind::CreateContainer => "createContainer",
            HookKind::StartContainer => "startContainer",
            HookKind::Poststart => "poststart",
            HookKind::Poststop => "poststop",
        }
    }
}

/// One hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookPlan {
    /// Absolute path of the executable.
    pub path: CString,
    /// `argv`; the path itself when the config gives none.
    pub args: Vec<CString>,
    /// `envp`. `None` for that of the container's process, `HOME` included, which startContainer hooks without one in the
    /// config get. All others then have an empty one: nothing of the caller's environment reaches a hook.
    pub env: Option<Vec<CString>>,
    /// It is killed after this long.
    pub timeout: Option<Duration>,
    /// Where what it says goes; nowhere but into an error, unless an annotation names files.
    pub output: HookOutput,
    /// Index in its list.
    pub item: u32,
}

/// Files of the host, by absolute path, to the end of which hooks write. Made where they are not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookOutput {
    /// For the standard output.
    pub stdout: Option<CString>,
    /// For the standard error.
    pub stderr: Option<CString>,
}

/// All hooks of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HooksPlan {
    /// See [`HookKind::Prestart`].
    pub prestart: Vec<HookPlan>,
    /// See [`HookKind::CreateRuntime`].
    pub create_runtime: Vec<HookPlan>,
    /// See [`HookKind::CreateContainer`].
    pub create_container: Vec<HookPlan>,
    /// See [`HookKind::StartContainer`].
    pub start_container: Vec<HookPlan>,
    /// See [`HookKind::Poststart`].
    pub poststart: Vec<HookPlan>,
    /// See [`HookKind::Poststop`].
    pub poststop: Vec<HookPlan>,
}

/// `/hooks`.
pub(super) fn plan(hooks: &Hooks, output: &HookOutput, problems: &mut Problems) -> HooksPlan {
    let mut list = |kind: HookKind, hooks: &Option<Vec<Hook>>| {
        let place = Pointer::ROOT.key("hooks");
        let place = place.key(kind.key());
        let default_env = (kind != HookKind::StartContainer).then(Vec::new);
        let hooks = hooks.as_deref().unwrap_or_default().iter().enumerate();
        let one = |(index, hook)| HookPlan {
            output: output.clone(),
            ..plan_one(index, hook, default_env.clone(), &place.item(index), problems)
        };
        hooks.map(one).collect()
    };
    let prestart = hooks.prestart();
    HooksPlan {
        prestart: list(HookKind::Prestart, prestart),
        create_runtime: list(HookKind::CreateRuntime, hooks.create_runtime()),
        create_container: list(HookKind::CreateContainer, hooks.create_container()),
        start_container: list(HookKind::StartContainer, hooks.start_container()),
        poststart: list(HookKind::Poststart, hooks.poststart()),
        poststop: list(HookKind::Poststop, hooks.poststop()),
    }
}

fn plan_one(
    index: usize,
    hook: &Hook,
    default_env: Option<Vec<CString>>,
    place: &Pointer<'_>,
    problems: &mut Problems,
) -> HookPlan {
    if !hook.path().is_absolute() {
        problems.add(&place.key("path"), format!("must be an absolute path, not {:?}", hook.path()));
    }
    let path = problems.path(&place.key("path"), hook.path());
    let args = match hook.args().as_deref() {
        None | Some([]) => vec![path.clone()],
        Some(args) => {
            let place = place.key("args");
            args.iter().enumerate().map(|(i, arg)| problems.text(&place.item(i), arg.as_str())).collect()
        }
    };
    let env = match hook.env().as_deref() {
        None | Some([]) => default_env,
        Some(env) => Some(super::environment::plan(env, &place.key("env"), problems)),
    };
    let timeout = hook.timeout().and_then(|seconds| match u64::try_from(seconds) {
        Ok(seconds) if seconds > 0 => Some(Duration::from_secs(seconds)),
        _ => {
            problems.add(&place.key("timeout"), format!("{seconds} is no time: it must be greater than 0"));
            None
        }
    });
    let output = HookOutput::default();
    HookPlan { path, args, env, timeout, output, item: u32::try_from(index).unwrap_or(u32::MAX) }
}
