//! The binary, run with an environment of its own in a directory of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that goes away with the test.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("husk-cli-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("the temporary directory takes a directory");
        Scratch(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Runs husk in it, its containers recorded in it.
    pub(crate) fn husk(&self, args: &[&str]) -> Run {
        std::fs::create_dir_all(self.0.join("state")).expect("the directory takes a directory");
        self.run(Path::new(env!("CARGO_BIN_EXE_husk")), args)
    }

    /// The same under the name of `runc`.
    pub(crate) fn runc(&self, args: &[&str]) -> Run {
        let link = self.0.join("runc");
        let _ = std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_husk"), &link);
        self.run(&link, args)
    }

    /// Runs a program in it.
    pub(crate) fn run(&self, program: &Path, args: &[&str]) -> Run {
        let output = Command::new(program)
            .arg("--root")
            .arg(self.0.join("state"))
            .args(args)
            .current_dir(&self.0)
            .output()
            .expect("husk can be executed");
        Run::new(args, output)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a run gave.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) line: String,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    fn new(args: &[&str], output: Output) -> Run {
        let text = |bytes| String::from_utf8(bytes).expect("husk writes UTF-8");
        Run {
            line: args.join(" "),
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// It succeeded, and said nothing on standard error.
    pub(crate) fn ok(self) -> Run {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{}", self.line);
        self
    }

    /// It failed with that status and one line on standard error, which begins with the message, and perhaps a hint.
    pub(crate) fn failed(self, code: i32, message: &str) -> Run {
        let line = self.stderr.lines().next().unwrap_or_default();
        assert_eq!(self.code, code, "{}: {}", self.line, self.stderr);
        assert!(line.starts_with(&format!("husk: {message}")), "{}: {line}", self.line);
        assert!(self.stderr.lines().skip(1).all(|line| line.starts_with("hint: ")), "{}", self.stderr);
        self
    }
}
