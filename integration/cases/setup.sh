# setup.sh: each engine as a new user finds it, set up by the lines of docs/engines, asked by husk doctor, and set back.
# Sourced by run.
# shellcheck shell=bash disable=SC2016  # dollars belong to the shell in the cell

setup() {
  expect 'the runtime under test is installed' 0 '' cell sh -c 'install -m 755 "$RUNTIME" /usr/local/bin/husk'
  last_passed || return 0
  setup_containerd
  setup_docker
  setup_podman
}

# What husk doctor says of an engine; another runtime has no such command.
doctor() { # NAME ENGINE REGEX
  [[ $(basename "$RUNTIME") == husk ]] || return 0
  expect "husk doctor: $1" 0 "$3" cell sh -c 'husk doctor | sed -n "/^$1\$/,/^\$/p"' doctor "$2"
}

setup_containerd() {
  doctor 'a containerd without husk' containerd 'MISSING +kubernetes +no handler'
  # Beside what Debian's file has, which is of the version before.
  cell sh -c 'cp /etc/containerd/config.toml /tmp/config.toml; cat >>/etc/containerd/config.toml' <<'T'

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.husk]
  runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.husk.options]
    BinaryName = "/usr/local/bin/husk"
T
  doctor 'a containerd with a handler for husk' containerd 'ok +kubernetes +handler husk'
  expect 'containerd has read it' 0 'BinaryName = ./usr/local/bin/husk.' cell containerd config dump
  expect 'containerd starts' 0 '' cell_daemon containerd 'ctr version' containerd
  expect 'ctr with the binary' 0 '^hello$' cell sh -c 'ctr images import /srv/busybox.tar >/dev/null; ctr run --rm --runc-binary /usr/local/bin/husk "$IMAGE" hello echo hello'
  expect 'ctr without it' 0 '^hello$' cell ctr run --rm "$IMAGE" hello echo hello
  cell sh -c 'kill $(pgrep -x containerd); mv /tmp/config.toml /etc/containerd/config.toml'
  doctor 'a containerd that is set back' containerd 'MISSING +kubernetes'
}

setup_docker() {
  doctor 'a docker without its daemon' docker 'note +daemon.*MISSING +runtime'
  cell sh -c 'mkdir -p /etc/docker; echo "{ \"runtimes\": " >/etc/docker/daemon.json'
  doctor 'a broken file' docker 'MISSING +configuration +/etc/docker/daemon.json is no JSON'
  cell rm /etc/docker/daemon.json
  if ! cell_has_nat; then
    skip 'dockerd' 'this kernel cannot translate addresses'
    return
  fi
  expect 'dockerd starts, without any file' 0 '' cell_daemon dockerd 'docker info' dockerd
  expect 'a container of before' 0 '' cell sh -c 'docker load -q -i /srv/busybox.tar >/dev/null; docker tag "$IMAGE" busybox; docker run -d --name before --network none busybox sleep 1000'
  doctor 'a docker without husk' docker 'MISSING +runtime +none of its runtimes'
  expect 'the runtime is added, and the daemon reloads' 0 '' setup_daemon_json '{ "runtimes": { "husk": { "path": "/usr/local/bin/husk" } } }'
  expect_soon 10 'docker run --runtime husk' '^hello$' cell docker run --rm --network none --runtime husk busybox echo hello
  doctor 'a docker with husk' docker 'ok +runtime +docker run --runtime husk.*note +default +runc, not husk.*note +builds'
  expect 'it becomes the default' 0 '' setup_daemon_json '{ "runtimes": { "husk": { "path": "/usr/local/bin/husk" } }, "default-runtime": "husk", "live-restore": true }'
  expect_soon 10 'docker says so' '^husk$' cell docker info --format '{{.DefaultRuntime}}'
  doctor 'a docker whose default is husk' docker 'ok +runtime +docker run --runtime husk.*ok +default +husk'
  expect 'a container by default' 0 '^husk$' cell sh -c 'docker run -d --name by-default --network none busybox sleep 1000 >/dev/null; docker inspect -f "{{.HostConfig.Runtime}}" by-default'
  expect 'the daemon is started again, with the variable for builds' 0 '' docker_down
  expect 'the daemon answers' 0 '' cell_daemon dockerd 'docker info' env DOCKER_BUILDKIT_RUNC_COMMAND=/usr/local/bin/husk dockerd
  doctor 'a docker that builds with husk' docker 'ok +builds +DOCKER_BUILDKIT_RUNC_COMMAND of dockerd is /usr/local/bin/husk'
  expect 'both containers still run, each with its runtime' 0 '^runc in it.husk in it$' cell sh -c \
    'for c in before by-default; do echo $(docker inspect -f "{{.HostConfig.Runtime}}" $c) $(docker exec $c echo in it); done'
  expect 'a build' 0 'sha256' cell sh -c 'mkdir -p /tmp/b; printf "%s\n" "FROM busybox" "RUN true" >/tmp/b/Dockerfile; docker build -q /tmp/b'
  expect 'all are removed, and the file' 0 '' cell sh -c 'docker rm -f before by-default; rm /etc/docker/daemon.json'
  expect 'dockerd ends' 0 '' docker_down
  doctor 'a docker that is set back' docker 'MISSING +runtime'
}

setup_daemon_json() { # TEXT
  cell sh -c 'echo "$1" >/etc/docker/daemon.json; kill -HUP "$(cat /run/docker.pid)"' json "$1"
}

setup_podman() {
  doctor 'a podman without husk' podman 'MISSING +runtime +calls'
  expect 'podman --runtime' 0 '^hello$' cell sh -c 'podman load -q -i /srv/busybox.tar >/dev/null; podman --cgroup-manager cgroupfs --runtime /usr/local/bin/husk run --rm --network none --ulimit host "$IMAGE" echo hello'
  cell sh -c 'cat >/etc/containers/containers.conf' <<'T'
[engine]
runtime = "husk"
runtime_supports_json = ["husk"]
runtime_supports_nocgroup = ["husk"]

[engine.runtimes]
husk = ["/usr/local/bin/husk"]
T
  doctor 'a podman with husk' podman 'ok +runtime +/usr/local/bin/husk'
  expect 'podman says so' 0 '^/usr/local/bin/husk$' cell podman info --format '{{.Host.OCIRuntime.Path}}'
  user_up
  expect 'and for an ordinary user' 0 '^/usr/local/bin/husk$' cell_user podman info --format '{{.Host.OCIRuntime.Path}}'
  if [[ $(basename "$RUNTIME") == husk ]]; then
    expect 'husk doctor as that user' 0 'ok +runtime +/usr/local/bin/husk' cell_user sh -c 'husk doctor | sed -n "/^podman\$/,/^\$/p"'
    expect 'husk doctor on a Buildah with the variable' 0 'ok +runtime +BUILDAH_RUNTIME is' cell env BUILDAH_RUNTIME=/usr/local/bin/husk sh -c 'husk doctor | sed -n "/^buildah\$/,/^\$/p"'
  fi
  cell rm /etc/containers/containers.conf
  doctor 'a podman that is set back' podman 'MISSING +runtime'
}
