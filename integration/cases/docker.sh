# docker.sh: dockerd with the runtime under test as its default, BuildKit and compose included. Sourced by run.
# shellcheck shell=bash disable=SC2016  # dollars belong to the shell in the cell

docker() {
  local before
  docker_begin || return 0
  expect 'docker run --rm' 0 '^Hello World$' cell docker run --rm busybox echo Hello World
  before=$(cell_inventory)
  expect_doctor docker 'ok +runtime +docker run --runtime test.*ok +default +test'
  docker_exit_codes
  docker_terminal
  docker_isolation
  docker_lifecycle
  docker_one_build
  docker_one_composition
  expect 'no container is left' 0 '^$' cell docker ps -aq
  # The parents of its containers' cgroups are Docker's own; it keeps them.
  expect_same 'nothing is left of any' "$before" '^cgroup .*/docker(/buildkit)?$'
}

docker_run() { cell docker run --rm --network none "$@"; }

docker_exit_codes() {
  expect 'exit code 0' 0 '' docker_run busybox true
  expect 'exit code 3' 3 '' docker_run busybox sh -c 'exit 3'
  expect 'a file that cannot be executed is 126' 126 '/etc/not-executable' docker_run busybox /etc/not-executable
  expect 'a missing command is 127' 127 'no-such-program.*not found in \$PATH' docker_run busybox no-such-program
  expect 'a missing path is 127' 127 '/bin/no-such-program' docker_run busybox /bin/no-such-program
  expect 'a missing working directory is made' 0 '^/new/one$' docker_run -w /new/one busybox pwd
}

docker_terminal() {
  expect 'run -it has a terminal' 0 '/dev/pts/0' cell script -qec 'docker run --rm -it --network none busybox tty' /dev/null
  expect 'run -it reads from it' 0 'you said: hello' cell sh -c \
    'echo hello | script -qec "docker run --rm -it --network none busybox sh -c \"read word; echo you said: \\\$word\"" /dev/null'
  expect 'run -i reads a pipe' 0 '^piped$' cell sh -c 'echo piped | docker run --rm -i --network none busybox cat'
}

docker_isolation() {
  local profile
  expect '--read-only' 1 'Read-only file system' docker_run --read-only busybox touch /file
  expect '--user with its groups' 0 '^1000 1000 2000$' docker_run --user 1000:1000 --group-add 2000 busybox sh -c 'echo $(id -u) $(id -G)'
  expect '-v, read-only' 1 'Read-only file system' docker_run -v /srv:/data:ro busybox touch /data/file
  expect '-v, writable' 0 '' docker_run -v /tmp:/data busybox touch /data/written
  expect 'what was written is there' 0 '' cell rm /tmp/written
  expect '--tmpfs' 0 'tmpfs /scratch' docker_run --tmpfs /scratch:size=1m busybox grep scratch /proc/mounts
  expect '--cap-drop ALL' 0 'CapEff:.0000000000000000' docker_run --cap-drop ALL busybox grep CapEff /proc/self/status
  expect '--cap-add' 0 'CapEff:.0000000000001000' docker_run --cap-drop ALL --cap-add NET_ADMIN busybox grep CapEff /proc/self/status
  expect 'the default seccomp profile' 0 'Seccomp:.2' docker_run busybox grep ^Seccomp: /proc/self/status
  expect 'seccomp=unconfined' 0 'Seccomp:.0' docker_run --security-opt seccomp=unconfined busybox grep ^Seccomp: /proc/self/status
  profile='{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":122}]}'
  cell sh -c 'echo "$1" >/tmp/profile.json' profile "$profile"
  expect 'a seccomp profile of our own' 1 'Disk quota exceeded|Quota exceeded' docker_run --security-opt seccomp=/tmp/profile.json busybox mkdir /dir
  expect 'no-new-privileges' 0 'NoNewPrivs:.1' docker_run --security-opt no-new-privileges busybox grep NoNewPrivs /proc/self/status
  expect '--privileged' 0 "$(cell awk '/CapBnd/ { print $2 }' /proc/self/status)" docker_run --privileged busybox grep CapEff /proc/self/status
  expect '--ulimit' 0 '^512$' docker_run --ulimit nofile=512:512 busybox sh -c 'ulimit -n'
  expect '--sysctl' 0 '^7$' docker_run --sysctl net.ipv4.conf.lo.tag=7 busybox cat /proc/sys/net/ipv4/conf/lo/tag
  expect '--device' 0 'crw.* 1, *11' docker_run --device /dev/kmsg busybox ls -l /dev/kmsg
  expect '--gpus without a driver is refused by Docker' 125 'could not select device driver' docker_run --gpus all busybox true
  expect '--hostname' 0 '^named$' docker_run --hostname named busybox hostname
  expect '--pid host' 0 'dockerd' docker_run --pid host busybox ps
  expect '--init reaps' 0 '^1 ' docker_run --init busybox sh -c 'echo 1 $(cat /proc/1/comm)'
  expect 'the bridge network' 0 'eth0' cell docker run --rm busybox ls /sys/class/net
  expect 'masked and read-only paths' 0 '^0 0 1$' docker_run busybox sh -c \
    'echo $(wc -c </proc/timer_list) $(ls /sys/firmware | wc -l) $( (echo x >/proc/sys/kernel/hostname) 2>/dev/null; echo $?)'
}

docker_lifecycle() {
  local id
  expect 'run -d with limits' 0 '^[0-9a-f]{64}$' cell docker run -d --name box --memory 64m --cpus 0.5 --pids-limit 50 \
    busybox sh -c 'trap "exit 5" TERM; while :; do sleep 0.1; done'
  id=$(cell docker inspect -f '{{.Id}}' box) || true
  expect_limit '--memory on the cgroup' '^67108864$' "/docker/$id" memory limit_in_bytes max
  expect_limit '--cpus on the cgroup' '^50000( 100000)?$' "/docker/$id" cpu cfs_quota_us max
  expect_limit '--pids-limit on the cgroup' '^50$' "/docker/$id" pids max max
  expect 'exec' 0 '^sh$' cell docker exec box cat /proc/1/comm
  expect 'exec as a user, elsewhere, with a variable' 0 '^1000 /tmp yes$' cell docker exec -u 1000 -w /tmp -e WORD=yes box sh -c 'echo $(id -u) $PWD $WORD'
  expect 'exec returns the exit code' 4 '' cell docker exec box sh -c 'exit 4'
  expect 'exec of a missing command is 127' 127 'no-such-program.*not found in \$PATH' cell docker exec box no-such-program
  expect 'exec of a file that cannot be executed is 126' 126 '/etc/not-executable' cell docker exec box /etc/not-executable
  expect 'exec -it has a terminal' 0 '/dev/pts/' cell script -qec 'docker exec -it box tty' /dev/null
  expect 'exec -d' 0 '' cell docker exec -d box touch /tmp/touched
  expect_soon 5 'exec -d has run' 'touched' cell docker exec box ls /tmp
  expect 'exec is held by the same limits' 0 "/docker/$id" cell docker exec box cat /proc/self/cgroup
  expect 'top' 0 'trap' cell docker top box
  expect 'stats' 0 '64MiB' cell docker stats --no-stream box
  expect 'pause' 0 '^box$' cell docker pause box
  expect 'it is paused' 0 '^paused$' cell docker inspect -f '{{.State.Status}}' box
  expect 'a paused container takes no exec' 1 'paused' cell docker exec box true
  expect 'unpause' 0 '^box$' cell docker unpause box
  expect 'it runs again' 0 '^sh$' cell docker exec box cat /proc/1/comm
  expect 'kill with a harmless signal' 0 '^box$' cell docker kill -s CONT box
  expect 'stop' 0 '^box$' cell docker stop box
  expect 'its own exit code' 0 '^exited 5$' cell docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' box
  expect 'start again' 0 '^box$' cell docker start box
  expect 'restart' 0 '^box$' cell docker restart -t 1 box
  expect 'kill' 0 '^box$' cell docker kill box
  expect_soon 5 'killed is 137' '^exited 137$' cell docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' box
  expect 'rm' 0 '^box$' cell docker rm box
  expect 'rm -f of a running container' 0 'gone$' cell sh -c 'docker run -d --name box busybox sleep 100 >/dev/null && docker rm -f box && echo gone'
}

docker_one_build() {
  cell sh -c 'mkdir /tmp/build && printf "%s\n" "FROM busybox" "RUN echo \$(id -u) in a build >/built" "USER 1000" "RUN id -u >/tmp/user" >/tmp/build/Dockerfile'
  expect 'build with RUN steps' 0 '' cell docker build --progress plain -t built /tmp/build
  expect 'what the build made' 0 '0 in a build.*1000' cell docker run --rm built sh -c 'echo $(cat /built) $(cat /tmp/user)'
  printf 'FROM busybox\nRUN exit 7\n' | cell tee /tmp/build/Dockerfile >/dev/null
  expect 'a failing RUN step fails the build' 1 'exit code: 7' cell docker build --progress plain /tmp/build
  cell docker rmi -f built >/dev/null 2>&1
}

docker_one_composition() {
  cell sh -c 'mkdir /tmp/compose && printf "%s\n" "services:" "  web:" "    image: busybox" \
    "    command: httpd -f -p 80 -h /var/www" "    volumes: [\"/srv/page:/var/www:ro\"]" >/tmp/compose/compose.yaml
    mkdir -p /srv/page && echo a page >/srv/page/index.html'
  expect 'compose up' 0 'Started' cell docker compose --project-directory /tmp/compose up -d
  expect_soon 5 'the service answers by its name' 'a page' \
    cell docker run --rm --network compose_default busybox wget -qO- http://web/
  expect 'compose exec' 0 'httpd' cell docker compose --project-directory /tmp/compose exec -T web ps
  expect 'compose down' 0 'Removed' cell docker compose --project-directory /tmp/compose down -t 1
}
