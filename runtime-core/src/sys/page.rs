//! One page of memory shared between the runtime and the process that it makes, kept in a file.

use super::{Call, Failed, Result};
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

const SIZE: usize = 4096;
/// How many numbers the page holds.
pub(crate) const SLOTS: usize = SIZE / size_of::<AtomicU64>();

/// The page: an array of atomic numbers, since two processes use it at once.
#[derive(Debug)]
pub(crate) struct SharedPage(NonNull<[AtomicU64; SLOTS]>);

// SAFETY: what is reached through the pointer are atomics, in a mapping that lives until the drop.
unsafe impl Send for SharedPage {}
// SAFETY: likewise.
unsafe impl Sync for SharedPage {}

impl SharedPage {
    /// Maps the first page of a file of at least that size; mmap(2) with `MAP_SHARED`.
    pub(crate) fn map(file: impl AsFd, writable: bool) -> Result<SharedPage> {
        use nix::sys::mman::{MapFlags, ProtFlags, mmap};
        let Some(size) = NonZeroUsize::new(SIZE) else {
            return Err(Failed::new(Call::Mmap, nix::errno::Errno::EINVAL));
        };
        let protection =
            if writable { ProtFlags::PROT_READ | ProtFlags::PROT_WRITE } else { ProtFlags::PROT_READ };
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let address = unsafe { mmap(None, size, protection, MapFlags::MAP_SHARED, file, 0) }
            .map_err(Failed::from(Call::Mmap))?;
        Ok(SharedPage(address.cast()))
    }

    /// Its size in bytes, and that of the file behind it.
    pub(crate) const SIZE: usize = SIZE;

    /// The numbers.
    pub(crate) fn slots(&self) -> &[AtomicU64; SLOTS] {
        // SAFETY: the mapping is page-aligned, SIZE long, and lives as long as `self`.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for SharedPage {
    fn drop(&mut self) {
        // SAFETY: mapped in `map` with this size; borrows of it have ended with `self`.
        let _ = unsafe { nix::sys::mman::munmap(self.0.cast(), SIZE) };
    }
}
