//! Black-box tests of an OCI runtime binary.
