//! husk-core
