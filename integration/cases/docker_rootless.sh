# docker_rootless.sh: dockerd of an ordinary user, in a user namespace that rootlesskit holds. Sourced by run.
# shellcheck shell=bash disable=SC2016  # dollars belong to the shell in the cell

docker_rootless() {
  local before
  if ! cell unshare --user true || ! cell_has_nat || ! cell test -e /dev/net/tun; then
    skip 'all of it' 'needs user namespaces, the translation of addresses, and /dev/net/tun'
    return
  fi
  expect 'dockerd of a user starts' 0 '' docker_rootless_up
  last_passed || return 0
  expect 'docker run --rm' 0 '^Hello World$' cell_user docker run --rm busybox echo Hello World
  before=$(cell_inventory)
  docker_rootless_one_shot
  docker_rootless_lifecycle
  docker_rootless_build
  expect 'no container is left' 0 '^$' cell_user docker ps -aq
  expect_same 'nothing is left of any' "$before"
}

# By the daemon's own script, as its manual has it. Without delegated cgroups it makes none.
docker_rootless_up() {
  user_up
  cell_user sh -euc 'mkdir -p .config/docker
    cat >.config/docker/daemon.json <<J
{ "runtimes": { "test": { "path": "$RUNTIME" } }, "default-runtime": "test" }
J'
  cell_daemon dockerd-rootless 'docker -H unix:///run/user/1000/docker.sock info' setpriv --reuid 1000 --regid 1000 --init-groups \
    env HOME=/home/dev USER=dev XDG_RUNTIME_DIR=/run/user/1000 "DOCKER_BUILDKIT_RUNC_COMMAND=$(cell_runtime)" \
    sh -c 'cd; exec /usr/share/docker.io/contrib/dockerd-rootless.sh' &&
    cell_user docker context create own --docker host=unix:///run/user/1000/docker.sock &&
    cell_user docker context use own &&
    cell_user docker load -q -i /srv/busybox.tar &&
    cell_user docker tag "$IMAGE" busybox:latest
}

docker_rootless_run() { cell_user docker run --rm --network none "$@"; }

docker_rootless_one_shot() {
  expect 'the runtime under test is in use, without privileges' 0 '^test .*rootless' cell_user docker info --format '{{.DefaultRuntime}} {{.SecurityOptions}}'
  expect 'root inside is the user outside' 0 '^1000$' cell sh -c \
    'setpriv --reuid 1000 --regid 1000 --clear-groups env HOME=/home/dev docker -H unix:///run/user/1000/docker.sock run -d --rm --network none busybox sleep 5 >/dev/null &&
    stat -c %u "/proc/$(pgrep -fx "sleep 5")"'
  expect 'exit code 3' 3 '' docker_rootless_run busybox sh -c 'exit 3'
  expect 'a file that cannot be executed is 126' 126 '/etc/not-executable' docker_rootless_run busybox /etc/not-executable
  expect 'a missing command is 127' 127 'no-such-program.*not found in \$PATH' docker_rootless_run busybox no-such-program
  expect 'run -it has a terminal' 0 '/dev/pts/0' cell_user script -qec 'docker run --rm -it --network none busybox tty' /dev/null
  expect 'run -i reads a pipe' 0 '^piped$' cell_user sh -c 'echo piped | docker run --rm -i --network none busybox cat'
  expect '--user' 0 '^1000$' docker_rootless_run --user 1000 busybox id -u
  expect '--read-only' 1 'Read-only file system' docker_rootless_run --read-only busybox touch /file
  expect '-v of a directory of the user' 0 '^1000$' cell_user sh -c \
    'mkdir shared; docker run --rm --network none -v ~/shared:/data busybox touch /data/made; stat -c %u shared/made; rm -r shared'
  expect 'a directory of root stays closed' 1 'Permission denied' docker_rootless_run -v /root:/data busybox ls /data
  expect 'a volume outlives its container' 0 '^kept$' cell_user sh -c 'docker run --rm -v box:/data busybox sh -c "echo kept >/data/word"
    docker run --rm -v box:/data busybox cat /data/word; docker volume rm box >/dev/null'
  expect '--tmpfs' 0 'tmpfs /scratch' docker_rootless_run --tmpfs /scratch:size=1m busybox grep /scratch /proc/mounts
  expect '--cap-drop ALL' 0 'CapEff:.0000000000000000' docker_rootless_run --cap-drop ALL busybox grep CapEff /proc/self/status
  expect 'the default seccomp profile' 0 'Seccomp:.2' docker_rootless_run busybox grep ^Seccomp: /proc/self/status
  expect '--privileged' 0 'CapEff:.[0-9a-f]*[1-9a-f]' docker_rootless_run --privileged busybox grep CapEff /proc/self/status
  expect '--device' 0 'crw' docker_rootless_run --device /dev/fuse busybox ls -l /dev/fuse
  expect '--init' 0 '^(docker-init|tini)$' docker_rootless_run --init busybox cat /proc/1/comm
  expect '--hostname and --sysctl' 0 '^named 7$' docker_rootless_run --hostname named --sysctl net.ipv4.conf.lo.tag=7 busybox \
    sh -c 'echo $(hostname) $(cat /proc/sys/net/ipv4/conf/lo/tag)'
  expect 'masked and read-only paths' 0 '^0 1$' docker_rootless_run busybox sh -c \
    'echo $(wc -c </proc/timer_list) $( (echo x >/proc/sys/kernel/hostname) 2>/dev/null; echo $?)'
}

docker_rootless_lifecycle() {
  expect 'run -d, published' 0 '^[0-9a-f]{64}$' cell_user docker run -d --name web --stop-signal INT -p 8094:80 busybox \
    sh -c 'trap "exit 5" INT; echo a page >/var/www/index.html; httpd -p 80 -h /var/www; while :; do sleep 0.1; done'
  expect_soon 10 'it answers on the published port' 'a page' cell_user curl -sS http://127.0.0.1:8094/
  expect 'exec' 0 '^sh$' cell_user docker exec web cat /proc/1/comm
  expect 'exec returns the exit code' 4 '' cell_user docker exec web sh -c 'exit 4'
  expect 'exec -it has a terminal' 0 '/dev/pts/' cell_user script -qec 'docker exec -it web tty' /dev/null
  # A user without systemd has no cgroup, and so no list of the processes in it: whatever the runtime.
  expect 'top says that it has no cgroup to look into' 1 'has no cgroup|unable to get all container pids|not using cgroups' cell_user docker top web
  expect 'a network of its own, by name' 0 'a page' cell_user sh -c 'docker network create net >/dev/null && docker network connect net web &&
    docker run --rm --network net busybox wget -qO- http://web/'
  expect 'cp' 0 '^a page$' cell_user sh -c 'docker cp -q web:/var/www/index.html page && cat page'
  expect 'stop, with its own signal' 0 '^web$' cell_user docker stop web
  expect 'its own exit code' 0 '^exited 5$' cell_user docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' web
  expect 'start again and kill' 0 '^web.web$' cell_user sh -c 'docker start web && docker kill web'
  expect_soon 5 'killed is 137' '^exited 137$' cell_user docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' web
  expect 'rm' 0 '^web.net$' cell_user sh -c 'docker rm web && docker network rm net'
}

docker_rootless_build() {
  expect 'build with RUN steps' 0 '' cell_user sh -c 'mkdir -p b && printf "%s\n" "FROM busybox" "RUN echo \$(id -u) in a build >/built" >b/Dockerfile && docker build -q -t built b'
  expect 'what the build made' 0 '^0 in a build$' docker_rootless_run built cat /built
  expect 'compose up' 0 'Started' cell_user sh -c 'printf "%s\n" "services:" "  web: { image: built, command: httpd -f -p 80 -h /, tmpfs: /tmp }" >b/compose.yaml && docker compose --project-directory b up -d 2>&1'
  expect_soon 10 'the service answers by its name' '^0 in a build$' cell_user docker run --rm --network b_default busybox wget -qO- http://web/built
  expect 'compose down' 0 'Removed' cell_user sh -c 'docker compose --project-directory b down -t 1 2>&1'
}
