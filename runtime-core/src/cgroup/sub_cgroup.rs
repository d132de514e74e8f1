//! A cgroup below the container's, for a further process: it is named relative to the container's, has to be there,
//! and never lies outside of it.

#![forbid(unsafe_code)]

use super::directory::Directory;
use super::{Birthplace, Cgroup, CgroupRecord};
use crate::error::{Error, ErrorKind, Result};
use crate::options::SubCgroups;
use crate::plan::Step;
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

impl CgroupRecord {
    /// The same hierarchies, each at the place that was asked for.
    pub(crate) fn below(&self, wanted: &SubCgroups) -> Result<CgroupRecord> {
        let invalid = |message: String| Error::new(ErrorKind::InvalidInput, message).at(Step::EnterCgroup);
        // Controllers may share a hierarchy, and then they are in one place.
        let mut chosen: BTreeMap<&Path, (&str, PathBuf)> = BTreeMap::new();
        for (controller, path) in wanted.iter().filter(|(controller, _)| !controller.is_empty()) {
            let Some(directory) = self.0.get(controller) else {
                return Err(invalid(format!("unknown controller {controller} in the sub-cgroups"))
                    .with_hint("only the hierarchies of cgroup v1 have names; where there is v2 alone, give one path"));
            };
            let place = below(directory, path).map_err(invalid)?;
            match chosen.get(directory.as_path()) {
                Some((other, there)) if *there != place => {
                    return Err(invalid(format!(
                        "{other} and {controller} are one hierarchy here, so they cannot be in different sub-cgroups"
                    )));
                }
                _ => chosen.insert(directory, (controller, place)),
            };
        }
        let mut record = BTreeMap::new();
        for (controller, directory) in &self.0 {
            let place = match (chosen.get(directory.as_path()), wanted.get("")) {
                (Some((_, place)), _) => place.clone(),
                (None, Some(path)) => below(directory, path).map_err(invalid)?,
                (None, None) => directory.clone(),
            };
            record.insert(controller.clone(), place);
        }
        Ok(CgroupRecord(record))
    }
}

impl Cgroup {
    /// [`Cgroup::birthplace`] for cgroups that somebody else makes, and has not made if they are not there.
    pub(crate) fn birthplace_below(&self) -> Result<Birthplace> {
        for directory in self.directories() {
            if matches!(directory.fd(), Err(Errno::ENOENT)) {
                return Err(cannot_join(directory, Errno::ENOENT)
                    .with_hint("a sub-cgroup is not made by exec; make it first"));
            }
        }
        self.birthplace()
    }

    /// The kernel's answer where the cgroup has handed controllers on to cgroups of its own (cgroups(7), "no internal
    /// processes").
    pub(crate) fn busy(&self) -> Option<Error> {
        let directory = self.v2.as_ref()?;
        Some(cannot_join(directory, Errno::EBUSY).with_hint(
            "its controllers are handed on to cgroups below it, so it takes no processes: name one of those",
        ))
    }
}

/// In the words that runc's own tests look for.
fn cannot_join(directory: &Directory, errno: Errno) -> Error {
    let (file, words) = (directory.file_path("cgroup.procs"), errno.desc().to_lowercase());
    let message = format!("error adding pid of the new process to cgroups: {file}: {words}");
    Error::new(ErrorKind::System, message).at(Step::EnterCgroup)
}

/// Cgroup file systems have no links, so what a path means can be read off its parts. Part by part, because
/// `../ID-suffix` begins with the same letters as the container's own cgroup.
fn below(directory: &Path, path: &str) -> Result<PathBuf, String> {
    let mut parts = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => parts.push(name),
            Component::ParentDir if parts.pop().is_none() => {
                return Err(format!("bad sub cgroup path: {path} is not a sub cgroup path"));
            }
            _ => {}
        }
    }
    Ok(directory.join(parts.into_iter().collect::<PathBuf>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(rows: &[(&str, &str)]) -> CgroupRecord {
        CgroupRecord(
            rows.iter().map(|(name, path)| ((*name).to_owned(), Path::new("/cg").join(path))).collect(),
        )
    }

    fn wanted(rows: &[(&str, &str)]) -> SubCgroups {
        rows.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect()
    }

    fn hybrid() -> CgroupRecord {
        record(&[("", "u/c"), ("cpu", "cpu/c"), ("cpuacct", "cpu/c"), ("memory", "memory/c")])
    }

    #[test]
    fn one_path_is_for_every_hierarchy() {
        let everywhere =
            record(&[("", "u/c/s"), ("cpu", "cpu/c/s"), ("cpuacct", "cpu/c/s"), ("memory", "memory/c/s")]);
        for path in ["s", "/s", "s/", "./s", "a/../s"] {
            assert_eq!(hybrid().below(&wanted(&[("", path)])).expect(path), everywhere, "{path}");
        }
        for path in ["", "/", ".", "a/.."] {
            assert_eq!(hybrid().below(&wanted(&[("", path)])).expect(path), hybrid(), "{path}");
        }
    }

    #[test]
    fn controllers_of_one_hierarchy_go_together() {
        let moved =
            record(&[("", "u/c"), ("cpu", "cpu/c/s"), ("cpuacct", "cpu/c/s"), ("memory", "memory/c")]);
        for names in [&[("cpu", "s")][..], &[("cpuacct", "s")], &[("cpu", "s"), ("cpuacct", "/s")]] {
            assert_eq!(hybrid().below(&wanted(names)).expect("a place"), moved);
        }
        let error = hybrid().below(&wanted(&[("cpu", "a"), ("cpuacct", "b")])).expect_err("two places");
        assert!(error.to_string().contains("cpu and cpuacct are one hierarchy"), "{error}");
    }

    #[test]
    fn what_lies_outside_is_refused() {
        for path in ["..", "/..", "../c-suffix", "../c", "a/../..", "a/../../c"] {
            for name in ["", "memory"] {
                let error = hybrid().below(&wanted(&[(name, path)])).expect_err(path);
                assert!(error.to_string().contains(&format!(" {path} is not a sub cgroup path")), "{error}");
            }
        }
    }

    #[test]
    fn an_unknown_controller_is_named() {
        let error = hybrid().below(&wanted(&[("frog", "/")])).expect_err("unknown");
        assert!(error.to_string().contains("unknown controller frog"), "{error}");
    }
}
