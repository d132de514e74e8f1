//! A host with many mounts: containers are what they are elsewhere, and husk, which copies few of them, leaves nothing.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use husk_conformance::suite::Case;
use husk_conformance::{Container, Invocation, Lab, Outcome, Running, Stop, case, eventually};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(container_beside_another_sees_its_own_mounts),
        case!(mounts_of_the_host_still_arrive),
        case!(container_that_needs_the_hosts_files),
        case!(last_container_takes_everything_along),
        case!(template_is_kept_while_there_are_containers, lacks "runc": "copies all mounts", "crun": "copies all mounts"),
        case!(what_a_crash_has_left_is_no_template, lacks "runc": "copies all mounts", "crun": "copies all mounts"),
    ]
}

/// A mount namespace with many mounts, in which the runtime is called.
struct Host {
    keeper: Running,
    /// A tmpfs that is shared, as most of a host's are, with all the mounts below it.
    shared: PathBuf,
}

impl Host {
    fn of(container: &Container<'_>) -> Result<Host, Stop> {
        let shared = container.directory.join("shared");
        fs::create_dir(&shared)?;
        // A tree that is bound into itself is twice as many mounts: 512 in the end.
        let script = format!(
            "set -e; cd {}; mount -t tmpfs tmpfs .; mount --make-shared .; cd {0}; mkdir source tree; \
             mount -t tmpfs tmpfs tree; mount --make-private tree; (cd tree; mkdir 1 2 3 4 5 6 7 8 9); \
             for i in 1 2 3 4 5 6 7 8 9; do mount --rbind tree tree/$i; done; echo ready; cd /; exec env -i sleep 1000",
            shared.display()
        );
        let keeper = Invocation::new("unshare", &container.directory.join("keeper"))?
            .args(["--mount", "--propagation", "private", "/bin/sh", "-c", &script])
            .spawn()?;
        eventually("a host with many mounts", || Ok(keeper.stdout()?.contains("ready")))?;
        Ok(Host { keeper, shared })
    }

    fn call(&self, invocation: Invocation) -> Result<Invocation, Stop> {
        invocation.wrapped("nsenter", &[&format!("--mount=/proc/{}/ns/mnt", self.keeper.pid()), "--"])
    }

    /// Its mounts at this path and below.
    fn mounts_below(&self, path: &Path) -> Result<Vec<String>, Stop> {
        let table = fs::read_to_string(format!("/proc/{}/mountinfo", self.keeper.pid()))?;
        let place = |line: &str| line.split(' ').nth(4).map(str::to_owned);
        Ok(table.lines().filter_map(place).filter(|place| Path::new(place).starts_with(path)).collect())
    }

    fn up(&self, container: &mut Container<'_>) -> Outcome {
        container.config.args(&["/bin/sleep", "1000"]);
        self.call(container.run_with(&["--detach"])?)?.output()?.ok();
        Ok(())
    }

    fn delete(&self, container: &Container<'_>) -> Outcome {
        self.call(container.runtime(["delete", "--force", &container.id])?)?.output()?.ok();
        Ok(())
    }

    fn exec(&self, container: &Container<'_>, command: &[&str]) -> Result<String, Stop> {
        Ok(self.call(container.exec_with(&[], command)?)?.output()?.ok().stdout)
    }
}

/// Two containers of one root, of which the second is up on a host with many mounts.
fn second<'lab>(
    first: &mut Container<'lab>,
    change: impl Fn(&mut Container<'lab>, &Host),
) -> Result<(Host, Container<'lab>), Stop> {
    let host = Host::of(first)?;
    host.up(first)?;
    let mut second = first.sibling()?;
    change(&mut second, &host);
    host.up(&mut second)?;
    Ok((host, second))
}

fn done(host: &Host, containers: &[&Container<'_>]) -> Outcome {
    for container in containers {
        host.delete(container)?;
        container.nothing_left()?;
    }
    Ok(())
}

fn container_beside_another_sees_its_own_mounts(lab: &Lab) -> Outcome {
    let mut first = lab.container()?;
    let (host, second) = second(&mut first, |_, _| ())?;
    let table = |container: &Container<'_>| -> Result<Vec<String>, Stop> {
        let text = host.exec(container, &["cat", "/proc/self/mountinfo"])?;
        // All but the numbers and, at the root, the place on the host.
        let rest = |line: &str| line.split(' ').skip(4).take(2).collect::<Vec<_>>().join(" ");
        Ok(text.lines().map(rest).collect())
    };
    let (mut one, mut other) = (table(&first)?, table(&second)?);
    one.sort();
    other.sort();
    assert_eq!(one, other);
    assert!(one.len() < 60, "{one:#?}");
    done(&host, &[&first, &second])
}

fn mounts_of_the_host_still_arrive(lab: &Lab) -> Outcome {
    let mut first = lab.container()?;
    let (host, second) = second(&mut first, |container, host| {
        let source = host.shared.join("source").display().to_string();
        container.config.mount("bind", &source, "/slave", &["rbind", "rslave"]);
        container.config.mount("bind", &source, "/private", &["rbind", "rprivate"]);
    })?;
    let script = format!(
        "cd {}/source && mkdir late && mount -t tmpfs late late && touch late/file",
        host.shared.display()
    );
    let mount = Invocation::new("/bin/sh", &first.directory.join("mount"))?.args(["-c", &script]);
    host.call(mount)?.output()?.ok();
    let found = host.exec(&second, &["/bin/sh", "-c", "ls /slave/late; echo -; ls /private/late"])?;
    assert_eq!(found, "file\n-\n");
    done(&host, &[&first, &second])
}

/// Its hook reads the host's files.
fn container_that_needs_the_hosts_files(lab: &Lab) -> Outcome {
    let mut first = lab.container()?;
    let (host, second) = second(&mut first, |container, host| {
        let hook = format!("test -d {}/tree/1 && echo seen >&2", host.shared.display());
        container.config.put(
            "/hooks/createContainer",
            serde_json::json!([{ "path": "/bin/sh", "args": ["sh", "-c", hook] }]),
        );
    })?;
    assert_eq!(host.exec(&second, &["echo", "up"])?, "up\n");
    done(&host, &[&first, &second])
}

fn last_container_takes_everything_along(lab: &Lab) -> Outcome {
    let mut first = lab.container()?;
    let (host, second) = second(&mut first, |_, _| ())?;
    done(&host, &[&second, &first])?;
    assert_eq!(host.mounts_below(&first.state_root)?, Vec::<String>::new());
    let left: Vec<_> = fs::read_dir(&first.state_root)?.flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| name == "@filters" || name == ".cache"), "{left:?}");
    Ok(())
}

/// Linux 7.0 makes small mount namespaces itself.
fn needs_a_template() -> Outcome {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    match release.split('.').next().is_some_and(|major| major.parse().is_ok_and(|major: u32| major < 7)) {
        true => Ok(()),
        false => Err(Stop::Unable(format!("Linux {} needs no template", release.trim()))),
    }
}

fn template_is_kept_while_there_are_containers(lab: &Lab) -> Outcome {
    needs_a_template()?;
    let mut first = lab.container()?;
    let host = Host::of(&first)?;
    host.up(&mut first)?;
    let kept = |first: &Container<'_>| host.mounts_below(&first.state_root.join("@template"));
    assert!(kept(&first)?.is_empty(), "one container alone is worth none");
    let mut others = [first.sibling()?, first.sibling()?];
    for other in &mut others {
        host.up(other)?;
        assert_eq!(kept(&first)?.len(), 2);
        // It is the container's own copy.
        let namespace = |pid: &str| Ok::<_, Stop>(fs::read_link(format!("/proc/{pid}/ns/mnt"))?);
        let pid = host.call(other.runtime(["state", &other.id])?)?.output()?.ok();
        let pid = serde_json::from_str::<serde_json::Value>(&pid.stdout)?["pid"].to_string();
        let template = File::open(format!(
            "/proc/{}/root{}",
            host.keeper.pid(),
            first.state_root.join("@template/namespace").display()
        ))?;
        assert_ne!(namespace(&pid)?, PathBuf::from(format!("mnt:[{}]", template.metadata()?.ino())));
    }
    done(&host, &[&others[0]])?;
    assert_eq!(kept(&first)?.len(), 2, "others are left");
    done(&host, &[&others[1], &first])?;
    assert!(kept(&first)?.is_empty());
    assert!(!first.state_root.join("@template").exists());
    Ok(())
}

/// Half of what is made for a template, and what somebody else has put in its place.
fn what_a_crash_has_left_is_no_template(lab: &Lab) -> Outcome {
    needs_a_template()?;
    for (left, survives) in [
        ("mkdir @template && touch @template/namespace", true),
        ("mkdir @template && mount --bind @template @template && mount --make-private @template", true),
        (
            "mkdir -m 777 @template && touch @template/namespace && mount --bind /proc/self/ns/net @template/namespace",
            false,
        ),
    ] {
        let mut first = lab.container()?;
        let host = Host::of(&first)?;
        host.up(&mut first)?;
        let script = format!(
            "cd {} && {left}; chmod $(test $1 = true && echo 700 || echo 777) @template",
            first.state_root.display()
        );
        let leave = Invocation::new("/bin/sh", &first.directory.join("leave"))?;
        host.call(leave.args(["-c", &script, "sh", &survives.to_string()]))?.output()?.ok();
        let mut second = first.sibling()?;
        host.up(&mut second)?;
        assert_eq!(host.exec(&second, &["echo", "up"])?, "up\n");
        done(&host, &[&first, &second])?;
        // What is not ours is not ours to remove, either.
        assert_eq!(host.mounts_below(&first.state_root)?.is_empty(), survives, "{left}");
    }
    Ok(())
}
