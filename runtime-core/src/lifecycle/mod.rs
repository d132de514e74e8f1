//! The verbs of the OCI lifecycle, one a file (runtime-spec runtime.md, "Lifecycle" and "Operations").

mod birth;
mod container_hooks;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod exec;
mod explain;
pub(crate) mod freeze;
mod guide;
mod hooks;
pub(crate) mod kill;
mod prepare;
pub(crate) mod start;
mod undo;
