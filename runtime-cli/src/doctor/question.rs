//! Asking another program, without waiting for it for ever.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// An engine that has not answered by then will not.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the program says on standard output if it succeeds in time, or else its last words on standard error.
pub(super) fn ask(program: &Path, args: &[&str]) -> Result<String, String> {
    let started = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = started.map_err(|error| error.to_string())?;
    let (out, errors) = (child.stdout.take(), child.stderr.take());
    let (sender, heard) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = sender.send(all_of(out));
        let _ = sender.send(all_of(errors));
    });
    let said = heard.recv_timeout(PATIENCE);
    if said.is_err() {
        let _ = child.kill();
    }
    let succeeded = child.wait().is_ok_and(|status| status.success());
    let said = said.map_err(|_| "no answer in time".to_owned())?;
    match succeeded {
        true => Ok(said),
        // Something that it left running may hold its standard error open.
        false => Err(last_line(&heard.recv_timeout(PATIENCE).unwrap_or_default())),
    }
}

fn all_of(stream: Option<impl Read>) -> String {
    let mut text = String::new();
    let _ = stream.map(|mut stream| stream.read_to_string(&mut text));
    text
}

fn last_line(text: &str) -> String {
    text.trim_end().lines().next_back().unwrap_or("without a word").to_owned()
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

/// Words for the first runtime, of (name, path), whose path leads nowhere.
pub(super) fn astray(named: &[(String, String)]) -> Option<String> {
    named
        .iter()
        .find(|(_, path)| path.contains('/') && !Path::new(path).is_file())
        .map(|(name, path)| format!("{name} is {path}, which is not there"))
}
