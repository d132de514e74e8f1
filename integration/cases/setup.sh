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
  doctor 'a containerd without husk' containerd 'note +kubernetes +no handler'
  cell ln -s /bin/true /usr/local/bin/kubelet
  doctor 'the same on a node of Kubernetes' containerd 'MISSING +kubernetes +no handler'
  cell sh -c 'cp /etc/containerd/config.toml /tmp/config.toml; echo "[[" >/etc/containerd/config.toml'
  doctor 'a broken file of containerd' containerd 'MISSING +configuration +.containerd config dump. fails: .*row 1'
  cell sh -c 'echo "disabled_plugins = [\"cri\"]" >/etc/containerd/config.toml'
  doctor 'a containerd whose CRI plugin is off' containerd 'note +kubernetes +disabled_plugins'
  # Beside what Debian's file has, which is of the version before.
  cell sh -c 'cp /tmp/config.toml /etc/containerd/config.toml; cat >>/etc/containerd/config.toml' <<'T'

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.husk]
  runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.husk.options]
    BinaryName = "/usr/local/bin/husk"
T
  doctor 'a containerd with a handler for husk' containerd 'ok +kubernetes +handler husk'
  cell sed -i.right s,/usr/local/bin/husk,/nowhere/husk, /etc/containerd/config.toml
  doctor 'a handler whose binary is not there' containerd 'MISSING +kubernetes +husk is /nowhere/husk, which is not there'
  cell sh -c 'mkdir -p /etc/containerd/conf.d; mv /etc/containerd/config.toml.right /etc/containerd/conf.d/husk.toml
    printf "version = 3\nimports = [\"/etc/containerd/conf.d/*.toml\"]\n" >/etc/containerd/config.toml'
  doctor 'a handler in a file of conf.d' containerd 'ok +kubernetes +handler husk'
  cell mv /etc/containerd/conf.d/husk.toml /etc/containerd/config.toml
  expect 'containerd has read it' 0 'BinaryName = ./usr/local/bin/husk.' cell containerd config dump
  expect 'containerd starts' 0 '' cell_daemon containerd 'ctr version' containerd
  expect 'ctr with the binary' 0 '^hello$' cell sh -c 'ctr images import /srv/busybox.tar >/dev/null; ctr run --rm --runc-binary /usr/local/bin/husk "$IMAGE" hello echo hello'
  expect 'ctr without it' 0 '^hello$' cell ctr run --rm "$IMAGE" hello echo hello
  cell sh -c 'kill $(pgrep -x containerd); mv /tmp/config.toml /etc/containerd/config.toml'
  doctor 'a containerd that is set back' containerd 'MISSING +kubernetes +no handler'
}

setup_docker() {
  doctor 'a docker without its daemon' docker 'note +daemon.*MISSING +runtime'
  cell sh -c 'mkdir -p /etc/docker; echo "{ \"runtimes\": " >/etc/docker/daemon.json'
  doctor 'a broken file' docker 'MISSING +configuration +/etc/docker/daemon.json is no JSON'
  cell sh -c 'echo "{ \"runtimes\": { \"husk\": { \"path\": \"/nowhere/husk\" } } }" >/etc/docker/daemon.json'
  doctor 'a binary that is not there' docker 'MISSING +runtime +husk is /nowhere/husk, which is not there'
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
  expect 'the runtime is given as an option of the shim' 0 '' setup_daemon_json '{ "runtimes": { "husk": { "runtimeType": "io.containerd.runc.v2", "options": { "BinaryName": "/usr/local/bin/husk" } } } }'
  expect_soon 10 'docker has reloaded, and tells nothing of them' '^[{][}]$' cell docker info --format '{{json .Runtimes.husk}}'
  expect 'docker run with it' 0 '^hello$' cell docker run --rm --network none --runtime husk busybox echo hello
  doctor 'a docker with husk as an option' docker 'ok +runtime +docker run --runtime husk'
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
  cell sh -c 'mkdir -p /etc/containers/containers.conf.d; echo "[engine" >/etc/containers/containers.conf.d/husk.conf'
  doctor 'a broken file of Podman' podman 'MISSING +configuration +.podman info. fails: .*/containers.conf.d/husk.conf'
  cell sh -c 'cat >/etc/containers/containers.conf.d/husk.conf' <<'T'
[engine]
runtime = "husk"
runtime_supports_json = ["husk"]
runtime_supports_nocgroup = ["husk"]

[engine.runtimes]
husk = ["/usr/local/bin/husk"]
T
  doctor 'a podman with husk, in a file of containers.conf.d' podman 'ok +runtime +/usr/local/bin/husk'
  cell mv /etc/containers/containers.conf.d/husk.conf /etc/containers/containers.conf
  doctor 'a podman with husk' podman 'ok +runtime +/usr/local/bin/husk'
  doctor 'a Buildah beside it' buildah 'ok +runtime +that of Podman, /usr/local/bin/husk'
  expect 'podman says so' 0 '^/usr/local/bin/husk$' cell podman info --format '{{.Host.OCIRuntime.Path}}'
  user_up
  expect 'and for an ordinary user' 0 '^/usr/local/bin/husk$' cell_user podman info --format '{{.Host.OCIRuntime.Path}}'
  if [[ $(basename "$RUNTIME") == husk ]]; then
    expect 'husk doctor as that user' 0 'ok +runtime +/usr/local/bin/husk' cell_user sh -c 'husk doctor | sed -n "/^podman\$/,/^\$/p"'
    expect 'husk doctor on a Buildah with the variable' 0 'ok +runtime +BUILDAH_RUNTIME is' cell env BUILDAH_RUNTIME=/usr/local/bin/husk sh -c 'husk doctor | sed -n "/^buildah\$/,/^\$/p"'
  fi
  cell_user sh -c 'mkdir -p ~/.config/containers/containers.conf.d; cp /etc/containers/containers.conf ~/.config/containers/containers.conf.d/husk.conf'
  cell rm /etc/containers/containers.conf
  if [[ $(basename "$RUNTIME") == husk ]]; then
    expect 'husk doctor as a user with a file of his own' 0 'ok +runtime +/usr/local/bin/husk' cell_user sh -c 'husk doctor | sed -n "/^podman\$/,/^\$/p"'
  fi
  doctor 'a podman that is set back' podman 'MISSING +runtime'
}
