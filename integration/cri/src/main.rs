//! A small client of the Kubernetes container runtime interface (CRI). It asks containerd what a kubelet asks.
//!
//! Pods and containers are named by their ids, which `pod-run` and `create` print. Structures are printed as JSON
//! with the names of the CRI's own definitions.

mod configs;
mod kept;
mod streams;

use clap::{Parser, Subcommand};
use configs::{ContainerArgs, PodArgs, ResourceArgs};
use hyper_util::rt::TokioIo;
use k8s_cri::v1::image_service_client::ImageServiceClient;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{
    AttachRequest, ContainerStatsRequest, ContainerStatusRequest, CreateContainerRequest, ExecRequest,
    ExecSyncRequest, ListContainersRequest, ListImagesRequest, ListPodSandboxRequest, PodSandboxStatsRequest,
    PodSandboxStatusRequest, PortForwardRequest, PullImageRequest, RemoveContainerRequest,
    RemovePodSandboxRequest, ReopenContainerLogRequest, RunPodSandboxRequest, StartContainerRequest,
    StatusRequest, StopContainerRequest, StopPodSandboxRequest, UpdateContainerResourcesRequest,
    VersionRequest,
};
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use tokio::net::UnixStream;
use tonic::transport::Endpoint;

#[derive(Parser)]
#[command(about = "A small client of the Kubernetes container runtime interface")]
struct Arguments {
    /// The engine's socket
    #[arg(long, default_value = "/run/containerd/containerd.sock")]
    socket: String,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// What the engine is
    Version,
    /// The engine's conditions, runtime handlers and features
    Info,
    /// Run a pod's sandbox and print its id
    PodRun(PodArgs),
    PodStop {
        pod: String,
    },
    PodRemove {
        pod: String,
    },
    PodStatus {
        pod: String,
    },
    PodStats {
        pod: String,
    },
    /// The ids of all pods
    Pods,
    /// Make a container in a pod and print its id
    Create(Box<ContainerArgs>),
    Start {
        container: String,
    },
    Stop {
        container: String,
        /// Seconds between the stop signal and SIGKILL
        #[arg(long, default_value_t = 2)]
        timeout: i64,
    },
    Remove {
        container: String,
    },
    Status {
        container: String,
    },
    Stats {
        container: String,
    },
    /// The ids of all containers
    Containers,
    /// Change a container's limits
    Update {
        container: String,
        #[command(flatten)]
        resources: ResourceArgs,
    },
    /// Let the engine open the container's log file anew, as after a rotation
    ReopenLog {
        container: String,
    },
    /// Run a command to its end, as a probe does; the exit code is the command's
    ExecSync {
        /// Seconds after which the engine ends it; 0 waits
        #[arg(long, default_value_t = 0)]
        timeout: i64,
        container: String,
        #[arg(trailing_var_arg = true)]
        command: Vec<String>,
    },
    /// Run a command over a stream, as `kubectl exec` does; the exit code is the command's
    Exec {
        #[arg(short = 'i')]
        stdin: bool,
        #[arg(short = 't')]
        tty: bool,
        container: String,
        #[arg(trailing_var_arg = true)]
        command: Vec<String>,
    },
    /// Stream the container's own output, and stdin to it, as `kubectl attach` does
    Attach {
        #[arg(short = 'i')]
        stdin: bool,
        #[arg(short = 't')]
        tty: bool,
        container: String,
    },
    /// Send stdin to a port inside a pod and print what comes back
    Forward {
        pod: String,
        port: u16,
    },
    Images,
    Pull {
        image: String,
    },
}

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(code) => code,
        Err(error) => {
            // The engine's own sentence, not gRPC's frame around it.
            match error.downcast_ref::<tonic::Status>() {
                Some(status) => eprintln!("cri: {:?}: {}", status.code(), status.message()),
                None => eprintln!("cri: {error}"),
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Outcome<ExitCode> {
    let socket = arguments.socket;
    // The URI is only a form that HTTP wants; the connection is the socket.
    let channel = Endpoint::from_static("http://containerd")
        .connect_with_connector(tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        }))
        .await?;
    let mut runtime = RuntimeServiceClient::new(channel.clone());
    let mut images = ImageServiceClient::new(channel);

    match arguments.verb {
        Verb::Version => {
            print(&runtime.version(VersionRequest { version: "v1".into() }).await?.into_inner())?
        }
        Verb::Info => print(&runtime.status(StatusRequest { verbose: false }).await?.into_inner())?,
        Verb::PodRun(pod) => {
            let config = pod.config()?;
            let request =
                RunPodSandboxRequest { runtime_handler: pod.handler(), config: Some(config.clone()) };
            let id = runtime.run_pod_sandbox(request).await?.into_inner().pod_sandbox_id;
            kept::write(&id, &config)?;
            println!("{id}");
        }
        Verb::PodStop { pod } => {
            runtime.stop_pod_sandbox(StopPodSandboxRequest { pod_sandbox_id: pod }).await?;
        }
        Verb::PodRemove { pod } => {
            runtime.remove_pod_sandbox(RemovePodSandboxRequest { pod_sandbox_id: pod.clone() }).await?;
            kept::remove(&pod);
        }
        Verb::PodStatus { pod } => {
            let request = PodSandboxStatusRequest { pod_sandbox_id: pod, verbose: false };
            print(&runtime.pod_sandbox_status(request).await?.into_inner().status)?;
        }
        Verb::PodStats { pod } => {
            let request = PodSandboxStatsRequest { pod_sandbox_id: pod };
            print(&runtime.pod_sandbox_stats(request).await?.into_inner().stats)?;
        }
        Verb::Pods => {
            for pod in runtime.list_pod_sandbox(ListPodSandboxRequest::default()).await?.into_inner().items {
                println!("{}", pod.id);
            }
        }
        Verb::Create(container) => {
            let request = CreateContainerRequest {
                pod_sandbox_id: container.pod.clone(),
                config: Some(container.config()?),
                sandbox_config: Some(kept::read(&container.pod)?),
            };
            println!("{}", runtime.create_container(request).await?.into_inner().container_id);
        }
        Verb::Start { container } => {
            runtime.start_container(StartContainerRequest { container_id: container }).await?;
        }
        Verb::Stop { container, timeout } => {
            runtime.stop_container(StopContainerRequest { container_id: container, timeout }).await?;
        }
        Verb::Remove { container } => {
            runtime.remove_container(RemoveContainerRequest { container_id: container }).await?;
        }
        Verb::Status { container } => {
            let request = ContainerStatusRequest { container_id: container, verbose: false };
            print(&runtime.container_status(request).await?.into_inner().status)?;
        }
        Verb::Stats { container } => {
            let request = ContainerStatsRequest { container_id: container };
            print(&runtime.container_stats(request).await?.into_inner().stats)?;
        }
        Verb::Containers => {
            for container in
                runtime.list_containers(ListContainersRequest::default()).await?.into_inner().containers
            {
                println!("{}", container.id);
            }
        }
        Verb::Update { container, resources } => {
            let request = UpdateContainerResourcesRequest {
                container_id: container,
                linux: Some(resources.limits()),
                ..Default::default()
            };
            runtime.update_container_resources(request).await?;
        }
        Verb::ReopenLog { container } => {
            runtime.reopen_container_log(ReopenContainerLogRequest { container_id: container }).await?;
        }
        Verb::ExecSync { timeout, container, command } => {
            let request = ExecSyncRequest { container_id: container, cmd: command, timeout };
            let answer = runtime.exec_sync(request).await?.into_inner();
            std::io::stdout().write_all(&answer.stdout)?;
            std::io::stderr().write_all(&answer.stderr)?;
            return Ok(ExitCode::from(u8::try_from(answer.exit_code).unwrap_or(u8::MAX)));
        }
        Verb::Exec { stdin, tty, container, command } => {
            let request =
                ExecRequest { container_id: container, cmd: command, tty, stdin, stdout: true, stderr: !tty };
            let url = runtime.exec(request).await?.into_inner().url;
            return streams::terminal(&url, stdin).await;
        }
        Verb::Attach { stdin, tty, container } => {
            let request = AttachRequest { container_id: container, stdin, tty, stdout: true, stderr: !tty };
            let url = runtime.attach(request).await?.into_inner().url;
            return streams::terminal(&url, stdin).await;
        }
        Verb::Forward { pod, port } => {
            let request = PortForwardRequest { pod_sandbox_id: pod, port: vec![i32::from(port)] };
            let url = runtime.port_forward(request).await?.into_inner().url;
            streams::forward(&url, port).await?;
        }
        Verb::Images => {
            for image in images.list_images(ListImagesRequest::default()).await?.into_inner().images {
                println!("{}", image.repo_tags.join(" "));
            }
        }
        Verb::Pull { image } => {
            let request = PullImageRequest { image: Some(configs::image(&image)), ..Default::default() };
            println!("{}", images.pull_image(request).await?.into_inner().image_ref);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(what: &impl serde::Serialize) -> Outcome<()> {
    println!("{}", serde_json::to_string_pretty(what)?);
    Ok(())
}
