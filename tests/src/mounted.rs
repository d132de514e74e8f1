//! What the host has mounted somewhere, for containers to bind.

use std::fs;

use nix::mount::{MsFlags, mount, umount};

use crate::{Container, Stop};

/// A directory that the host has mounted with flags that a user namespace cannot take away.
#[derive(Debug)]
pub struct Flagged(pub String);

impl Flagged {
    /// Mounts it in the container's directory on the host; it goes with the value.
    pub fn new(container: &Container<'_>) -> Result<Self, Stop> {
        Flagged::with(
            container,
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_NOATIME,
        )
    }

    /// The same with other flags.
    pub fn with(container: &Container<'_>, flags: MsFlags) -> Result<Self, Stop> {
        let place = container.directory.join("flagged");
        fs::create_dir(&place)?;
        mount(Some("tmpfs"), &place, Some("tmpfs"), flags, Some("mode=755"))?;
        fs::write(place.join("file"), "content\n")?;
        Ok(Flagged(place.to_string_lossy().into_owned()))
    }
}

impl Drop for Flagged {
    fn drop(&mut self) {
        let _ = umount(self.0.as_str());
    }
}
