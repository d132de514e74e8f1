//! From flags to the CRI's own structures.

use crate::Outcome;
use clap::Args;
use k8s_cri::v1::security_profile::ProfileType;
use k8s_cri::v1::{
    Capability, CdiDevice, ContainerConfig, ContainerMetadata, IdMapping, ImageSpec, Int64Value, KeyValue,
    LinuxContainerConfig, LinuxContainerResources, LinuxContainerSecurityContext, LinuxPodSandboxConfig,
    LinuxSandboxSecurityContext, Mount, NamespaceMode, NamespaceOption, PodSandboxConfig, PodSandboxMetadata,
    PortMapping, SecurityProfile, UserNamespace,
};

#[derive(Args)]
pub struct PodArgs {
    name: String,
    /// Forward a port of the host to the pod
    #[arg(long, value_name = "HOST:POD")]
    port: Vec<String>,
    /// Share the host's network
    #[arg(long)]
    host_network: bool,
    /// Share the host's processes
    #[arg(long)]
    host_pid: bool,
    /// One pid namespace for all containers of the pod
    #[arg(long)]
    share_pid: bool,
    /// A user namespace whose ids 0 and up are these ids of the host
    #[arg(long, value_name = "HOST-ID:LENGTH")]
    users: Option<String>,
    /// The runtime handler, as a RuntimeClass names it
    #[arg(long, default_value = "")]
    handler: String,
    #[arg(long, default_value = "")]
    hostname: String,
    /// The cgroup that holds the pod's own
    #[arg(long, default_value = "")]
    cgroup_parent: String,
    #[arg(long, value_name = "NAME=VALUE")]
    sysctl: Vec<String>,
    /// Where its containers' log files lie, NAME.log each
    #[arg(long, default_value = "")]
    logs: String,
    #[arg(long)]
    privileged: bool,
}

impl PodArgs {
    pub fn handler(&self) -> String {
        self.handler.clone()
    }

    pub fn config(&self) -> Outcome<PodSandboxConfig> {
        Ok(PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: self.name.clone(),
                uid: format!("uid-{}", self.name),
                namespace: "default".into(),
                attempt: 0,
            }),
            hostname: if self.host_network { String::new() } else { self.hostname.clone() },
            log_directory: self.logs.clone(),
            port_mappings: self.port.iter().map(|port| port_mapping(port)).collect::<Outcome<_>>()?,
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: self.cgroup_parent.clone(),
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(NamespaceOption {
                        network: mode(self.host_network, NamespaceMode::Node, NamespaceMode::Pod),
                        pid: if self.host_pid {
                            NamespaceMode::Node.into()
                        } else {
                            mode(self.share_pid, NamespaceMode::Pod, NamespaceMode::Container)
                        },
                        ipc: NamespaceMode::Pod.into(),
                        target_id: String::new(),
                        userns_options: user_namespace(self.users.as_deref())?,
                    }),
                    privileged: self.privileged,
                    ..Default::default()
                }),
                sysctls: self.sysctl.iter().map(|pair| split(pair, '=')).collect::<Outcome<_>>()?,
                ..Default::default()
            }),
            ..Default::default()
        })
    }
}

#[derive(Args)]
pub struct ContainerArgs {
    pub pod: String,
    name: String,
    #[arg(trailing_var_arg = true)]
    command: Vec<String>,
    #[arg(long, default_value = "localhost/busybox:latest")]
    image: String,
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    #[arg(long, default_value = "")]
    cwd: String,
    #[arg(long, value_name = "HOST:CONTAINER[:ro|:rro]")]
    mount: Vec<String>,
    /// A device by CDI
    #[arg(long, value_name = "VENDOR/CLASS=NAME")]
    device: Vec<String>,
    #[arg(short = 'i')]
    stdin: bool,
    #[arg(short = 't')]
    tty: bool,
    #[arg(long)]
    privileged: bool,
    #[arg(long)]
    user: Option<i64>,
    #[arg(long)]
    group: Option<i64>,
    #[arg(long)]
    groups: Vec<i64>,
    #[arg(long)]
    read_only: bool,
    #[arg(long)]
    no_new_privs: bool,
    #[arg(long)]
    cap_add: Vec<String>,
    #[arg(long)]
    cap_drop: Vec<String>,
    /// The engine's default profile instead of none
    #[arg(long)]
    seccomp: bool,
    #[arg(long)]
    mask: Vec<String>,
    #[arg(long)]
    read_only_path: Vec<String>,
    /// Share the pod's pid namespace
    #[arg(long)]
    share_pid: bool,
    /// The processes of another container of the pod
    #[arg(long, default_value = "")]
    target: String,
    /// The pod's user namespace
    #[arg(long, value_name = "HOST-ID:LENGTH")]
    users: Option<String>,
    #[command(flatten)]
    resources: ResourceArgs,
}

impl ContainerArgs {
    pub fn config(&self) -> Outcome<ContainerConfig> {
        Ok(ContainerConfig {
            metadata: Some(ContainerMetadata { name: self.name.clone(), attempt: 0 }),
            image: Some(image(&self.image)),
            command: self.command.clone(),
            working_dir: self.cwd.clone(),
            envs: self
                .env
                .iter()
                .map(|pair| split(pair, '=').map(|(key, value)| KeyValue { key, value }))
                .collect::<Outcome<_>>()?,
            mounts: self.mount.iter().map(|mount| bind(mount)).collect::<Outcome<_>>()?,
            cdi_devices: self.device.iter().map(|name| CdiDevice { name: name.clone() }).collect(),
            log_path: format!("{}.log", self.name),
            stdin: self.stdin,
            tty: self.tty,
            linux: Some(LinuxContainerConfig {
                resources: Some(self.resources.limits()),
                security_context: Some(self.security()?),
            }),
            ..Default::default()
        })
    }

    fn security(&self) -> Outcome<LinuxContainerSecurityContext> {
        let profile = if self.seccomp { ProfileType::RuntimeDefault } else { ProfileType::Unconfined };
        Ok(LinuxContainerSecurityContext {
            capabilities: Some(Capability {
                add_capabilities: self.cap_add.clone(),
                drop_capabilities: self.cap_drop.clone(),
                ..Default::default()
            }),
            privileged: self.privileged,
            namespace_options: Some(NamespaceOption {
                pid: if self.target.is_empty() {
                    mode(self.share_pid, NamespaceMode::Pod, NamespaceMode::Container)
                } else {
                    NamespaceMode::Target.into()
                },
                target_id: self.target.clone(),
                userns_options: user_namespace(self.users.as_deref())?,
                ..Default::default()
            }),
            run_as_user: self.user.map(|value| Int64Value { value }),
            run_as_group: self.group.map(|value| Int64Value { value }),
            supplemental_groups: self.groups.clone(),
            readonly_rootfs: self.read_only,
            no_new_privs: self.no_new_privs,
            masked_paths: self.mask.clone(),
            readonly_paths: self.read_only_path.clone(),
            seccomp: Some(SecurityProfile { profile_type: profile.into(), ..Default::default() }),
            ..Default::default()
        })
    }
}

#[derive(Args)]
pub struct ResourceArgs {
    /// Bytes
    #[arg(long, default_value_t = 0)]
    memory: i64,
    /// Microseconds of each 100 ms
    #[arg(long, default_value_t = 0)]
    quota: i64,
    #[arg(long, default_value_t = 0)]
    shares: i64,
}

impl ResourceArgs {
    pub fn limits(&self) -> LinuxContainerResources {
        LinuxContainerResources {
            memory_limit_in_bytes: self.memory,
            cpu_quota: self.quota,
            cpu_period: if self.quota == 0 { 0 } else { 100_000 },
            cpu_shares: self.shares,
            ..Default::default()
        }
    }
}

pub fn image(name: &str) -> ImageSpec {
    ImageSpec { image: name.into(), ..Default::default() }
}

fn mode(first: bool, yes: NamespaceMode, no: NamespaceMode) -> i32 {
    if first { yes.into() } else { no.into() }
}

fn split(pair: &str, at: char) -> Outcome<(String, String)> {
    let (one, other) = pair.split_once(at).ok_or_else(|| format!("{pair}: no {at} in it"))?;
    Ok((one.into(), other.into()))
}

fn port_mapping(pair: &str) -> Outcome<PortMapping> {
    let (host, pod) = split(pair, ':')?;
    Ok(PortMapping { host_port: host.parse()?, container_port: pod.parse()?, ..Default::default() })
}

fn bind(words: &str) -> Outcome<Mount> {
    let (host_path, rest) = split(words, ':')?;
    let (container_path, options) = rest.split_once(':').unwrap_or((&rest, ""));
    Ok(Mount {
        host_path,
        container_path: container_path.into(),
        readonly: !options.is_empty(),
        recursive_read_only: options == "rro",
        ..Default::default()
    })
}

/// A user namespace of the pod's own, or the node's.
fn user_namespace(words: Option<&str>) -> Outcome<Option<UserNamespace>> {
    let Some(words) = words else { return Ok(None) };
    let (host, length) = split(words, ':')?;
    let map = vec![IdMapping { host_id: host.parse()?, container_id: 0, length: length.parse()? }];
    Ok(Some(UserNamespace { mode: NamespaceMode::Pod.into(), uids: map.clone(), gids: map }))
}
