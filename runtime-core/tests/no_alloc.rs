//! A new process allocates nothing and frees nothing between clone3 and execve.
//!
//! It is a copy of a program with many threads: a lock of the allocator that another thread holds at that moment
//! stays locked in the copy for ever. The allocator of this test program ends every process but the program itself.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::expect_used)]

mod support;

use husk_core::plan::Step;
use husk_core::{CreateOptions, Created, Error, ExecOptions, Fault, FaultEffect, Force, Stdio};
use nix::mount::MsFlags;
use serde_json::Value;
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use support::{BusyThreads, Lab, configs};

/// How a process ends that allocates where it must not.
const CAUGHT: i32 = 99;

/// The process that may allocate; 0 until the tests begin.
static WATCHED: AtomicU32 = AtomicU32::new(0);

struct Watch;

impl Watch {
    fn check() {
        let watched = WATCHED.load(Ordering::Relaxed);
        // getpid(2) is always asked of the kernel, so a copy of the process gets another answer.
        if watched != 0 && std::process::id() != watched {
            let _ = nix::unistd::write(std::io::stderr(), b"allocation between clone3 and execve\n");
            // SAFETY: ends the process at once, and touches no memory.
            unsafe { libc::_exit(CAUGHT) }
        }
    }
}

// SAFETY: hands everything on to the system's allocator, whose contract it shares.
unsafe impl GlobalAlloc for Watch {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Watch::check();
        // SAFETY: the caller keeps the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Watch::check();
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Watch::check();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Watch = Watch;

/// Threads that hold the allocator's locks now and then, as a busy program's do.
const THREADS: usize = 8;
/// How often each kind of container is made.
const ROUNDS: usize = 10;

fn main() {
    // Once for all, since a thread without privileges could not.
    husk_core::seal_own_binary().expect("seal the test");
    WATCHED.store(std::process::id(), Ordering::Relaxed);
    support::run(&[
        ("a_new_process_allocates_nothing", a_new_process_allocates_nothing),
        ("one_of_an_unprivileged_caller_allocates_nothing", one_of_an_unprivileged_caller_allocates_nothing),
        ("one_among_many_mounts_allocates_nothing", one_among_many_mounts_allocates_nothing),
        ("one_that_fails_allocates_nothing", one_that_fails_allocates_nothing),
        ("an_allocation_is_caught", an_allocation_is_caught),
    ]);
}

fn variants(lab: &Lab, command: &str) -> [(&'static str, Value); 3] {
    [
        ("rich", configs::rich(lab, command)),
        ("users", configs::rich_with_users(lab, command)),
        ("joined", configs::rich_joined(lab, command)),
    ]
}

fn process_of(config: &Value) -> husk_core::spec::Process {
    let mut process = config["process"].clone();
    process["args"] = serde_json::json!(["/bin/true"]);
    serde_json::from_value(process).expect("a process")
}

/// A mount that comes and goes while the container runs.
fn mounts() -> Vec<husk_core::spec::Mount> {
    let list = serde_json::json!([{ "destination": "/mnt/bound", "type": "tmpfs", "source": "tmpfs", "options": ["ro"] }]);
    serde_json::from_value(list).expect("mounts")
}

/// Runs a container, and a further process in it, and changes its mounts.
fn live(lab: &Lab, config: &Value, create: &CreateOptions, exec: &ExecOptions) -> Result<(), Error> {
    let Created { container, mut init } = lab.create("noalloc", config, create)?;
    let lived = (|| {
        container.start()?;
        container.add_mounts(&mounts())?;
        container.remove_mounts(&mounts())?;
        container.exec(&process_of(config), exec)?.wait().map(|status| assert!(status.success(), "{status}"))
    })();
    container.delete(Force::Yes).expect("delete");
    init.wait().expect("wait");
    lived
}

fn quiet() -> (CreateOptions, ExecOptions) {
    (CreateOptions::new().stdio(Stdio::Null), ExecOptions::new().stdio(Stdio::Null))
}

fn a_new_process_allocates_nothing() {
    let lab = Lab::new();
    let _threads = BusyThreads::start(THREADS);
    let (create, exec) = quiet();
    for (variant, config) in variants(&lab, "sleep 1000") {
        for round in 0..ROUNDS {
            if let Err(error) = live(&lab, &config, &create, &exec) {
                panic!("{variant}, round {round}: {error}");
            }
        }
    }
}

/// It opens the rootfs and the bind sources itself.
fn one_of_an_unprivileged_caller_allocates_nothing() {
    let lab = Lab::new();
    let _threads = BusyThreads::start(THREADS);
    let (create, exec) = quiet();
    let config = configs::rich_for_own_id(&lab, "sleep 1000");
    // Capabilities belong to the thread.
    let lives = || {
        support::caller::drop_privileges();
        for round in 0..ROUNDS {
            live(&lab, &config, &create, &exec).unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
        for step in [Step::OpenRootfs, Step::OpenSource] {
            let fault = Fault::new(FaultEffect::Fail, step);
            let error = live(&lab, &config, &create.clone().fault(fault), &exec).expect_err("a fault");
            assert_eq!(error.step(), Some(step), "{error}");
        }
        let fault = Fault::new(FaultEffect::Allocate, Step::OpenSource);
        let error = live(&lab, &config, &create.clone().fault(fault), &exec).expect_err("an allocation");
        assert!(error.to_string().contains("ended with status 99"), "{error}");
    };
    std::thread::scope(|scope| scope.spawn(lives).join()).expect("an unprivileged caller");
}

/// A second container's mount namespace is a copy of one that another process makes.
fn one_among_many_mounts_allocates_nothing() {
    let lab = Lab::new();
    let _threads = BusyThreads::start(THREADS);
    let (create, exec) = quiet();
    let lives = || {
        // A thread's own: with its working directory it leaves the others'.
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).expect("unshare");
        let bind = |from: &Path, to: &Path, flags| {
            nix::mount::mount(Some(from), to, None::<&str>, flags, None::<&str>).expect("mount");
        };
        bind(Path::new("none"), Path::new("/"), MsFlags::MS_REC | MsFlags::MS_PRIVATE);
        for _ in 0..300 {
            bind(&lab.file("files"), &lab.file("files"), MsFlags::MS_BIND);
        }
        let config = configs::small("sleep 1000");
        for round in 0..3 {
            let first = lab.create("noalloc-first", &config, &create);
            let Created { container, mut init } = first.unwrap_or_else(|error| panic!("{round}: {error}"));
            live(&lab, &config, &create, &exec).unwrap_or_else(|error| panic!("round {round}: {error}"));
            assert!(lab.file("state/@template/namespace").exists(), "the template was not made");
            container.delete(Force::Yes).expect("delete");
            init.wait().expect("wait");
            assert!(!lab.file("state/@template").exists(), "the template is left");
        }
    };
    std::thread::scope(|scope| scope.spawn(lives).join()).expect("a caller among many mounts");
}

/// Ways out that are hardly ever taken must not free memory either.
fn one_that_fails_allocates_nothing() {
    let lab = Lab::new();
    let (create, exec) = quiet();
    let check = |error: &Error, step: Step| {
        // And not "ended with status 99".
        assert!(error.to_string().to_lowercase().contains("i/o error"), "{step}: {error}");
        assert_eq!(error.step(), Some(step), "{error}");
    };
    for (_, config) in variants(&lab, "sleep 1000") {
        let Created { container, mut init } = lab.create("noalloc", &config, &create).expect("create");
        container.start().expect("start");
        // Made before, so that every failure falls into its own process.
        let process = process_of(&config);
        let mut other = config.clone();
        other["linux"]["cgroupsPath"] = format!("/{}/other", configs::cgroup_parent()).into();
        for &step in Step::ALL.iter().filter(|step| !step.belongs_to_runtime()) {
            let fault = Fault::new(FaultEffect::Fail, step);
            match container.exec(&process, &exec.clone().fault(fault)) {
                Ok(mut process) => assert!(process.wait().expect("wait").success()),
                Err(error) => check(&error, step),
            }
            match lab.create("noalloc-other", &other, &create.clone().fault(fault)) {
                Ok(Created { container, mut init }) => {
                    if let Err(error) = container.start() {
                        check(&error, step);
                    }
                    container.delete(Force::Yes).expect("delete");
                    init.wait().expect("wait");
                }
                Err(error) => check(&error, step),
            }
        }
        container.delete(Force::Yes).expect("delete");
        init.wait().expect("wait");
    }
}

/// The watch itself works: in an init, in a joiner and in an executed process.
fn an_allocation_is_caught() {
    let lab = Lab::new();
    let (create, exec) = quiet();
    let variants = variants(&lab, "sleep 1000");
    let cases = [
        (&variants[0].1, create.clone().fault(Fault::new(FaultEffect::Allocate, Step::Mount)), exec.clone()),
        (
            &variants[2].1,
            create.clone().fault(Fault::new(FaultEffect::Allocate, Step::JoinNamespace)),
            exec.clone(),
        ),
        (&variants[0].1, create, exec.fault(Fault::new(FaultEffect::Allocate, Step::User))),
    ];
    for (config, create, exec) in cases {
        let error = live(&lab, config, &create, &exec).expect_err("an allocation that nobody saw");
        assert!(error.to_string().contains("ended with status 99"), "{error}");
    }
}
