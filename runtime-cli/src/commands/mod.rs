//! One command a file. Each reads its arguments, calls the library, prints, and gives the status to end with.

mod create;
mod delete;
mod events;
mod exec;
mod features;
mod kill;
mod list;
mod matching;
mod mounts;
mod pages;
mod plan;
mod ps;
mod refused;
mod run;
mod spec;
mod start;
mod state;
mod update;
mod version;

pub(crate) use matching::{for_each_matching, matching};
pub(crate) use run::stay;
pub(crate) use spec::indented;

use crate::args::{CgroupManager, Cli, Command, Global, Rootless};
use crate::log::Log;
use crate::report::Failure;
use crate::{doctor, parse, report, root, systemd, r#try};
use husk_core::{Container, ContainerId, CreateOptions, Force, Runtime, SystemdManager};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What every command is given.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) runtime: Runtime,
    pub(crate) log: &'a Log,
    systemd: Option<SystemdManager>,
    no_cgroup: bool,
    rootless: Option<bool>,
    /// Whether the line says where containers are recorded.
    pub(crate) names_root: bool,
}

impl Context<'_> {
    /// The container of that name.
    pub(crate) fn load(&self, id: &str) -> Result<Container, Failure> {
        Ok(self.runtime.load(&id.parse()?)?)
    }

    /// The options that every creation starts from.
    pub(crate) fn create_options(&self) -> CreateOptions {
        let mut options = CreateOptions::new()
            .no_cgroup(self.no_cgroup)
            .map_helpers(in_path("newuidmap"), in_path("newgidmap"));
        if let Some(manager) = &self.systemd {
            options = options.systemd(manager.clone());
        }
        match self.rootless {
            Some(yes) => options.rootless(yes),
            None => options,
        }
    }
}

/// Runs a command and gives the status to end with.
pub(crate) fn run(cli: Cli, log: &Log) -> Result<u8, Failure> {
    if cli.global.version {
        return version::run();
    }
    let Some(command) = cli.command else { return parse::first_screen() };
    let name = command.name();
    dispatch(&cli.global, command, log).map_err(|failure| failure.of(name))
}

/// The commands are never inlined here: the room on the stack that all of them together would have is 30 KiB, which each
/// start would touch, and an init that waits keep.
fn dispatch(global: &Global, command: Command, log: &Log) -> Result<u8, Failure> {
    let name = command.name();
    // For those that need the state directory and a look at the host.
    let context = || context(global, name, log);
    match command {
        Command::Create(args) => create::run(&context()?, args),
        Command::Start(args) => start::run(&context()?, &args),
        Command::State(args) => state::run(&context()?, &args.id),
        Command::Kill(args) => kill::run(&context()?, &args),
        Command::Delete(args) => delete::run(&context()?, &args),
        Command::Run(args) => run::run(&context()?, args),
        Command::Exec(args) => {
            context().and_then(|context| exec::run(&context, args)).map_err(|failure| failure.code(255))
        }
        Command::Mounts(args) => mounts::run(&context()?, &args),
        Command::Pause(args) => done(context()?.load(&args.id)?.pause()),
        Command::Resume(args) => done(context()?.load(&args.id)?.resume()),
        Command::Update(args) => update::run(&context()?, &args),
        Command::Events(args) => events::run(&context()?, &args),
        Command::Ps(args) => ps::run(&context()?, args),
        Command::List(args) => list::run(&context()?, &args),
        Command::Doctor(args) => doctor::run(args.json),
        Command::Features(_) => features::run(&context()?),
        Command::Plan(args) => plan::run(&context()?, &args),
        Command::Try(args) => r#try::run(&context()?, args),
        Command::TryWatcher(args) => r#try::watch(&context()?, &args),
        Command::Spec(args) => spec::run(&args),
        Command::Completion(args) => pages::completion(args.shell),
        Command::Man(args) => pages::man(&args.dir),
        Command::Checkpoint(args) | Command::Restore(args) => refused::run(name, &args.words, log),
    }
}

fn context<'a>(global: &Global, name: &str, log: &'a Log) -> Result<Context<'a>, Failure> {
    let wants_systemd = global.systemd_cgroup || global.cgroup_manager == Some(CgroupManager::Systemd);
    let mut runtime = Runtime::open(root::state_directory(global.root.as_deref())?)?;
    if let Some(limit) = global.step_timeout {
        runtime = runtime.step_timeout(limit);
    }
    log.debug(format_args!("{name}, containers in {}", runtime.root().display()));
    let systemd = wants_systemd.then(|| systemd::manager(runtime.host()));
    let no_cgroup = global.cgroup_manager == Some(CgroupManager::Disabled);
    let rootless = match global.rootless {
        Rootless::Auto => None,
        Rootless::True => Some(true),
        Rootless::False => Some(false),
    };
    let names_root = global.root.is_some();
    Ok(Context { runtime, log, systemd, no_cgroup, rootless, names_root })
}

/// A program of this machine, where the caller's `PATH` leads to it. Root needs none of those that are looked for.
fn in_path(name: &str) -> Option<PathBuf> {
    if nix::unistd::geteuid().is_root() {
        return None;
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn done(result: husk_core::Result<()>) -> Result<u8, Failure> {
    result.map(|()| 0).map_err(Failure::from)
}

/// Deletes a container. Hooks that failed after it was gone are warnings: the container is deleted all the same.
pub(crate) fn remove(container: Container, force: Force, log: &Log) -> Result<(), Failure> {
    let deleted = container.delete(force).map_err(|failed| failed.error)?;
    deleted.warnings().iter().for_each(|warning| report::warn(log, &warning.to_string()));
    Ok(())
}

/// The id that a command line gives, checked.
pub(crate) fn parse_id(text: &str) -> Result<ContainerId, Failure> {
    Ok(text.parse()?)
}
