//! What of this machine `husk try` shows: the directories of `/`, and the file systems mounted below them.
//!
//! Not shown: `/proc`, `/sys`, `/dev`, `/run` and `/tmp`, of which the container has its own; plain files in `/`; kernel file
//! systems and other containers' overlays mounted below; paths that the options of an overlay cannot spell.

use std::collections::BTreeSet;
use std::fs::{DirEntry, FileType};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The container has its own.
const OWN: [&str; 5] = ["proc", "sys", "dev", "run", "tmp"];

/// One thing to show at its own path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    /// A directory with changes of its own.
    Overlay(PathBuf),
    /// A file or file system that no overlay can lie on.
    ReadOnly(PathBuf),
    /// A symbolic link in `/`, and what it says.
    Link(PathBuf, PathBuf),
}

/// In the order in which they have to be mounted: what lies deeper comes later.
pub(super) fn views() -> io::Result<Vec<View>> {
    let mut entries: Vec<(PathBuf, FileType)> = std::fs::read_dir("/")?
        .flatten()
        .filter_map(|entry: DirEntry| Some((entry.path(), entry.file_type().ok()?)))
        .collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let mut views = Vec::new();
    let mut shown = BTreeSet::new();
    for (path, kind) in entries {
        let own = OWN.iter().any(|name| path == Path::new("/").join(name));
        if own || !spellable(&path) {
            continue;
        }
        if kind.is_symlink() {
            let target = std::fs::read_link(&path)?;
            views.push(View::Link(path, target));
        } else if kind.is_dir() {
            shown.insert(path.clone());
            views.push(View::Overlay(path));
        }
    }
    let mounts = std::fs::read("/proc/self/mountinfo")?;
    let below = mounted_below(&mounts, &shown);
    views.extend(below.into_iter().filter_map(|mount| view(&mount)));
    Ok(views)
}

/// A mount below a directory that is shown.
#[derive(Debug, PartialEq, Eq)]
struct Below {
    path: PathBuf,
    kind: String,
}

fn mounted_below(mountinfo: &[u8], shown: &BTreeSet<PathBuf>) -> Vec<Below> {
    let mut found: Vec<Below> = Vec::new();
    for line in mountinfo.split(|byte| *byte == b'\n') {
        // proc_pid_mountinfo(5): the fifth field is the mount point, the first after " - " the type.
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let dash = fields.iter().position(|field| *field == b"-");
        let (Some(point), Some(kind)) = (fields.get(4), dash.and_then(|at| fields.get(at + 1))) else {
            continue;
        };
        let path = PathBuf::from(std::ffi::OsString::from_vec(unescape(point)));
        let below = path.ancestors().skip(1).any(|parent| shown.contains(parent));
        if below && spellable(&path) {
            // A later mount at the same place hides the earlier one.
            found.retain(|mount| mount.path != path);
            found.push(Below { path, kind: String::from_utf8_lossy(kind).into_owned() });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Octal escapes of mountinfo: `\040` is a blank.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let code = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                out.push(byte);
                rest = &tail[3..];
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

fn view(mount: &Below) -> Option<View> {
    const LAYERABLE: [&str; 9] =
        ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "tmpfs", "squashfs", "erofs"];
    const DISKS: [&str; 8] = ["vfat", "exfat", "ntfs3", "iso9660", "nfs", "nfs4", "9p", "virtiofs"];
    let layerable = LAYERABLE.contains(&mount.kind.as_str());
    let disk = layerable || DISKS.contains(&mount.kind.as_str());
    match layerable && mount.path.is_dir() {
        true => Some(View::Overlay(mount.path.clone())),
        false => disk.then(|| View::ReadOnly(mount.path.clone())),
    }
}

/// The options of an overlay are one string with commas, colons and backslashes of its own.
fn spellable(path: &Path) -> bool {
    path.to_str().is_some_and(|text| !text.contains([',', ':', '\\', '"', '\n']))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &[u8] = b"\
        21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
        22 21 8:2 / /home rw shared:2 - xfs /dev/sda2 rw\n\
        23 21 8:3 / /var/log rw - tmpfs none rw\n\
        24 21 8:4 / /var/log rw - ext4 /dev/sda4 rw\n\
        25 21 0:5 / /proc/sys/fs rw - binfmt_misc none rw\n\
        26 21 8:6 / /var/my\\040disk rw - vfat /dev/sda6 rw\n\
        27 21 0:7 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw\n\
        \n";

    #[test]
    fn mounts_below_shown_directories_are_found_once() {
        let shown = ["/home", "/var"].map(PathBuf::from).into();
        let found = mounted_below(MOUNTINFO, &shown);
        let expected = [
            ("/var/lib/docker/overlay2/x/merged", "overlay"),
            ("/var/log", "ext4"),
            ("/var/my disk", "vfat"),
        ];
        let found: Vec<_> = found.iter().map(|m| (m.path.to_str().unwrap_or(""), m.kind.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn kernel_file_systems_and_other_overlays_are_left_out() {
        let below = |kind: &str| Below { path: "/nowhere/at/all".into(), kind: kind.into() };
        assert_eq!(view(&below("proc")), None);
        assert_eq!(view(&below("overlay")), None);
        assert_eq!(view(&below("vfat")), Some(View::ReadOnly("/nowhere/at/all".into())));
    }
}
