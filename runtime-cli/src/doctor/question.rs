//! Asking another program, without waiting for it for ever.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// An engine that has not answered by then will not.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the program says on standard output, if it succeeds in time.
pub(super) fn ask(program: &Path, args: &[&str]) -> Option<String> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut out = child.stdout.take()?;
    let (sender, answer) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let _ = sender.send(out.read_to_string(&mut text).map(|_| text));
    });
    let said = answer.recv_timeout(PATIENCE);
    if said.is_err() {
        let _ = child.kill();
    }
    let succeeded = child.wait().is_ok_and(|status| status.success());
    said.ok()?.ok().filter(|_| succeeded)
}

/// Where the caller's `PATH`, or the places of administrators' programs, have a program of this name.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(usual)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// Whether a path, or a name to be looked up, leads to this binary.
pub(super) fn is_own(named: &str, own: &Path) -> bool {
    let file = if named.contains('/') { Some(named.into()) } else { find(named) };
    file.and_then(|file| file.canonicalize().ok()).is_some_and(|file| file == own)
}
