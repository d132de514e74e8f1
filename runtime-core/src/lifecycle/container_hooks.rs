//! The hooks that run in the container's namespaces, as far as the runtime has a part in them: what they read and say.

use super::hooks;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::Plan;
use crate::process::child_hook::ChildHook;
use crate::state::StateDirectory;
use std::ffi::CString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};

const CANNOT: &str = "cannot prepare the hooks";

/// Hooks for the new process to run.
#[derive(Debug)]
pub(super) struct ContainerHooks<'a> {
    pub(super) create_container: Vec<ChildHook<'a>>,
    pub(super) start_container: Vec<ChildHook<'a>>,
    files: Option<Files>,
}

/// Open in both processes.
#[derive(Debug)]
struct Files {
    creating: File,
    created: File,
    output: File,
    /// In place of `output`, where annotations say so.
    stdout: Option<File>,
    stderr: Option<File>,
}

impl<'a> ContainerHooks<'a> {
    pub(super) fn new(plan: &'a Plan, directory: &StateDirectory) -> Result<ContainerHooks<'a>> {
        let first = plan.hooks.create_container.first().or(plan.hooks.start_container.first());
        let append_to = |path: Option<&CString>| path.map(|path| hooks::append_to(path)).transpose();
        let files = || -> Result<Files> {
            Ok(Files {
                creating: hooks::scratch(b"")?,
                created: hooks::scratch(b"")?,
                output: directory.hooks_file(true).map_err(|error| Error::io(CANNOT, "open", &error))?,
                stdout: append_to(first.and_then(|hook| hook.output.stdout.as_ref()))?,
                stderr: append_to(first.and_then(|hook| hook.output.stderr.as_ref()))?,
            })
        };
        Ok(ContainerHooks {
            create_container: plan.hooks.create_container.iter().map(ChildHook::new).collect(),
            start_container: plan.hooks.start_container.iter().map(ChildHook::new).collect(),
            files: plan.hooks.run_in_container().then(files).transpose()?,
        })
    }

    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.states().into_iter().flatten().chain(self.output().into_iter().flatten())
    }

    /// What is on stdin before `start`, and after.
    pub(super) fn states(&self) -> Option<[BorrowedFd<'_>; 2]> {
        self.files.as_ref().map(|files| [files.creating.as_fd(), files.created.as_fd()])
    }

    /// What standard output and standard error are.
    pub(super) fn output(&self) -> Option<[BorrowedFd<'_>; 2]> {
        let files = self.files.as_ref()?;
        Some([&files.stdout, &files.stderr].map(|file| file.as_ref().unwrap_or(&files.output).as_fd()))
    }

    /// Writes the states. The new process waits for a word, or has the start gate before it, ahead of any hook that
    /// reads them.
    pub(super) fn tell(&self, creating: &[u8], created: &[u8]) -> Result<()> {
        let Some(files) = &self.files else { return Ok(()) };
        (&files.creating)
            .write_all(creating)
            .and_then(|()| (&files.created).write_all(created))
            .map_err(|error| Error::io(CANNOT, "write", &error))
    }

    /// The error, with what the hook said if it is a hook's.
    pub(super) fn quoted(&mut self, error: Error) -> Error {
        match &mut self.files {
            Some(files) if error.kind() == ErrorKind::Hook => {
                let said = hooks::quote(&mut files.output);
                error.followed_by(&said)
            }
            _ => error,
        }
    }
}
