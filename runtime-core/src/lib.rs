//! husk-core
mod cgroup;
mod error;
mod host;
mod id;
mod options;
pub mod plan;

pub use error::{Error, ErrorKind, Problem, Result};
pub use host::{CgroupLayout, Hierarchy, Host};
pub use id::ContainerId;
pub use oci_spec::runtime as spec;
pub use options::{Console, CreateOptions, ExecOptions, Stdio};
