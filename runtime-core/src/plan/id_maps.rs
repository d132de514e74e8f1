//! Bind mounts that show their files with other owners than the files have (mount_setattr(2), "ID-mapped mounts";
//! runtime-spec config.md, "Mounts": `uidMappings`, `gidMappings`, and the options `idmap` and `ridmap`).
//!
//! A mapping is one of a user namespace: ids "inside" are those that the file system stores, ids "outside" those that
//! the host then sees. Without mappings of its own a mount takes those of the container's user namespace.

use super::mount_options::MountOptions;
use super::namespaces::{IdMapping, NamespaceKind, NamespacePlan, inside_to_outside, plan_mapping};
use super::problems::{Pointer, Problems};
use crate::host::Host;
use crate::spec;

/// Whose ids a mount shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountIds {
    /// Those of the container's user namespace, new or joined.
    Container,
    /// Its own.
    Own {
        /// Users.
        uids: Vec<IdMapping>,
        /// Groups.
        gids: Vec<IdMapping>,
    },
}

/// The ids of an id-mapped mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMapPlan {
    /// Whose.
    pub ids: MountIds,
    /// Also of all mounts below it (`ridmap`).
    pub recursive: bool,
}

/// The mappings of one mount, if it has any.
pub(super) fn plan(
    mount: &spec::Mount,
    options: &MountOptions,
    namespaces: &NamespacePlan,
    host: &Host,
    place: &Pointer<'_>,
    problems: &mut Problems,
) -> Option<IdMapPlan> {
    let uids = mount.uid_mappings().as_deref().unwrap_or_default();
    let gids = mount.gid_mappings().as_deref().unwrap_or_default();
    let option = options.id_map.as_ref();
    if uids.is_empty() && gids.is_empty() && option.is_none() {
        return None;
    }
    if options.bind.is_none() || options.remount {
        problems.add(place, "id-mapped mounts are only supported for bind-mounts");
        return None;
    }
    if !host.privileged {
        let message = "id-mapped mounts are not supported for rootless containers: the kernel lets only the \
                       owner of a file system change how its ids are shown";
        problems.add(place, message);
        return None;
    }
    let recursive = option.is_some_and(|option| option.recursive);
    let ids = match option.and_then(|option| Some((option, option.text.as_deref()?))) {
        Some((option, text)) => {
            let options = place.key("options");
            let place = options.item(option.index);
            if !uids.is_empty() || !gids.is_empty() {
                problems.add(
                    &place,
                    "gives mappings, and so do uidMappings or gidMappings: one of them is enough",
                );
            }
            written_out(text, namespaces, &place, problems)?
        }
        None if uids.is_empty() && gids.is_empty() => {
            if !namespaces.is_private(NamespaceKind::User) {
                let message = "\"idmap\" without mappings takes those of the container's user namespace, and it has none: \
                               id-mapped mounts must have both uid and gid mappings specified";
                problems.add(place, message);
                return None;
            }
            MountIds::Container
        }
        None => {
            for (key, list) in [("uidMappings", uids), ("gidMappings", gids)] {
                if list.is_empty() {
                    let message =
                        "is missing: id-mapped mounts must have both uid and gid mappings specified";
                    problems.add(&place.key(key), message);
                }
            }
            let uids = plan_mapping(uids, &place.key("uidMappings"), problems);
            let gids = plan_mapping(gids, &place.key("gidMappings"), problems);
            own(uids, gids, namespaces)
        }
    };
    Some(IdMapPlan { ids, recursive })
}

/// Mappings that are the container's need no user namespace beside its own.
fn own(uids: Vec<IdMapping>, gids: Vec<IdMapping>, namespaces: &NamespacePlan) -> MountIds {
    let same = namespaces.is_new(NamespaceKind::User)
        && uids == namespaces.uid_mappings
        && gids == namespaces.gid_mappings;
    if same { MountIds::Container } else { MountIds::Own { uids, gids } }
}

/// `uids=0-100-10#10-200-5;gids=@0-1-10`: first id of the files, first id outside, how many. After an `@` the second
/// is an id of the container, which stands for the host's that it maps to.
fn written_out(
    text: &str,
    namespaces: &NamespacePlan,
    place: &Pointer<'_>,
    problems: &mut Problems,
) -> Option<MountIds> {
    let (mut uids, mut gids) = (Vec::new(), Vec::new());
    for part in text.split(';').filter(|part| !part.is_empty()) {
        let (list, of_container, ranges) = match part.split_once('=') {
            Some(("uids", ranges)) => (&mut uids, &namespaces.uid_mappings, ranges),
            Some(("gids", ranges)) => (&mut gids, &namespaces.gid_mappings, ranges),
            _ => {
                problems.add(place, format!("{part:?} is neither uids=… nor gids=…"));
                return None;
            }
        };
        for range in ranges.split('#') {
            match read_range(range, of_container) {
                Ok(mapping) => list.push(mapping),
                Err(why) => {
                    problems.add(place, format!("{range:?} {why}"));
                    return None;
                }
            }
        }
    }
    if uids.is_empty() || gids.is_empty() {
        problems.add(place, "id-mapped mounts must have both uid and gid mappings specified");
        return None;
    }
    Some(own(uids, gids, namespaces))
}

fn read_range(range: &str, of_container: &[IdMapping]) -> Result<IdMapping, &'static str> {
    let (relative, numbers) = match range.strip_prefix('@') {
        Some(numbers) => (true, numbers),
        None => (false, range),
    };
    let numbers: Vec<Option<u32>> = numbers.split('-').map(|number| number.parse().ok()).collect();
    let [Some(inside), Some(outside), Some(count)] = numbers[..] else {
        return Err("is no range: it is three numbers, as in 0-100000-65536");
    };
    let fits = |first: u32| count > 0 && first.checked_add(count - 1).is_some_and(|last| last != u32::MAX);
    if !fits(inside) || !fits(outside) {
        return Err("is an empty range, or one that reaches beyond the largest id, 4294967294");
    }
    if !relative {
        return Ok(IdMapping { inside, outside, count });
    }
    // A range that reaches over several of the container's would mean ids that were not asked for.
    let first = inside_to_outside(of_container, outside);
    let last = inside_to_outside(of_container, outside + (count - 1));
    match (first, last) {
        (Some(first), Some(last)) if last.checked_sub(first) == Some(count - 1) => {
            Ok(IdMapping { inside, outside: first, count })
        }
        _ => Err("is not inside one range of the container's user namespace, as \"@\" wants it"),
    }
}

impl std::fmt::Display for IdMapPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.recursive { "ids of it and all below shown" } else { "ids shown" })?;
        let MountIds::Own { uids, gids } = &self.ids else { return f.write_str(" as the container's") };
        for (word, list) in [(" with users", uids), (" and groups", gids)] {
            f.write_str(word)?;
            for IdMapping { inside, outside, count } in list {
                write!(f, " {inside}→{outside}×{count}")?;
            }
        }
        Ok(())
    }
}
