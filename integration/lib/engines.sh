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

# containerd as a kubelet meets it: CRI, pods on a CNI bridge, and a second handler (a RuntimeClass) for the same runtime.
cri_up() {
  cell sh -c 'cat >/usr/local/bin/cri && chmod 755 /usr/local/bin/cri' <"$(cri_client)"
  # shellcheck disable=SC2016  # expanded by the inner shell
  cell bash -euc '
    mkdir -p /etc/containerd /etc/cni/net.d
    cat >/etc/cni/net.d/10-pods.conflist <<J
{ "cniVersion": "1.0.0", "name": "pods", "plugins": [
  { "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
    "ipam": { "type": "host-local", "ranges": [[{ "subnet": "10.77.0.0/16" }]], "routes": [{ "dst": "0.0.0.0/0" }] } },
  { "type": "portmap", "capabilities": { "portMappings": true } } ] }
J
    cat >/etc/containerd/config.toml <<C
version = 3
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "$PAUSE"
[plugins."io.containerd.cri.v1.runtime"]
  disable_apparmor = true
  tolerate_missing_hugetlb_controller = true
  # Pods ask for an oom_score_adj of -998, which takes CAP_SYS_RESOURCE; not every root has it.
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/usr/lib/cni"]
[plugins."io.containerd.cri.v1.runtime".containerd]
  default_runtime_name = "test"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.test]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.test.options]
  BinaryName = "$RUNTIME"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.by-class]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.by-class.options]
  BinaryName = "$RUNTIME"
C
    echo 1 >/proc/sys/net/ipv4/ip_forward'
  cell_daemon containerd 'cri version' containerd
  cell ctr -n k8s.io images import /srv/busybox.tar >/dev/null
}

# The client is built by `make test-engines`; its place is told by CRI_CLIENT.
cri_client() {
  printf '%s' "${CRI_CLIENT:-${CARGO_TARGET_DIR:-$HERE/../target}/cri/debug/cri}"
}

# How a case of Docker begins, and whether it can go on: docker_begin FLAGS OF DOCKERD... || return 0
docker_begin() {
  if ! cell_has_nat; then
    skip 'dockerd starts' 'this kernel cannot translate addresses'
    return 1
  fi
  expect "dockerd starts${*:+ with $*}" 0 '' docker_up "$@"
  last_passed
}

docker_up() { # FLAGS OF DOCKERD...
  cell_daemon dockerd 'docker info' env "DOCKER_BUILDKIT_RUNC_COMMAND=$(cell_runtime)" \
    dockerd --add-runtime "test=$(cell_runtime)" --default-runtime test "$@" &&
    cell docker load -q -i /srv/busybox.tar >/dev/null &&
    cell docker tag "$IMAGE" busybox:latest
}

docker_down() { # [SIGNAL]
  # shellcheck disable=SC2016  # expanded by the inner shell
  cell sh -c 'pid=$(cat /run/docker.pid); kill "-$1" "$pid"; while [ -d "/proc/$pid" ]; do sleep 0.05; done; rm -f /run/docker.pid' down "${1:-TERM}"
}

podman_up() {
  # Without CAP_SYS_RESOURCE, podman's and buildah's wish for 1048576 open files is refused: ask for what there is.
  # The list runtime_supports_json makes podman read the runtime's log for the words of an error; for the other one it
  # passes --cgroup-manager=disabled, which runc does not know.
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
runtime_supports_nocgroup = [$("$RUNTIME" --cgroup-manager=disabled --version >/dev/null 2>&1 && echo "\"$name\"")]
[engine.runtimes]
"$name" = ["$RUNTIME"]
C
    podman load -q -i /srv/busybox.tar >/dev/null'
}

# An ordinary user with subordinate ids, as adduser makes one.
user_up() {
  # shellcheck disable=SC2016  # expanded by the inner shell
  cell sh -euc '
    grep -q ^dev: /etc/passwd || useradd -u 1000 -m -s /bin/bash dev
    for file in /etc/subuid /etc/subgid; do grep -q ^dev: "$file" 2>/dev/null || echo dev:100000:65536 >>"$file"; done
    install -d -m 700 -o dev -g dev /run/user/1000'
}

# Like cell, as that user.
cell_user() {
  # shellcheck disable=SC2016  # expanded by the inner shell
  cell setpriv --reuid 1000 --regid 1000 --init-groups env HOME=/home/dev USER=dev XDG_RUNTIME_DIR=/run/user/1000 \
    sh -c 'cd; exec "$@"' as-user "$@"
}
