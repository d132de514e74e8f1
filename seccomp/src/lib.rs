//! OCI seccomp profiles as BPF programs.
