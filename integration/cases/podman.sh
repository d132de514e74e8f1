# podman.sh: Podman as root through conmon, and Buildah, with the runtime under test. Sourced by run.
# shellcheck shell=bash disable=SC2016  # dollars belong to the shell in the cell

podman() {
  local before
  expect 'podman is set up' 0 '' podman_up
  last_passed || return 0
  if cell_has_nat; then
    expect 'podman run --rm, on the bridge network' 0 '^Hello World$' cell podman run --rm "$IMAGE" echo Hello World
  else
    skip 'podman run --rm, on the bridge network' 'this kernel cannot translate addresses'
  fi
  before=$(cell_inventory)
  expect_doctor podman 'ok +runtime'
  podman_one_shot
  podman_lifecycle
  buildah_build
  expect 'no container is left' 0 '^$' cell podman ps -aq
  # Podman makes these itself and keeps them: the parent of its cgroups, a pod's cgroup in the
  # v1 hierarchies without a controller, conmon's on v2, and the directory of network namespaces.
  expect_same 'nothing is left of any' "$before" '^cgroup .*/libpod_parent(/[0-9a-f]{64}|/conmon)?$|^mount /run/netns$'
}

podman_run() { cell podman run --rm --network none "$@"; }

podman_one_shot() {
  expect 'the runtime under test is in use' 0 "^$(cell_runtime)\$" cell podman info --format '{{.Host.OCIRuntime.Path}}'
  expect 'exit code 0' 0 '' podman_run "$IMAGE" true
  expect 'exit code 3' 3 '' podman_run "$IMAGE" sh -c 'exit 3'
  expect 'a file that cannot be executed is 126' 126 '[Pp]ermission denied' podman_run "$IMAGE" /etc/not-executable
  expect 'a missing command is 127' 127 'not found' podman_run "$IMAGE" no-such-program
  expect 'a missing path is 127' 127 'no such file or directory|not found' podman_run "$IMAGE" /bin/no-such-program
  # Podman attaches beside the start: what a program says in its last moment can be lost, whatever the runtime.
  expect 'run -it has a terminal' 0 '/dev/pts/0' cell script -qec "podman run --rm -it --network none $IMAGE sh -c 'tty; sleep 0.5'" /dev/null
  expect 'run -i reads a pipe' 0 '^piped$' cell sh -c 'echo piped | podman run --rm -i --network none "$IMAGE" cat'
  expect '--preserve-fds' 0 '^through fd 3$' cell sh -c \
    'echo through fd 3 >/tmp/fd3; podman run --rm --network none --preserve-fds 1 "$IMAGE" sh -c "cat <&3" 3</tmp/fd3'
  expect '--read-only' 1 'Read-only file system' podman_run --read-only "$IMAGE" touch /file
  expect '--user' 0 '^1000$' podman_run --user 1000 "$IMAGE" id -u
  expect '-v, read-only' 1 'Read-only file system' podman_run -v /srv:/data:ro "$IMAGE" touch /data/file
  expect '--cap-drop ALL' 0 'CapEff:.0000000000000000' podman_run --cap-drop ALL "$IMAGE" grep CapEff /proc/self/status
  expect 'the default seccomp profile' 0 'Seccomp:.2' podman_run "$IMAGE" grep ^Seccomp: /proc/self/status
  if cell unshare --user true; then
    expect '--uidmap' 0 '0 +100000 +65536' podman_run --uidmap 0:100000:65536 --gidmap 0:100000:65536 "$IMAGE" cat /proc/self/uid_map
  else
    skip '--uidmap' 'no user namespaces on this machine'
  fi
  expect '--umask' 0 '^0077$' podman_run --umask 0077 "$IMAGE" sh -c umask
  expect '--init' 0 '^(catatonit|podman-init)$' podman_run --init "$IMAGE" cat /proc/1/comm
  expect 'a network of its own' 0 '^lo$' podman_run "$IMAGE" ls /sys/class/net
}

podman_lifecycle() {
  local id
  expect 'run -d with limits' 0 '[0-9a-f]{64}' cell podman run -d --name c --memory 64m --cpus 0.5 --pids-limit 50 --network none \
    "$IMAGE" sh -c 'trap "exit 5" TERM; while :; do sleep 0.1; done'
  id=$(cell podman inspect -f '{{.Id}}' c) || true
  expect_limit '--memory on the cgroup' '^67108864$' "/libpod_parent/libpod-$id" memory limit_in_bytes max
  expect_limit '--cpus on the cgroup' '^50000( 100000)?$' "/libpod_parent/libpod-$id" cpu cfs_quota_us max
  expect_limit '--pids-limit on the cgroup' '^50$' "/libpod_parent/libpod-$id" pids max max
  expect 'exec' 0 '^sh$' cell podman exec c cat /proc/1/comm
  expect 'exec returns the exit code' 4 '' cell podman exec c sh -c 'exit 4'
  expect 'exec of a missing command is 127' 127 'not found' cell podman exec c no-such-program
  expect 'exec of a file that cannot be executed is 126' 126 '[Pp]ermission denied' cell podman exec c /etc/not-executable
  expect 'exec -it has a terminal' 0 '/dev/pts/' cell script -qec "podman exec -it c sh -c 'tty; sleep 0.5'" /dev/null
  expect 'exec --preserve-fds' 0 '^through fd 3$' cell sh -c 'podman exec --preserve-fds 1 c sh -c "cat <&3" 3</tmp/fd3'
  expect 'pause' 0 '' cell podman pause c
  expect 'it is paused' 0 '^paused$' cell podman inspect -f '{{.State.Status}}' c
  expect 'unpause' 0 '' cell podman unpause c
  expect 'it runs again' 0 '^running$' cell podman inspect -f '{{.State.Status}}' c
  expect 'stop' 0 '' cell podman stop c
  expect 'its own exit code' 0 '^exited 5$' cell podman inspect -f '{{.State.Status}} {{.State.ExitCode}}' c
  expect 'start again' 0 '' cell podman start c
  expect 'kill' 0 '' cell podman kill c
  expect_soon 5 'killed is 137' '^exited 137$' cell podman inspect -f '{{.State.Status}} {{.State.ExitCode}}' c
  expect 'rm' 0 '' cell podman rm c
  expect 'rm -f of a running container' 0 '' cell sh -c 'podman run -d --name c --network none "$IMAGE" sleep 100 && podman rm -f -t 1 c'
  expect 'a pod' 0 '^in a pod$' cell sh -c 'podman pod create --network none p >/dev/null &&
    podman run --rm --pod p "$IMAGE" echo in a pod; podman pod rm -f -t 1 p >/dev/null'
}

buildah_build() {
  expect 'buildah from' 0 '^b$' cell buildah from --name b "$IMAGE"
  expect 'buildah run' 0 '^0$' cell buildah --runtime "$(cell_runtime)" run --network none b id -u
  expect 'buildah run returns the exit code' 6 '' cell buildah --runtime "$(cell_runtime)" run --network none b sh -c 'exit 6'
  expect 'buildah rm' 0 '' cell buildah rm b
  cell sh -c 'mkdir /tmp/build && printf "%s\n" "FROM $IMAGE" "RUN echo \$(id -u) in a build >/built" >/tmp/build/Dockerfile'
  expect 'podman build with a RUN step' 0 '' cell podman build -q --network none -t built /tmp/build
  expect 'what the build made' 0 '^0 in a build$' podman_run built cat /built
}
