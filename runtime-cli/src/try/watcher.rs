//! The second process of `husk try`: it waits until the first has ended, whatever ended it, SIGKILL too, and then removes
//! the container and the empty directory. It learns of the end by the end of its standard input, a pipe that the
//! first holds open.

use crate::args;
use crate::commands::{Context, parse_id, remove};
use crate::report::Failure;
use crate::signals::Signals;
use husk_core::{ContainerId, ErrorKind, Force};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The first process's end of it.
#[derive(Debug)]
pub(super) struct Watcher(Child);

impl Watcher {
    pub(super) fn start(
        context: &Context<'_>,
        id: &ContainerId,
        mount_point: Option<&Path>,
    ) -> Result<Watcher, Failure> {
        // This very file, also when the one on disk has been replaced.
        let mut command = Command::new("/proc/self/exe");
        command.arg("--root").arg(context.runtime.root()).arg("try-watcher").arg(id.as_str());
        if let Some(path) = mount_point {
            command.arg("--mount-point").arg(path);
        }
        // Its own process group: Ctrl-C at the terminal is not for it.
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0).spawn();
        Ok(Watcher(child.map_err(|error| Failure::system("cannot start the watcher of husk try", error))?))
    }

    /// Lets it clean up, and waits until it has.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        drop(self.0.stdin.take());
        match self.0.wait() {
            // It has said itself what failed.
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::system("cannot wait for the watcher of husk try", error)),
        }
    }
}

/// A failure on the way: the same clean-up.
impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The hidden command that the second process runs.
pub(crate) fn watch(context: &Context<'_>, args: &args::Watcher) -> Result<u8, Failure> {
    let _signals = Signals::block()?;
    let id = parse_id(&args.id)?;
    // An error ends the wait as the end does.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    let removed = match context.runtime.load(&id) {
        Ok(container) => remove(container, Force::Yes, context.log),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    };
    if let Some(path) = &args.mount_point {
        std::fs::remove_dir(path)
            .map_err(|error| Failure::system(format_args!("cannot remove {}", path.display()), error))?;
    }
    removed?;
    Ok(0)
}
