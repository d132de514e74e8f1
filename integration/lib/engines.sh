# engines.sh: how each engine is started in a cell with the runtime under test below it. Sourced.
#
# containerd is told with each `ctr run --runc-binary`; Docker by its default runtime, and BuildKit inside
# Docker by an environment variable, since it ignores the default runtime; Podman and Buildah by containers.conf.
# shellcheck shell=bash

containerd_up() {
  # Plain ctr needs neither the CRI plugin nor a snapshotter but overlayfs.
  cell sh -c 'mkdir -p /etc/containerd && printf "%s\n" "version = 2" \
    "disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.cri.v1.runtime\", \"io.containerd.cri.v1.images\"]" \
    >/etc/containerd/config.toml'
  cell_daemon containerd 'ctr version' containerd
  cell ctr images import /srv/busybox.tar >/dev/null
}

docker_up() {
  cell_daemon dockerd 'docker info' env "DOCKER_BUILDKIT_RUNC_COMMAND=$(cell_runtime)" \
    dockerd --add-runtime "test=$(cell_runtime)" --default-runtime test
  cell docker load -q -i /srv/busybox.tar >/dev/null
  cell docker tag "$IMAGE" busybox:latest
}

podman_up() {
  # Without CAP_SYS_RESOURCE, podman's and buildah's wish for 1048576 open files is refused: ask for what there is.
  # The list runtime_supports_json makes podman read the runtime's log for the words of an error.
  # shellcheck disable=SC2016  # expanded by the inner shell
  cell bash -euc '
    name=$(basename "$RUNTIME")
    mkdir -p /etc/containers
    cat >/etc/containers/containers.conf <<C
[containers]
log_driver = "k8s-file"
default_ulimits = ["nofile=$(ulimit -Hn):$(ulimit -Hn)", "nproc=$(ulimit -Hu):$(ulimit -Hu)"]
[engine]
runtime = "$name"
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime_supports_json = ["$name"]
[engine.runtimes]
"$name" = ["$RUNTIME"]
C
    podman load -q -i /srv/busybox.tar >/dev/null'
}
