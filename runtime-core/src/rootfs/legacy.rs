//! What only mount(2) can do: parameters that are longer than fsconfig(2) takes, and the flags that it has no names
//! for. Laid out before the clone.

use crate::plan::{MountPlan, MountSource, Parameter};
use std::ffi::CString;

/// fsconfig(2) takes values of less than 256 bytes; an overlay of many layers has longer ones.
const LONGEST_VALUE: usize = 255;

/// The arguments of mount(2) that are not in the plan as such.
#[derive(Debug)]
pub(crate) struct Legacy {
    pub(crate) flags: u64,
    /// `key=value,key`.
    pub(crate) data: CString,
}

impl Legacy {
    /// For a file system that the newer calls cannot make as it is to be.
    pub(crate) fn of(plan: &MountPlan) -> Option<Legacy> {
        let MountSource::Filesystem { parameters, flags, .. } = &plan.source else { return None };
        let length =
            |parameter: &Parameter| parameter.value.as_ref().map_or(0, |value| value.as_bytes().len());
        if *flags == 0 && parameters.iter().all(|parameter| length(parameter) <= LONGEST_VALUE) {
            return None;
        }
        let (mut flags, mut data) = (*flags, Vec::new());
        for parameter in parameters {
            if let (Some((flag, on)), None) = (superblock_flag(parameter), &parameter.value) {
                flags = if on { flags | flag } else { flags & !flag };
                continue;
            }
            if !data.is_empty() {
                data.push(b',');
            }
            data.extend_from_slice(parameter.key.as_bytes());
            if let Some(value) = &parameter.value {
                // The commas of a security label are its own.
                let quote: &[u8] = if parameter.key.to_bytes().ends_with(b"context") { b"\"" } else { b"" };
                data.push(b'=');
                data.extend_from_slice(quote);
                data.extend_from_slice(value.as_bytes());
                data.extend_from_slice(quote);
            }
        }
        Some(Legacy { flags, data: CString::new(data).ok()? })
    }
}

/// Those that mount(2) has bits for; older file systems do not know them by their names.
fn superblock_flag(parameter: &Parameter) -> Option<(u64, bool)> {
    Some(match parameter.key.to_bytes() {
        b"ro" => (libc::MS_RDONLY, true),
        b"rw" => (libc::MS_RDONLY, false),
        b"sync" => (libc::MS_SYNCHRONOUS, true),
        b"async" => (libc::MS_SYNCHRONOUS, false),
        b"dirsync" => (libc::MS_DIRSYNC, true),
        b"lazytime" => (libc::MS_LAZYTIME, true),
        b"nolazytime" => (libc::MS_LAZYTIME, false),
        b"mand" => (libc::MS_MANDLOCK, true),
        b"nomand" => (libc::MS_MANDLOCK, false),
        _ => return None,
    })
}
