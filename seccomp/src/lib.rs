//! OCI seccomp profiles as programs for the kernel.
//!
//! A container's `linux.seccomp` says which system calls its processes may make. This crate turns such a
//! profile into the program that the kernel runs at each call, and installs it. The two halves are apart on
//! purpose:
//!
//! 1. [`compile()`] runs while a container is planned. It checks the whole profile, reports *all* problems
//!    with their JSON pointers, and lets libseccomp write the program. It allocates, and may be called from
//!    any thread.
//! 2. [`Program::install`] runs in the container's process, between clone3 and execve. It is one system
//!    call on plain data: it neither allocates nor locks nor panics, so it is sound in a process that was
//!    copied from a threaded one.
//!
//! ```
//! use husk_seccomp::compile;
//! use oci_spec::runtime::LinuxSeccomp;
//!
//! let profile: LinuxSeccomp = serde_json::from_str(
//!     r#"{
//!         "defaultAction": "SCMP_ACT_ALLOW",
//!         "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}]
//!     }"#,
//! )?;
//! let program = compile(&profile).expect("the profile is in order");
//! println!("{program}\n{}", program.disassemble());
//! assert!(program.disassemble().to_string().contains("return ERRNO(13)"));
//!
//! // A profile with mistakes: each comes with the place where it stands.
//! let profile: LinuxSeccomp = serde_json::from_str(
//!     r#"{
//!         "defaultAction": "SCMP_ACT_ALLOW",
//!         "defaultErrnoRet": 1,
//!         "syscalls": [{"names": [""], "action": "SCMP_ACT_KILL_PROCESS"}]
//!     }"#,
//! )?;
//! let problems = compile(&profile).unwrap_err();
//! assert_eq!(problems[0].to_string(), "/defaultErrnoRet: SCMP_ACT_ALLOW does not return an errno");
//! assert_eq!(problems[1].to_string(), "/syscalls/0/names/0: an empty name is not a system call");
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! # How a program answers
//!
//! ```text
//! a call
//!   │   prologue: a binary search by the number of the call
//!   ├─ newer than every call that the profile names ─▶ ENOSYS (if the default action refuses)
//!   ├─ a rule without conditions                    ─▶ the rule's action
//!   │
//!   │   libseccomp's program: everything else
//!   ├─ an architecture that is not in the filter    ─▶ the thread is killed
//!   ├─ a rule whose conditions hold                 ─▶ the rule's action
//!   └─ none                                         ─▶ the default action
//! ```
//!
//! # What stays with the caller
//!
//! `listenerPath` and `listenerMetadata` are not looked at: a program with SCMP_ACT_NOTIFY gives its listener to whoever
//! installs it. TSYNC is accepted and means nothing here, since there is one thread when the filter is installed.

#![deny(unsafe_code, missing_docs)]

mod bpf;
mod compile;
mod disassembly;
mod features;
mod install;
mod numbers;
mod problem;
mod program;
mod prologue;
mod rule;
mod stored;
mod vocabulary;

pub use compile::compile;
pub use disassembly::Disassembly;
pub use features::{libseccomp_version, supported_actions, supported_architectures, supported_flags};
pub use problem::Problem;
pub use program::{MAX_INSTRUCTIONS, Program, UnknownName};
pub use stored::compiler;
pub use vocabulary::{ACTIONS, KNOWN_FLAGS, OPERATORS};
