//! The tests, one file a topic. `cargo test -p husk-conformance -- FILTER…` runs those whose name contains a filter.

#![forbid(unsafe_code)]

mod annotations;
mod apparmor;
mod bad_config;
mod bounded;
mod budget;
mod cgroups;
mod command_line;
mod confinement;
mod default_config;
mod delegation;
mod devices;
mod engine_words;
mod errors;
mod events;
mod exec;
mod execution;
mod features;
mod freezer;
mod hooks;
mod id_mapped;
mod inner_cgroups;
mod keyrings;
mod lifecycle;
mod limits;
mod live_mounts;
mod many_mounts;
mod matching;
mod mount_options;
mod mounts;
mod namespaces;
mod nested;
mod net_devices;
mod outputs;
mod pidfd_socket;
mod process;
mod robustness;
mod root;
mod rootless;
mod seccomp;
mod seccomp_agent;
mod selinux;
mod service_manager;
mod sub_cgroups;
mod systemd;
mod terminal;
mod update;

use std::process::ExitCode;

use husk_conformance::suite;

fn main() -> ExitCode {
    let topics = [
        lifecycle::cases,
        many_mounts::cases,
        matching::cases,
        default_config::cases,
        errors::cases,
        engine_words::cases,
        command_line::cases,
        process::cases,
        exec::cases,
        execution::cases,
        keyrings::cases,
        terminal::cases,
        pidfd_socket::cases,
        namespaces::cases,
        net_devices::cases,
        mounts::cases,
        mount_options::cases,
        live_mounts::cases,
        root::cases,
        id_mapped::cases,
        confinement::cases,
        apparmor::cases,
        selinux::cases,
        devices::cases,
        cgroups::cases,
        limits::cases,
        sub_cgroups::cases,
        inner_cgroups::cases,
        delegation::cases,
        systemd::cases,
        freezer::cases,
        update::cases,
        events::cases,
        hooks::cases,
        annotations::cases,
        seccomp::cases,
        seccomp_agent::cases,
        service_manager::cases,
        outputs::cases,
        features::cases,
        robustness::cases,
        bounded::cases,
        rootless::cases,
        nested::cases,
        bad_config::cases,
        budget::cases,
    ];
    let mut all: Vec<suite::Case> = topics.iter().flat_map(|cases| cases()).collect();
    all.push(suite::every_row_has_a_test(&all));
    suite::main(all)
}
