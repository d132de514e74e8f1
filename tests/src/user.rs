//! Somebody without privileges who calls the runtime: an id that no file of this machine knows, and what root has
//! set aside for it, in namespaces and cgroups that go with the test.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Lab, Stop, traces, unable, unprovided};

/// The id, as user and as group.
pub const USER: u32 = 4242;

/// First of the ids that [`User::with_ranges`] gives, of which there are 65536.
pub const FIRST_OF_RANGE: u32 = 700_000;

/// Who calls the runtime.
#[derive(Debug, Clone)]
pub struct User {
    /// Runs as root before each command.
    prelude: String,
    /// What the commands run by way of, before that.
    way: Vec<String>,
    /// What the runtime itself is started by.
    start: &'static str,
}

impl User {
    /// Nobody in particular.
    pub fn new() -> Result<User, Stop> {
        let user = User { prelude: String::new(), way: Vec::new(), start: "" };
        let (program, args) = user.words();
        match Command::new(program).args(args).args(["unshare", "--user", "true"]).status() {
            Ok(status) if status.success() => Ok(user),
            Ok(_) => unable("here nobody but root may make a user namespace"),
            Err(error) => unprovided(format!("there is no {program}: {error}")),
        }
    }

    /// Who has a name, and a range of further ids, in this machine's files as these commands see them.
    pub fn with_ranges(directory: &Path) -> Result<User, Stop> {
        let helpers = ["newuidmap", "newgidmap"];
        if helpers
            .iter()
            .any(|name| !["/usr/bin", "/bin"].iter().any(|bin| Path::new(bin).join(name).exists()))
        {
            return unprovided("there is no newuidmap; Debian's package is uidmap");
        }
        let passwd = fs::read_to_string("/etc/passwd")?;
        let range = format!("ranger:{FIRST_OF_RANGE}:65536\n");
        let files = [
            ("passwd", format!("{passwd}ranger:x:{USER}:{USER}::/:/bin/sh\n")),
            ("subuid", range.clone()),
            ("subgid", range),
        ];
        let mut user = User::new()?;
        for (name, text) in files {
            let own = directory.join(name);
            fs::write(&own, text)?;
            // There need not be such a file on this machine.
            let theirs = Path::new("/etc").join(name);
            if !theirs.exists() {
                return unprovided(format!("there is no {}", theirs.display()));
            }
            user.prelude.push_str(&format!("mount --bind {} {} && ", own.display(), theirs.display()));
        }
        user.way = ["unshare", "--mount", "--propagation", "private"].map(str::to_owned).into();
        Ok(user)
    }

    /// Whose `PATH` leads to no program at all.
    pub fn without_programs(mut self) -> User {
        self.start = "env PATH=/nowhere ";
        self
    }

    /// Who has a systemd of their own, as after a login: it makes the cgroups. The commands start in a cgroup of this
    /// directory below the user's slice: `user@4242.service/…` belongs to the user, `NAME.scope` is like a session.
    pub fn of_systemd(lab: &Lab, from: &str) -> Result<User, Stop> {
        if !Path::new("/run/user/4242/systemd/private").exists() {
            return unable("nobody here has a systemd of their own");
        }
        let slice = Path::new("/sys/fs/cgroup/user.slice/user-4242.slice");
        let start = slice.join(from).join(lab.unique("user"));
        let mut user = User::new()?;
        user.prelude = format!("mkdir -p {0} && echo $$ >{0}/cgroup.procs && ", start.display());
        user.start = "env XDG_RUNTIME_DIR=/run/user/4242 ";
        Ok(user)
    }

    /// Who starts in cgroups of their own.
    pub fn in_cgroups(mut self, given: &Delegated) -> User {
        for directory in &given.starts {
            self.prelude.push_str(&format!("echo $$ >{}/cgroup.procs && ", directory.display()));
        }
        self
    }

    /// The program and its first arguments that a command of this user is put behind.
    pub fn words(&self) -> (&str, Vec<String>) {
        let id = USER.to_string();
        let script = format!(
            "{}exec setpriv --reuid {id} --regid {id} --clear-groups -- {}\"$@\"",
            self.prelude, self.start
        );
        let mut words = self.way.clone();
        words.extend(["sh", "-c", &script, "sh"].map(str::to_owned));
        let args = words.split_off(1);
        (if self.way.is_empty() { "sh" } else { "unshare" }, args)
    }
}

/// Makes a directory of the tests the user's, with what is in it; files that several containers share stay root's.
pub fn give_away(directory: &Path) -> Result<(), Stop> {
    chown(directory, Some(USER), Some(USER))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            give_away(&entry.path())?;
        } else if !kind.is_symlink() && entry.metadata()?.nlink() == 1 {
            chown(entry.path(), Some(USER), Some(USER))?;
        }
    }
    Ok(())
}

/// Cgroups that root has given to the user, one in each hierarchy. They are removed when this is dropped.
#[derive(Debug)]
pub struct Delegated {
    /// Where the user's commands start.
    starts: Vec<PathBuf>,
    given: Vec<PathBuf>,
}

impl Delegated {
    /// Below the cgroups of the tests.
    pub fn new(lab: &Lab) -> Result<Delegated, Stop> {
        let name = lab.unique("delegated");
        let mut delegated = Delegated { starts: Vec::new(), given: Vec::new() };
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let top = Path::new("/sys/fs/cgroup");
        let unified = top.join("cgroup.controllers").exists();
        for line in own.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(names), Some(path)) = (parts.next(), parts.next()) else { continue };
            let mount = match names {
                "" if unified => top.to_owned(),
                "" => top.join("unified"),
                names => top.join(names.trim_start_matches("name=")),
            };
            let parent = mount.join(path.trim_start_matches('/'));
            if !parent.is_dir() {
                continue;
            }
            if unified {
                // A cgroup with processes hands no controllers on: beside the own one there is room.
                delegated.give_v2(parent.parent().filter(|up| up.starts_with(top)).unwrap_or(top), &name)?;
            } else {
                delegated.give(&parent, &name)?;
            }
        }
        Ok(delegated)
    }

    fn give(&mut self, parent: &Path, name: &str) -> Result<(), Stop> {
        let directory = self.make(parent.join(name))?;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(value) = fs::read_to_string(parent.join(file)) {
                fs::write(directory.join(file), value.trim())?;
            }
        }
        self.starts.push(directory);
        Ok(())
    }

    fn give_v2(&mut self, parent: &Path, name: &str) -> Result<(), Stop> {
        for controller in fs::read_to_string(parent.join("cgroup.controllers"))?.split_whitespace() {
            // Those that are refused are not handed on.
            let _ = fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}"));
        }
        let directory = self.make(parent.join(name))?;
        let start = self.make(directory.join("start"))?;
        self.starts.push(start);
        Ok(())
    }

    /// What systemd gives away with Delegate=yes: the directory, and the files by which it is divided.
    fn make(&mut self, directory: PathBuf) -> Result<PathBuf, Stop> {
        fs::create_dir(&directory)?;
        self.given.push(directory.clone());
        chown(&directory, Some(USER), Some(USER))?;
        for file in ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "tasks"] {
            if directory.join(file).exists() {
                chown(directory.join(file), Some(USER), Some(USER))?;
            }
        }
        Ok(directory)
    }

    /// Whether a directory is below one of these.
    pub fn contains(&self, path: &Path) -> bool {
        self.given.iter().any(|given| path.starts_with(given))
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        for directory in self.given.iter().rev() {
            if let Some(name) =
                directory.file_name().and_then(|name| name.to_str()).filter(|name| *name != "start")
            {
                traces::remove(name);
            }
            let _ = fs::remove_dir(directory);
        }
    }
}

/// A copy of the runtime that everybody may execute.
pub(crate) fn runtime_for_all(lab: &Lab) -> Result<PathBuf, Stop> {
    let copy = lab.directory.join("runtime-for-all");
    fs::copy(&lab.runtime.path, &copy)?;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
    Ok(copy)
}
