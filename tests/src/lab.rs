//! What all tests of one run share: the runtime under test and one directory under the system's temporary one.
//!
//! The directory holds a template root file system; a bundle's root is made of hard links into it, which costs
//! a few milliseconds and no space. It goes away with the [`Lab`].

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use nix::unistd::{Uid, getpid};

use crate::user::{User, give_away, runtime_for_all};
use crate::{Container, Runtime, Stop, traces, unprovided};

/// The place where the tests of one run work.
#[derive(Debug)]
pub struct Lab {
    /// The runtime under test.
    pub runtime: Runtime,
    /// Everything of this run is below this directory.
    pub directory: PathBuf,
    /// Whether systemd makes the cgroups of all containers: `RUNTIME_CGROUP_MANAGER=systemd`.
    pub systemd: bool,
    applets: Vec<String>,
    next: AtomicU32,
    for_all: OnceLock<PathBuf>,
    copying: Mutex<()>,
}

impl Lab {
    /// Makes the directory and the template.
    pub fn open(runtime: Runtime) -> Result<Lab, Stop> {
        if !Uid::effective().is_root() {
            return unprovided("these tests make containers as root");
        }
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().map(Path::new).find(|path| path.is_file());
        let Some(busybox) = busybox else {
            return unprovided("there is no busybox; Debian's package is busybox-static");
        };
        let list = Command::new(busybox).arg("--list").output()?;
        let applets = String::from_utf8(list.stdout)?.lines().map(String::from).collect();
        let directory = std::env::temp_dir().join(format!("husk-conformance-{}", getpid()));
        fs::create_dir(&directory)?;
        fs::copy(busybox, directory.join("busybox"))?;
        let systemd = std::env::var_os("RUNTIME_CGROUP_MANAGER").is_some_and(|manager| manager == "systemd");
        Ok(Lab {
            runtime,
            directory,
            systemd,
            applets,
            next: AtomicU32::new(0),
            for_all: OnceLock::new(),
            copying: Mutex::new(()),
        })
    }

    /// A new container: its own id, bundle, state directory and default configuration. Nothing runs yet.
    pub fn container(&self) -> Result<Container<'_>, Stop> {
        let id = self.unique("c");
        let directory = self.directory.join(&id);
        self.root_file_system(&directory.join("bundle/rootfs"))?;
        Ok(Container::new(self, id, directory))
    }

    /// A container of somebody who is not root: the files are theirs, and so are the commands. The configuration is
    /// that of `spec --rootless`.
    pub fn container_of(&self, user: &User) -> Result<Container<'_>, Stop> {
        let mut container = self.container()?;
        container.config.rootless();
        give_away(&container.directory)?;
        if self.for_all.get().is_none() {
            let _guard = self.copying.lock();
            if self.for_all.get().is_none() {
                let _ = self.for_all.set(runtime_for_all(self)?);
            }
        }
        let runtime = self.for_all.get().cloned().unwrap_or_default();
        container.belongs_to(user, runtime);
        Ok(container)
    }

    /// A name that nothing else on this machine has, and that is no part of another such name.
    pub fn unique(&self, prefix: &str) -> String {
        format!("{prefix}-{}-{}z", getpid(), self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// A busybox root at `root`: the applets are hard links, and the usual directories are there.
    pub fn root_file_system(&self, root: &Path) -> Result<(), Stop> {
        fs::create_dir_all(root.join("bin"))?;
        for directory in ["dev", "etc", "proc", "root", "sys", "tmp", "var"] {
            fs::create_dir(root.join(directory))?;
        }
        let template = self.directory.join("busybox");
        fs::hard_link(&template, root.join("bin/busybox"))?;
        for applet in self.applets.iter().filter(|name| *name != "busybox") {
            fs::hard_link(&template, root.join("bin").join(applet))?;
        }
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n",
        )?;
        fs::write(root.join("etc/group"), "root:x:0:\nuser:x:1000:\n")?;
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        traces::remove_directory(&self.directory);
    }
}
