//! The binary under test: where it is and what it calls itself.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The runtime under test.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// The binary, absolute.
    pub path: PathBuf,
    /// The first line of `--version` without the word "version", such as `runc 1.1.5+ds1`.
    pub label: String,
}

impl Runtime {
    /// Takes the binary from `RUNTIME_UNDER_TEST` (a path, or a name in `PATH`), else the workspace's husk.
    pub fn find() -> Result<Runtime, String> {
        let path = match std::env::var_os("RUNTIME_UNDER_TEST") {
            Some(name) => search(Path::new(&name)).ok_or_else(|| {
                format!("RUNTIME_UNDER_TEST={}: no such program", Path::new(&name).display())
            })?,
            None => workspace_binary()?,
        };
        let output = Command::new(&path)
            .arg("--version")
            .output()
            .map_err(|error| format!("cannot run {} --version: {error}", path.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let first = text.lines().next().unwrap_or_default();
        Ok(Runtime { label: first.replace(" version ", " "), path })
    }

    /// Whether the label starts with `prefix`: `"runc"`, `"runc 1.1"`.
    pub fn is(&self, prefix: &str) -> bool {
        self.label.starts_with(prefix)
    }
}

/// An absolute path for a name in PATH or a path.
fn search(name: &Path) -> Option<PathBuf> {
    if name.components().count() > 1 {
        return name.canonicalize().ok();
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|candidate| candidate.is_file())
}

/// The newest kind of husk that the workspace has built: static release, release, debug.
fn workspace_binary() -> Result<PathBuf, String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(workspace.join("target"), PathBuf::from);
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    [format!("{triple}/release/husk"), "release/husk".into(), "debug/husk".into()]
        .iter()
        .find_map(|place| target.join(place).canonicalize().ok())
        .ok_or_else(|| {
            format!(
                "no husk binary under {}: build one with `cargo build -p husk-runtime`, \
                 or name another runtime in RUNTIME_UNDER_TEST",
                target.display()
            )
        })
}
