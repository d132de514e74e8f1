//! `husk try`: a throwaway container whose root is a copy-on-write view of this machine's directories.
//!
//! An ordinary bundle is made (see [`bundle`]) on a tmpfs that only this process and the container can see: this process has
//! moved into a mount namespace of its own, so nothing is mounted for anybody else and the kernel frees it all when the
//! last of the two ends. A second process, the [`watcher`], removes what does have a name, however this one ends.
//! Order: the watcher before the mount namespace, because it has to stay outside.

mod bundle;
mod directories;
mod watcher;

pub(crate) use watcher::watch;

use crate::args::Try;
use crate::commands::Context;
use crate::foreground::Foreground;
use crate::report::Failure;
use bundle::Place;
use husk_core::{Bundle, ContainerId, CreateOptions};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, statfs};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use watcher::Watcher;

#[inline(never)] // see `dispatch`
pub(crate) fn run(context: &Context<'_>, mut args: Try) -> Result<u8, Failure> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::new("husk try mounts overlays and needs root").hint("sudo husk try"));
    }
    let id: ContainerId = format!("try-{}", std::process::id()).parse()?;
    let kept = args.keep_bundle.take().map(|dir| keep(&dir)).transpose()?;
    let foreground = Foreground::prepare(true)?;
    let (directory, watcher) = match &kept {
        Some(directory) => (directory.clone(), Watcher::start(context, &id, None)?),
        None => {
            let mount_point = mount_point(&id)?;
            let watcher = Watcher::start(context, &id, Some(&mount_point))?;
            hide(&mount_point)?;
            (mount_point, watcher)
        }
    };
    let terminal = std::io::stdin().is_terminal();
    bundle::make(&Place::new(&directory, args, terminal))?;
    let created = context.runtime.create(&id, &Bundle::open(&directory)?, &CreateOptions::new())?;
    let line = match &kept {
        Some(directory) => {
            format!(
                "husk: a copy-on-write view of this machine; its changes are kept in {}\n",
                directory.display()
            )
        }
        None => "husk: a copy-on-write view of this machine; its changes vanish at exit\n".to_owned(),
    };
    let _ = std::io::stderr().write_all(line.as_bytes());
    let code = crate::commands::stay(foreground, created, true, context.log)?;
    watcher.finish()?;
    Ok(code)
}

/// A new directory for the bundle. Overlays cannot write into an overlay (overlayfs.rst), so it must not be on one.
fn keep(directory: &Path) -> Result<PathBuf, Failure> {
    let failed = |error| Failure::system(format_args!("cannot make {}", directory.display()), error);
    let absolute = std::path::absolute(directory).map_err(failed)?;
    let parent = absolute.parent().unwrap_or(Path::new("/"));
    if statfs(parent).is_ok_and(|found| found.filesystem_type() == OVERLAYFS_SUPER_MAGIC) {
        let message = format!("{} is on an overlay, which cannot hold another's changes", parent.display());
        return Err(Failure::new(message).hint("name a directory on a disk or a tmpfs, /dev/shm for example"));
    }
    std::fs::create_dir(&absolute).map_err(failed)?;
    absolute.canonicalize().map_err(failed)
}

/// An empty directory with a name of its own.
fn mount_point(id: &ContainerId) -> Result<PathBuf, Failure> {
    let path = std::env::temp_dir().join(format!("husk-{id}"));
    std::fs::create_dir(&path)
        .and_then(|()| path.canonicalize())
        .map_err(|error| Failure::system(format_args!("cannot make the directory {}", path.display()), error))
}

/// Moves this process, which has one thread, into a mount namespace of its own and mounts a tmpfs there.
fn hide(mount_point: &Path) -> Result<(), Failure> {
    let nothing: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS)
        .map_err(|errno| Failure::system("cannot make a mount namespace", errno))?;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
        .map_err(|errno| Failure::system("cannot make the mount namespace private", errno))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("husk"), mount_point, Some("tmpfs"), flags, Some("mode=0755")).map_err(|errno| {
        Failure::system(format_args!("cannot mount a tmpfs on {}", mount_point.display()), errno)
    })
}
