# podman_wide.sh: the rest of what people ask of Podman as root: pods, Kubernetes files, its service under a Docker
# client, updates, forms of --userns. Sourced by run.
# shellcheck shell=bash disable=SC2016,SC2086  # dollars belong to the shell in the cell; PIDS is two words

podman_wide() {
  local before
  if ! cell_has_nat; then
    skip 'all of it' 'this kernel cannot translate addresses'
    return
  fi
  expect 'podman is set up' 0 '' podman_up
  last_passed || return 0
  expect 'podman run --rm, on the bridge network' 0 '^Hello World$' cell podman run --rm "$IMAGE" echo Hello World
  before=$(cell_inventory)
  podman_around
  podman_mounts
  podman_security
  podman_users
  podman_updates
  podman_pods
  podman_kube
  podman_service
  expect 'no container is left' 0 '^$' cell podman ps -aq
  # The service keeps what it knows of an exec for five minutes, in a conmon that waits.
  expect_same 'nothing is left of any' "$before" '^cgroup .*/libpod_parent(/[0-9a-f]{64}|/conmon)?$|^mount /run/netns$|^process conmon$'
}

podman_run() { cell podman run --rm --network none "$@"; } # FLAGS IMAGE COMMAND...

podman_around() {
  expect 'a container that talks' 0 '' cell podman run -d --name box -i --network none "$IMAGE" sh -c 'echo first; while read -r line; do echo "got $line"; [ "$line" != end ] || exit 3; done'
  expect_soon 5 'logs' '^first$' cell podman logs box
  expect 'attach' 0 'got a line' cell sh -c '{ sleep 0.5; echo a line; sleep 0.5; echo end; } | podman attach box; true'
  expect 'wait tells the exit code' 0 '^3$' cell podman wait box
  expect 'cp in and out, diff' 0 '^copied$' cell sh -c 'echo copied >/tmp/word; podman cp /tmp/word box:/etc/word && podman cp box:/etc/word /tmp/back && podman diff box | grep -q /etc/word && cat /tmp/back'
  expect 'commit makes an image' 0 '^copied$' cell sh -c 'podman commit -q box mine >/dev/null; podman run --rm --network none mine cat /etc/word; podman rmi mine >/dev/null; podman rm box >/dev/null'
  expect 'top and stats' 0 'sleep.*box' cell sh -c 'podman run -d --name box --network none "$IMAGE" sleep 100 >/dev/null; podman top box comm; podman stats --no-stream --format "{{.Name}} {{.PIDs}}" box'
  expect 'exec -d, exec of a user with a variable' 0 '^1000 yes /tmp touched$' cell sh -c 'podman exec -d box touch /tmp/touched >/dev/null; sleep 0.5
    podman exec -u 1000 -w /tmp -e WORD=yes box sh -c "echo \$(id -u) \$WORD \$PWD \$(ls /tmp)"'
  expect 'rename and restart' 0 'running$' cell sh -c 'podman rename box other; podman restart -t 0 other >/dev/null; podman inspect -f "{{.State.Status}}" other; podman rm -f -t 0 other >/dev/null'
  expect 'a restart policy' 0 '' cell podman run -d --name box --network none --restart on-failure:2 "$IMAGE" sh -c 'exit 9'
  expect_soon 15 'it was tried again twice' '^2 9 exited$' cell podman inspect -f '{{.RestartCount}} {{.State.ExitCode}} {{.State.Status}}' box
  cell podman rm box >/dev/null
  # conmon kills, and tells this.
  expect '--timeout' 255 '' podman_run --timeout 1 "$IMAGE" sleep 100
  expect 'a health check' 0 '^healthy$' cell sh -c 'podman run -d --name box --network none --health-cmd "test -d /tmp" --health-interval disable "$IMAGE" sleep 100 >/dev/null
    podman healthcheck run box && podman inspect -f "{{.State.Health.Status}}" box; podman rm -f -t 0 box >/dev/null'
  expect 'a root file system of our own' 0 '^rooted$' cell sh -c 'mkdir -p /var/tmp/rootfs/bin && cp /bin/busybox /var/tmp/rootfs/bin/ && podman run --rm --network none --rootfs /var/tmp/rootfs:O /bin/busybox echo rooted'
  expect '--sdnotify container passes the socket on' 0 'NOTIFY_SOCKET=.*notify' cell sh -c 'mkdir -p /run/notify
    NOTIFY_SOCKET=/run/notify/sock podman run --rm --network none --sdnotify container "$IMAGE" env 2>&1 | grep NOTIFY || true'
  expect 'hooks of a directory' 0 '^stopped$' cell sh -c 'mkdir -p /tmp/hooks; printf "%s\n" "{ \"version\": \"1.0.0\", \"hook\": { \"path\": \"/bin/sh\", \"args\": [\"sh\", \"-c\", \"jq -r .status >/tmp/hooked\"] }," \
    "\"when\": { \"annotations\": { \"hooked\": \"yes\" } }, \"stages\": [\"poststop\"] }" >/tmp/hooks/one.json
    podman run --rm --network none --hooks-dir /tmp/hooks --annotation hooked=yes "$IMAGE" true; cat /tmp/hooked; rm /tmp/hooked'
}

podman_mounts() {
  expect '-v with an overlay of its own' 0 '^mine$' cell sh -c 'mkdir -p /srv/data && echo theirs >/srv/data/word && podman run --rm --network none -v /srv/data:/data:O "$IMAGE" sh -c "echo mine >/data/word; cat /data/word"; grep -q theirs /srv/data/word'
  expect '-v with another owner' 0 '^1000$' podman_run --user 1000 -v owned:/data:U "$IMAGE" stat -c %u /data
  cell podman volume rm owned >/dev/null
  expect '-v with a propagation' 0 'master:' podman_run -v /srv:/data:rslave "$IMAGE" grep ' /data ' /proc/self/mountinfo
  expect '--mount of a tmpfs, a volume, an image and a glob' 0 '^1700 kept busybox word' cell sh -c 'podman run --rm --network none --mount type=volume,src=box,dst=/data "$IMAGE" sh -c "echo kept >/data/word"
    podman run --rm --network none --mount type=tmpfs,dst=/scratch,tmpfs-mode=1700 --mount type=volume,src=box,dst=/data --mount "type=image,src=$IMAGE,dst=/image" --mount "type=glob,src=/srv/data/w*,dst=/globbed" "$IMAGE" \
      sh -c "echo \$(stat -c %a /scratch) \$(cat /data/word) \$(basename \$(ls /image/bin/busybox)) \$(ls /globbed)"; podman volume rm box >/dev/null'
  expect 'a mount whose owners are moved' 0 '^0$' cell sh -c 'mkdir -p /var/tmp/moved && echo x >/var/tmp/moved/file && podman run --rm --network none --uidmap 0:100000:65536 --gidmap 0:100000:65536 -v /var/tmp/moved:/data:idmap "$IMAGE" stat -c %u /data/file'
  expect '--read-only, with its temporary directories' 0 '^written$' podman_run --read-only --read-only-tmpfs "$IMAGE" sh -c '(: >/etc/file) 2>/dev/null || echo written >/tmp/file; cat /tmp/file'
  expect '--shm-size and --tmpfs' 0 'size=1024k.*/scratch|/scratch.*size=1024k' podman_run --shm-size 1m --tmpfs /scratch "$IMAGE" grep -E '/dev/shm|/scratch' /proc/mounts
  expect 'a secret' 0 '^hidden yes$' cell sh -c 'echo hidden | podman secret create word - >/dev/null; printf yes | podman secret create other - >/dev/null
    podman run --rm --network none --secret word --secret other,type=env,target=WORD "$IMAGE" sh -c "echo \$(cat /run/secrets/word) \$WORD"; podman secret rm word other >/dev/null'
  expect 'a device of CDI, by its name' 0 '^yes crw' cell sh -c 'mkdir -p /etc/cdi && printf "%s\n" "{ \"cdiVersion\": \"0.6.0\", \"kind\": \"example.com/gpu\"," \
    "\"devices\": [ { \"name\": \"0\", \"containerEdits\": { \"deviceNodes\": [ { \"path\": \"/dev/gpu0\", \"hostPath\": \"/dev/null\" } ] } } ], \"containerEdits\": { \"env\": [ \"GPU=yes\" ] } }" >/etc/cdi/husk.json
    podman run --rm --network none --device example.com/gpu=0 "$IMAGE" sh -c "echo \$GPU \$(ls -l /dev/gpu0)"'
}

podman_security() {
  expect '--cap-add alone' 0 'CapEff:.0000000000001000' podman_run --cap-drop ALL --cap-add NET_ADMIN "$IMAGE" grep CapEff /proc/self/status
  expect '--privileged' 0 "$(cell awk '/CapBnd/ { print $2 }' /proc/self/status)" podman_run --privileged "$IMAGE" grep CapEff /proc/self/status
  expect 'no-new-privileges' 0 'NoNewPrivs:.1' podman_run --security-opt no-new-privileges "$IMAGE" grep NoNewPrivs /proc/self/status
  expect 'a mask more' 0 '^0$' podman_run --security-opt mask=/proc/version "$IMAGE" sh -c 'wc -c </proc/version'
  expect 'all masks away' 0 '^0$' podman_run --security-opt unmask=ALL "$IMAGE" sh -c 'grep -cE " /proc/(kcore|timer_list|sys) " /proc/mounts || true'
  expect 'options of /proc' 0 'hidepid=(2|invisible)' podman_run --security-opt proc-opts=hidepid=2 "$IMAGE" grep ' /proc ' /proc/mounts
  expect 'a seccomp profile of our own' 1 'uota exceeded' cell sh -c 'echo "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\",\"mkdirat\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":122}]}" >/tmp/profile.json
    podman run --rm --network none --security-opt seccomp=/tmp/profile.json "$IMAGE" mkdir /dir'
  expect '--ulimit, --sysctl, --hostname, --oom-score-adj' 0 '^512 7 named 500$' podman_run --ulimit nofile=512:512 --sysctl net.ipv4.conf.lo.tag=7 --hostname named --oom-score-adj 500 "$IMAGE" \
    sh -c 'echo $(ulimit -n) $(cat /proc/sys/net/ipv4/conf/lo/tag) $(hostname) $(cat /proc/self/oom_score_adj)'
  expect '--pid host' 0 'tini' podman_run --pid host "$IMAGE" cat /proc/1/comm
  expect '--ipc host' 0 "^$(cell readlink /proc/self/ns/ipc | sed 's/[][]/\\&/g')\$" podman_run --ipc host "$IMAGE" readlink /proc/self/ns/ipc
  expect '--uts host' 0 '^husk-cell$' podman_run --uts host "$IMAGE" hostname
  expect '--pid and --network of another' 0 '^sleep same$' cell sh -c 'podman run -d --name peer --network none "$IMAGE" sleep 100 >/dev/null
    net=$(podman exec peer readlink /proc/self/ns/net); podman run --rm --pid container:peer --network container:peer -e net=$net "$IMAGE" sh -c "echo \$(cat /proc/1/comm) \$([ \$(readlink /proc/self/ns/net) = \$net ] && echo same)"
    podman rm -f -t 0 peer >/dev/null'
  expect '--cgroups no-conmon, --cgroup-parent' 0 '/mine/libpod-' podman_run --cgroups no-conmon --cgroup-parent /mine --cgroupns host "$IMAGE" cat /proc/self/cgroup
  cell sh -c 'find /sys/fs/cgroup -depth -type d -path "*/mine*" -exec rmdir {} +'
  expect '--systemd always' 0 'tmpfs /run tmpfs' podman_run --systemd always "$IMAGE" grep ' /run ' /proc/mounts
}

podman_users() {
  if ! cell unshare --user true; then
    skip '--userns' 'no user namespaces on this machine'
    return
  fi
  cell sh -c 'grep -q ^containers: /etc/passwd || useradd -r containers; for file in /etc/subuid /etc/subgid; do grep -q ^containers: $file 2>/dev/null || echo containers:2000000:200000 >>$file; done'
  expect '--userns auto' 0 '^0 2000000 1024$' podman_run --userns auto:size=1024 "$IMAGE" sh -c 'echo $(cat /proc/self/uid_map)'
  expect 'a second one has other ids' 0 '^0 2000000 1024.0 2001024 1024$' cell sh -c 'podman run -d --name box --network none --userns auto:size=1024 "$IMAGE" sh -c "cat /proc/self/uid_map; sleep 100" >/dev/null
    podman run --rm --network none --userns auto:size=1024 "$IMAGE" cat /proc/self/uid_map >/tmp/second; { podman exec box cat /proc/self/uid_map; cat /tmp/second; } | tr -s " " | sed "s/^ //"'
  expect '--userns container' 0 '0 +2000000 +1024' podman_run --userns container:box "$IMAGE" cat /proc/self/uid_map
  # --userns ns:PATH finds its own files closed, with every runtime: Podman does not give them to the ids of that namespace.
  cell podman rm -f -t 0 box >/dev/null
  expect '--userns host' 0 '0 +0 +4294967295' podman_run --userns host "$IMAGE" cat /proc/self/uid_map
  expect 'keep-id and nomap are for ordinary users' 125 'rootless' podman_run --userns nomap "$IMAGE" true
  expect '--subuidname' 0 '0 +2000000 +200000' podman_run --subuidname containers --subgidname containers "$IMAGE" cat /proc/self/uid_map
  expect 'files of the image belong to its root' 0 '^0$' podman_run --userns auto "$IMAGE" stat -c %u /bin
}

podman_updates() {
  local id
  expect 'a container to update' 0 '' cell podman run -d --name box --memory 64m --network none "$IMAGE" sleep 100
  id=$(cell podman inspect -f '{{.Id}}' box) || true
  expect 'update' 0 '' cell podman update --memory 128m --cpus 0.25 --pids-limit 20 --cpu-shares 512 box
  expect_limit 'the new memory limit' '^134217728$' "/libpod_parent/libpod-$id" memory limit_in_bytes max
  expect_limit 'the new quota' '^25000( 100000)?$' "/libpod_parent/libpod-$id" cpu cfs_quota_us max
  expect_limit 'the new number of processes' '^20$' "/libpod_parent/libpod-$id" pids max max
  expect 'they outlive a restart' 0 '' cell podman restart -t 0 box
  expect_limit 'the memory limit still' '^134217728$' "/libpod_parent/libpod-$id" memory limit_in_bytes max
  cell podman rm -f -t 0 box >/dev/null
  expect 'too little memory is told as such' 0 '^true 137$' cell sh -c 'podman run --name box --memory 16m --memory-swap 16m --network none "$IMAGE" dd if=/dev/zero of=/dev/null bs=64M count=1 >/dev/null 2>&1
    podman inspect -f "{{.State.OOMKilled}} {{.State.ExitCode}}" box; podman rm box >/dev/null'
}

podman_pods() {
  expect 'a pod with a published port' 0 '' cell podman pod create --name p -p 127.0.0.1:8095:80 --hostname shop --share net,uts,ipc
  expect 'a server and a visitor in it' 0 'shop.a page' cell sh -c 'podman run -d --pod p --name web "$IMAGE" sh -c "echo a page >/var/www/index.html; exec httpd -f -p 80 -h /var/www" >/dev/null
    sleep 0.5; podman run --rm --pod p "$IMAGE" sh -c "hostname; wget -qO- http://127.0.0.1/"'
  expect_soon 5 'it answers on the published port' 'a page' cell curl -sS http://127.0.0.1:8095/
  expect 'pod pause, unpause, restart, stop' 0 '' cell sh -c 'podman pod pause p && podman pod unpause p && podman pod restart p && podman pod stop -t 0 p'
  expect 'pod start' 0 '' cell podman pod start p
  expect 'pod rm' 0 '' cell podman pod rm -f -t 0 p
  expect 'a pod whose containers share a pid namespace' 0 '^catatonit$' cell sh -c 'podman pod create --network none --share pid --name p >/dev/null; podman run --rm --pod p "$IMAGE" cat /proc/1/comm; podman pod rm -f -t 0 p >/dev/null'
}

podman_kube() {
  cell sh -c 'cat >/tmp/pod.yaml' <<'Y'
apiVersion: v1
kind: ConfigMap
metadata: { name: words }
data: { page: a page }
---
apiVersion: v1
kind: Pod
metadata: { name: shop }
spec:
  hostname: shop
  initContainers:
    - { name: first, image: localhost/busybox, command: [sh, -c, "echo made before >/data/first"], volumeMounts: [{ name: data, mountPath: /data }] }
  containers:
    - name: web
      image: localhost/busybox
      command: [httpd, -f, -p, "8080", -h, /words]
      ports: [{ containerPort: 8080, hostPort: 8096 }]
      env: [{ name: WORD, valueFrom: { configMapKeyRef: { name: words, key: page } } }]
      resources: { limits: { memory: 64Mi, cpu: 500m } }
      securityContext: { readOnlyRootFilesystem: true, capabilities: { drop: [ALL] }, runAsUser: 1000 }
      volumeMounts: [{ name: words, mountPath: /words }, { name: data, mountPath: /data }]
  volumes:
    - { name: words, configMap: { name: words, items: [{ key: page, path: index.html }] } }
    - { name: data, emptyDir: {} }
Y
  expect 'kube play' 0 '' cell podman kube play --quiet /tmp/pod.yaml
  last_passed || return 0
  expect_soon 5 'it answers on its port' 'a page' cell curl -sS http://127.0.0.1:8096/
  expect 'what the first container made, the variable, the user' 0 '^made before a page 1000$' cell podman exec shop-web sh -c 'echo $(cat /data/first) $WORD $(id -u)'
  expect 'no capability, a read-only root' 0 'CapEff:.0000000000000000.no' cell podman exec shop-web sh -c 'grep CapEff /proc/self/status; (: >/file) 2>/dev/null || echo no'
  expect_limit 'its memory limit' '^67108864$' "$(cell sh -c 'p=/sys/fs/cgroup/memory; [ -d $p ] || p=/sys/fs/cgroup; find $p -name "libpod-$(podman inspect -f "{{.Id}}" shop-web)" | sed "s,^$p,,"')" memory limit_in_bytes max
  expect 'kube generate gives such a file' 0 'kind: Pod.*hostPort: 8096' cell podman kube generate shop
  expect 'kube down' 0 '' cell podman kube down /tmp/pod.yaml
}

# The service that Podman offers to clients of Docker. Asked for no limit of processes, Podman 5.8 writes a limit of 0:
# runc before 1.4 takes that for none, husk and others for what it says (runtime-spec 1.3).
PIDS='--pids-limit 100'

podman_service() {
  expect 'the service starts' 0 '' cell_daemon podman-service 'docker -H unix:///run/podman.sock version' podman system service -t 0 unix:///run/podman.sock
  last_passed || return 0
  expect 'docker run' 0 '^from docker$' podman_docker run --rm $PIDS --network none busybox echo from docker
  expect 'docker run: exit code, pipe, terminal' 0 'piped.*3.*/dev/pts/0' podman_docker_sh 'echo piped | docker run --rm $PIDS -i --network none busybox cat
    docker run --rm $PIDS --network none busybox sh -c "exit 3"; echo $?; script -qec "docker run --rm $PIDS -it --network none busybox sh -c \"tty; sleep 0.5\"" /dev/null'
  expect 'docker run -d with a published port' 0 '^[0-9a-f]{64}$' podman_docker run -d $PIDS --name web --memory 64m -p 127.0.0.1:8097:80 busybox sh -c 'echo a page >/var/www/index.html; exec httpd -f -p 80 -h /var/www'
  expect_soon 5 'it answers' 'a page' cell curl -sS http://127.0.0.1:8097/
  expect 'docker exec' 0 '^httpd$' podman_docker exec web cat /proc/1/comm
  expect 'docker ps, top, cp' 0 'web.*httpd.*a page' podman_docker_sh 'docker ps --format "{{.Names}}"; docker top web; docker cp web:/var/www/index.html /tmp/page >/dev/null; cat /tmp/page'
  expect 'docker update' 0 '^web$' podman_docker update --memory 128m --memory-swap 256m web
  expect 'docker stop and rm' 0 '^web.web$' podman_docker_sh 'docker stop -t 0 web && docker rm web'
  expect 'docker build, with the old builder' 0 '^0 in a build$' podman_docker_sh 'export DOCKER_BUILDKIT=0; mkdir -p /tmp/b; printf "%s\n" "FROM busybox" "RUN echo \$(id -u) in a build >/built" >/tmp/b/Dockerfile
    docker build -q --network none -t built /tmp/b >/dev/null 2>&1; docker run --rm $PIDS --network none built cat /built'
  expect 'docker compose' 0 'a page' podman_docker_sh 'printf "%s\n" "services:" "  web: { image: busybox, pids_limit: 100, command: httpd -f -p 80 -h /srv, volumes: [\"/tmp/b:/srv\"], ports: [\"127.0.0.1:8098:80\"] }" >/tmp/b/compose.yaml
    echo a page >/tmp/b/index.html; docker compose --project-directory /tmp/b up -d; sleep 0.5; curl -sS http://127.0.0.1:8098/; docker compose --project-directory /tmp/b down -t 0'
  expect 'the service ends' 0 '' cell sh -c 'kill $(pgrep -f "podman system servic[e]")'
}

podman_docker() { cell docker -H unix:///run/podman.sock "$@"; }
podman_docker_sh() { cell env DOCKER_HOST=unix:///run/podman.sock "PIDS=$PIDS" sh -c "$1"; }
