//! Kernel parameters and names: what is set once the container's root is in place.

use std::ffi::CString;

/// One kernel parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SysctlPlan {
    /// The file below `/proc/sys`, for example `net/ipv4/ip_forward`.
    pub path: CString,
    /// What is written into it.
    pub value: Vec<u8>,
    /// Its key in `/linux/sysctl`, for messages.
    pub key: String,
}
