//! `husk try`, and the foreground of `husk run` by the bundle that it leaves. These make containers and need root.

use crate::support::Scratch;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Whether this machine can; in CI it has to.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn able() -> bool {
    let able = nix::unistd::geteuid().is_root();
    assert!(able || std::env::var_os("CI").is_none(), "CI has to run this as root");
    if !able {
        eprintln!("skipped: it needs root");
    }
    able
}

/// `husk try` on a state directory and a temporary directory of its own.
fn husk_try(scratch: &Scratch, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_husk"));
    command.arg("--root").arg(scratch.path().join("state")).arg("try").args(args);
    command.env("TMPDIR", scratch.path()).stdin(Stdio::null());
    command
}

/// No container, no directory to mount on.
fn nothing_is_left(scratch: &Scratch) -> bool {
    let left: Vec<PathBuf> = std::fs::read_dir(scratch.path())
        .expect("the scratch directory is there")
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| !path.ends_with("state"))
        .collect();
    left.is_empty() && scratch.husk(&["list", "-q"]).ok().stdout.is_empty()
}

#[test]
fn changes_vanish_and_the_status_is_the_commands() {
    if !able() {
        return;
    }
    let scratch = Scratch::new();
    let name = format!("/etc/husk-try-test-{}", std::process::id());
    let script = format!("echo mine >{name} && cat {name} && exit 41");
    let output = husk_try(&scratch, &["--", "sh", "-c", &script]).output().expect("husk can be executed");
    assert_eq!(output.stdout, b"mine\n", "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(41));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.lines().count() == 1 && said.contains("vanish at exit"), "{said}");
    assert!(!Path::new(&name).exists(), "{name} is on the host");
    assert!(nothing_is_left(&scratch));
}

#[test]
fn a_command_that_does_not_exist_leaves_nothing() {
    if !able() {
        return;
    }
    let scratch = Scratch::new();
    let output = husk_try(&scratch, &["no-such-command"]).output().expect("husk can be executed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("executable file not found in $PATH"), "{said}");
    assert_eq!(output.status.code(), Some(1));
    assert!(nothing_is_left(&scratch));
}

#[test]
fn sigkill_leaves_nothing() {
    if !able() {
        return;
    }
    let scratch = Scratch::new();
    let mut husk =
        husk_try(&scratch, &["--", "sleep", "1000"]).stderr(Stdio::null()).spawn().expect("husk runs");
    within_seconds(10, "it runs", || scratch.husk(&["list"]).stdout.contains("running"));
    husk.kill().expect("it can be killed");
    husk.wait().expect("it ends");
    within_seconds(10, "the watcher has cleaned up", || nothing_is_left(&scratch));
}

fn within_seconds(seconds: u64, what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(seconds);
    while !holds() {
        assert!(Instant::now() < end, "not within {seconds} s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A directory that can hold an overlay's changes, with the bundle of a `husk try`.
struct Kept(PathBuf);

impl Kept {
    fn new(scratch: &Scratch, command: &[&str]) -> Kept {
        let name = scratch.path().file_name().expect("a scratch directory has a name");
        let path = Path::new("/dev/shm").join(name);
        let flag = format!("--keep-bundle={}", path.display());
        let output = husk_try(scratch, &[&[flag.as_str(), "--"], command].concat()).output();
        let output = output.expect("husk can be executed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Kept(path)
    }

    /// The bundle's container again, with another command, with or without a terminal.
    fn run(&self, scratch: &Scratch, terminal: bool, script: &str) -> Command {
        let path = self.0.join("config.json");
        let text = std::fs::read(&path).expect("the config is there");
        let mut config: Value = serde_json::from_slice(&text).expect("the config is JSON");
        config["process"]["args"] = json!(["sh", "-c", script]);
        config["process"]["terminal"] = json!(terminal);
        std::fs::write(&path, config.to_string()).expect("the config can be written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_husk"));
        command
            .arg("--root")
            .arg(scratch.path().join("state"))
            .arg("run")
            .arg(self.0.file_name().expect("it has a name"))
            .arg("--bundle")
            .arg(&self.0);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_kept_bundle_has_the_changes_and_runs_again() {
    if !able() {
        return;
    }
    let scratch = Scratch::new();
    let kept = Kept::new(&scratch, &["sh", "-c", "echo mine >/etc/husk-kept"]);
    assert_eq!(std::fs::read_to_string(kept.0.join("changes/etc/husk-kept")).ok().as_deref(), Some("mine\n"));
    let output =
        kept.run(&scratch, false, "cat /etc/husk-kept; exit 3").output().expect("husk can be executed");
    assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"mine\n"[..], Some(3)));
}

#[test]
fn a_terminal_loses_nothing_however_slow_its_reader() {
    if !able() {
        return;
    }
    let scratch = Scratch::new();
    let kept = Kept::new(&scratch, &["true"]);
    let mut husk = kept.run(&scratch, true, "seq 1 20000; exit 5").spawn().expect("husk runs");
    // The pipe and the terminal are full by now, and the program waits.
    std::thread::sleep(Duration::from_millis(500));
    let output = read_all(&mut husk);
    let expected: String = (1..=20000).map(|number| format!("{number}\n")).collect();
    assert!(output == expected, "{} of {} bytes came", output.len(), expected.len());
    assert_eq!(husk.wait().expect("husk ends").code(), Some(5));
}

#[test]
fn the_end_of_input_reaches_a_terminals_reader() {
    if !able() {
        return;
    }
    let scratch = Scratch::new();
    let kept = Kept::new(&scratch, &["true"]);
    // `read` fails at the end, and the last line has none.
    let script = "stty -echo; while read -r line; do echo \"<$line>\"; done; echo \"last <$line>\"";
    let mut command = kept.run(&scratch, true, script);
    let mut husk = command.stdin(Stdio::piped()).spawn().expect("husk runs");
    let mut input = husk.stdin.take().expect("its input is a pipe");
    std::io::Write::write_all(&mut input, b"one\ntwo\nthree").expect("it can be written to");
    drop(input);
    let output = read_all(&mut husk);
    assert!(output.ends_with("<one>\n<two>\nlast <three>\n"), "{output:?}");
    assert_eq!(husk.wait().expect("husk ends").code(), Some(0));
}

#[test]
fn a_reader_that_leaves_hangs_the_terminal_up() {
    if !able() {
        return;
    }
    let scratch = Scratch::new();
    let kept = Kept::new(&scratch, &["true"]);
    let mut husk = kept.run(&scratch, true, "while echo y; do :; done").spawn().expect("husk runs");
    within_seconds(10, "it runs", || scratch.husk(&["list"]).stdout.contains("running"));
    drop(husk.stdout.take());
    within_seconds(10, "it has ended", || husk.try_wait().expect("it can be waited for").is_some());
}

fn read_all(husk: &mut Child) -> String {
    let mut text = String::new();
    let out = husk.stdout.as_mut().expect("its output is a pipe");
    std::io::Read::read_to_string(out, &mut text).expect("it is text");
    text
}
