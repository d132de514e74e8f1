//! A failure leaves nothing behind, and nothing ever changes the caller.
//!
//! Every step of a creation, a start and an exec is made to fail and made to die in turn; then real faults; then the
//! runtime itself dies. Each time the processes, mounts, cgroups and files, and everything that the kernel says of
//! this process, are the same before and after. The tests run in pid and mount namespaces of their own, so that
//! nothing else on the machine is seen.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::expect_used)]

mod support;

use husk_core::plan::Step;
use husk_core::{
    Console, Container, CreateOptions, ErrorKind, ExecOptions, Fault, FaultEffect, Force, Process, Status,
    Stdio,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use support::caller::{caller, lines, names};
use support::{Lab, configs, id};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, role, step, directory] = arguments.as_slice()
        && let Some(effect) = helper_effect(role)
    {
        return helper(effect, step_of(step), Path::new(directory));
    }
    if std::env::var_os(support::TOKEN).is_none() && nix::unistd::geteuid().is_root() {
        let status = Command::new("unshare")
            .args([
                "--mount",
                "--pid",
                "--fork",
                "--mount-proc",
                "--propagation",
                "private",
                "--kill-child",
                "--",
            ])
            .arg(std::env::current_exe().expect("own path"))
            .args(&arguments[1..])
            .env(support::TOKEN, support::token())
            .status()
            .expect("run unshare");
        std::process::exit(status.code().unwrap_or(1));
    }
    support::run(&[
        ("every_step_of_a_creation_fails_cleanly", every_step_of_a_creation_fails_cleanly),
        ("every_step_of_an_exec_fails_cleanly", every_step_of_an_exec_fails_cleanly),
        ("every_mount_fails_cleanly_and_is_named", every_mount_fails_cleanly_and_is_named),
        ("real_faults_leave_nothing", real_faults_leave_nothing),
        ("a_full_state_directory_leaves_nothing", a_full_state_directory_leaves_nothing),
        ("a_runtime_that_dies_leaves_what_delete_removes", a_runtime_that_dies_leaves_what_delete_removes),
        ("the_state_of_a_stuck_init_names_its_step", the_state_of_a_stuck_init_names_its_step),
        ("a_step_that_hangs_is_ended_and_named", a_step_that_hangs_is_ended_and_named),
        ("an_exec_that_hangs_is_ended_and_named", an_exec_that_hangs_is_ended_and_named),
    ]);
}

/// Everything that must not change, each fact a line.
#[derive(Debug)]
struct Snapshot {
    facts: BTreeSet<String>,
}

impl Snapshot {
    fn take(lab: &Lab) -> Snapshot {
        let mut facts = BTreeSet::new();
        let mut add =
            |kind: &str, found: Vec<String>| facts.extend(found.iter().map(|fact| format!("{kind}: {fact}")));
        add("mount", lines("/proc/self/mountinfo"));
        add("process", processes());
        add("cgroup", cgroups());
        add("file", files(lab.path()));
        add("fd", fds());
        add("caller", caller());
        Snapshot { facts }
    }

    #[track_caller]
    fn assert_same(&self, lab: &Lab, after: &str) {
        let now = Snapshot::take(lab);
        let changes: Vec<String> = self
            .facts
            .symmetric_difference(&now.facts)
            .map(|fact| format!("{} {fact}", if self.facts.contains(fact) { "-" } else { "+" }))
            .collect();
        assert!(changes.is_empty(), "after {after}:\n{}", changes.join("\n"));
    }
}

fn processes() -> Vec<String> {
    let is_pid = |name: &String| name.bytes().all(|byte| byte.is_ascii_digit());
    let name = |entry: std::fs::DirEntry| entry.file_name().into_string().ok();
    names(Path::new("/proc")).into_iter().filter_map(name).filter(is_pid).collect()
}

/// Those of these tests, in every hierarchy.
fn cgroups() -> Vec<String> {
    configs::cgroup_directories()
        .iter()
        .flat_map(|top| files(top))
        .filter(|line| line.ends_with("directory"))
        .collect()
}

fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in names(directory) {
        let kind = entry.file_type().expect("a type");
        let path = entry.path();
        let word = if kind.is_dir() { "directory" } else { "file" };
        found.push(format!("{} {word}", path.display()));
        if kind.is_dir() {
            found.extend(files(&path));
        }
    }
    found
}

fn fds() -> Vec<String> {
    let show = |entry: std::fs::DirEntry| {
        let target = std::fs::read_link(entry.path()).ok()?;
        // The fd of this listing itself.
        (!target.starts_with("/proc"))
            .then(|| format!("{} {}", entry.file_name().display(), target.display()))
    };
    names(Path::new("/proc/self/fd")).into_iter().filter_map(show).collect()
}

fn step_of(name: &str) -> Step {
    *Step::ALL.iter().find(|step| step.name() == name).expect("a step")
}

/// How a try went.
#[derive(Debug)]
enum Went {
    /// The program ran: the step was never taken.
    Through,
    /// The start succeeded and the process was killed: a death in the last step looks like one of the program.
    Died,
    At(husk_core::Error),
}

/// Creates and starts, waits for the end and deletes, as far as it goes.
fn whole_life(lab: &Lab, name: &str, config: &Value, options: &CreateOptions) -> Went {
    let mut created = match lab.create(name, config, options) {
        Ok(created) => created,
        Err(error) => return Went::At(error),
    };
    let terminal = created.init.take_terminal();
    let started = created.container.start();
    if started.is_err() {
        created.init.wait().expect("wait for an init that gave up");
    }
    drop(terminal);
    let status = created.init.wait().expect("wait");
    let force = if started.is_ok() { Force::No } else { Force::Yes };
    let deleted = created.container.delete(force).expect("delete");
    assert!(deleted.warnings().is_empty(), "{:?}", deleted.warnings());
    match started {
        Ok(()) if status.signal().is_some() => Went::Died,
        Ok(()) => Went::Through,
        Err(error) => Went::At(error),
    }
}

fn options(lab: &Lab) -> CreateOptions {
    CreateOptions::new().stdio(Stdio::Null).pid_file(lab.file("files/pid")).trace(lab.file("files/trace"))
}

fn forget_files(lab: &Lab) {
    for file in ["files/pid", "files/trace"] {
        let _ = std::fs::remove_file(lab.file(file));
    }
}

/// The first time leaves the mount points that the rootfs lacked, as every runtime does.
#[track_caller]
fn first_life(lab: &Lab, config: &Value) {
    let went = whole_life(lab, "leak-first", config, &options(lab));
    assert!(matches!(went, Went::Through), "{went:?}");
    forget_files(lab);
}

fn every_step_of_a_creation_fails_cleanly() {
    let lab = Lab::new();
    let mut taken = BTreeSet::new();
    let variants = [
        ("rich", configs::rich(&lab, "true")),
        ("users", configs::rich_with_users(&lab, "true")),
        ("joined", configs::rich_joined(&lab, "true")),
    ];
    for (variant, config) in variants {
        first_life(&lab, &config);
        let before = Snapshot::take(&lab);
        for &step in Step::ALL {
            for effect in [FaultEffect::Fail, FaultEffect::Kill] {
                if effect == FaultEffect::Kill && step.belongs_to_runtime() {
                    continue;
                }
                let what = format!("{variant}: {effect:?} at {step}");
                let options = options(&lab).fault(Fault::new(effect, step));
                match whole_life(&lab, "leak-try", &config, &options) {
                    Went::Through => {}
                    Went::Died => assert_eq!((effect, step), (FaultEffect::Kill, Step::Exec), "{what}"),
                    Went::At(error) => {
                        assert_eq!(error.step(), Some(step), "{what}: {error}");
                        taken.insert(step);
                    }
                }
                forget_files(&lab);
                before.assert_same(&lab, &what);
            }
        }
    }
    let mut missing: Vec<Step> = Step::ALL.iter().filter(|step| !taken.contains(step)).copied().collect();
    // An exec's alone.
    missing.retain(|&step| step != Step::InitialAffinity);
    // Takes a resctrl file system.
    missing.retain(|&step| step != Step::RdtGroup);
    // Takes a device of the host; the conformance tests have one.
    missing.retain(|&step| step != Step::NetDevice);
    // Of a container that runs.
    missing.retain(|&step| step != Step::Unmount);
    // Taken where the machine has AppArmor, and asked for by a config that names a profile.
    missing.retain(|&step| step != Step::SecurityLabel);
    missing.retain(|&step| step != Step::MemoryPolicy || configs::has_numa());
    assert!(missing.is_empty(), "no config here takes {missing:?}");
}

fn every_mount_fails_cleanly_and_is_named() {
    let lab = Lab::new();
    let config = configs::rich(&lab, "true");
    first_life(&lab, &config);
    let before = Snapshot::take(&lab);
    let mounts = config["mounts"].as_array().expect("mounts");
    for (item, mount) in (0..).zip(mounts) {
        for effect in [FaultEffect::Fail, FaultEffect::Kill] {
            let options = options(&lab).fault(Fault::new(effect, Step::Mount).item(item));
            let Went::At(error) = whole_life(&lab, "leak-mount", &config, &options) else {
                panic!("mount {item} was never made");
            };
            let words = error.to_string();
            let target = mount["destination"].as_str().expect("a destination");
            match effect {
                FaultEffect::Fail => {
                    assert!(words.contains(&format!("{target:?} (/mounts/{item})")), "{words}")
                }
                _ => assert!(words.contains(&format!("in step mount {item}")), "{words}"),
            }
            before.assert_same(&lab, &format!("{effect:?} at mount {item}"));
        }
    }
}

/// A container that runs for as long as the test wants.
fn running(lab: &Lab, name: &str, config: &Value) -> (Container, Process) {
    let created = lab.create(name, config, &CreateOptions::new().stdio(Stdio::Null)).expect("create");
    created.container.start().expect("start");
    (created.container, created.init)
}

fn finish(container: Container, mut init: Process) {
    container.delete(Force::Yes).expect("delete");
    init.wait().expect("wait");
}

fn every_step_of_an_exec_fails_cleanly() {
    let lab = Lab::new();
    let mut taken = BTreeSet::new();
    for (variant, config) in
        [("rich", configs::rich(&lab, "sleep 1000")), ("users", configs::rich_with_users(&lab, "sleep 1000"))]
    {
        let before_container = {
            first_life(&lab, &with_command(&config, "true"));
            Snapshot::take(&lab)
        };
        let mut quiet = config.clone();
        quiet["process"]["terminal"] = false.into();
        let (container, init) = running(&lab, "leak-exec", &quiet);
        let process =
            serde_json::from_value(with_command(&config, "true")["process"].clone()).expect("a process");
        let before = Snapshot::take(&lab);
        for &step in Step::ALL {
            for effect in [FaultEffect::Fail, FaultEffect::Kill] {
                if effect == FaultEffect::Kill && step.belongs_to_runtime() {
                    continue;
                }
                let what = format!("{variant}: exec, {effect:?} at {step}");
                let options = ExecOptions::new()
                    .stdio(Stdio::Null)
                    .pid_file(lab.file("files/pid"))
                    .fault(Fault::new(effect, step));
                match container.exec(&process, &options) {
                    Ok(mut process) => {
                        process.wait().expect("wait");
                    }
                    Err(error) => {
                        assert_eq!(error.step(), Some(step), "{what}: {error}");
                        taken.insert(step);
                    }
                }
                forget_files(&lab);
                before.assert_same(&lab, &what);
            }
        }
        finish(container, init);
        before_container.assert_same(&lab, variant);
    }
    let expected = {
        use Step::*;
        [
            OpenConsole,
            PidfdSocket,
            Clone,
            OomScore,
            InitialAffinity,
            EnterCgroup,
            Affinity,
            Personality,
            Scheduler,
            IoPriority,
            JoinNamespace,
            BecomeRoot,
            RaiseLimits,
            Terminal,
            BoundingSet,
            Groups,
            User,
            Capabilities,
            NoNewPrivileges,
            WorkingDirectory,
            FindExecutable,
            PreserveFds,
            Limits,
            Ready,
            PidFile,
            Seccomp,
            Exec,
            Stdio,
        ]
    };
    for step in expected {
        assert!(taken.contains(&step), "no exec here takes {step}");
    }
}

fn with_command(config: &Value, command: &str) -> Value {
    let mut config = config.clone();
    config["process"]["args"][2] = command.into();
    config
}

/// A change to a config or to the options, and the step and words of the error that it leads to.
type RealFault = (&'static str, fn(&mut Value), fn(CreateOptions, &Lab) -> CreateOptions, Step, &'static str);

fn real_faults_leave_nothing() {
    let same = |options: CreateOptions, _: &Lab| options;
    let faults: &[RealFault] = &[
        ("no rootfs", |c| c["root"]["path"] = "missing".into(), same, Step::OpenRootfs, "missing"),
        (
            "a rootfs that is a file",
            |c| c["root"]["path"] = "single".into(),
            same,
            Step::OpenRootfs,
            "ENOTDIR",
        ),
        (
            "no bind source",
            |c| c["mounts"][7]["source"] = "/not/there".into(),
            same,
            Step::OpenSource,
            "/mounts/7/source",
        ),
        (
            "a limit beyond the hard one",
            |c| {
                c["process"]["rlimits"][0] =
                    serde_json::json!({ "type": "RLIMIT_NOFILE", "soft": 1_u64 << 40, "hard": 1_u64 << 40 });
            },
            same,
            Step::RaiseLimits,
            "cannot raise a limit (/process/rlimits/0)",
        ),
        (
            "no executable",
            |c| c["process"]["args"] = serde_json::json!(["missing"]),
            same,
            Step::FindExecutable,
            "executable file not found in $PATH",
        ),
        (
            "a directory to execute",
            |c| c["process"]["args"] = serde_json::json!(["/work"]),
            same,
            Step::FindExecutable,
            "is a directory",
        ),
        (
            "an unwritable pid file",
            |_| {},
            |options, lab| options.pid_file(lab.file("missing/pid")),
            Step::PidFile,
            "missing/pid",
        ),
        (
            "a failing prestart hook",
            |c| c["hooks"]["prestart"][1] = failing_hook(),
            same,
            Step::RuntimeHook,
            "error running prestart hook #1: \"/bin/sh\" (/hooks/prestart/1): exit status 1: what a pity",
        ),
        (
            "a failing createContainer hook",
            |c| c["hooks"]["createContainer"][0] = failing_hook(),
            same,
            Step::CreateContainerHook,
            "error running createContainer hook #0: \"/bin/sh\" (/hooks/createContainer/0): exit status 1: what a pity",
        ),
        (
            "a failing startContainer hook",
            |c| c["hooks"]["startContainer"][0] = failing_hook(),
            same,
            Step::StartContainerHook,
            "error running startContainer hook #0: \"/bin/sh\" (/hooks/startContainer/0): exit status 1: what a pity",
        ),
        (
            "a hook that takes too long",
            |c| {
                c["hooks"]["createRuntime"][0] =
                    serde_json::json!({ "path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1 });
            },
            same,
            Step::RuntimeHook,
            "ran longer than its timeout",
        ),
        (
            "a missing hook",
            |c| c["hooks"]["createContainer"][0] = serde_json::json!({ "path": "/missing" }),
            same,
            Step::CreateContainerHook,
            "createContainer hook #0",
        ),
        (
            "no console socket",
            |c| c["process"]["terminal"] = true.into(),
            |options, lab| options.console(Console::Socket(lab.file("missing.sock"))),
            Step::OpenConsole,
            "missing.sock",
        ),
        (
            "no pidfd socket",
            |_| {},
            |options, lab| options.pidfd_socket(lab.file("missing.sock")),
            Step::PidfdSocket,
            "cannot connect to pidfd socket",
        ),
        (
            "no devpts",
            |c| {
                c["process"]["terminal"] = true.into();
                c["mounts"].as_array_mut().expect("mounts").remove(2);
            },
            same,
            Step::Terminal,
            "terminal",
        ),
        (
            "a sysctl that refuses",
            |c| c["linux"]["sysctl"] = serde_json::json!({ "kernel.shm_rmid_forced": "7" }),
            same,
            Step::Sysctl,
            "kernel.shm_rmid_forced",
        ),
        (
            "a file system that does not exist",
            |c| c["mounts"][3]["type"] = "nosuchfs".into(),
            same,
            Step::Mount,
            "nosuchfs",
        ),
        (
            "a cgroup limit out of range",
            |c| c["linux"]["resources"]["cpu"] = serde_json::json!({ "cpus": "4000" }),
            same,
            Step::LimitCgroup,
            "cpuset",
        ),
        (
            "a namespace that is none",
            |c| {
                c["linux"]["namespaces"][4] = serde_json::json!({ "type": "network", "path": "/dev/null" });
                c["linux"]["sysctl"] = serde_json::json!({});
            },
            same,
            Step::JoinNamespace,
            "/dev/null",
        ),
    ];
    let lab = Lab::new();
    let config = configs::rich(&lab, "true");
    first_life(&lab, &config);
    let before = Snapshot::take(&lab);
    for (what, change, with, step, words) in faults {
        let mut config = config.clone();
        change(&mut config);
        match whole_life(&lab, "leak-real", &config, &with(options(&lab), &lab)) {
            Went::Through | Went::Died => panic!("{what}: it ran"),
            Went::At(error) => {
                assert_eq!(error.step(), Some(*step), "{what}: {error}");
                assert!(error.to_string().contains(words), "{what}: {error}");
            }
        }
        forget_files(&lab);
        before.assert_same(&lab, what);
    }
}

fn failing_hook() -> Value {
    serde_json::json!({ "path": "/bin/sh", "args": ["sh", "-c", "echo what a pity >&2; exit 1"] })
}

/// A state directory on a tmpfs with room for ever more pages, from none to enough.
fn a_full_state_directory_leaves_nothing() {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    let lab = Lab::new();
    let config = configs::rich(&lab, "true");
    first_life(&lab, &config);
    let mut failures = 0;
    for pages in 1..12 {
        let size = format!("size={}", pages * 4096);
        mount(Some("tmpfs"), &lab.file("state"), Some("tmpfs"), MsFlags::empty(), Some(size.as_str()))
            .expect("mount");
        let before = Snapshot::take(&lab);
        let went = whole_life(&lab, "leak-full", &config, &options(&lab));
        forget_files(&lab);
        if matches!(went, Went::Through) {
            // Where there was room for a container, its filter may stay.
            let _ = std::fs::remove_dir_all(lab.file("state/@filters"));
        }
        before.assert_same(&lab, &format!("{went:?} with {size}"));
        umount2(&lab.file("state"), MntFlags::empty()).expect("umount");
        if let Went::At(error) = went {
            assert!(error.to_string().contains("ENOSPC"), "{error}");
            failures += 1;
        }
    }
    assert!((1..11).contains(&failures), "{failures} of 11 sizes were too small");
}

fn helper_effect(role: &str) -> Option<FaultEffect> {
    match role {
        "--die-at" => Some(FaultEffect::Kill),
        "--hang-at" => Some(FaultEffect::Hang),
        _ => None,
    }
}

/// Another runtime, which something happens to.
fn helper(effect: FaultEffect, step: Step, directory: &Path) {
    let lab = Lab::at(directory.to_owned());
    let config: Value =
        serde_json::from_slice(&std::fs::read(lab.file("config.json")).expect("read")).expect("a config");
    let options = CreateOptions::new().stdio(Stdio::Null).fault(Fault::new(effect, step));
    let created = lab.create("leak-helped", &config, &options).expect("create");
    println!("{step} was never taken by {}", created.container.id());
    lab.keep();
}

fn spawn_helper(lab: &Lab, role: &str, step: Step) -> std::process::Child {
    Command::new(std::env::current_exe().expect("own path"))
        .args([role, &step.name()])
        .arg(lab.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("run the helper")
}

fn a_runtime_that_dies_leaves_what_delete_removes() {
    let lab = Lab::new();
    let config = configs::rich_with_users(&lab, "sleep 1000");
    first_life(&lab, &with_command(&config, "true"));
    std::fs::write(lab.file("config.json"), config.to_string()).expect("write the config");
    let before = Snapshot::take(&lab);
    // No pid file is asked for, and no device of the host is there to move.
    let is_taken = |step: &Step| {
        step.belongs_to_runtime() && !matches!(step, Step::PidFile | Step::NetDevice | Step::RdtGroup)
    };
    for &step in Step::ALL.iter().filter(|step| is_taken(step)) {
        let status = spawn_helper(&lab, "--die-at", step).wait().expect("wait for the helper");
        assert!(status.code().is_none(), "{step}: the runtime did not die: {status}");
        let container = lab.runtime().load(&id("leak-helped")).expect("something is left to delete");
        let state = container.state().expect("state");
        assert_eq!(state.status, Status::Creating, "died at {step}");
        container.delete(Force::Yes).expect("delete");
        // Its init sees that the runtime is gone, or dies with the cgroup; its new parent reaps it.
        reap_orphans();
        before.assert_same(&lab, &format!("a runtime that died at {step}"));
    }
}

/// This process is the first of its pid namespace: orphans become its children.
fn reap_orphans() {
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(2)),
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

fn the_state_of_a_stuck_init_names_its_step() {
    let lab = Lab::new();
    let config = configs::rich(&lab, "sleep 1000");
    first_life(&lab, &with_command(&config, "true"));
    std::fs::write(lab.file("config.json"), config.to_string()).expect("write the config");
    let before = Snapshot::take(&lab);
    for step in
        [Step::EnterCgroup, Step::Sysctl, Step::Mount, Step::CreateContainerHook, Step::Pivot, Step::Ready]
    {
        let mut runtime = spawn_helper(&lab, "--hang-at", step);
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let state = lab.runtime().load(&id("leak-helped")).and_then(|container| container.state());
            if let Ok(state) = &state
                && state.step == Some(step)
            {
                assert_eq!(state.status, Status::Creating);
                let shown = serde_json::to_value(state).expect("JSON");
                assert_eq!(shown["step"], step.name());
                let item = matches!(step, Step::Sysctl | Step::Mount | Step::CreateContainerHook);
                assert_eq!(shown.get("stepItem").is_some(), item, "{shown}");
                assert!(shown["stepSeconds"].is_u64(), "{shown}");
                break;
            }
            assert!(Instant::now() < deadline, "at {step}: {state:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        runtime.kill().expect("kill the runtime");
        runtime.wait().expect("wait for the runtime");
        let container = lab.runtime().load(&id("leak-helped")).expect("load");
        container.delete(Force::Yes).expect("delete");
        reap_orphans();
        before.assert_same(&lab, &format!("an init that hung at {step}"));
    }
}

/// Much longer than any step takes here, much shorter than a test may.
const STEP_TIMEOUT: Duration = Duration::from_millis(700);

fn a_step_that_hangs_is_ended_and_named() {
    let lab = Lab::new();
    let config = configs::rich_with_users(&lab, "true");
    first_life(&lab, &config);
    let before = Snapshot::take(&lab);
    let runtime = lab.runtime().step_timeout(STEP_TIMEOUT);
    for step in [
        Step::EnterCgroup,
        Step::BecomeRoot,
        Step::Mount,
        Step::Terminal,
        Step::Seccomp,
        Step::User,
        Step::Ready,
    ] {
        let options = options(&lab).fault(Fault::new(FaultEffect::Hang, step));
        let error = runtime.create(&id("leak-hang"), &lab.bundle(&config), &options).expect_err("it hangs");
        assert_eq!((error.kind(), error.step()), (ErrorKind::TimedOut, Some(step)), "{error}");
        assert!(error.to_string().contains(&format!("step {step}")), "{error}");
        forget_files(&lab);
        before.assert_same(&lab, &format!("a step that hung: {step}"));
    }
    let options = options(&lab).fault(Fault::new(FaultEffect::Hang, Step::Exec));
    let mut created = runtime.create(&id("leak-hang"), &lab.bundle(&config), &options).expect("create");
    let error = created.container.start().expect_err("it hangs");
    assert_eq!((error.kind(), error.step()), (ErrorKind::TimedOut, Some(Step::Exec)), "{error}");
    let state = created.container.state().expect("state");
    assert_eq!((state.status, state.step), (Status::Created, Some(Step::Exec)));
    created.container.delete(Force::Yes).expect("delete");
    created.init.wait().expect("wait");
    forget_files(&lab);
    drop(created.init);
    before.assert_same(&lab, "a start that hung");
}

fn an_exec_that_hangs_is_ended_and_named() {
    let lab = Lab::new();
    let config = configs::rich(&lab, "sleep 1000");
    let mut quiet = config.clone();
    quiet["process"]["terminal"] = false.into();
    let (container, init) = running(&lab, "leak-hang", &quiet);
    let same = lab.runtime().step_timeout(STEP_TIMEOUT).load(&id("leak-hang")).expect("load");
    let process = serde_json::from_value(with_command(&quiet, "true")["process"].clone()).expect("a process");
    let before = Snapshot::take(&lab);
    for step in [Step::JoinNamespace, Step::Stdio, Step::Ready, Step::Exec] {
        let options = ExecOptions::new().stdio(Stdio::Null).fault(Fault::new(FaultEffect::Hang, step));
        let error = same.exec(&process, &options).expect_err("it hangs");
        assert_eq!((error.kind(), error.step()), (ErrorKind::TimedOut, Some(step)), "{error}");
        before.assert_same(&lab, &format!("an exec that hung: {step}"));
    }
    finish(container, init);
}
