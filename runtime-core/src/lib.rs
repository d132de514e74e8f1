//! husk-core: a low-level OCI container runtime as a library.
//!
//! It creates, starts, enters, freezes, kills and deletes Linux containers that a *bundle* describes: a directory with
//! a `config.json` and a root file system ([runtime-spec](https://github.com/opencontainers/runtime-spec)). It is what
//! the `husk` binary is made of, and it is made to be embedded: in an engine, a build tool, a test harness, a sandbox.
//!
//! # The life of a container
//!
//! ```no_run
//! use husk_core::{Bundle, ContainerId, CreateOptions, Created, Force, Runtime, Stdio};
//!
//! fn main() -> husk_core::Result<()> {
//!     // First thing in main: no container may overwrite this program. See "The program's own binary" below.
//!     husk_core::seal_own_binary()?;
//!
//!     let runtime = Runtime::open("/run/my-program")?;        // a directory for the state
//!     let bundle = Bundle::open("/var/lib/bundles/web")?;     // or Bundle::from_spec(spec, directory)
//!     let id: ContainerId = "web-1".parse()?;
//!     let options = CreateOptions::new().stdio(Stdio::Null);
//!
//!     // What it would do, line by line, without doing it.
//!     println!("{}", bundle.plan(&id, runtime.host(), &options)?);
//!
//!     // Namespaces, cgroup, mounts, identity: all is set up, and the process waits.
//!     let Created { container, mut init } = runtime.create(&id, &bundle, &options)?;
//!     container.start()?;                                     // it executes its program
//!     let status = init.wait()?;                              // or poll init.pidfd() in an event loop
//!     container.delete(Force::No)?;
//!     println!("{status}");
//!     Ok(())
//! }
//! ```
//!
//! Between `start` and `delete` there is [`exec`](Container::exec) for further processes in it,
//! [`pause`](Container::pause) and [`resume`](Container::resume), [`kill`](Container::kill), [`state`](Container::state).
//! A [`Container`] is a name, not a resource: dropping it changes nothing, and any program can [load](Runtime::load) it
//! again from the state directory. A [`Process`] is the parent's hold on a process: a pidfd, and the right to wait.
//!
//! The steps from the config to the running program have names: see [`plan::Step`], and ARCHITECTURE.md for the reasons
//! of their order.
//!
//! # Planning without running
//!
//! Everything that can be said about a config without touching the system is said by planning, and no privilege is
//! needed for it. All problems come at once, each with a pointer into the document:
//!
//! ```
//! use husk_core::{Bundle, CreateOptions, ErrorKind, Host};
//!
//! let config = serde_json::json!({
//!     "ociVersion": "1.2.0",
//!     "root": { "path": "rootfs" },
//!     "process": { "user": { "uid": 0, "gid": 0 }, "args": ["/bin/true"], "cwd": "not/absolute" },
//!     "mounts": [{ "destination": "/data", "type": "tmpfs", "options": ["size=1m", "shiny"] }],
//!     "linux": { "namespaces": [{ "type": "mount" }] }
//! });
//! let bundle = Bundle::from_spec(serde_json::from_value(config).unwrap(), "/tmp")?;
//! let host = Host::probe()?;
//! let error = bundle.plan(&"example".parse()?, &host, &CreateOptions::new()).unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::InvalidInput);
//! assert!(error.problems().iter().any(|problem| problem.pointer == "/process/cwd"));
//! # Ok::<(), husk_core::Error>(())
//! ```
//!
//! # In a large program
//!
//! A new process begins as a copy of the caller, whose page tables the kernel copies with it: some 40 ms for each GB in use.
//! Memory that holds nothing of this crate's, such as a cache or the pages of a virtual machine, can be left out of it with
//! `madvise(2)`, MADV_DONTFORK; a `create` then takes no longer than in a small program.
//!
//! # The promises
//!
//! Each has a test of its own in `tests/`.
//!
//! 1. **Threads are welcome.** A new process is a copy of the calling program, whose other threads may hold any lock;
//!    so between clone3(2) and execve(2) it allocates nothing, takes no lock and runs no destructor. Every method may
//!    be called from any thread of any program, an async one included.
//! 2. **The caller stays as it is**: working directory, umask, environment, signal mask and handlers, dumpable flag,
//!    out-of-memory score, limits, subreaper. Nothing is ever printed, and no thread stays behind.
//! 3. **Every fd is owned and close-on-exec.** A container gets none but its stdio and those that it was promised.
//! 4. **A failed `create` leaves nothing**: no process, mount, cgroup or file. A program that is killed in the middle of
//!    one leaves what [`Container::delete`] with [`Force::Yes`] removes.
//! 5. **Handles are `Send` and `Sync`**, and may outlive each other in any order.
//! 6. **No closure of the caller runs in the new process.**
//!
//! # Threads and event loops
//!
//! The methods block, most of them for some milliseconds: [`Runtime::create`] runs hooks, [`Container::start`] and
//! [`Container::exec`] return when the program is executing. In an async program they belong among the blocking tasks.
//! Waiting does not: [`Process::pidfd`] becomes readable when the process ends, as `examples/tokio.rs` shows. A `waitpid(-1)`
//! elsewhere in the program would steal the exit status; [`Process::wait`] then fails with ECHILD.
//!
//! Two programs, or two threads, may work on one container at the same time; its lock file puts changes in order.
//!
//! # Errors
//!
//! An [`Error`] is one sentence: what was wanted, the field of the config it was wanted by, the system call, its error
//! number. Beside it there are [`kind`](Error::kind) and [`errno`](Error::errno) for programs, [`step`](Error::step) for
//! where it happened, and a [`hint`](Error::hint) where there is something that the user can do.
//!
//! # The program's own binary
//!
//! A process that enters a container can be made to open the file that it was started from, and a container that may
//! write to that file owns the host the next time it runs (CVE-2019-5736). Each process that is made for a container
//! therefore runs from a read-only detached mount of that file. Where that cannot be done, without root for example,
//! [`seal_own_binary`] moves the program itself; call it first thing in `main`. Where neither works creating and
//! entering are refused, unless [`Runtime::allow_unsealed_binary`] says that the binary cannot be reached, for example
//! because it lies on a read-only file system, or that no container is hostile.
//!
//! # What it does not do
//!
//! It pulls and unpacks no images, sets up no networks beyond `lo`, keeps no logs, restarts nothing and has no daemon: that
//! is the engine's part. It needs Linux 5.14 or newer. What a config asks for and this crate cannot do is refused by
//! name, with a pointer, never dropped.
//!
//! # Examples
//!
//! In `examples/`: `run` (a whole life in the foreground), `exec_output` (a command in a container, and what it prints),
//! `tokio` (a container in an event loop).

#![deny(unsafe_code)]
#![warn(missing_docs)]

mod bundle;
mod cgroup;
mod config;
mod container;
#[deny(clippy::indexing_slicing, clippy::expect_used)]
mod credentials;
mod default_spec;
mod error;
#[cfg(feature = "fault-injection")]
mod fault;
mod features;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod host;
mod id;
mod lifecycle;
mod network;
mod options;
mod own_binary;
mod patience;
pub mod plan;
#[deny(clippy::indexing_slicing, clippy::expect_used)]
mod process;
#[deny(clippy::indexing_slicing, clippy::expect_used)]
mod recorder;
#[deny(clippy::indexing_slicing, clippy::expect_used)]
mod resctrl;
mod rootfs;
mod runtime;
mod socket;
#[deny(clippy::indexing_slicing, clippy::expect_used)]
mod start_gate;
mod state;
mod stdio;
mod step;
#[allow(unsafe_code)]
#[deny(clippy::indexing_slicing, clippy::expect_used)]
mod sys;
mod systemd;
#[deny(clippy::indexing_slicing, clippy::expect_used)]
mod terminal;
mod trace;

pub use bundle::Bundle;
pub use cgroup::{
    BlkioEntry, BlkioStats, CpuStats, CpuUsage, CpusetStats, HugetlbStats, MemoryStats, MemoryUsage,
    PidsStats, Pressure, Stall, Stats, Throttling,
};
pub use config::{read_mounts, read_process, read_resources, read_spec};
pub use container::{Container, Created, DeleteError, Deleted, Force};
pub use default_spec::default_spec;
pub use error::{Error, ErrorKind, Problem, Result};
#[cfg(feature = "fault-injection")]
pub use fault::{Fault, FaultEffect};
pub use features::features;
pub use host::{CgroupLayout, Hierarchy, Host};
pub use id::ContainerId;
pub use lifecycle::{Happened, Readiness, Watch};
pub use oci_spec::runtime as spec;
pub use options::{Console, CreateOptions, ExecOptions, Stdio, SystemdManager};
pub use own_binary::{is_sealed, seal_own_binary};
pub use process::handle::{ExitStatus, Process};
pub use resctrl::{BandwidthInfo, BandwidthUsed, CacheInfo, CacheUsed, RdtStats};
pub use runtime::Runtime;
pub use state::{State, Status};

/// The version of the runtime-spec that this crate follows.
pub const SPEC_VERSION: &str = "1.3.0";
