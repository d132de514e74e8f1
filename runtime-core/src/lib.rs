//! husk-core
mod bundle;
mod cgroup;
mod default_spec;
mod error;
mod host;
mod id;
mod options;
pub mod plan;

pub use bundle::Bundle;
pub use default_spec::default_spec;
pub use error::{Error, ErrorKind, Problem, Result};
pub use host::{CgroupLayout, Hierarchy, Host};
pub use id::ContainerId;
pub use oci_spec::runtime as spec;
pub use options::{Console, CreateOptions, ExecOptions, Stdio};
