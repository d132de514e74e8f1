//! The maps of a new user namespace (user_namespaces(7)).
//!
//! Who has CAP_SETUID and CAP_SETGID writes them as they stand; anybody may map their own user and group alone. For
//! more than that there are two programs with privileges, newuidmap(1) and newgidmap(1), which give everyone the ranges
//! that root has set aside for them in `/etc/subuid` and `/etc/subgid`.

use super::id_maps::map_text;
use super::prepare::write_proc;
use crate::error::{Error, ErrorKind, Result};
use crate::options::MapHelpers;
use crate::plan::{IdMapping, NamespacePlan, ProcessPlan, Step};
use nix::errno::Errno;
use std::path::Path;
use std::process::{Command, Stdio};

/// One of the two maps.
struct Map<'a> {
    file: &'a str,
    what: &'a str,
    mappings: &'a [IdMapping],
    helper: Option<&'a Path>,
    helper_name: &'a str,
    ranges: &'a str,
    option: &'a str,
}

/// Writes both for a process that waits for it.
pub(super) fn write_maps(
    pid: i32,
    namespaces: &NamespacePlan,
    process: &ProcessPlan,
    helpers: &MapHelpers,
) -> Result<()> {
    let users = Map {
        file: "uid_map",
        what: "map the users (/linux/uidMappings)",
        mappings: &namespaces.uid_mappings,
        helper: helpers.newuidmap.as_deref(),
        helper_name: "newuidmap",
        ranges: "/etc/subuid",
        option: "--add-subuids",
    };
    let groups = Map {
        file: "gid_map",
        what: "map the groups (/linux/gidMappings)",
        mappings: &namespaces.gid_mappings,
        helper: helpers.newgidmap.as_deref(),
        helper_name: "newgidmap",
        ranges: "/etc/subgid",
        option: "--add-subgids",
    };
    users.write(pid)?;
    if !process.user.set_groups {
        write_proc(pid, "setgroups", b"deny", Step::WriteMaps, "deny setgroups")?;
    }
    groups.write(pid)
}

impl Map<'_> {
    fn write(&self, pid: i32) -> Result<()> {
        match write_proc(pid, self.file, map_text(self.mappings).as_bytes(), Step::WriteMaps, self.what) {
            Err(error) if error.errno() == Some(Errno::EPERM as i32) => match self.helper {
                Some(helper) => self.ask(helper, pid),
                None => Err(error.with_hint(format!(
                    "without root more than your own id takes {}(1), which is not in PATH (Debian's package is uidmap), \
                     and a range in {}; or map your own id alone, as husk spec --rootless does",
                    self.helper_name, self.ranges
                ))),
            },
            result => result,
        }
    }

    /// The program says itself what it does not like.
    fn ask(&self, helper: &Path, pid: i32) -> Result<()> {
        let numbers = self.mappings.iter().flat_map(|map| [map.inside, map.outside, map.count]);
        let output = Command::new(helper)
            .arg(pid.to_string())
            .args(numbers.map(|number| number.to_string()))
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .map_err(|error| {
                let what = format!("cannot {}: cannot run {}", self.what, helper.display());
                Error::io(what, "execve", &error).at(Step::WriteMaps)
            })?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim().replace('\n', "; ");
        let message = match said.is_empty() {
            true => format!("cannot {}: {} failed: {}", self.what, helper.display(), output.status),
            false => format!("cannot {}: {said}", self.what),
        };
        Err(Error::new(ErrorKind::PermissionDenied, message).at(Step::WriteMaps).with_hint(format!(
            "{} gives you your own id and the ranges that {} lists for you; root adds one with usermod {} \
             100000-165535 USER",
            self.helper_name, self.ranges, self.option
        )))
    }
}
