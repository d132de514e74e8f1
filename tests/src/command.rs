//! One invocation of a program: with a deadline, and with its output in files.
//!
//! Files and not pipes, because a container that outlives `create` keeps the runtime's stdout open: a reader
//! of a pipe would wait for the container's end. The deadline turns a hang into a failure that names the command.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Stop;

/// How long any command may take. The longest legitimate one here takes under two seconds.
const DEADLINE: Duration = Duration::from_secs(30);

/// A command that has not been started.
#[derive(Debug)]
pub struct Invocation {
    command: Command,
    stdout: PathBuf,
    stderr: PathBuf,
    deadline: Duration,
}

impl Invocation {
    /// A command whose output goes to `{output}.out` and `{output}.err`, and whose input is empty.
    pub fn new(program: impl AsRef<OsStr>, output: &Path) -> Result<Invocation, Stop> {
        let (stdout, stderr) = (output.with_extension("out"), output.with_extension("err"));
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(File::create(&stdout)?).stderr(File::create(&stderr)?);
        Ok(Invocation { command, stdout, stderr, deadline: DEADLINE })
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable of the runtime (not of the container).
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Lets it take longer than any other command, since it waits for a deadline of the runtime's.
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Starts it in this directory.
    pub fn current_dir(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Takes its input from here.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// Starts it as the leader of a session whose terminal is `terminal`, with all of its streams there,
    /// as a shell in a terminal window would.
    pub fn on_terminal(self, terminal: &OwnedFd) -> Result<Self, Stop> {
        let mut leader = self.wrapped("setsid", &["--ctty"])?;
        leader.command.stdin(terminal.try_clone()?);
        leader.command.stdout(terminal.try_clone()?).stderr(terminal.try_clone()?);
        Ok(leader)
    }

    /// Starts it by way of another program, which gets the whole command as its last arguments.
    /// Input, environment and directory have to be set after this.
    pub fn wrapped(mut self, program: &str, args: &[&str]) -> Result<Self, Stop> {
        let mut wrapper = Command::new(program);
        wrapper.args(args).arg(self.command.get_program()).args(self.command.get_args());
        let (stdout, stderr) = (File::create(&self.stdout)?, File::create(&self.stderr)?);
        wrapper.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        self.command = wrapper;
        Ok(self)
    }

    /// Starts it.
    pub fn spawn(mut self) -> Result<Running, Stop> {
        let line = line(&self.command);
        let child =
            self.command.spawn().map_err(|error| Stop::Failed(format!("cannot start {line}: {error}")))?;
        let (stdout, stderr) = (self.stdout, self.stderr);
        Ok(Running { child, line, stdout, stderr, since: Instant::now(), deadline: self.deadline })
    }

    /// Runs it to its end.
    pub fn output(self) -> Result<Finished, Stop> {
        self.spawn()?.wait()
    }
}

/// The command as a person would type it.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// A command that runs. Dropped, it is killed and reaped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    line: String,
    stdout: PathBuf,
    stderr: PathBuf,
    since: Instant,
    deadline: Duration,
}

impl Running {
    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Sends a signal to the command itself.
    pub fn signal(&self, signal: Signal) -> Result<(), Stop> {
        Ok(kill(self.pid(), signal)?)
    }

    /// What it has written to stdout so far.
    pub fn stdout(&self) -> Result<String, Stop> {
        Ok(text(&self.stdout)?)
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> Result<bool, Stop> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits for its end, at most until the deadline.
    pub fn wait(mut self) -> Result<Finished, Stop> {
        let mut pause = Duration::from_micros(500);
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if self.since.elapsed() > self.deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                let (out, err) = (text(&self.stdout)?, text(&self.stderr)?);
                let limit = self.deadline.as_secs();
                return Err(Stop::Failed(format!("killed after {limit} s: {}\n{out}\n{err}", self.line)));
            }
            sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        };
        Ok(Finished {
            line: self.line.clone(),
            status,
            stdout: text(&self.stdout)?,
            stderr: text(&self.stderr)?,
            stdout_path: self.stdout.clone(),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(path: &Path) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

/// What a command left when it ended.
#[derive(Debug, Clone)]
pub struct Finished {
    line: String,
    status: ExitStatus,
    /// Its output, which for `create` is also that of the container until now.
    pub stdout: String,
    /// Its error output.
    pub stderr: String,
    /// Where `stdout` came from; a container that still runs goes on writing there.
    pub stdout_path: PathBuf,
}

impl Finished {
    /// The exit status, or 128 and the signal's number.
    pub fn code(&self) -> i32 {
        self.status.code().or(self.status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
    }

    /// Expects this exit status.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{self}");
        self
    }

    /// Expects success and an empty stderr.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    /// Expects that stderr contains all of `words`, in any case of letters.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        let stderr = self.stderr.to_lowercase();
        for word in words {
            assert!(stderr.contains(&word.to_lowercase()), "stderr lacks {word:?}: {self}");
        }
        self
    }

    /// Expects this stdout, white space at the ends aside.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert_eq!(self.stdout.trim(), text.trim(), "{self}");
        self
    }

    /// The line of stdout that starts with `key`, without the key and the space around the rest.
    #[track_caller]
    pub fn value(&self, key: &str) -> &str {
        let found = self.stdout.lines().find_map(|line| line.strip_prefix(key));
        found.unwrap_or_else(|| panic!("no line starts with {key:?}: {self}")).trim()
    }

    /// What is in the file of its stdout now.
    pub fn stdout_now(&self) -> Result<String, Stop> {
        Ok(text(&self.stdout_path)?)
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  {}", self.line, self.status)?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                write!(f, "\n  {name}: {}", text.trim_end().replace('\n', "\n          "))?;
            }
        }
        Ok(())
    }
}

/// Waits until `condition` holds; `what` names it in the failure after ten seconds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> Result<bool, Stop>) -> Result<(), Stop> {
    let since = Instant::now();
    while !condition()? {
        if since.elapsed() > Duration::from_secs(10) {
            return Err(Stop::Failed(format!("ten seconds passed without: {what}")));
        }
        sleep(Duration::from_millis(3));
    }
    Ok(())
}
