//! The only unsafe code of this crate: what nix lacks, one wrapper a system call, with its real name.
//!
//! Everything here can be called between clone3 and execve: no wrapper allocates, locks, panics, or goes through
//! the parts of libc that expect all threads of the process to exist (setuid(3) and its family signal them).
//! Every fd is opened close-on-exec. A failure says which call failed and why: [`Failed`].

// For the runtime alone, which may panic where a new process may not.
#[allow(clippy::indexing_slicing)]
pub(crate) mod bpf;
mod call;
mod clone;
mod credentials;
mod exec;
mod execution;
mod files;
mod image;
mod mount;
mod page;
mod pidfd;
mod socket;
mod terminal;

pub(crate) use call::{Call, Failed, Result};
pub(crate) use clone::{Born, clone, clone3, exit, placeholder};
pub(crate) use credentials::*;
pub(crate) use exec::*;
pub(crate) use execution::*;
pub(crate) use files::*;
pub(crate) use image::{NewImage, give_back_stack};
pub(crate) use mount::*;
pub(crate) use page::{SLOTS, SharedPage};
pub(crate) use pidfd::*;
pub(crate) use socket::*;
pub(crate) use terminal::*;

use nix::errno::Errno;

/// Turns a raw return value into a result.
fn check(call: Call, value: libc::c_long) -> Result<libc::c_long> {
    if value < 0 { Err(Failed::new(call, Errno::last())) } else { Ok(value) }
}
