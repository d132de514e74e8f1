# podman.sh: Podman under systemd and cgroup v2: scopes, split cgroups, units that it is told of by files, health checks
# by timers; as root and as a user with a systemd of its own. Sourced by begin.
# shellcheck shell=bash disable=SC2016  # dollars belong to the inner shells

podman_vm() {
  podman_configured
  expect 'podman is set up' 0 '' podman load -q -i /job/busybox.tar
  last_passed || return 0
  expect 'the runtime under test, systemd, cgroup v2' 0 "^$RUNTIME systemd v2\$" podman info --format '{{.Host.OCIRuntime.Path}} {{.Host.CgroupManager}} {{.Host.CgroupsVersion}}'
  podman_scopes
  podman_units
  podman_quadlets
  podman_health
  podman_of_user
  expect 'no container is left' 0 '^$' podman ps -aq
  expect_soon 10 'no unit is left' '^none$' sh -c 'systemctl list-units --all --plain --no-legend "libpod-*" "husk-*" "runc-*" "crun-*" | grep -v conmon | grep . || echo none'
}

podman_configured() {
  local name
  name=$(basename "$RUNTIME")
  mkdir -p /etc/containers
  cat >/etc/containers/containers.conf <<C
[engine]
runtime = "$name"
runtime_supports_json = ["$name"]
[engine.runtimes]
"$name" = ["$RUNTIME"]
C
}

# A file of the cgroup that a container's process is in.
cgroup_file() { # CONTAINER FILE
  sh -c 'cat "/sys/fs/cgroup$(cut -d: -f3 "/proc/$(podman inspect -f "{{.State.Pid}}" "$1")/cgroup")/$2"' file "$@"
}

podman_scopes() {
  local id
  expect 'run -d with limits' 0 '' podman run -d --name box --network none --memory 64m --cpus 0.5 --pids-limit 50 --cpu-shares 512 --device-read-bps /dev/ubda:1m "$IMAGE" sleep 1000
  id=$(podman inspect -f '{{.Id}}' box) || true
  expect 'its unit is a scope of machine.slice' 0 "^active machine.slice\$" sh -c "echo \$(systemctl show -P ActiveState libpod-$id.scope) \$(systemctl show -P Slice libpod-$id.scope)"
  expect 'systemd knows the limits' 0 '^67108864 50 500ms$' sh -c "echo \$(systemctl show -P MemoryMax libpod-$id.scope) \$(systemctl show -P TasksMax libpod-$id.scope) \$(systemctl show -P CPUQuotaPerSecUSec libpod-$id.scope)"
  expect 'and so does the kernel' 0 '^67108864.50000 100000.50.*rbps=1048576' sh -c "cd /sys/fs/cgroup/machine.slice/libpod-$id.scope; cat memory.max cpu.max pids.max io.max"
  expect 'update' 0 '' podman update --memory 128m --pids-limit 20 box
  expect 'a reload of systemd keeps what was updated' 0 '^134217728.20$' sh -c "systemctl daemon-reload; cd /sys/fs/cgroup/machine.slice/libpod-$id.scope; cat memory.max pids.max"
  expect 'devices are denied and allowed as before' 0 '^denied allowed$' podman exec --privileged box sh -c 'mknod /tmp/kmsg c 1 11; echo $( (: </tmp/kmsg) 2>/dev/null && echo open || echo denied) $( (: </dev/null) && echo allowed)'
  expect 'pause and unpause' 0 '^paused running$' sh -c 'podman pause box >/dev/null; a=$(podman inspect -f "{{.State.Status}}" box); podman unpause box >/dev/null; echo $a $(podman inspect -f "{{.State.Status}}" box)'
  expect 'stats' 0 '^2?[0-9.]+[kM]B / 134' podman stats --no-stream --format '{{.MemUsage}}' box
  expect 'rm' 0 '' podman rm -f -t 0 box
  expect 'the scope goes with it' 0 '^inactive$' sh -c "systemctl is-active libpod-$id.scope || true"
  # What Podman says of it is not asked: conmon looks when the cgroup may be gone, and is late at times with every runtime.
  expect 'too little memory ends the program that wants more' 0 'oom_kill 1' podman run --rm --memory 16m --memory-swap 16m --network none "$IMAGE" \
    sh -c 'dd if=/dev/zero of=/dev/null bs=64M count=1; grep -w oom_kill /sys/fs/cgroup/memory.events'
  expect 'a parent of our own' 0 '/mine\.slice/libpod-' podman run --rm --network none --cgroup-parent mine.slice --cgroupns host "$IMAGE" cat /proc/self/cgroup
  expect '--cgroup-manager cgroupfs' 0 '/libpod_parent/libpod-' podman --cgroup-manager cgroupfs run --rm --network none --cgroupns host --memory 64m "$IMAGE" cat /proc/self/cgroup
}

# A program that ends when it is asked to; and a service as Podman's own units have it.
WAITS='trap "exit 0" TERM; while :; do sleep 0.2; done'
SPLIT=(-p Delegate=yes -p Type=notify -p NotifyAccess=all -p KillMode=mixed -p "ExecStop=/usr/bin/podman rm -f -t 5 split")

podman_units() {
  expect 'a service whose container shares its cgroup: --cgroups split' 0 '' systemd-run -q --unit split "${SPLIT[@]}" \
    podman run -d --rm --name split --cgroups split --sdnotify conmon --network none --memory 64m "$IMAGE" sh -c "$WAITS"
  expect 'the container is below the service' 0 '/system.slice/split.service/libpod-payload-[0-9a-f]*$' sh -c 'cat "/proc/$(podman inspect -f "{{.State.Pid}}" split)/cgroup"'
  expect 'and has its limit' 0 '^67108864$' cgroup_file split memory.max
  expect 'exec' 0 '^sh$' podman exec split cat /proc/1/comm
  expect 'the service stops' 0 '^inactive gone$' sh -c 'systemctl stop split; echo $(systemctl is-active split || true) $(podman container exists split && echo there || echo gone)'
  expect 'a unit made by podman generate' 0 '' sh -c 'podman create --name made --stop-timeout 1 --network none "$IMAGE" sleep 1000 >/dev/null; podman generate systemd --new --name made >/etc/systemd/system/made.service 2>/dev/null
    podman rm made >/dev/null; systemctl daemon-reload; systemctl start made'
  expect 'it is active, with the container' 0 '^active running$' sh -c 'echo $(systemctl is-active made) $(podman inspect -f "{{.State.Status}}" made)'
  expect 'it stops' 0 '^(inactive|failed)$' sh -c 'systemctl stop made; systemctl is-active made; systemctl reset-failed made 2>/dev/null; true'
}

podman_quadlets() {
  mkdir -p /etc/containers/systemd
  cat >/etc/containers/systemd/shop.container <<Q
[Container]
Image=$IMAGE
ContainerName=shop
Pull=never
Network=none
Exec=sh -c 'trap "exit 0" TERM; cat /words/word; while :; do sleep 0.2; done'
Volume=shop.volume:/words
Environment=WORD=yes
ReadOnly=true
DropCapability=ALL
PidsLimit=20
PodmanArgs=--memory 64m
[Service]
Restart=always
RestartSec=0
MemoryMax=256M
Q
  printf '[Volume]\nVolumeName=words\n' >/etc/containers/systemd/shop.volume
  podman volume create words >/dev/null
  echo kept >"$(podman volume inspect -f '{{.Mountpoint}}' words)/word"
  expect 'a quadlet starts' 0 '' sh -c 'systemctl daemon-reload && systemctl start shop'
  expect 'its container is below the service, whose limit it shares' 0 '/system.slice/shop.service/libpod-payload-.* 268435456 67108864$' sh -c \
    'c=$(cut -d: -f3 "/proc/$(podman inspect -f "{{.State.Pid}}" shop)/cgroup"); echo "$c $(cat /sys/fs/cgroup/system.slice/shop.service/memory.max) $(cat "/sys/fs/cgroup$c/memory.max")"'
  expect 'its settings' 0 '^yes 20 CapEff: 0+$' podman exec shop sh -c 'echo $WORD $(cat /sys/fs/cgroup/pids.max) $(grep CapEff /proc/self/status)'
  expect_soon 5 'what it says is in the journal' 'kept' journalctl -q -o cat CONTAINER_NAME=shop
  expect 'its process is killed' 0 '' sh -c 'podman inspect -f "{{.State.Pid}}" shop >/run/shop && kill -9 $(cat /run/shop)'
  expect_soon 20 'systemd starts it again' '^running another$' sh -c 'echo $(podman inspect -f "{{.State.Status}}" shop) $([ "$(podman inspect -f "{{.State.Pid}}" shop)" = "$(cat /run/shop)" ] && echo same || echo another)'
  expect 'it stops' 0 '^inactive gone$' sh -c 'systemctl stop shop; echo $(systemctl is-active shop || true) $(podman container exists shop && echo there || echo gone)'
  expect 'its cgroup is gone' 0 '^gone$' sh -c '[ -d /sys/fs/cgroup/system.slice/shop.service ] || echo gone'
  rm -r /etc/containers/systemd
  systemctl daemon-reload
  podman volume rm words >/dev/null
}

podman_health() {
  expect 'a health check by a timer of systemd' 0 '' podman run -d --name box --network none --health-cmd 'test -f /tmp/well' --health-interval 1s --health-retries 1 "$IMAGE" sh -c 'touch /tmp/well; sleep 1000'
  expect_soon 30 'healthy' '^healthy$' podman inspect -f '{{.State.Health.Status}}' box
  podman exec box rm /tmp/well || true
  expect_soon 30 'unhealthy' '^unhealthy$' podman inspect -f '{{.State.Health.Status}}' box
  expect 'rm' 0 '' podman rm -f -t 0 box
}

# The user has a systemd of its own, with controllers delegated to it.
as_user() { systemd-run -q --user -M tester@ --pipe --wait -- "$@"; }

# systemd-run calls it a failure that something stays behind, as conmon does.
as_user_staying() { as_user "$@" || true; }

podman_of_user() {
  expect 'podman is set up for a user' 0 '' as_user podman load -q -i /srv/busybox.tar
  last_passed || return 0
  expect 'systemd and cgroup v2' 0 "^$RUNTIME systemd v2 true\$" as_user podman info --format '{{.Host.OCIRuntime.Path}} {{.Host.CgroupManager}} {{.Host.CgroupsVersion}} {{.Host.Security.Rootless}}'
  expect 'run -d with limits' 0 '^[0-9a-f]{64}$' as_user_staying podman run -d --name box --network none --memory 64m --cpus 0.5 --pids-limit 50 "$IMAGE" sleep 1000
  expect 'they are in the cgroup, below the systemd of the user' 0 '/user@4242.service/user.slice/libpod-.* 67108864 50000 100000 50$' as_user sh -c \
    'c=$(cut -d: -f3 "/proc/$(podman inspect -f "{{.State.Pid}}" box)/cgroup"); cd "/sys/fs/cgroup$c"; echo $c $(cat memory.max cpu.max pids.max)'
  expect 'update' 0 '^134217728$' as_user sh -c 'podman update --memory 128m box >/dev/null; cat "/sys/fs/cgroup$(cut -d: -f3 "/proc/$(podman inspect -f "{{.State.Pid}}" box)/cgroup")/memory.max"'
  expect 'stats, pause and unpause' 0 'box.*running$' as_user sh -c 'podman stats --no-stream --format "{{.Name}}" box; podman pause box >/dev/null; podman unpause box >/dev/null; podman inspect -f "{{.State.Status}}" box'
  expect 'rm' 0 '' as_user podman rm -f -t 0 box
  expect '--userns keep-id' 0 '^4242$' as_user podman run --rm --network none --userns keep-id "$IMAGE" id -u
  expect 'a service with a split cgroup' 0 '' systemd-run -q --user -M tester@ --unit split "${SPLIT[@]}" \
    podman run -d --rm --name split --cgroups split --sdnotify conmon --network none --memory 64m "$IMAGE" sh -c "$WAITS"
  expect 'the container is below the service' 0 'split.service/libpod-payload-.* 67108864$' as_user sh -c 'c=$(cut -d: -f3 "/proc/$(podman inspect -f "{{.State.Pid}}" split)/cgroup"); echo $c $(cat "/sys/fs/cgroup$c/memory.max")'
  expect 'the service stops' 0 '^$' as_user sh -c 'systemctl --user stop split; podman ps -aq'
  expect 'a quadlet of the user' 0 '^active running$' as_user sh -c 'mkdir -p ~/.config/containers/systemd; printf "%s\n" "[Container]" "Image=$0" "ContainerName=shop" "Pull=never" "Network=none" "Exec=sleep 1000" "StopSignal=KILL" >~/.config/containers/systemd/shop.container
    systemctl --user daemon-reload; systemctl --user start shop; echo $(systemctl --user is-active shop) $(podman inspect -f "{{.State.Status}}" shop)' "$IMAGE"
  expect 'it stops' 0 '^$' as_user sh -c 'systemctl --user stop shop; podman ps -aq'
}
