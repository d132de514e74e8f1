//! Hooks (runtime-spec config.md, "POSIX-platform Hooks").

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
    /// `envp`. An absent env means the runtime's own for startContainer's container-side default see the spec;
    /// the plan has resolved it.
    pub env: Vec<CString>,
    /// It is killed after this long.
    pub timeout: Option<Duration>,
    /// Index in its list.
    pub item: u32,
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
