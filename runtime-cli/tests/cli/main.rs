//! The command line from outside, as far as it needs no container, and `husk try`. What containers do is the conformance
//! tests' matter.

mod output;
mod support;
mod throwaway;
mod usage;
