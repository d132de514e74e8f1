//! husk-core: a low-level OCI container runtime as a library.

#![deny(unsafe_code)]
#![warn(missing_docs)]

mod bundle;
mod cgroup;
mod config;
mod container;
mod credentials;
mod default_spec;
mod error;
#[cfg(feature = "fault-injection")]
mod fault;
mod features;
mod host;
mod id;
mod lifecycle;
mod options;
mod own_binary;
pub mod plan;
mod process;
mod recorder;
mod rootfs;
mod runtime;
mod start_gate;
mod state;
mod stdio;
mod step;
#[allow(unsafe_code)]
mod sys;
mod terminal;
mod trace;

pub use bundle::Bundle;
pub use config::read_process;
pub use container::{Container, Created, DeleteError, Deleted, Force};
pub use default_spec::default_spec;
pub use error::{Error, ErrorKind, Problem, Result};
#[cfg(feature = "fault-injection")]
pub use fault::{Fault, FaultEffect};
pub use features::features;
pub use host::{CgroupLayout, Hierarchy, Host};
pub use id::ContainerId;
pub use oci_spec::runtime as spec;
pub use options::{Console, CreateOptions, ExecOptions, Stdio};
pub use own_binary::{is_sealed, reenter_sealed};
pub use process::handle::{ExitStatus, Process};
pub use runtime::Runtime;
pub use state::{State, Status};

/// The version of the runtime-spec that this crate follows.
pub const SPEC_VERSION: &str = "1.3.0";
