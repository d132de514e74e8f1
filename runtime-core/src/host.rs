//! [`Host`]: what this machine can do, looked at once. The only impure input of planning.

#![forbid(unsafe_code)]

use crate::error::{Error, ErrorKind, Result};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, FsType, statfs};
use procfs::process::MountInfo;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// How cgroups are mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CgroupLayout {
    /// cgroup v2 alone.
    Unified {
        /// Usually `/sys/fs/cgroup`.
        mountpoint: PathBuf,
    },
    /// v1 hierarchies, perhaps with a v2 hierarchy without controllers beside them.
    Hybrid {
        /// The v1 hierarchies, in the order of `/proc/self/mountinfo`.
        hierarchies: Vec<Hierarchy>,
        /// The v2 one, usually `/sys/fs/cgroup/unified`; `None` on a pure v1 host.
        unified: Option<PathBuf>,
    },
    /// No cgroup file system is mounted.
    None,
}

/// One cgroup v1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub mountpoint: PathBuf,
    /// Its controllers, for example `cpu` and `cpuacct`; or a name, as `name=systemd`.
    pub controllers: Vec<String>,
    /// The runtime's own cgroup in it, from `/proc/self/cgroup`, relative to the mounted root: `/` or `/a/b`.
    pub own_cgroup: String,
}

/// What this machine can do.
#[derive(Debug, Clone)]
pub struct Host {
    /// Kernel version, major and minor.
    pub kernel: (u32, u32),
    /// How cgroups are mounted.
    pub cgroups: CgroupLayout,
    /// The runtime's own cgroup in the v2 hierarchy, relative to the mounted root.
    pub own_cgroup: String,
    /// The caller's effective user id.
    pub euid: u32,
    /// The caller's effective group id.
    pub egid: u32,
    /// Whether the caller may mount and make devices: CAP_SYS_ADMIN in the initial user namespace's terms.
    pub privileged: bool,
    /// Whether the caller has CAP_SYS_ADMIN in the user namespace that it lives in, whichever that is.
    pub sys_admin: bool,
    /// Whether the caller may map any ids that it sees: CAP_SETUID and CAP_SETGID, likewise.
    pub may_map_ids: bool,
    /// Whether the caller already lives in a user namespace other than the initial one.
    pub in_user_namespace: bool,
    /// Whether setgroups(2) works in the caller's user namespace.
    pub setgroups: bool,
    /// Whether AppArmor is enabled.
    pub apparmor: bool,
    /// Whether SELinux is enabled.
    pub selinux: bool,
    /// The highest capability number that this kernel knows.
    pub last_capability: u8,
    /// Whether the kernel offers its memory as `/proc/kcore`.
    pub has_kcore: bool,
}

/// The oldest kernel with everything that there is one code path for.
const OLDEST_KERNEL: (u32, u32) = (5, 14);

impl Host {
    /// Looks at this machine. It costs some dozen system calls, and no more on a host with many mounts, as long as
    /// that has cgroup v2 alone.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] on a kernel before 5.14; [`ErrorKind::System`] where `/proc` is not mounted.
    pub fn probe() -> Result<Host> {
        let kernel = kernel_version()?;
        if kernel < OLDEST_KERNEL {
            let (major, minor) = kernel;
            let message = format!(
                "Linux {major}.{minor} lacks what husk is built on: 5.14 or newer is needed, for cgroup.kill, \
                 mount_setattr(2), close_range(2) and openat2(2)"
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let own = read("/proc/self/cgroup")?;
        let in_user_namespace = !is_identity_map(&read("/proc/self/uid_map")?);
        let own_capabilities = caps::read(None, caps::CapSet::Effective).map_err(|error| {
            Error::new(ErrorKind::System, format!("cannot read own capabilities: {error}"))
        })?;
        let has = |capability| own_capabilities.contains(&capability);
        let sys_admin = has(caps::Capability::CAP_SYS_ADMIN);
        Ok(Host {
            kernel,
            cgroups: cgroup_layout(&own)?,
            own_cgroup: own_cgroup(&own, "").unwrap_or("/").to_owned(),
            euid: nix::unistd::geteuid().as_raw(),
            egid: nix::unistd::getegid().as_raw(),
            privileged: sys_admin && !in_user_namespace,
            sys_admin,
            may_map_ids: has(caps::Capability::CAP_SETUID) && has(caps::Capability::CAP_SETGID),
            in_user_namespace,
            setgroups: !in_user_namespace || read("/proc/self/setgroups")?.trim() != "deny",
            apparmor: is_apparmor_enabled(),
            selinux: is_of_type(Path::new("/sys/fs/selinux"), SELINUX_MAGIC),
            last_capability: last_capability()?,
            has_kcore: Path::new("/proc/kcore").exists(),
        })
    }
}

/// From linux/magic.h; nix does not have it.
const SELINUX_MAGIC: FsType = FsType(0xf97c_ff8c);

/// The files of procfs do not tell their size: with some room from the start, one read(2) gets most of them.
const USUAL_LENGTH: usize = 4096;

fn read(path: &str) -> Result<String> {
    let mut text = String::with_capacity(USUAL_LENGTH);
    File::open(path)
        // By way of `take`, since a file itself is asked for its size and position first.
        .and_then(|file| file.take(u64::MAX).read_to_string(&mut text))
        .map_err(|error| Error::io(format!("cannot read {path}"), "read", &error))?;
    Ok(text)
}

fn kernel_version() -> Result<(u32, u32)> {
    let name =
        nix::sys::utsname::uname().map_err(|errno| Error::os("cannot ask for the kernel", "uname", errno))?;
    let release = name.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => Ok((major, minor)),
        _ => Err(Error::new(ErrorKind::Unsupported, format!("no kernel version in {release:?}"))),
    }
}

/// The initial user namespace maps everything to itself (user_namespaces(7)).
fn is_identity_map(map: &str) -> bool {
    let fields: Vec<&str> = map.split_ascii_whitespace().collect();
    fields == ["0", "0", "4294967295"]
}

fn is_apparmor_enabled() -> bool {
    // The module may be built in and off; securityfs may be unmounted.
    std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|enabled| enabled.starts_with(b"Y"))
}

fn last_capability() -> Result<u8> {
    let text = read("/proc/sys/kernel/cap_last_cap")?;
    let number = text.trim().parse();
    number.map_err(|_| Error::new(ErrorKind::System, format!("cap_last_cap is no number: {text:?}")))
}

fn is_of_type(path: &Path, fstype: FsType) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == fstype)
}

/// The path in one line of `/proc/self/cgroup` (cgroups(7)): `5:cpu,cpuacct:/a/b`, `1:name=systemd:/`, `0::/a`.
fn own_cgroup<'a>(text: &'a str, controllers: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (names, path) = line.split_once(':')?.1.split_once(':')?;
        (names == controllers).then_some(path)
    })
}

/// Whether this is the mount point of cgroup v2.
pub(crate) fn is_unified(path: &Path) -> bool {
    is_of_type(path, CGROUP2_SUPER_MAGIC)
}

/// One statfs(2) answers it on most hosts; only others pay for reading the mount table.
fn cgroup_layout(own: &str) -> Result<CgroupLayout> {
    let usual = Path::new("/sys/fs/cgroup");
    if is_unified(usual) {
        return Ok(CgroupLayout::Unified { mountpoint: usual.to_owned() });
    }
    let failed = |error| Error::new(ErrorKind::System, format!("cannot read /proc/self/mountinfo: {error}"));
    let table = read("/proc/self/mountinfo")?;
    let of_cgroups = table.lines().filter(|line| line.contains(" - cgroup"));
    let mounts: Vec<MountInfo> =
        of_cgroups.map(MountInfo::from_line).collect::<Result<_, _>>().map_err(failed)?;
    Ok(layout_of(&mounts, own))
}

fn layout_of(mounts: &[MountInfo], own: &str) -> CgroupLayout {
    let mut unified: Option<PathBuf> = None;
    let mut hierarchies: Vec<Hierarchy> = Vec::new();
    for mount in mounts {
        match mount.fs_type.as_str() {
            "cgroup2" if unified.is_none() => unified = Some(mount.mount_point.clone()),
            "cgroup" => {
                let found = own.lines().find_map(|line| hierarchy(mount, line));
                // A hierarchy may be mounted several times: the first place is the one that others use too.
                let is_new =
                    |one: &Hierarchy| !hierarchies.iter().any(|other| other.controllers == one.controllers);
                hierarchies.extend(found.filter(is_new));
            }
            _ => {}
        }
    }
    match unified {
        Some(mountpoint) if hierarchies.is_empty() => CgroupLayout::Unified { mountpoint },
        None if hierarchies.is_empty() => CgroupLayout::None,
        unified => CgroupLayout::Hybrid { hierarchies, unified },
    }
}

/// The hierarchy that is mounted here, if it is the one of this line of `/proc/self/cgroup`.
fn hierarchy(mount: &MountInfo, line: &str) -> Option<Hierarchy> {
    let (names, path) = line.split_once(':')?.1.split_once(':')?;
    let is_option = |name: &str| match name.split_once('=') {
        Some((key, value)) => mount.super_options.get(key) == Some(&Some(value.to_owned())),
        None => mount.super_options.contains_key(name),
    };
    if names.is_empty() || !names.split(',').all(is_option) {
        return None;
    }
    let below_root = path.strip_prefix(mount.root.trim_end_matches('/')).unwrap_or(path);
    Some(Hierarchy {
        mountpoint: mount.mount_point.clone(),
        controllers: names.split(',').map(str::to_owned).collect(),
        own_cgroup: if below_root.is_empty() { "/".to_owned() } else { below_root.to_owned() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str =
        "4:memory:/slice/mine\n3:cpu,cpuacct:/\n2:pids:/\n1:name=systemd:/slice/mine\n0::/slice/mine\n";

    fn layout(mountinfo: &str) -> CgroupLayout {
        let mounts: Vec<MountInfo> =
            mountinfo.lines().map(|line| MountInfo::from_line(line).expect("a line of mountinfo")).collect();
        layout_of(&mounts, OWN)
    }

    #[test]
    fn hierarchies_are_those_of_the_own_cgroups() {
        let layout = layout(
            "1 0 0:1 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
             2 0 0:2 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
             3 0 0:3 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             4 0 0:4 /slice /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             5 0 0:4 / /elsewhere rw - cgroup cgroup rw,memory\n\
             6 0 0:6 / /sys/fs/cgroup/other rw - cgroup cgroup rw,name=other\n",
        );
        let CgroupLayout::Hybrid { hierarchies, unified } = layout else { panic!("{layout:?}") };
        assert_eq!(unified.as_deref(), Some(Path::new("/sys/fs/cgroup/unified")));
        let found: Vec<_> = hierarchies
            .iter()
            .map(|h| (h.mountpoint.to_str().unwrap(), h.controllers.join(","), h.own_cgroup.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("/sys/fs/cgroup/systemd", "name=systemd".to_owned(), "/slice/mine"),
                ("/sys/fs/cgroup/cpu,cpuacct", "cpu,cpuacct".to_owned(), "/"),
                // Mounted from /slice on: the place in what is mounted is what counts.
                ("/sys/fs/cgroup/memory", "memory".to_owned(), "/mine"),
            ]
        );
    }

    #[test]
    fn cgroup_v2_may_be_mounted_elsewhere() {
        let unified = CgroupLayout::Unified { mountpoint: PathBuf::from("/cg") };
        assert_eq!(layout("1 0 0:1 / /cg rw - cgroup2 none rw\n"), unified);
        assert_eq!(layout("1 0 0:1 / /tmp rw - tmpfs none rw\n"), CgroupLayout::None);
    }

    #[test]
    fn only_the_initial_user_namespace_maps_all_ids_to_themselves() {
        assert!(is_identity_map("         0          0 4294967295\n"));
        assert!(!is_identity_map("         0       1000          1\n"));
        assert!(!is_identity_map("0 0 4294967294\n4294967294 4294967294 1\n"));
    }

    #[test]
    fn this_machine_can_be_looked_at() {
        let host = Host::probe().expect("this kernel is new enough");
        assert_eq!(host.euid, nix::unistd::geteuid().as_raw());
        assert!(host.kernel >= OLDEST_KERNEL);
        assert!((37..64).contains(&host.last_capability));
        assert!(!host.privileged || host.euid == 0 || !host.in_user_namespace);
    }
}
