# docker_wide.sh: the rest of what people ask of dockerd: shared namespaces, networks, logs, copies, updates, health
# checks, restarts. Sourced by run.
# shellcheck shell=bash disable=SC2016  # dollars belong to the shell in the cell

docker_wide() {
  local before
  docker_toolkit
  docker_begin || return 0
  # What dockerd makes at the first use and keeps: the host's own network among them.
  expect 'docker run --rm' 0 '^Hello World$' cell docker run --rm --network host busybox echo Hello World
  before=$(cell_inventory)
  docker_sharing
  docker_networks
  docker_devices
  docker_around
  docker_more
  expect 'no container is left' 0 '^$' cell docker ps -aq
  expect_same 'nothing is left of any' "$before" '^cgroup .*/(docker|mine)$'
}

docker_run() { cell docker run --rm --network none "$@"; }

docker_sharing() {
  expect 'a container to share with' 0 '^[0-9a-f]{64}$' cell docker run -d --name peer --network none --ipc shareable busybox sleep 100
  expect '--pid container' 0 '^sleep$' docker_run --pid container:peer busybox cat /proc/1/comm
  expect '--ipc container' 0 'shm.*shm' cell sh -c 'docker exec peer touch /dev/shm/word; docker run --rm --network none --ipc container:peer busybox ls -d /dev/shm /dev/shm/word'
  expect '--network container' 0 '^same$' cell sh -c '[ "$(docker exec peer readlink /proc/self/ns/net)" = "$(docker run --rm --network container:peer busybox readlink /proc/self/ns/net)" ] && echo same'
  expect '--ipc host' 0 "^$(cell readlink /proc/self/ns/ipc | sed 's/[][]/\\&/g')\$" docker_run --ipc host busybox readlink /proc/self/ns/ipc
  expect '--uts host' 0 '^husk-cell$' docker_run --uts host busybox hostname
  expect '--cgroupns host sees the path' 0 '/docker/[0-9a-f]{64}' docker_run --cgroupns host busybox cat /proc/self/cgroup
  expect '--cgroupns private does not' 0 ':/$' docker_run --cgroupns private busybox sh -c 'tail -n 1 /proc/self/cgroup'
  expect '--cgroup-parent' 0 '/mine/[0-9a-f]{64}' docker_run --cgroup-parent /mine --cgroupns host busybox cat /proc/self/cgroup
  expect '--mount with a propagation' 0 'shared:' docker_run --mount type=bind,src=/srv,dst=/data,bind-propagation=rshared busybox grep /data /proc/self/mountinfo
  expect '--shm-size' 0 'size=1024k' docker_run --shm-size 1m busybox grep /dev/shm /proc/mounts
  expect '--oom-score-adj' 0 '^500$' docker_run --oom-score-adj 500 busybox cat /proc/self/oom_score_adj
  expect '--group-add and --user by name' 0 '^1000 1000 2000$' docker_run --user user busybox sh -c 'echo $(id -u) $(id -G)'
  expect '--entrypoint and --env-file' 0 'WORD=yes' cell sh -c 'echo WORD=yes >/tmp/env; docker run --rm --network none --env-file /tmp/env --entrypoint env busybox'
  # Whether there is such a device does not matter: being let through to it does.
  expect '--device-cgroup-rule' 0 '^(|.*No such device.*)$' docker_run --device-cgroup-rule 'c 10:229 rw' --cap-add MKNOD busybox sh -c 'mknod /tmp/fuse c 10 229; true </tmp/fuse || true'
  expect 'without it the device is denied' 0 'Operation not permitted' docker_run --cap-add MKNOD busybox sh -c 'mknod /tmp/fuse c 10 229; true </tmp/fuse || true'
  expect 'device rules of privileged containers let all in' 0 '' docker_run --privileged busybox sh -c 'mknod /tmp/kmsg c 1 11 && : </tmp/kmsg'
  expect 'a named volume outlives its container' 0 '^kept$' cell sh -c 'docker run --rm -v box:/data busybox sh -c "echo kept >/data/word"
    docker run --rm -v box:/data busybox cat /data/word; docker volume rm box >/dev/null'
  expect 'the peer is removed' 0 '^peer$' cell docker rm -f peer
}

docker_networks() {
  expect '--network host' 0 'docker0' cell docker run --rm --network host busybox ls /sys/class/net
  expect 'a network of ours' 0 '' cell docker network create --subnet 10.78.0.0/24 net
  expect 'a server on it, published' 0 '' cell docker run -d --name web --network net --ip 10.78.0.9 --network-alias shop -p 127.0.0.1:8089:80 \
    busybox sh -c 'echo a page >/var/www/index.html; exec httpd -f -p 80 -h /var/www'
  expect_soon 5 'it answers by name, alias and address' 'a page.a page.a page' cell docker run --rm --network net busybox \
    sh -c 'for name in web shop 10.78.0.9; do wget -qO- http://$name/ || exit; done'
  expect_soon 5 'it answers on the published port' 'a page' cell curl -sS http://127.0.0.1:8089/
  expect 'a second network is connected while it runs' 0 '^eth0.eth1' cell sh -c 'docker network create other >/dev/null; docker network connect other web; docker exec web sh -c "ls /sys/class/net | grep eth"'
  expect 'all are removed' 0 '' cell sh -c 'docker rm -f web && docker network rm net other'
  if cell ip link add probe0 type macvlan 2>/dev/null || cell sh -c 'ip link add m0 type veth peer name m1 && ip link add probe0 link m0 type macvlan && ip link del m0'; then
    expect 'a macvlan network' 0 '10\.79\.0\.5' cell sh -c 'ip link add m0 type veth peer name m1; ip link set m0 up; ip link set m1 up
      docker network create -d macvlan --subnet 10.79.0.0/24 -o parent=m0 mac >/dev/null
      docker run --rm --network mac --ip 10.79.0.5 busybox ip addr show eth0; docker network rm mac >/dev/null; ip link del m0'
  else
    skip 'a macvlan network' 'this kernel has no macvlan'
  fi
}

# Stands in for NVIDIA's toolkit, which dockerd looks for when it starts: a prestart hook, and a description of a device.
docker_toolkit() {
  cell sh -euc 'cat >/usr/local/bin/nvidia-container-runtime-hook && chmod 755 /usr/local/bin/nvidia-container-runtime-hook
    mkdir -p /etc/cdi /srv/driver && echo a library >/srv/driver/library && mknod /srv/driver/node c 10 229
    cat >/etc/cdi/husk.json <<J
{ "cdiVersion": "0.6.0", "kind": "example.com/gpu",
  "devices": [ { "name": "0", "containerEdits": { "deviceNodes": [ { "path": "/dev/gpu0", "hostPath": "/srv/driver/node" } ] } } ],
  "containerEdits": { "env": [ "GPU=0" ],
    "mounts": [ { "hostPath": "/srv/driver", "containerPath": "/usr/lib/driver", "options": [ "ro", "nosuid", "nodev", "bind" ] } ],
    "hooks": [ { "hookName": "createContainer", "path": "/bin/sh", "args": [ "sh", "-c", "cp /proc/self/cgroup etc/hooked" ] } ] } }
J' <<'H'
#!/bin/bash
# What the real one does: looks up in the bundle which devices are wanted, and puts them into the root of the container.
bundle=$(jq -r .bundle)
jq -r '.process.env[] | select(startswith("NVIDIA_"))' "$bundle/config.json" >"$(jq -r .root.path "$bundle/config.json")/gpu"
H
}

docker_devices() {
  expect '--gpus calls the hook of the toolkit' 0 'NVIDIA_VISIBLE_DEVICES=all' docker_run --gpus all busybox cat /gpu
  expect 'without it there is no such call' 1 'No such file' docker_run busybox cat /gpu
  expect 'a device of CDI, by its name' 0 'crw.* 10, *229' docker_run --device example.com/gpu=0 busybox ls -l /dev/gpu0
  # Whether there is such a device does not matter: being let through to it does.
  expect 'it may be opened' 0 '^(|.*No such device.*)$' docker_run --device example.com/gpu=0 busybox sh -c 'true </dev/gpu0 || true'
  expect 'with its libraries, variables and hooks' 0 '^a library 0 [1-9]' docker_run --device example.com/gpu=0 busybox \
    sh -c 'echo $(cat /usr/lib/driver/library) $GPU $(wc -l </etc/hooked)'
  expect 'one that does not exist is refused' 125 'unresolvable CDI devices' docker_run --device example.com/gpu=9 busybox true
  expect '--device with another name, to be read only' 1 'Operation not permitted' docker_run --device /srv/driver/node:/dev/other:r busybox sh -c 'echo x >/dev/other'
}

docker_around() {
  local id
  expect 'a container that talks' 0 '' cell docker run -d --name box -i --network none busybox sh -c 'echo first; while read -r line; do echo "got $line"; [ "$line" != end ] || exit 3; done'
  expect_soon 5 'logs' '^first$' cell docker logs box
  expect 'attach' 0 'got a line' cell sh -c '{ sleep 0.3; echo a line; sleep 0.3; echo end; } | docker attach box; true'
  expect 'wait tells the exit code' 0 '^3$' cell docker wait box
  expect 'diff, cp in and out' 0 '^copied$' cell sh -c 'echo copied >/tmp/word; docker start box >/dev/null; docker cp -q /tmp/word box:/etc/word && docker cp -q box:/etc/word /tmp/back && cat /tmp/back; docker diff box | grep -q /etc/word'
  expect 'commit makes an image' 0 '^copied$' cell sh -c 'docker commit box mine >/dev/null && docker run --rm --network none mine cat /etc/word; docker rmi mine >/dev/null'
  expect 'export has what was written' 0 'etc/word' cell sh -c 'docker export box | tar -t | grep word'
  expect 'rename' 0 '^other$' cell sh -c 'docker rename box other && docker inspect -f "{{.Name}}" other | tr -d /; docker rm -f other >/dev/null'

  expect 'update of a running container' 0 '' cell sh -c 'docker run -d --name box --memory 64m --memory-swap 64m --network none busybox sleep 100 &&
    docker update --memory 128m --memory-swap 128m --cpus 0.25 --pids-limit 20 box'
  id=$(cell docker inspect -f '{{.Id}}' box) || true
  expect_limit 'the new memory limit' '^134217728$' "/docker/$id" memory limit_in_bytes max
  expect_limit 'the new quota' '^25000( 100000)?$' "/docker/$id" cpu cfs_quota_us max
  expect_limit 'the new number of processes' '^20$' "/docker/$id" pids max max
  expect 'rm' 0 '' cell docker rm -f box
  expect 'too little memory is told as such' 0 '^true 137$' cell sh -c 'docker run --name box --memory 16m --memory-swap 16m --network none busybox dd if=/dev/zero of=/dev/null bs=64M count=1 >/dev/null 2>&1
    docker inspect -f "{{.State.OOMKilled}} {{.State.ExitCode}}" box; docker rm box >/dev/null'

  expect 'a health check' 0 '' cell docker run -d --name box --network none --health-cmd 'test -f /tmp/well' --health-interval 200ms --health-retries 2 busybox sh -c 'touch /tmp/well; sleep 100'
  expect_soon 10 'healthy' '^healthy$' cell docker inspect -f '{{.State.Health.Status}}' box
  cell docker exec box rm /tmp/well
  expect_soon 10 'unhealthy' '^unhealthy$' cell docker inspect -f '{{.State.Health.Status}}' box
  expect 'rm' 0 '' cell docker rm -f box
  expect 'a restart policy' 0 '' cell docker run -d --name box --network none --restart on-failure:2 busybox sh -c 'exit 9'
  expect_soon 15 'it was tried again twice' '^2 9 exited$' cell docker inspect -f '{{.RestartCount}} {{.State.ExitCode}} {{.State.Status}}' box
  expect 'rm' 0 '' cell docker rm box
}

docker_more() {
  local id
  expect 'run -d with further limits' 0 '' cell docker run -d --name box --network none --cpuset-cpus 0 --cpu-shares 512 --memory 64m --memory-reservation 32m busybox sleep 100
  id=$(cell docker inspect -f '{{.Id}}' box) || true
  expect_limit '--cpuset-cpus' '^0$' "/docker/$id" cpuset cpus cpus
  # v2 knows weights from 1 to 10000, and runtimes translate in two ways.
  expect_limit '--cpu-shares' '^(512|20|59)$' "/docker/$id" cpu shares weight
  expect_limit '--memory-reservation' '^33554432$' "/docker/$id" memory soft_limit_in_bytes low
  expect 'exec --privileged' 0 "$(cell awk '/CapBnd/ { print $2 }' /proc/self/status)" cell docker exec --privileged box grep CapEff /proc/self/status
  expect 'exec without it keeps to the container' 0 'CapEff:.00000000a80425fb' cell docker exec box grep CapEff /proc/self/status
  expect 'events of its life' 0 'die.*destroy' cell sh -c 'since=$(date +%s); docker rm -f box >/dev/null; docker events --since $since --until $(($(date +%s) + 1)) --filter container=box --format "{{.Action}}"'
  expect 'create, then start -a -i' 0 '^piped$' cell sh -c 'docker create -i --name box --network none busybox cat >/dev/null; echo piped | docker start -ai box; docker rm box >/dev/null'
  expect 'a signal to the client reaches the container' 6 'ended by TERM' cell sh -c 'docker run --rm --network none --name box busybox sh -c "trap \"echo ended by TERM; exit 6\" TERM; echo up; while :; do sleep 0.1; done" >/tmp/said & client=$!
    for i in $(seq 100); do grep -q up /tmp/said && break; sleep 0.1; done; kill -TERM $client; wait $client; code=$?; cat /tmp/said; exit $code'
  # The end of the input would end the shell: it comes only when the client has gone.
  expect 'the keys that detach leave it running' 0 'true$' cell sh -c '{ for i in $(seq 100); do docker exec box true 2>/dev/null && break; sleep 0.1; done
      sleep 1; printf "\020\021"; for i in $(seq 100); do pgrep -x docker >/dev/null || break; sleep 0.1; done; } | script -qec "docker run -it --name box --network none busybox sh" /dev/null >/dev/null
    docker inspect -f "{{.State.Running}}" box; docker rm -f box >/dev/null'
  expect '--security-opt systempaths=unconfined' 0 '^0$' docker_run --security-opt systempaths=unconfined busybox sh -c 'grep -cE " /proc/(kcore|timer_list|sys) " /proc/mounts || true'
  expect '--mount of a part of a volume, and of a tmpfs' 0 '^in a part 1000$' cell sh -c 'docker run --rm --network none -v box:/data busybox sh -c "mkdir /data/part; echo in a part >/data/part/word"
    docker run --rm --network none --mount type=volume,src=box,dst=/part,volume-subpath=part --mount type=tmpfs,dst=/scratch,tmpfs-mode=1000 busybox sh -c "echo \$(cat /part/word) \$(stat -c %a /scratch)"
    docker volume rm box >/dev/null'
  expect '--mount of an image' 0 'busybox' docker_run --mount type=image,src=busybox,dst=/image busybox ls /image/bin/busybox
  expect '--volumes-from' 0 '^shared$' cell sh -c 'docker create --name box -v /data busybox >/dev/null; docker run --rm --network none --volumes-from box busybox sh -c "echo shared >/data/word"
    docker run --rm --network none --volumes-from box busybox cat /data/word; docker rm -v box >/dev/null'
  expect '--add-host, --dns and --mac-address' 0 '10.1.2.3.*nameserver 10.9.9.9.*02:42:00:00:00:77' cell docker run --rm --add-host shop:10.1.2.3 --dns 10.9.9.9 --mac-address 02:42:00:00:00:77 busybox \
    sh -c 'grep shop /etc/hosts; cat /etc/resolv.conf /sys/class/net/eth0/address'
}
