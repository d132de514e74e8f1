//! Processes, and who does what:
//!
//! - the **runtime** is the calling process: it lays everything out ([`runtime`]), makes the new process with one
//!   clone3(2), writes its id maps, runs hooks, and waits until it is ready;
//! - the **init** ([`init`]) is the container's first process, from its birth to its execve;
//! - an **executed** process ([`executed`]) is a further one in a container that runs;
//! - a **live** process ([`live`]) changes the mounts of a container that runs;
//! - a **joiner** ([`joiner`]) enters namespaces that exist, on behalf of one of these two;
//! - a [`holder`] of a user namespace and the maker of a [`template`] live until somebody has opened what they have.
//!
//! They share the plan (by the clone), a page of numbers ([`Recorder`](crate::recorder::Recorder)) and a few one-byte words ([`channel`]).
//! Both kinds of process end up in [`entry`], and a created container waits at its [`start_gate`](crate::start_gate).

pub(crate) mod channel;
pub(crate) mod child_hook;
pub(crate) mod entry;
pub(crate) mod executed;
mod filter;
pub(crate) mod handle;
pub(crate) mod holder;
pub(crate) mod init;
pub(crate) mod joiner;
pub(crate) mod live;
pub(crate) mod runtime;
pub(crate) mod template;
