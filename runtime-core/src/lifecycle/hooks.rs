//! Hooks that the runtime runs itself, in its own namespaces, and the state that every hook gets on stdin.

use crate::error::{Error, ErrorKind, Result};
use crate::plan::{HookKind, HookPlan, HooksPlan, Step};
use crate::state::Status;
use crate::sys;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::json;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::Command;

/// As much of what a hook says is repeated in an error.
const LONGEST_QUOTE: u64 = 2048;

impl HooksPlan {
    /// Whether the runtime runs hooks of its own between the container's mounts and its pivot_root.
    pub(crate) fn run_before_pivot(&self) -> bool {
        !self.prestart.is_empty() || !self.create_runtime.is_empty()
    }

    /// Whether the container's init runs hooks itself.
    pub(crate) fn run_in_container(&self) -> bool {
        !self.create_container.is_empty() || !self.start_container.is_empty()
    }
}

/// What a hook reads on stdin (runtime-spec runtime.md, "State").
pub(crate) fn state_json(
    id: &str,
    status: Status,
    pid: i32,
    bundle: &Path,
    annotations: &BTreeMap<String, String>,
) -> Vec<u8> {
    let mut state = json!({
        "ociVersion": crate::SPEC_VERSION,
        "id": id,
        "status": status,
        "bundle": bundle,
    });
    if pid != 0 {
        state["pid"] = pid.into();
    }
    if !annotations.is_empty() {
        state["annotations"] = json!(annotations);
    }
    state.to_string().into_bytes()
}

/// A file without a name, for what goes into a hook and what comes out.
pub(crate) fn scratch(content: &[u8]) -> Result<File> {
    let cannot = |error: &std::io::Error| Error::io("cannot prepare a hook", "memfd_create", error);
    let memfd = sys::memfd(c"husk-hook").map_err(|failed| cannot(&failed.errno.into()))?;
    let mut file = File::from(memfd);
    file.write_all(content).and_then(|()| file.rewind()).map_err(|error| cannot(&error))?;
    Ok(file)
}

/// A file that hooks write to, by the annotation's word.
pub(crate) fn append_to(path: &CStr) -> Result<File> {
    let path = Path::new(OsStr::from_bytes(path.to_bytes()));
    let file = File::options().append(true).create(true).mode(0o600).open(path);
    file.map_err(|error| {
        let message = format!("cannot open {path:?} for what hooks say (/annotations/run.oci.hooks.*)");
        Error::io(message, "open", &error).at(Step::RuntimeHook)
    })
}

/// What a hook said, for the end of a sentence.
pub(crate) fn quote(output: &mut File) -> String {
    let mut text = String::new();
    let length = output.metadata().map_or(0, |file| file.len());
    // What went wrong is said last.
    let _ = output.seek(SeekFrom::Start(length.saturating_sub(LONGEST_QUOTE)));
    let mut bytes = Vec::new();
    let _ = output.take(LONGEST_QUOTE).read_to_end(&mut bytes);
    let said = String::from_utf8_lossy(&bytes);
    let said = said.trim();
    if !said.is_empty() {
        text.push_str(": ");
        text.push_str(&said.replace('\n', "; "));
    }
    text
}

/// Runs hooks one after the other; the first that fails ends it.
pub(crate) fn run_all(kind: HookKind, hooks: &[HookPlan], bundle: &Path, state: &[u8]) -> Result<()> {
    hooks.iter().try_for_each(|hook| run(kind, hook, bundle, state))
}

fn run(kind: HookKind, hook: &HookPlan, bundle: &Path, state: &[u8]) -> Result<()> {
    let os = |text: &CStr| OsStr::from_bytes(text.to_bytes()).to_owned();
    let what = what(kind, hook);
    let cannot = |error: std::io::Error| {
        Error::io(what.clone(), "execve", &error).with_kind(ErrorKind::Hook).at(Step::RuntimeHook)
    };
    let mut output = scratch(b"")?;
    let copy = |file: &File| file.try_clone().map_err(cannot);
    let mut command = Command::new(os(&hook.path));
    if let [name, args @ ..] = hook.args.as_slice() {
        command.arg0(os(name)).args(args.iter().map(|arg| os(arg)));
    }
    command.env_clear();
    for entry in hook.env.iter().flatten() {
        let entry = entry.to_bytes();
        let equals = entry.iter().position(|&byte| byte == b'=').unwrap_or(entry.len());
        let (key, value) = (&entry[..equals], entry.get(equals + 1..).unwrap_or(&[]));
        if !key.is_empty() {
            command.env(OsStr::from_bytes(key), OsStr::from_bytes(value));
        }
    }
    command.current_dir(bundle).stdin(scratch(state)?);
    let file = |path: &Option<CString>| path.as_deref().map_or_else(|| copy(&output), append_to);
    command.stdout(file(&hook.output.stdout)?).stderr(file(&hook.output.stderr)?);
    let mut child = command.spawn().map_err(cannot)?;
    let in_time = wait_until_ended(child.id(), hook);
    if !in_time {
        let _ = child.kill();
    }
    let status = child.wait().map_err(cannot)?;
    let failure = match (in_time, status.code(), status.signal()) {
        (false, ..) => format!("{what}: it ran longer than its timeout{}", seconds(hook)),
        (true, Some(0), _) => return Ok(()),
        (true, Some(code), _) => format!("{what}: exit status {code}"),
        (true, None, signal) => format!("{what}: {}", killed(signal.unwrap_or(0))),
    };
    Err(Error::new(ErrorKind::Hook, failure + &quote(&mut output)).at(Step::RuntimeHook))
}

/// Which one failed, with runc's words before the first colon: people look for them.
pub(crate) fn what(kind: HookKind, hook: &HookPlan) -> String {
    let HookPlan { path, item, .. } = hook;
    format!("error running {} hook #{item}: {path:?} (/hooks/{0}/{item})", kind.key())
}

/// How a hook ended that a signal killed; what a filter of system calls does is worth words.
pub(crate) fn killed(signal: i32) -> String {
    let words = if signal == libc::SIGSYS { " (bad system call)" } else { "" };
    format!("killed by signal {signal}{words}")
}

/// ` of 5 s`, for the sentence about it.
pub(crate) fn seconds(hook: &HookPlan) -> String {
    hook.timeout.map(|timeout| format!(" of {} s", timeout.as_secs())).unwrap_or_default()
}

/// Waits for the hook's end or its timeout; false for the timeout.
fn wait_until_ended(pid: u32, hook: &HookPlan) -> bool {
    let Some(timeout) = hook.timeout else { return true };
    // Our own child that nobody has reaped.
    let Ok(pidfd) = sys::pidfd_open(i32::try_from(pid).unwrap_or(0)) else { return true };
    let deadline = std::time::Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        let milliseconds = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], milliseconds) {
            Err(Errno::EINTR) => {}
            Ok(0) if left.is_zero() => return false,
            Ok(0) => {}
            _ => return true,
        }
    }
}
