//! What the tests with real containers stand on: a table of tests with skips that are seen, a root file system made
//! of busybox, and configs.
//!
//! A test of this kind needs root and busybox; without them it is counted and shown as skipped, and fails where
//! `CI=true`.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::expect_used)]

pub(crate) mod caller;
pub(crate) mod configs;

use husk_core::{Bundle, ContainerId, CreateOptions, Created, Runtime};
use serde_json::Value;
use std::fs;
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A test: a name and what it does.
pub(crate) type Test = (&'static str, fn());

/// Runs the tests that the command line selects (`cargo test NAME`), one after the other.
pub(crate) fn run(tests: &[Test]) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let selected = tests
        .iter()
        .filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())));
    if arguments.iter().any(|argument| argument == "--list") {
        return tests.iter().for_each(|(name, _)| println!("{name}: test"));
    }
    let lacking = lacking();
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (name, test) in selected {
        if let Some(lacking) = &lacking {
            println!("test {name} ... SKIPPED: {lacking}");
            skipped += 1;
            continue;
        }
        let start = Instant::now();
        if catch_unwind(AssertUnwindSafe(test)).is_ok() {
            println!("test {name} ... ok ({:.1} s)", start.elapsed().as_secs_f32());
            passed += 1;
        } else {
            println!("test {name} ... FAILED");
            failed += 1;
        }
    }
    println!("\n{passed} passed; {failed} failed; {skipped} SKIPPED");
    let must_run = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    if failed > 0 || (must_run && skipped > 0) {
        std::process::exit(1);
    }
}

/// What this machine lacks.
fn lacking() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    busybox().is_none().then(|| "needs a static busybox (busybox-static)".to_owned())
}

/// One that runs alone in a container's root.
fn busybox() -> Option<PathBuf> {
    let search = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/static-busybox");
    let output = Command::new(search).stderr(Stdio::null()).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim_end()))
}

/// The programs in the root file system.
const APPLETS: [&str; 13] = [
    "sh", "cat", "echo", "readlink", "sleep", "true", "false", "id", "ls", "env", "tty", "mount", "hostname",
];

/// A directory with everything that a test makes; removed at its end.
#[derive(Debug)]
pub(crate) struct Lab {
    directory: PathBuf,
    /// Where agents of notified system calls are told; nobody makes such a call.
    _agent: Option<UnixListener>,
}

impl Lab {
    pub(crate) fn new() -> Lab {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut lab = Lab::at(std::env::temp_dir().join(format!("husk-lab-{}-{number}", token())));
        let root = lab.rootfs();
        for directory in [
            "bin",
            "etc",
            "dev",
            "proc",
            "sys",
            "tmp",
            "work",
            "mnt/bound",
            "mnt/mapped",
            "mnt/implied",
            "mnt/overlay",
            "mnt/layers",
        ] {
            fs::create_dir_all(root.join(directory)).expect("make the rootfs");
        }
        fs::copy(busybox().expect("busybox"), root.join("bin/busybox")).expect("copy busybox");
        for applet in APPLETS {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).expect("link an applet");
        }
        fs::write(root.join("mnt/single"), "").expect("make a mount point");
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n",
        )
        .expect("write passwd");
        fs::create_dir(lab.file("files")).expect("make files");
        lab._agent = Some(UnixListener::bind(lab.agent()).expect("listen as an agent"));
        lab
    }

    /// One that another process has made.
    pub(crate) fn at(directory: PathBuf) -> Lab {
        Lab { directory, _agent: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn agent(&self) -> PathBuf {
        self.file("agent.sock")
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.file("rootfs")
    }

    pub(crate) fn runtime(&self) -> Runtime {
        Runtime::open(self.file("state")).expect("open the runtime")
    }

    /// A bundle in memory, its directory being the lab.
    pub(crate) fn bundle(&self, config: &Value) -> Bundle {
        let spec = serde_json::from_value(config.clone()).expect("a config");
        Bundle::from_spec(spec, &self.directory).expect("a bundle")
    }

    pub(crate) fn create(
        &self,
        name: &str,
        config: &Value,
        options: &CreateOptions,
    ) -> husk_core::Result<Created> {
        self.runtime().create(&id(name), &self.bundle(config), options)
    }

    /// A tenant of a lab that another process owns does not take it away.
    pub(crate) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
        for directory in configs::cgroup_directories() {
            remove_tree(&directory);
        }
    }
}

/// Cgroups have files that nobody can remove, and directories that have to go from the inside out.
fn remove_tree(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    let _ = fs::remove_dir(directory);
}

/// The environment variable that tells a test program in namespaces of its own what it is called outside.
pub(crate) const TOKEN: &str = "HUSK_TEST_TOKEN";

/// Tells this test program from others that run at the same time.
pub(crate) fn token() -> String {
    std::env::var(TOKEN).unwrap_or_else(|_| std::process::id().to_string())
}

/// Threads that allocate all the time, until this is dropped: their locks are held at any moment.
#[derive(Debug)]
pub(crate) struct BusyThreads {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl BusyThreads {
    pub(crate) fn start(count: usize) -> BusyThreads {
        let stop = Arc::new(AtomicBool::new(false));
        let allocate = |stop: Arc<AtomicBool>| {
            move || {
                let mut kept: Vec<String> = Vec::new();
                for round in 0_usize.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    if round % 64 == 0 {
                        // The containers need the processors too.
                        std::thread::sleep(Duration::from_micros(500));
                    }
                    kept.push(format!("{round:>0$}", round % 3000));
                    if kept.len() > 50 {
                        kept.swap_remove(round % 50);
                    }
                }
            }
        };
        let threads = (0..count).map(|_| std::thread::spawn(allocate(Arc::clone(&stop)))).collect();
        BusyThreads { stop, threads }
    }
}

impl Drop for BusyThreads {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

pub(crate) fn id(name: &str) -> ContainerId {
    name.parse().expect("an id")
}
