# podman_rootless.sh: Podman and Buildah as an ordinary user with subordinate ids. Sourced by run.
# shellcheck shell=bash disable=SC2016  # dollars belong to the shell in the cell

podman_rootless() {
  local before
  if ! cell unshare --user true; then
    skip 'all of it' 'no user namespaces on this machine'
    return
  fi
  expect 'podman is set up for an ordinary user' 0 '' podman_user_up
  last_passed || return 0
  # What Podman starts once for its user and keeps: the process that holds the user namespace.
  expect 'podman run --rm' 0 '^Hello World$' podman_user_run echo Hello World
  expect_soon 5 'its conmon ends, too' '^$' cell sh -c 'pgrep -x conmon || true'
  before=$(cell_inventory)
  podman_user_one_shot
  podman_user_namespaces
  podman_user_lifecycle
  podman_user_network
  podman_user_build
  expect 'no container is left' 0 '^$' cell_user podman ps -aq
  expect_same 'nothing is left of any' "$before" '^cgroup .*/(libpod_parent|user.slice|conmon).*$|^process (catatonit|pasta|podman)$'
}

podman_user_up() {
  podman_up
  user_up
  cell_user podman load -q -i /srv/busybox.tar
}

podman_user_with() { cell_user podman run --rm --network none "$@"; } # FLAGS IMAGE COMMAND...
podman_user_run() { podman_user_with "$IMAGE" "$@"; }

podman_user_one_shot() {
  local flags='podman run --rm --network none'
  expect 'the runtime under test is in use' 0 "^$(cell_runtime)\$" cell_user podman info --format '{{.Host.OCIRuntime.Path}}'
  expect 'root inside is the user outside' 0 ' 0 +1000 +1$' podman_user_run sh -c 'head -n 1 /proc/self/uid_map'
  expect 'exit code 3' 3 '' podman_user_run sh -c 'exit 3'
  expect 'a file that cannot be executed is 126' 126 '[Pp]ermission denied' podman_user_run /etc/not-executable
  expect 'a missing command is 127' 127 'not found' podman_user_run no-such-program
  expect 'run -it has a terminal' 0 '/dev/pts/0' cell_user script -qec "$flags -it $IMAGE sh -c 'tty; sleep 0.5'" /dev/null
  expect 'run -i reads a pipe' 0 '^piped$' cell_user sh -c "echo piped | $flags -i $IMAGE cat"
  expect '--preserve-fds' 0 '^through fd 3$' cell_user sh -c "echo through fd 3 >fd3; $flags --preserve-fds 1 $IMAGE sh -c 'cat <&3' 3<fd3"
  expect '--read-only' 1 'Read-only file system' podman_user_with --read-only "$IMAGE" touch /file
  expect '--user' 0 '^1000$' podman_user_with --user 1000 "$IMAGE" id -u
  expect '-v of a directory of the user' 0 '^1000$' cell_user sh -c "mkdir -p shared; $flags -v ./shared:/data $IMAGE touch /data/made; stat -c %u shared/made; rm -r shared"
  expect '-v, read-only' 1 'Read-only file system' cell_user sh -c "mkdir -p shared; $flags -v ./shared:/data:ro $IMAGE touch /data/made"
  expect '--cap-drop ALL' 0 'CapEff:.0000000000000000' podman_user_with --cap-drop ALL "$IMAGE" grep CapEff /proc/self/status
  expect 'the default seccomp profile' 0 'Seccomp:.2' podman_user_run grep ^Seccomp: /proc/self/status
  expect '--tmpfs' 0 'tmpfs /scratch' podman_user_with --tmpfs /scratch:size=1m "$IMAGE" grep /scratch /proc/mounts
  expect '--privileged' 0 'CapEff:.[0-9a-f]*[1-9a-f]' podman_user_with --privileged "$IMAGE" grep CapEff /proc/self/status
  expect '--device' 0 'crw' podman_user_with --device /dev/fuse "$IMAGE" ls -l /dev/fuse
  expect '--init' 0 '^(catatonit|podman-init)$' podman_user_with --init "$IMAGE" cat /proc/1/comm
  expect '--hostname and --sysctl' 0 '^named 7$' podman_user_with --hostname named --sysctl net.ipv4.conf.lo.tag=7 "$IMAGE" sh -c 'echo $(hostname) $(cat /proc/sys/net/ipv4/conf/lo/tag)'
  expect '--ulimit' 0 '^512$' podman_user_with --ulimit nofile=512:512 "$IMAGE" sh -c 'ulimit -n'
  expect '--pid host' 0 'tini' podman_user_with --pid host "$IMAGE" cat /proc/1/comm
  expect '--network host' 0 "^$(cell readlink /proc/self/ns/net | sed 's/[][]/\\&/g')\$" cell_user podman run --rm --network host "$IMAGE" readlink /proc/self/ns/net
  expect '--cgroups disabled' 0 '^fine$' podman_user_with --cgroups disabled "$IMAGE" echo fine
  expect 'masked and read-only paths' 0 '^0 1$' podman_user_run sh -c 'echo $(wc -c </proc/timer_list) $( (echo x >/proc/sys/kernel/hostname) 2>/dev/null; echo $?)'
}

podman_user_namespaces() {
  expect '--userns keep-id' 0 '^1000$' podman_user_with --userns keep-id "$IMAGE" id -u
  expect '--userns nomap' 0 '^ +0 +1 +65536' podman_user_with --userns nomap "$IMAGE" cat /proc/self/uid_map
  expect '--userns auto' 0 '^0 +[1-9][0-9]* +1024$' podman_user_with --userns auto:size=1024 "$IMAGE" sh -c 'cat /proc/self/uid_map | tr -s " " | sed "s/^ //"'
  expect '--uidmap' 0 ' 5 +0 +1' podman_user_with --uidmap 0:1:5 --uidmap 5:0:1 --gidmap 0:1:5 --gidmap 5:0:1 "$IMAGE" cat /proc/self/uid_map
  expect '--group-add keep-groups' 0 '65534' cell sh -c 'groupadd -f -g 3000 extra; setpriv --reuid 1000 --regid 1000 --groups 1000,3000 \
    env HOME=/home/dev XDG_RUNTIME_DIR=/run/user/1000 sh -c "cd; podman run --rm --network none --group-add keep-groups $IMAGE id -G"'
}

podman_user_lifecycle() {
  expect 'run -d' 0 '[0-9a-f]{64}' cell_user podman run -d --name c --network none "$IMAGE" sh -c 'trap "exit 5" TERM; while :; do sleep 0.1; done'
  expect 'exec' 0 '^sh$' cell_user podman exec c cat /proc/1/comm
  expect 'exec returns the exit code' 4 '' cell_user podman exec c sh -c 'exit 4'
  expect 'exec of a missing command is 127' 127 'not found' cell_user podman exec c no-such-program
  expect 'exec -it has a terminal' 0 '/dev/pts/' cell_user script -qec "podman exec -it c sh -c 'tty; sleep 0.5'" /dev/null
  expect 'exec --user' 0 '^1000$' cell_user podman exec --user 1000 c id -u
  expect 'top' 0 'sleep' cell_user podman top c
  expect 'cp' 0 '' cell_user podman cp fd3 c:/tmp/fd3
  expect 'stop' 0 '' cell_user podman stop c
  expect 'its own exit code' 0 '^exited 5$' cell_user podman inspect -f '{{.State.Status}} {{.State.ExitCode}}' c
  expect 'start again' 0 '' cell_user podman start c
  expect 'kill' 0 '' cell_user podman kill c
  expect_soon 5 'killed is 137' '^exited 137$' cell_user podman inspect -f '{{.State.Status}} {{.State.ExitCode}}' c
  expect 'rm' 0 '' cell_user podman rm c
  expect 'a pod' 0 '^in a pod$' cell_user sh -c 'podman pod create --network none p >/dev/null &&
    podman run --rm --pod p "$IMAGE" echo in a pod; podman pod rm -f -t 1 p >/dev/null'
}

podman_user_network() {
  if ! cell_user test -w /dev/net/tun; then
    skip 'a network of the user' 'no /dev/net/tun on this machine'
    return
  fi
  expect 'a network of the user, published' 0 '[0-9a-f]{64}' cell_user podman run -d --name web -p 8092:80 "$IMAGE" sh -c 'echo a page >/var/www/index.html; exec httpd -f -p 80 -h /var/www'
  expect_soon 5 'it answers' 'a page' cell_user curl -sS http://127.0.0.1:8092/
  expect 'it is removed' 0 '' cell_user podman rm -f -t 1 web
}

podman_user_build() {
  expect 'build with RUN steps' 0 '' cell_user sh -c 'mkdir -p b && printf "%s\n" "FROM $IMAGE" "RUN echo \$(id -u) in a build >/built" >b/Dockerfile && podman build -q --network none -t built b'
  expect 'what the build made' 0 '^0 in a build$' cell_user podman run --rm --network none built cat /built
  expect 'buildah' 0 '^0$' cell_user sh -c 'c=$(buildah from "$IMAGE"); buildah --runtime "$RUNTIME" run --network none $c id -u; buildah rm $c >/dev/null'
}
