# docker.sh: Docker under systemd and cgroup v2, by its package's own units: set up by the lines of docs/engines,
# containers as scopes, AppArmor, a daemon that is reloaded, restarted and killed. Networks are the cells' affair: the
# machine's kernel has not the tables of nftables that dockerd writes. Sourced by begin.
# shellcheck shell=bash disable=SC2016  # dollars belong to the inner shells

docker_vm() {
  expect 'dockerd starts, without husk' 0 '' docker_started
  last_passed || return 0
  docker_set_up
  docker_scopes
  docker_confined
  docker_outlives
  docker_builds
  expect 'no container is left' 0 '^$' docker ps -aq
  expect_soon 10 'no unit is left' '^none$' sh -c 'systemctl list-units --all --plain --no-legend "docker-*.scope" | grep . || echo none'
}

docker_configured() { # TEXT: more of the file
  mkdir -p /etc/docker
  echo "{ \"iptables\": false, \"ip6tables\": false, \"bridge\": \"none\"$1 }" >/etc/docker/daemon.json
}

docker_started() {
  docker_configured ''
  systemctl daemon-reload
  systemctl start docker && docker load -q -i /srv/busybox.tar && docker tag "$IMAGE" busybox
}

docker_set_up() {
  local runtimes=", \"runtimes\": { \"test\": { \"path\": \"$RUNTIME\" } }"
  expect_doctor docker 'MISSING +runtime'
  docker_configured "$runtimes"
  expect 'systemctl reload: the runtime is there' 0 '^hello$' sh -c 'systemctl reload docker; sleep 1; docker run --rm --network none --runtime test busybox echo hello'
  docker_configured "$runtimes, \"default-runtime\": \"test\", \"live-restore\": true"
  expect 'systemctl reload: it is the default; with systemd and cgroup v2' 0 '^test systemd 2$' sh -c 'systemctl reload docker; sleep 1; docker info --format "{{.DefaultRuntime}} {{.CgroupDriver}} {{.CgroupVersion}}"'
  mkdir -p /etc/systemd/system/docker.service.d
  printf '[Service]\nEnvironment=DOCKER_BUILDKIT_RUNC_COMMAND=%s\n' "$RUNTIME" >/etc/systemd/system/docker.service.d/override.conf
  expect 'systemctl restart, with the variable for builds' 0 '' sh -c 'systemctl daemon-reload; systemctl restart docker'
  expect_doctor docker 'ok +runtime +docker run --runtime test.*ok +default +test.*ok +builds'
}

docker_scopes() {
  local id scope
  expect 'run -d with limits' 0 '^[0-9a-f]{64}$' docker run -d --name box --network none --memory 64m --memory-swap 64m --memory-reservation 32m --cpus 0.5 --pids-limit 50 \
    --device-read-bps /dev/ubda:1m busybox sleep 1000
  id=$(docker inspect -f '{{.Id}}' box) || true
  scope=docker-$id.scope
  expect 'its unit is a scope of system.slice' 0 '^active system.slice$' sh -c "echo \$(systemctl show -P ActiveState $scope) \$(systemctl show -P Slice $scope)"
  expect 'systemd knows the limits' 0 '^67108864 50 500ms$' sh -c "echo \$(systemctl show -P MemoryMax $scope) \$(systemctl show -P TasksMax $scope) \$(systemctl show -P CPUQuotaPerSecUSec $scope)"
  # crun does not: it leaves that much swap, and has the limit of the device in a cgroup below the scope.
  expect 'and so does the kernel' 0 '^67108864.0.33554432.50000 100000.50.*rbps=1048576' sh -c "cd /sys/fs/cgroup/system.slice/$scope; cat memory.max memory.swap.max memory.low cpu.max pids.max io.max"
  expect 'it sees its own cgroup alone' 0 '^0::/ 67108864$' docker exec box sh -c 'echo $(cat /proc/self/cgroup) $(cat /sys/fs/cgroup/memory.max)'
  expect 'update' 0 '^box' docker update --memory 128m --memory-swap 128m --cpus 0.25 --pids-limit 20 box
  expect 'a reload of systemd keeps what was updated' 0 '^134217728.25000 100000.20$' sh -c "systemctl daemon-reload; cd /sys/fs/cgroup/system.slice/$scope; cat memory.max cpu.max pids.max"
  expect 'devices are denied and allowed as before' 0 '^denied allowed$' docker exec --privileged box sh -c 'mknod /tmp/kmsg c 1 11; echo $( (: </tmp/kmsg) 2>/dev/null && echo open || echo denied) $( (: </dev/null) && echo allowed)'
  expect 'pause and unpause' 0 '^paused running$' sh -c 'docker pause box >/dev/null; a=$(docker inspect -f "{{.State.Status}}" box); docker unpause box >/dev/null; echo $a $(docker inspect -f "{{.State.Status}}" box)'
  expect 'top and stats' 0 'sleep 1000.*[0-9.]+(MiB|KiB) / 128MiB' sh -c 'docker top box; docker stats --no-stream --format "{{.MemUsage}}" box'
  expect 'rm' 0 '^box$' docker rm -f box
  expect_soon 10 'the scope goes with it' '^inactive$' sh -c "systemctl is-active $scope || true"
  # Of a container that ends by it, containerd looks when the cgroup may be gone, and is late at times with every runtime.
  expect 'too little memory is told as such' 0 '^true 0$' sh -c 'docker run --name box --memory 16m --memory-swap 16m --network none busybox sh -c "dd if=/dev/zero of=/dev/null bs=64M count=1; sleep 2" >/dev/null 2>&1
    docker inspect -f "{{.State.OOMKilled}} {{.State.ExitCode}}" box; docker rm box >/dev/null'
  expect 'a parent of our own' 0 '/mine\.slice/docker-[0-9a-f]+\.scope(/container)?$' docker run --rm --network none --cgroup-parent mine.slice --cgroupns host busybox cat /proc/self/cgroup
  expect 'what it says is in the journal, where it is asked to be' 0 '^kept$' sh -c 'docker run --rm --name talks --network none --log-driver journald busybox echo kept >/dev/null
    for i in $(seq 50); do said=$(journalctl -q -o cat CONTAINER_NAME=talks); [ -z "$said" ] || break; sleep 0.1; done; echo "$said"'
}

docker_confined() {
  expect 'AppArmor confines a container' 0 '^docker-default .enforce.$' docker run --rm --network none busybox cat /proc/self/attr/current
  expect 'and what is executed in it' 0 '^docker-default .enforce.$' sh -c 'docker run -d --name box --network none busybox sleep 1000 >/dev/null; docker exec box cat /proc/self/attr/current; docker rm -f box >/dev/null'
  expect '--security-opt apparmor=unconfined' 0 '^unconfined$' docker run --rm --network none --security-opt apparmor=unconfined busybox cat /proc/self/attr/current
}

docker_outlives() {
  expect 'a container, and one that restarts' 0 '' sh -c 'docker run -d --name box --network none --memory 64m busybox sleep 1000 && docker run -d --name again --restart always --network none busybox sleep 1000
    docker inspect -f "{{.State.Pid}}" box >/run/box'
  expect 'systemctl restart leaves the process' 0 '^same.in it$' sh -c 'systemctl restart docker; [ "$(docker inspect -f "{{.State.Pid}}" box)" = "$(cat /run/box)" ] && echo same; docker exec box echo in it'
  # Its unit allows three starts a minute.
  expect 'dockerd is killed, and systemd starts it again' 0 '' sh -c 'systemctl reset-failed docker; kill -9 "$(systemctl show -P MainPID docker)"; sleep 1
    for i in $(seq 100); do docker version >/dev/null 2>&1 && exit 0; sleep 0.2; done; exit 1'
  expect 'the process still is the same, and has its limit' 0 '^same.67108864$' sh -c '[ "$(docker inspect -f "{{.State.Pid}}" box)" = "$(cat /run/box)" ] && echo same; docker exec box cat /sys/fs/cgroup/memory.max'
  expect 'one is killed behind its back' 0 '' sh -c 'kill -9 "$(docker inspect -f "{{.State.Pid}}" again)"'
  expect_soon 20 'it is started again' '^1 running$' docker inspect -f '{{.RestartCount}} {{.State.Status}}' again
  expect 'all are removed' 0 '^box.again$' docker rm -f box again
}

docker_builds() {
  expect 'a build' 0 '' sh -c 'mkdir -p /tmp/b; printf "%s\n" "FROM busybox" "RUN cat /proc/self/cgroup >/built" >/tmp/b/Dockerfile; docker build -q --network none -t built /tmp/b'
  expect 'its step had a cgroup of its own' 0 '^0::/' docker run --rm --network none built cat /built
}
