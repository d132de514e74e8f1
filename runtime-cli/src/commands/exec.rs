//! exec: one more process, as the flags or `--process` describe it. Every failure ends in status 255 (see `commands`).

use super::Context;
use crate::args::{Exec, after_dashes, parse_sub_cgroups, parse_user};
use crate::console::console;
use crate::foreground::Foreground;
use crate::given;
use crate::inherited;
use crate::log::Log;
use crate::narrate;
use crate::report::{Failure, warn};
use crate::terminal::own_size;
use husk_core::spec::{BoxBuilder, Capability, LinuxCapabilities, Process};
use husk_core::{Container, ExecOptions};
use std::path::Path;

#[inline(never)] // see `dispatch`
pub(crate) fn run(context: &Context<'_>, mut args: Exec) -> Result<u8, Failure> {
    inherited::check(args.preserve_fds)?;
    let container = context.load(&args.id_and_command[0])?;
    let process = describe(&container, &args, context.log)?;
    let terminal = process.terminal().unwrap_or(false);
    let mut options = ExecOptions::new()
        .console(console(args.detach, terminal, args.console_socket.take())?)
        .preserve_fds(args.preserve_fds)
        .ignore_paused(args.ignore_paused);
    if let Some(path) = args.pid_file.take() {
        options = options.pid_file(path);
    }
    if let Some(path) = args.pidfd_socket.take() {
        options = options.pidfd_socket(path);
    }
    if let Some(path) = inherited::seccomp_receiver() {
        options = options.seccomp_receiver(path);
    }
    for (controller, path) in parse_sub_cgroups(&args.cgroup).map_err(Failure::new)? {
        options = match controller {
            Some(controller) => options.sub_cgroup_of(controller, path),
            None => options.sub_cgroup(path),
        };
    }
    if context.log.is_debugging() {
        narrate::execution(context, &container, &process);
    }
    if args.detach {
        narrate::executed(context, &container.exec(&process, &options)?);
        return Ok(0);
    }
    // No subreaper: what this process leaves behind belongs to the container's init.
    let mut foreground = Foreground::prepare(false)?;
    let mut process = container.exec(&process, &options)?;
    narrate::executed(context, &process);
    foreground.attach(&mut process)?;
    foreground.wait(&mut process)
}

/// The container's own process or the one in the file, changed as the flags say.
fn describe(container: &Container, args: &Exec, log: &Log) -> Result<Process, Failure> {
    let command = after_dashes(&args.id_and_command[1..]);
    let mut process = match &args.process {
        Some(_) if !command.is_empty() => {
            return Err(Failure::new("the command stands in the --process file; there cannot be another"));
        }
        Some(path) => read_process(path, log)?,
        None if command.is_empty() => {
            return Err(Failure::new("process args cannot be empty")
                .hint("say what to run: husk exec CONTAINER COMMAND"));
        }
        None => {
            let mut process = container.default_process()?;
            process.set_args(Some(command.to_vec())).set_terminal(Some(false)).set_console_size(None);
            process
        }
    };
    change(&mut process, args)?;
    Ok(process)
}

fn read_process(path: &Path, log: &Log) -> Result<Process, Failure> {
    let (process, warnings) = given::read(path, "process", husk_core::read_process)?;
    warnings.iter().for_each(|warning| warn(log, &warning.to_string()));
    Ok(process)
}

fn change(process: &mut Process, args: &Exec) -> Result<(), Failure> {
    if args.tty {
        process.set_terminal(Some(true));
        if let Some((rows, columns)) = own_size() {
            process.set_console_size(BoxBuilder::default().height(rows).width(columns).build().ok());
        }
    }
    if let Some(cwd) = &args.cwd {
        process.set_cwd(cwd.clone());
    }
    if let Some(user) = args.user.as_deref().filter(|user| !user.is_empty()) {
        // Not while the line is parsed: runc ends in 255 here.
        let user = parse_user(user).map_err(Failure::new)?;
        process.user_mut().set_uid(user.uid);
        if let Some(gid) = user.gid {
            process.user_mut().set_gid(gid);
        }
    }
    if !args.additional_gids.is_empty() {
        let gids = process.user_mut().additional_gids_mut();
        gids.get_or_insert_default().extend(&args.additional_gids);
    }
    if !args.env.is_empty() {
        process.env_mut().get_or_insert_default().extend(args.env.iter().cloned());
    }
    if args.no_new_privs {
        process.set_no_new_privileges(Some(true));
    }
    if let Some(profile) = &args.apparmor {
        process.set_apparmor_profile(Some(profile.clone()));
    }
    if let Some(label) = &args.process_label {
        process.set_selinux_label(Some(label.clone()));
    }
    if !args.cap.is_empty() {
        let capabilities = process.capabilities().clone().unwrap_or_else(none);
        process.set_capabilities(Some(add(capabilities, &args.cap)?));
    }
    Ok(())
}

/// Adds to what the process may have and has, not to what a program that it executes inherits: CVE-2022-29162. It becomes
/// ambient where the config has made it inheritable, without which there is no ambient (capabilities(7)).
fn add(mut capabilities: LinuxCapabilities, names: &[String]) -> Result<LinuxCapabilities, Failure> {
    for name in names {
        let upper = name.to_ascii_uppercase();
        let capability: Capability = upper
            .strip_prefix("CAP_")
            .unwrap_or(&upper)
            .parse()
            .map_err(|_| Failure::new(format!("unknown capability {name:?}")))?;
        let with = |set: &Option<husk_core::spec::Capabilities>| {
            let mut set = set.clone().unwrap_or_default();
            set.insert(capability);
            Some(set)
        };
        let (bounding, effective, permitted) =
            (with(capabilities.bounding()), with(capabilities.effective()), with(capabilities.permitted()));
        let inheritable = capabilities.inheritable().as_ref().is_some_and(|set| set.contains(&capability));
        if inheritable {
            let ambient = with(capabilities.ambient());
            capabilities.set_ambient(ambient);
        }
        capabilities.set_bounding(bounding).set_effective(effective).set_permitted(permitted);
    }
    Ok(capabilities)
}

/// The specification's default is nothing at all; the type's own is a few.
fn none() -> LinuxCapabilities {
    let mut capabilities = LinuxCapabilities::default();
    capabilities
        .set_bounding(None)
        .set_effective(None)
        .set_inheritable(None)
        .set_permitted(None)
        .set_ambient(None);
    capabilities
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_added_capability_is_not_inheritable_and_so_not_ambient() {
        let names = ["CAP_SYS_PTRACE".to_owned(), "net_raw".to_owned()];
        let capabilities = add(none(), &names).expect("both exist");
        let both = Some([Capability::SysPtrace, Capability::NetRaw].into_iter().collect());
        assert_eq!(capabilities.bounding(), &both);
        assert_eq!(capabilities.effective(), &both);
        assert_eq!(capabilities.permitted(), &both);
        assert_eq!(capabilities.inheritable(), &None);
        assert_eq!(capabilities.ambient(), &None);
    }

    #[test]
    fn an_added_capability_is_ambient_where_the_config_made_it_inheritable() {
        let mut before = none();
        before.set_inheritable(Some([Capability::Kill].into()));
        let after = add(before, &["KILL".to_owned(), "SYSLOG".to_owned()]).expect("both exist");
        assert_eq!(after.inheritable(), &Some([Capability::Kill].into()));
        assert_eq!(after.ambient(), &Some([Capability::Kill].into()));
    }

    #[test]
    fn an_unknown_capability_is_named() {
        assert!(add(none(), &["CAP_FLY".to_owned()]).is_err());
    }
}
