//! The verbs of the OCI lifecycle, one a file (runtime-spec runtime.md, "Lifecycle" and "Operations").

mod agent;
mod birth;
mod container_hooks;
mod create;
mod delete;
mod exec;
mod explain;
mod file_system;
mod freeze;
mod guide;
mod hooks;
mod id_maps;
mod kill;
mod live_mounts;
mod mount_hints;
mod prepare;
mod readiness;
mod request;
mod small_namespace;
mod start;
mod undo;
mod update;
mod user_maps;
mod verbs;
mod watch;

pub use readiness::Readiness;
pub use watch::{Happened, Watch};
