//! The husk binary's `regex`: [`regex_lite`] under the other name.
//!
//! oci-spec has one pattern, for `execCPUAffinity`, and draws in an engine for it that takes up some 600 KiB of the
//! binary. `[patch.crates-io]` in the workspace puts this crate in its place; programs outside the workspace that
//! depend on husk-core get what they ask for.

#![forbid(unsafe_code)]

pub use regex_lite::*;
