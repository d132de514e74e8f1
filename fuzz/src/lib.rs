//! Everything that husk reads and somebody else may have written, each as a function that takes bytes and may neither
//! panic nor answer wrongly: configs, mount options, cgroup paths, system call profiles, process and resource files,
//! the files of the state directory, the words of the command line, and the messages of systemd, of the kernel and of
//! new processes.
//!
//! `cargo test -p husk-fuzz` runs the stored corpus and some thousand changed inputs, always the same ones;
//! `FUZZ_ROUNDS` says how many for each function. `make fuzz MINUTES=60` looks for new ones, led by coverage. An input
//! that failed once belongs into `corpus/TARGET/`.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "as in tests: a surprise is what is looked for")]

pub mod mutation;
pub mod seeds;
// The table of the command line, which no library has.
#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../../runtime-cli/src/args/mod.rs"]
mod args;
// The naive reading of a profile and the BPF machine: what the compiled filters are held against.
#[allow(dead_code, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
#[path = "../../seccomp/tests/oracle/mod.rs"]
mod oracle;

use husk_core::{Bundle, ContainerId, CreateOptions, Host, Runtime, SystemdManager, fuzzing, spec};
use oracle::reading::Reading;
use oracle::{Abi, Dice, machine, values};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, PathBuf};
use std::sync::LazyLock;

/// A name, and what takes the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 10] = [
    ("config", config),
    ("mount-options", mount_options),
    ("cgroups-path", cgroups_path),
    ("process", process),
    ("resources", resources),
    ("seccomp", seccomp),
    ("record", record),
    ("recorder", recorder),
    ("arguments", arguments),
    ("messages", messages),
];

static HOST: LazyLock<Host> = LazyLock::new(|| Host::probe().expect("a host"));

/// A directory of this process, with a bundle and a state directory in it.
static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| {
    let directory = std::env::temp_dir().join(format!("husk-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(directory.join("state/fuzz")).expect("a directory");
    directory
});

/// Takes the directory of this process away.
pub fn clean_up() {
    let _ = std::fs::remove_dir_all(&*DIRECTORY);
}

fn id() -> ContainerId {
    "fuzz".parse().expect("an id")
}

fn default_config() -> Value {
    json!({
        "ociVersion": "1.2.0",
        "root": { "path": "rootfs" },
        "process": { "user": { "uid": 0, "gid": 0 }, "args": ["/bin/true"], "cwd": "/" },
        "mounts": [{ "destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": [] }],
        "linux": { "namespaces": [{ "type": "mount" }, { "type": "pid" }] }
    })
}

/// What holds of every plan, whatever the config says.
fn check(plan: &husk_core::plan::Plan) {
    for mount in &plan.mounts {
        assert!(mount.target.as_bytes().starts_with(b"/"), "{:?}", mount.target);
    }
    for directory in &plan.cgroup.directories {
        let climbs = directory.path.components().any(|part| part == Component::ParentDir);
        assert!(directory.path.is_absolute() && !climbs, "{}", directory.path.display());
        assert!(directory.path.starts_with(&directory.mountpoint), "{}", directory.path.display());
    }
    assert!(plan.process.args.iter().all(|arg| !arg.as_bytes().contains(&0)));
    // Showing it takes every field in its hand.
    assert!(!plan.to_string().is_empty());
}

fn plan(config: Value, options: &CreateOptions) {
    let Ok(spec) = serde_json::from_value(config) else { return };
    let Ok(bundle) = Bundle::from_spec(spec, "/bundle") else { return };
    match bundle.plan(&id(), &HOST, options) {
        Ok(plan) => check(&plan),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A config.json, as a bundle has it.
pub fn config(bytes: &[u8]) {
    let bundle = DIRECTORY.join("config.json");
    std::fs::write(&bundle, bytes).expect("write");
    match Bundle::open(&*DIRECTORY).and_then(|bundle| bundle.plan(&id(), &HOST, &CreateOptions::new())) {
        Ok(plan) => check(&plan),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The options of a mount, separated by commas; before a `;` its type.
pub fn mount_options(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (kind, options) = text.split_once(';').unwrap_or(("tmpfs", &text));
    let mut config = default_config();
    config["mounts"][0]["type"] = kind.into();
    config["mounts"][0]["options"] = options.split(',').map(Value::from).collect();
    plan(config, &CreateOptions::new());
}

/// `/linux/cgroupsPath`, for both managers.
pub fn cgroups_path(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    for options in [CreateOptions::new(), CreateOptions::new().systemd(SystemdManager::system())] {
        let mut config = default_config();
        config["linux"]["cgroupsPath"] = text.clone().into();
        plan(config, &options);
    }
}

/// A file of `exec --process`, or of `mounts`.
pub fn process(bytes: &[u8]) {
    if let Err(error) = husk_core::read_process(bytes) {
        assert!(!error.to_string().is_empty());
    }
    if let Err(error) = husk_core::read_mounts(bytes) {
        assert!(!error.to_string().is_empty());
    }
}

/// A file of `update --resources`.
pub fn resources(bytes: &[u8]) {
    if let Err(error) = husk_core::read_resources(bytes) {
        assert!(!error.to_string().is_empty());
    }
}

/// `/linux/seccomp`: what compiles decides as the profile reads.
pub fn seccomp(bytes: &[u8]) {
    let Ok(profile) = serde_json::from_slice::<spec::LinuxSeccomp>(bytes) else { return };
    let program = match husk_seccomp::compile(&profile) {
        Ok(program) => program,
        Err(problems) => return assert!(!problems.is_empty()),
    };
    let values = values(&profile);
    let mut dice = Dice(1 + bytes.len() as u64);
    for abi in Abi::ALL {
        let reading = Reading::new(&profile, abi);
        for _ in 0..64 {
            let number = abi.base() + u32::try_from(dice.below(460)).unwrap_or(0);
            let call = abi.call(number, dice.args(&values));
            // A profile that says two things of one call is answered somehow.
            let Some(read) = reading.only_answer(&call) else { continue };
            let ran = machine::run(program.instructions(), &call);
            assert_eq!(ran, read, "{abi:?} {call:x?}\n{}", program.disassemble());
        }
    }
}

fn ask_for_the_state() {
    let runtime = Runtime::open(DIRECTORY.join("state")).expect("open");
    for container in runtime.list().expect("list") {
        match container.state() {
            Ok(state) => assert!(serde_json::to_string(&state).is_ok()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// `record.json`. It is asked for and never deleted: what it names may be anybody's.
pub fn record(bytes: &[u8]) {
    std::fs::write(DIRECTORY.join("state/fuzz/record.json"), bytes).expect("write");
    ask_for_the_state();
}

/// The flight recorder's page, of a container that is being made.
pub fn recorder(bytes: &[u8]) {
    let _ = std::fs::remove_file(DIRECTORY.join("state/fuzz/record.json"));
    let mut page = bytes.to_vec();
    page.resize(page.len().max(4096), 0);
    // With the right beginning most of the time.
    if !bytes.len().is_multiple_of(8) {
        page[..8].copy_from_slice(&0x6875_736b_0000_0001_u64.to_ne_bytes());
    }
    std::fs::write(DIRECTORY.join("state/fuzz/recorder"), page).expect("write");
    ask_for_the_state();
}

/// The words after `husk`, one a line. They are only read: nothing is done.
pub fn arguments(bytes: &[u8]) {
    let words = bytes.split(|byte| *byte == b'\n').map(|word| OsString::from_vec(word.to_vec()));
    let line: Vec<OsString> = [OsString::from("husk")].into_iter().chain(words).collect();
    match args::Cli::read(&args::spell_out(line, args::table)) {
        Ok(cli) => assert!(!format!("{cli:?}").is_empty()),
        Err(error) => assert!(!error.render().to_string().is_empty()),
    }
    // What is read later, when the command is known.
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ =
            (args::parse_signal(text), args::parse_user(text), args::parse_sub_cgroups(&[text.to_owned()]));
    }
}

/// Behind a byte that says whose: what systemd or the kernel answers, a word of a new process, a line of a passwd(5).
pub fn messages(bytes: &[u8]) {
    let Some((&kind, message)) = bytes.split_first() else { return };
    match kind % 4 {
        0 => fuzzing::dbus_message(message),
        1 => fuzzing::netlink_answer(message),
        2 => message.first_chunk().into_iter().for_each(|word| fuzzing::word(*word)),
        _ => fuzzing::home_in_passwd(message, 1000),
    }
}
