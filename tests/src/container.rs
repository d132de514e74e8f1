//! One container of a test: a bundle, an id, a private `--root`, and the runtime's commands on them.
//!
//! Invariant: when it is dropped, the container is force-deleted and whatever of it still runs is killed, so
//! that a failing test cannot disturb another one. A test that ends well says so itself with
//! [`Container::nothing_left`].

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::unistd::Pid;
use serde_json::Value;

use crate::user::User;
use crate::{Config, Finished, Invocation, Lab, Outcome, Stop, eventually, traces};

/// Lets systemd make the cgroup, in every runtime.
const SYSTEMD: &str = "--systemd-cgroup";

/// A container, made or not.
#[derive(Debug)]
pub struct Container<'lab> {
    /// Unique on this machine, and part of every path of this container.
    pub id: String,
    /// What the next `create` or `run` will find as `config.json`.
    pub config: Config,
    /// The bundle's directory; its root is in `rootfs`.
    pub bundle: PathBuf,
    /// The `--root` of every command.
    pub state_root: PathBuf,
    /// For files of the test; the bundle is inside.
    pub directory: PathBuf,
    /// Options that stand before every command, beside `--root`.
    pub globals: Vec<String>,
    lab: &'lab Lab,
    user: Option<(User, PathBuf)>,
    commands: AtomicU32,
}

impl<'lab> Container<'lab> {
    pub(crate) fn new(lab: &'lab Lab, id: String, directory: PathBuf) -> Self {
        let (bundle, state_root) = (directory.join("bundle"), directory.join("state"));
        let config = Config::default();
        let globals = lab.systemd.then(|| SYSTEMD.to_owned()).into_iter().collect();
        let commands = AtomicU32::new(0);
        Container { id, config, bundle, state_root, directory, globals, lab, user: None, commands }
    }

    /// From now on every command is this user's, who executes this copy of the runtime.
    pub(crate) fn belongs_to(&mut self, user: &User, runtime: PathBuf) {
        self.user = Some((user.clone(), runtime));
        // Few users have a systemd of their own.
        self.by_itself();
    }

    /// Another id on the same bundle and the same `--root`.
    pub fn sibling(&self) -> Result<Container<'lab>, Stop> {
        let mut other = self.lab.container()?;
        other.state_root.clone_from(&self.state_root);
        Ok(other)
    }

    /// Lets the runtime make its cgroup, whatever this run is about.
    pub fn by_itself(&mut self) {
        self.globals.clear();
    }

    /// Lets systemd make its cgroup. Skips the test where no systemd runs, or not on cgroup v2 alone.
    pub fn by_systemd(&mut self) -> Outcome {
        if !Path::new("/run/systemd/system").is_dir()
            || !Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
        {
            return crate::unable("no systemd runs here on cgroup v2 alone");
        }
        self.globals = vec![SYSTEMD.to_owned()];
        Ok(())
    }

    /// The root file system as the host sees it.
    pub fn rootfs(&self) -> PathBuf {
        self.bundle.join("rootfs")
    }

    /// Writes `config.json`.
    pub fn write_config(&self) -> Outcome {
        Ok(fs::write(self.bundle.join("config.json"), serde_json::to_vec_pretty(&self.config.0)?)?)
    }

    /// Any command of the runtime, with this container's `--root`.
    pub fn runtime<S: AsRef<std::ffi::OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Invocation, Stop> {
        let number = self.commands.fetch_add(1, Ordering::Relaxed);
        let output = self.directory.join(format!("command-{number}"));
        Ok(self.plain(&output)?.arg("--root").arg(&self.state_root).args(&self.globals).args(args))
    }

    /// The runtime without `--root`.
    pub fn runtime_alone<S: AsRef<std::ffi::OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Invocation, Stop> {
        let number = self.commands.fetch_add(1, Ordering::Relaxed);
        Ok(self.plain(&self.directory.join(format!("command-{number}")))?.args(args))
    }

    fn plain(&self, output: &Path) -> Result<Invocation, Stop> {
        match &self.user {
            None => Invocation::new(&self.lab.runtime.path, output),
            Some((user, runtime)) => {
                let (program, args) = user.words();
                let args: Vec<&str> = args.iter().map(String::as_str).collect();
                Invocation::new(runtime, output)?.wrapped(program, &args)
            }
        }
    }

    /// `create` with these flags, not started yet; the configuration is written first.
    pub fn create_with(&self, flags: &[&str]) -> Result<Invocation, Stop> {
        self.write_config()?;
        Ok(self.runtime(["create", "--bundle"])?.arg(&self.bundle).args(flags).arg(&self.id))
    }

    /// `run` with these flags, not started yet; the configuration is written first.
    pub fn run_with(&self, flags: &[&str]) -> Result<Invocation, Stop> {
        self.write_config()?;
        Ok(self.runtime(["run", "--bundle"])?.arg(&self.bundle).args(flags).arg(&self.id))
    }

    /// `create`.
    pub fn create(&self) -> Result<Finished, Stop> {
        self.create_with(&[])?.output()
    }

    /// `run` in the foreground.
    pub fn run(&self) -> Result<Finished, Stop> {
        self.run_with(&[])?.output()
    }

    /// `run` of a shell script in the foreground.
    pub fn run_sh(&mut self, script: &str) -> Result<Finished, Stop> {
        self.config.sh(script);
        self.run()
    }

    /// A container that sleeps, running in the background.
    pub fn up(&mut self) -> Outcome {
        self.config.args(&["/bin/sleep", "1000"]);
        self.run_with(&["--detach"])?.output()?.ok();
        assert_eq!(self.status()?, "running");
        Ok(())
    }

    /// `start ID`.
    pub fn start(&self) -> Result<Finished, Stop> {
        self.verb("start")
    }

    /// `kill ID SIGNAL`.
    pub fn kill(&self, signal: &str) -> Result<Finished, Stop> {
        self.runtime(["kill", &self.id, signal])?.output()
    }

    /// `delete ID`.
    pub fn delete(&self) -> Result<Finished, Stop> {
        self.verb("delete")
    }

    /// `delete --force ID`.
    pub fn force_delete(&self) -> Result<Finished, Stop> {
        self.runtime(["delete", "--force", &self.id])?.output()
    }

    /// `VERB ID`.
    pub fn verb(&self, verb: &str) -> Result<Finished, Stop> {
        self.runtime([verb, &self.id])?.output()
    }

    /// `exec FLAGS… ID COMMAND…`.
    pub fn exec(&self, flags: &[&str], command: &[&str]) -> Result<Finished, Stop> {
        self.exec_with(flags, command)?.output()
    }

    /// `exec` of a shell script.
    pub fn exec_sh(&self, script: &str) -> Result<Finished, Stop> {
        self.exec(&[], &["/bin/sh", "-c", script])
    }

    /// `exec FLAGS… ID COMMAND…`, not started yet.
    pub fn exec_with(&self, flags: &[&str], command: &[&str]) -> Result<Invocation, Stop> {
        Ok(self.runtime(["exec"])?.args(flags).arg(&self.id).args(command))
    }

    /// The output of `state`.
    pub fn state(&self) -> Result<Value, Stop> {
        let output = self.verb("state")?.ok();
        Ok(serde_json::from_str(&output.stdout)?)
    }

    /// The status that `state` gives.
    pub fn status(&self) -> Result<String, Stop> {
        Ok(self.state()?["status"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until there is a container and `state` gives this status.
    pub fn becomes(&self, status: &str) -> Outcome {
        eventually(&format!("status {status}"), || {
            let finished = self.verb("state")?;
            Ok(finished.code() == 0 && serde_json::from_str::<Value>(&finished.stdout)?["status"] == status)
        })
    }

    /// The process id of the container's init, as `state` gives it.
    pub fn pid(&self) -> Result<Pid, Stop> {
        let pid = self.state()?["pid"].as_i64().unwrap_or_default();
        Ok(Pid::from_raw(i32::try_from(pid)?))
    }

    /// A file of the init's `/proc` directory.
    pub fn proc_file(&self, name: &str) -> Result<String, Stop> {
        Ok(fs::read_to_string(format!("/proc/{}/{name}", self.pid()?))?)
    }

    /// Expects that neither the kernel nor the state directory knows this container any more.
    pub fn nothing_left(&self) -> Outcome {
        // The kernel removes a mount namespace and reaps the last process a moment after the runtime's answer.
        let mut left = Vec::new();
        let gone = eventually("no trace of the container", || {
            left = traces::of(&self.id, &self.state_root)?;
            Ok(left.is_empty())
        });
        gone.map_err(|_| Stop::Failed(format!("left behind: {}", left.join(", "))))
    }

    /// Whether a path of the container's root exists on the host side.
    pub fn has(&self, path: &str) -> bool {
        fs::symlink_metadata(self.rootfs().join(Path::new(path).strip_prefix("/").unwrap_or(Path::new(path))))
            .is_ok()
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if self.state_root.join(&self.id).exists() {
            let _ = self.force_delete();
        }
        traces::remove(&self.id);
        // A file system allows only so many links to one busybox.
        traces::remove_directory(&self.directory);
    }
}
