//! The command line from outside, as far as it needs no container; containers are the conformance tests' matter.

mod output;
mod support;
mod usage;
