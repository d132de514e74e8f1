//! Black-box tests of an OCI runtime *binary*: the same tests on husk, runc and crun.
//!
//! The library is the bench on which the tests in `conformance/` work; it knows the runtime only by its
//! command line, its files and what the kernel shows of it. In order of use:
//!
//! - [`Lab`]: the runtime under test and the place where everything of this run lives;
//! - [`Container`]: one bundle and one id with a private `--root`, gone when dropped;
//! - [`Config`]: the `config.json`, edited through JSON pointers;
//! - [`Invocation`] → [`Running`] → [`Finished`]: a command with a deadline, and what it said;
//! - [`traces`]: what the host still shows of a container;
//! - [`racer`]: a thread that changes a root while the runtime works in it;
//! - [`suite`]: named cases, their outcomes, and the table that is printed.
//!
//! `RUNTIME_UNDER_TEST=runc cargo test -p husk-conformance` shows that a test is right about the field, and
//! `RUNTIME_UNDER_TEST=/bin/true` (or `/bin/false`) that it can fail at all: not one passes with either.
//!
//! Nothing here is shared between two tests except the read-only root file-system template, so that all of
//! them run in parallel.

#![forbid(unsafe_code)]

pub mod agent;
mod command;
mod compatibility;
mod config;
mod container;
pub mod descriptors;
mod lab;
mod lacking;
pub mod mounted;
mod outcome;
pub mod racer;
mod runtime;
pub mod suite;
pub mod terminal;
pub mod traces;
pub mod user;

pub use command::{Finished, Invocation, Running, eventually};
pub use config::{Config, DEFAULT as DEFAULT_CONFIG};
pub use container::Container;
pub use lab::Lab;
pub use outcome::{Outcome, Stop, unable, unprovided};
pub use runtime::Runtime;
