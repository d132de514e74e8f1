//! The husk binary.
fn main() { let _ = 1; }
