//! What is kept about a container: facts that cannot be read back from the kernel.
//!
//! One directory a container, below the runtime's root:
//!
//! | file | content |
//! |---|---|
//! | `record.json` | id, bundle, init's pid and start time, cgroup, annotations; replaced atomically |
//! | `config.json` | the config as it was at `create`, for `exec` and for the last hooks |
//! | `recorder` | the flight recorder of the init |
//! | `exec.fifo` | the start gate |
//! | `hooks` | what the hooks in the container have said, where there are any |
//! | `lock` | held by whoever changes the container |
//!
//! Beside them stand, no containers' directories, `@filters`: filters that were compiled once ([`FilterCache`]), and on
//! hosts with many mounts `@template`: a mount namespace to copy ([`Template`]).
//!
//! The status is not among them: it is asked of the kernel each time ([`status()`]).

mod directory;
mod filters;
mod record;
mod status;
mod template;
mod time;

pub(crate) use directory::{NOTIFY, StateDirectory, replace_file};
pub(crate) use filters::FilterCache;
pub(crate) use record::{InitRecord, Record};
pub(crate) use status::{Alive, find_init, standing, start_time, status};
pub use status::{State, Status};
pub(crate) use template::Template;
pub(crate) use time::now;
