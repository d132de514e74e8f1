//! Programs that embed the library: threaded ones, async ones, ones that talk to their containers.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::expect_used)]

mod support;

use husk_core::{
    Bundle, Container, CreateOptions, Created, Error, ErrorKind, ExecOptions, Force, Host, Process, Runtime,
    Status, Stdio,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{PipeReader, Read, Write, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use support::caller::caller;
use support::{BusyThreads, Lab, configs, id};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, role, state, name] = arguments.as_slice()
        && role == "--reload"
    {
        return reload(state, name);
    }
    support::run(&[
        ("containers_from_many_threads_at_once", containers_from_many_threads_at_once),
        ("commands_from_many_threads_at_once", commands_from_many_threads_at_once),
        ("an_id_is_claimed_once", an_id_is_claimed_once),
        ("a_container_in_an_event_loop", a_container_in_an_event_loop),
        ("a_command_and_its_output", a_command_and_its_output),
        ("input_reaches_the_process", input_reaches_the_process),
        ("no_stdio", no_stdio),
        ("a_terminal_comes_back", a_terminal_comes_back),
        ("fds_go_to_nobody_else", fds_go_to_nobody_else),
        ("the_own_binary_is_out_of_reach", the_own_binary_is_out_of_reach),
        ("a_handle_is_loaded_by_another_program", a_handle_is_loaded_by_another_program),
        ("a_dropped_handle_leaves_the_container", a_dropped_handle_leaves_the_container),
        ("waiting_twice_gives_one_answer", waiting_twice_gives_one_answer),
        ("the_examples_do_what_they_say", the_examples_do_what_they_say),
    ]);
}

/// Handles travel between threads.
const _: () = {
    const fn travels<T: Send + Sync>() {}
    travels::<Runtime>();
    travels::<Bundle>();
    travels::<Host>();
    travels::<Container>();
    travels::<Process>();
    travels::<Error>();
    travels::<CreateOptions>();
};

/// Stdio whose output comes back through a pipe.
fn captured() -> (Stdio, PipeReader) {
    let (reader, writer) = pipe().expect("pipe");
    let input = File::open("/dev/null").expect("open /dev/null");
    let output: OwnedFd = writer.into();
    let error = output.try_clone().expect("duplicate");
    (Stdio::Fds([input.into(), output, error].into()), reader)
}

fn read(mut reader: PipeReader) -> String {
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("read");
    text
}

/// The whole life of a container whose output is wanted.
fn output_of(lab: &Lab, name: &str, config: &Value) -> (String, i32) {
    let (stdio, reader) = captured();
    // The options go out of scope with this line, and with them our ends of the pipe.
    let created = lab.create(name, config, &CreateOptions::new().stdio(stdio)).expect("create");
    let Created { container, mut init } = created;
    container.start().expect("start");
    let output = read(reader);
    let code = init.wait().expect("wait").shell_code();
    container.delete(Force::No).expect("delete");
    (output, code)
}

fn in_cgroup(mut config: Value, name: &str) -> Value {
    config["linux"]["cgroupsPath"] = format!("/{}/{name}", configs::cgroup_parent()).into();
    config
}

fn containers_from_many_threads_at_once() {
    const THREADS: usize = 8;
    const EACH: usize = 25;
    let lab = Lab::new();
    // The first thread of a program changes which signals it handles.
    drop(BusyThreads::start(1));
    let before = caller();
    let busy = BusyThreads::start(4);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let lab = &lab;
            scope.spawn(move || {
                for number in 0..EACH {
                    let name = format!("c-{thread}-{number}");
                    let command = format!("echo {name} $(hostname) $$; exit {number}");
                    let mut config = in_cgroup(configs::small(&command), &name);
                    config["hostname"] = format!("host-{name}").into();
                    let found = output_of(lab, &name, &config);
                    assert_eq!(
                        found,
                        (format!("{name} host-{name} 1\n"), i32::try_from(number).expect("small"))
                    );
                }
            });
        }
    });
    drop(busy);
    assert!(lab.runtime().list().expect("list").is_empty());
    let before: BTreeSet<String> = before.into_iter().collect();
    let now: BTreeSet<String> = caller().into_iter().collect();
    let changes: Vec<&String> = before.symmetric_difference(&now).collect();
    assert!(changes.is_empty(), "the caller has changed: {changes:#?}");
}

fn commands_from_many_threads_at_once() {
    with_running("commands", |_, container| {
        let _busy = BusyThreads::start(4);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                scope.spawn(move || {
                    for number in 0..10 {
                        let (stdio, reader) = captured();
                        let word = format!("{thread}-{number}");
                        let process =
                            command(container, &["sh", "-c", &format!("echo {word}; exit {number}")]);
                        let mut running =
                            container.exec(&process, &ExecOptions::new().stdio(stdio)).expect("exec");
                        assert_eq!(read(reader), word + "\n");
                        assert_eq!(running.wait().expect("wait").code(), Some(number));
                    }
                });
            }
        });
        assert_eq!(container.processes().expect("processes").len(), 1);
    });
}

fn an_id_is_claimed_once() {
    let lab = Lab::new();
    let config = in_cgroup(configs::small("true"), "claim");
    let options = CreateOptions::new().stdio(Stdio::Null);
    for _ in 0..10 {
        let tries: Vec<Result<Created, Error>> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| lab.create("claim", &config, &options))).collect();
            threads.into_iter().map(|thread| thread.join().expect("join")).collect()
        });
        let mut made = 0;
        for result in tries {
            match result {
                Ok(Created { container, mut init }) => {
                    made += 1;
                    container.start().expect("start");
                    assert!(init.wait().expect("wait").success());
                    container.delete(Force::No).expect("delete");
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}"),
            }
        }
        assert_eq!(made, 1);
    }
}

fn a_container_in_an_event_loop() {
    use tokio::io::unix::AsyncFd;
    let lab = Lab::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a tokio runtime");
    runtime.block_on(async {
        let config = in_cgroup(configs::small("sleep 0.3; exit 7"), "tokio");
        let Created { container, init } =
            lab.create("tokio", &config, &CreateOptions::new().stdio(Stdio::Null)).expect("create");
        container.start().expect("start");
        // What tokio newly asks for, unsafe, is that the fd stays the same: a Process sees to that.
        #[allow(deprecated)]
        let mut init = AsyncFd::new(init).expect("register the pidfd");
        assert_eq!(init.get_mut().try_wait().expect("try_wait"), None);
        // The loop goes on while the container runs.
        let mut ticks = 0;
        while tokio::time::timeout(Duration::from_millis(20), init.readable()).await.is_err() {
            ticks += 1;
        }
        assert!(ticks > 3, "{ticks} ticks in 300 ms");
        assert_eq!(init.get_mut().wait().expect("wait").code(), Some(7));
        container.delete(Force::No).expect("delete");
    });
}

/// A container that sleeps, for as long as `test` takes.
fn with_running(name: &str, test: impl FnOnce(&Lab, &Container)) {
    let lab = Lab::new();
    let config = in_cgroup(configs::small("sleep 1000"), name);
    let Created { container, mut init } =
        lab.create(name, &config, &CreateOptions::new().stdio(Stdio::Null)).expect("create");
    container.start().expect("start");
    test(&lab, &container);
    container.delete(Force::Yes).expect("delete");
    assert_eq!(init.wait().expect("wait").signal(), Some(9));
}

fn command(container: &Container, words: &[&str]) -> husk_core::spec::Process {
    let mut process = container.default_process().expect("the config's process");
    process.set_args(Some(words.iter().map(|word| (*word).to_owned()).collect()));
    process
}

fn a_command_and_its_output() {
    with_running("output", |_, container| {
        let (stdio, reader) = captured();
        let process = command(container, &["sh", "-c", "echo to output; echo to error >&2; exit 5"]);
        let mut running = container.exec(&process, &ExecOptions::new().stdio(stdio)).expect("exec");
        assert_eq!(read(reader), "to output\nto error\n");
        assert_eq!(running.wait().expect("wait").code(), Some(5));

        let missing = command(container, &["missing"]);
        let error =
            container.exec(&missing, &ExecOptions::new().stdio(Stdio::Null)).expect_err("no such command");
        assert_eq!(error.kind(), ErrorKind::NotExecutable);
        assert!(error.to_string().contains("executable file not found in $PATH"), "{error}");
    });
}

fn input_reaches_the_process() {
    with_running("input", |_, container| {
        let (input, mut writer) = pipe().expect("pipe");
        let (reader, output) = pipe().expect("pipe");
        let null = File::options().write(true).open("/dev/null").expect("open /dev/null");
        let stdio = Stdio::Fds([input.into(), output.into(), null.into()].into());
        let process = command(container, &["cat"]);
        let mut running = container.exec(&process, &ExecOptions::new().stdio(stdio)).expect("exec");
        writer.write_all(b"there and back").expect("write");
        drop(writer);
        assert_eq!(read(reader), "there and back");
        assert!(running.wait().expect("wait").success());
    });
}

fn no_stdio() {
    with_running("null", |_, container| {
        let script = "for fd in 0 1 2; do [ \"$(readlink /proc/self/fd/$fd)\" = /dev/null ] || exit 1; done";
        // `readlink` has a pipe for its output, so the shell's own fds are asked for.
        let script = script.replace("/proc/self/", "/proc/$$/");
        let process = command(container, &["busybox", "sh", "-c", &script]);
        let mut running = container.exec(&process, &ExecOptions::new().stdio(Stdio::Null)).expect("exec");
        assert_eq!(running.wait().expect("wait").code(), Some(0));
    });
}

fn a_terminal_comes_back() {
    let lab = Lab::new();
    let mut config = in_cgroup(configs::small("tty; read word; echo got $word"), "terminal");
    config["process"]["terminal"] = true.into();
    let Created { container, mut init } =
        lab.create("terminal", &config, &CreateOptions::new()).expect("create");
    let mut terminal = File::from(init.take_terminal().expect("a terminal"));
    assert!(init.take_terminal().is_none(), "there is one terminal");
    container.start().expect("start");
    terminal.write_all(b"hello\n").expect("write");
    let mut output = Vec::new();
    // A terminal whose other end is closed says EIO.
    let _ = terminal.read_to_end(&mut output);
    let output = String::from_utf8_lossy(&output);
    assert!(output.contains("/dev/pts/0") || output.contains("/dev/console"), "{output}");
    assert!(output.contains("got hello"), "{output}");
    assert!(init.wait().expect("wait").success());
    container.delete(Force::No).expect("delete");
}

/// What the library opens closes on execve, and what the caller has open without that flag is not for containers.
fn fds_go_to_nobody_else() {
    let open_fds = || -> BTreeSet<String> {
        let entries = support::caller::names(Path::new("/proc/self/fdinfo"));
        entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let close_on_exec = |fd: &String| {
        let Ok(info) = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")) else { return true };
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).expect("flags").trim();
        u32::from_str_radix(flags, 8).expect("octal") & 0o2_000_000 != 0
    };
    let lab = Lab::new();
    let inherited = nix::unistd::dup(File::open("/etc/passwd").expect("open")).expect("dup");
    assert!(!close_on_exec(&std::os::fd::AsRawFd::as_raw_fd(&inherited).to_string()));

    let before = open_fds();
    let mut config = in_cgroup(configs::small("sleep 1000"), "fds");
    config["process"]["terminal"] = true.into();
    let Created { container, mut init } = lab.create("fds", &config, &CreateOptions::new()).expect("create");
    container.start().expect("start");
    let (stdio, reader) = captured();
    let mut process = command(&container, &["ls", "/proc/self/fd"]);
    process.set_terminal(Some(false));
    let mut listing = container.exec(&process, &ExecOptions::new().stdio(stdio)).expect("exec");
    let leaked: Vec<String> =
        open_fds().difference(&before).filter(|fd| !close_on_exec(fd)).cloned().collect();
    assert!(leaked.is_empty(), "{leaked:?} stay open across execve");
    // The fourth is the directory that is listed.
    assert_eq!(read(reader).split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
    listing.wait().expect("wait");
    container.delete(Force::Yes).expect("delete");
    init.wait().expect("wait");
}

/// Another program: loads the container by its name, and kills it.
fn reload(state: &str, name: &str) {
    let runtime = Runtime::open(state).expect("open").allow_unsealed_binary();
    let container = runtime.load(&id(name)).expect("load");
    println!(
        "{} {}",
        container.state().expect("state").status,
        container.processes().expect("processes").len()
    );
    container.start().expect("start");
    println!("{}", container.state().expect("state").status);
    container.pause().expect("pause");
    println!("{}", container.state().expect("state").status);
    container.resume().expect("resume");
    container.kill(9).expect("kill");
}

/// CVE-2019-5736, seen from outside: what a waiting init is said to run is this very file, and nobody writes to it there,
/// whatever else of it this program has mapped.
fn the_own_binary_is_out_of_reach() {
    use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
    use nix::sys::statvfs::FsFlags;
    let lab = Lab::new();
    let own = File::open("/proc/self/exe").expect("open");
    let length = std::num::NonZeroUsize::new(1 << 16).expect("a length");
    // SAFETY: a new mapping, which nothing refers to.
    let map = || unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_PRIVATE, &own, 0) };
    // Some readers of backtraces keep such a mapping.
    let mappings = [map().expect("map"), map().expect("map")];
    let options = CreateOptions::new().stdio(Stdio::Null);
    let created = lab.create("sealed", &configs::small("true"), &options);
    for mapping in mappings {
        // SAFETY: mapped above with this length.
        unsafe { munmap(mapping, length.get()) }.expect("unmap");
    }
    let Created { container, mut init } = created.expect("create");
    let exe = format!("/proc/{}/exe", init.pid());
    let identity = |path: &str| std::fs::metadata(path).map(|file| (file.dev(), file.ino())).expect("stat");
    assert_eq!(identity(&exe), identity("/proc/self/exe"));
    // While it is executed nobody can write to it anyway; what counts is by which mount it is reached.
    let mount = nix::sys::statvfs::statvfs(exe.as_str()).expect("statvfs");
    assert!(mount.flags().contains(FsFlags::ST_RDONLY), "{:?}", mount.flags());
    container.delete(Force::Yes).expect("delete");
    init.wait().expect("wait");
}

fn a_handle_is_loaded_by_another_program() {
    let lab = Lab::new();
    let config = in_cgroup(configs::small("sleep 1000"), "reload");
    let Created { container, mut init } =
        lab.create("reload", &config, &CreateOptions::new().stdio(Stdio::Null)).expect("create");
    let output = Command::new(std::env::current_exe().expect("own path"))
        .arg("--reload")
        .arg(lab.file("state"))
        .arg("reload")
        .output()
        .expect("run the other program");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "created 1\nrunning\npaused\n", "{output:?}");
    assert_eq!(init.wait().expect("wait").signal(), Some(9));
    assert_eq!(container.state().expect("state").status, Status::Stopped);
    container.delete(Force::No).expect("delete");
    let error = lab.runtime().load(&id("reload")).expect_err("it is gone");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

fn a_dropped_handle_leaves_the_container() {
    let lab = Lab::new();
    let config = in_cgroup(configs::small("sleep 1000"), "dropped");
    let options = CreateOptions::new().stdio(Stdio::Null);
    let Created { container, mut init } = lab.create("dropped", &config, &options).expect("create");
    drop(container);
    let runtime = lab.runtime();
    let found: Vec<String> =
        runtime.list().expect("list").iter().map(|container| container.id().to_string()).collect();
    assert_eq!(found, ["dropped"]);
    let container = runtime.load(&id("dropped")).expect("load");
    let again = runtime.create(&id("dropped"), &lab.bundle(&config), &options).expect_err("the id is taken");
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    container.start().expect("start");
    let refused = container.delete(Force::No).expect_err("it runs");
    assert_eq!(refused.error.kind(), ErrorKind::InvalidState);
    refused.container.delete(Force::Yes).expect("delete");
    init.wait().expect("wait");
}

fn waiting_twice_gives_one_answer() {
    let lab = Lab::new();
    let config = in_cgroup(configs::small("exit 3"), "twice");
    let Created { container, mut init } =
        lab.create("twice", &config, &CreateOptions::new().stdio(Stdio::Null)).expect("create");
    container.start().expect("start");
    let first = init.wait().expect("wait");
    assert_eq!((first, Some(first)), (init.wait().expect("wait"), init.try_wait().expect("try_wait")));
    assert_eq!(init.kill(9).expect_err("it has ended").kind(), ErrorKind::InvalidState);
    assert_eq!(container.start().expect_err("it has ended").kind(), ErrorKind::InvalidState);
    container.delete(Force::No).expect("delete");
}

/// The path of an example, built if it is not.
fn example(name: &str) -> PathBuf {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "husk-core", "--example", name])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("run cargo");
    assert!(status.success(), "example {name} does not build");
    let own = std::env::current_exe().expect("own path");
    let target = own.parent().and_then(Path::parent).expect("the target directory");
    target.join("examples").join(name)
}

fn run_example(name: &str, arguments: &[&Path]) -> (String, Option<i32>) {
    let output = Command::new(example(name)).args(arguments).output().expect("run the example");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (text, output.status.code())
}

fn the_examples_do_what_they_say() {
    let lab = Lab::new();
    let config = in_cgroup(configs::small("echo from the container; exit 3"), "example");
    std::fs::write(lab.file("config.json"), config.to_string()).expect("write the config");
    let name = format!("example-{}", support::token());
    let found = run_example("run", &[lab.path(), Path::new(&name)]);
    assert_eq!(found, ("from the container\n".to_owned(), Some(3)));
    let (text, code) = run_example("tokio", &[lab.path()]);
    assert_eq!((text.as_str(), code), ("from the container\nit ended with exit status 3\n", Some(0)));
    let _ = std::fs::remove_dir("/run/husk-examples");
    let (text, code) = run_example("run", &[&lab.file("missing"), Path::new(&name)]);
    assert!(text.contains("config.json not found"), "{text}");
    assert_eq!(code, Some(1));

    let config = in_cgroup(configs::small("sleep 1000"), "example");
    let Created { container, mut init } =
        lab.create("sleeper", &config, &CreateOptions::new().stdio(Stdio::Null)).expect("create");
    container.start().expect("start");
    let arguments = ["echo", "hello"].map(Path::new);
    let state = lab.file("state");
    let found = run_example(
        "exec_output",
        &[&[state.as_path(), Path::new("sleeper")], arguments.as_slice()].concat(),
    );
    assert_eq!(found, ("sleeper said \"hello\\n\" and ended with exit status 0\n".to_owned(), Some(0)));
    container.delete(Force::Yes).expect("delete");
    let deadline = Instant::now() + Duration::from_secs(5);
    while init.try_wait().expect("try_wait").is_none() {
        assert!(Instant::now() < deadline, "still there");
        std::thread::sleep(Duration::from_millis(1));
    }
}
