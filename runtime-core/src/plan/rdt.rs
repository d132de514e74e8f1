//! Shares of the last-level cache and of the memory bandwidth (runtime-spec config-linux.md, "IntelRdt"; the kernel's
//! filesystems/resctrl.rst).

use super::problems::{Pointer, Problems};
use crate::id::ContainerId;
use crate::spec::LinuxIntelRdt;

/// A group of the resctrl file system for the container's processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RdtPlan {
    /// Its directory below the file system's root: the `closID`, or the container's id.
    pub group: String,
    /// The config names it, so others may use it too, and it stays when the container goes.
    pub is_named: bool,
    /// What is written into `schemata`, a line each. Without any a named group has to be there already.
    pub schemata: Vec<String>,
    /// The monitoring group in it, when one is asked for.
    pub monitor: Option<String>,
}

/// `/linux/intelRdt`. Whether this machine has the file system shows when the container is made: no other container
/// has to pay for the question.
pub(super) fn plan(
    rdt: Option<&LinuxIntelRdt>,
    id: &ContainerId,
    at: &Pointer<'_>,
    problems: &mut Problems,
) -> Option<RdtPlan> {
    let rdt = rdt?;
    let named = rdt.clos_id().as_deref().filter(|name| !name.is_empty());
    if let Some(name) = named
        && (matches!(name, "." | "..") || name.contains(['/', '\0', '\n']))
    {
        problems.add(&at.key("closID"), format!("{name:?} is no name of a directory"));
    }
    let mut schemata = Vec::new();
    let mut line = |place: &Pointer<'_>, text: &str, problems: &mut Problems| {
        if text.contains(['\0', '\n']) {
            problems.add(place, "is more than one line");
        }
        if !text.is_empty() {
            schemata.push(text.to_owned());
        }
    };
    for (key, field) in [("l3CacheSchema", rdt.l3_cache_schema()), ("memBwSchema", rdt.mem_bw_schema())] {
        line(&at.key(key), field.as_deref().unwrap_or_default(), problems);
    }
    // After the other two, whose values these replace.
    let list = at.key("schemata");
    for (index, text) in rdt.schemata().iter().flatten().enumerate() {
        line(&list.item(index), text, problems);
    }
    Some(RdtPlan {
        group: named.unwrap_or(id.as_str()).to_owned(),
        is_named: named.is_some(),
        schemata,
        monitor: rdt.enable_monitoring().unwrap_or(false).then(|| id.as_str().to_owned()),
    })
}
