# containerd.sh: containerd and its CRI plugin under systemd and cgroup v2: containers are scopes of the slices that a
# kubelet names, and AppArmor confines them. Sourced by begin.
# shellcheck shell=bash disable=SC2016  # dollars belong to the inner shells

containerd_vm() {
  expect 'containerd starts' 0 '' containerd_started
  last_passed || return 0
  containerd_ctr
  containerd_pods
  expect_soon 10 'no unit is left' '^none$' sh -c 'systemctl list-units --all --plain --no-legend "cri-containerd-*" | grep . || echo none'
}

containerd_started() {
  mkdir -p /etc/containerd
  cat >/etc/containerd/config.toml <<C
version = 3
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "localhost/pause:latest"
[plugins."io.containerd.cri.v1.runtime".containerd]
  default_runtime_name = "test"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.test]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.test.options]
  BinaryName = "$RUNTIME"
  SystemdCgroup = true
C
  # Its package's own unit.
  systemctl daemon-reload
  systemctl start containerd
  for _ in $(seq 300); do ! ./cri version >/dev/null 2>&1 || break; sleep 0.2; done
  ctr -n k8s.io images import busybox.tar >/dev/null && ctr images import busybox.tar >/dev/null
}

containerd_ctr() {
  expect 'ctr run with limits, without systemd' 0 '^67108864 50000 100000$' ctr run --rm --runc-binary "$RUNTIME" --memory-limit 67108864 --cpus 0.5 --mount type=bind,src=/sys/fs/cgroup,dst=/mnt,options=rbind:ro "$IMAGE" c \
    sh -c 'cd /mnt/default/c; echo $(cat memory.max cpu.max)'
  expect 'ctr run with systemd' 0 '/system.slice/ctr-c.scope$' sh -c 'ctr run -d --runc-binary "$RUNTIME" --runc-systemd-cgroup --cgroup system.slice:ctr:c "$IMAGE" c sleep 1000; cat "/proc/$(ctr task ls | awk "\$1 == \"c\" { print \$2 }")/cgroup"'
  expect 'metrics' 0 'memory.current|memory.usage' ctr task metrics c
  expect 'exec, pause, resume, kill' 0 '^in it$' sh -c 'ctr task exec --exec-id e c echo in it; ctr task pause c && ctr task resume c && ctr task kill -s KILL c; sleep 1; ctr task rm c >/dev/null 2>&1; ctr container rm c'
}

# The id of what was made lies in a file of its name.
pod() { ./cri pod-run --logs /var/log/pods --host-network "$@" | tee "/run/$1.id"; }
container() { ./cri create "$(cat "/run/$1.id")" "${@:2}" >"/run/$2.id" && ./cri start "$(cat "/run/$2.id")"; }
ask() { ./cri "$1" "$(cat "/run/$2.id")" "${@:3}"; } # VERB NAME ...

containerd_pods() {
  local scope
  mkdir -p /var/log/pods
  expect 'a pod in a slice' 0 '^[0-9a-f]{64}$' pod p --cgroup-parent kubepods-pod1.slice
  last_passed || return 0
  expect 'a container with limits' 0 '' container p c --memory 67108864 --quota 50000 --shares 512 -- sh -c 'trap "exit 5" TERM; while :; do sleep 0.2; done'
  scope=cri-containerd-$(cat /run/c.id).scope
  expect 'it is a scope of that slice, below that of its parents' 0 '/kubepods.slice/kubepods-pod1.slice/cri-containerd-' systemctl show -P ControlGroup "$scope"
  expect 'systemd knows the limits' 0 '^67108864 500ms$' sh -c "echo \$(systemctl show -P MemoryMax $scope) \$(systemctl show -P CPUQuotaPerSecUSec $scope)"
  expect 'exec-sync' 0 '^in it$' ask exec-sync c -- echo in it
  expect 'exec-sync tells the exit code' 3 '' ask exec-sync c -- sh -c 'exit 3'
  expect 'twenty probes' 0 '^20$' sh -c 'for i in $(seq 20); do ./cri exec-sync "$(cat /run/c.id)" -- echo ok; done | grep -c ok'
  expect 'AppArmor confines it' 0 'cri-containerd.apparmor.d .enforce' ask exec-sync c -- cat /proc/self/attr/current
  expect 'stats' 0 '"working_set_bytes": \{[^}]*"value": [1-9]' ask stats c
  expect 'update' 0 '' ask update c --memory 134217728 --quota 20000
  expect 'the scope has it, also after a reload of systemd' 0 '^134217728 20000 100000$' sh -c "systemctl daemon-reload; cd /sys/fs/cgroup\$(systemctl show -P ControlGroup $scope); echo \$(cat memory.max cpu.max)"
  expect 'containerd is killed, and systemd starts it again' 0 '' sh -c 'kill -9 "$(systemctl show -P MainPID containerd)"; sleep 1
    for i in $(seq 100); do ./cri version >/dev/null 2>&1 && exit 0; sleep 0.2; done; exit 1'
  expect 'the container takes an exec' 0 '^still$' ask exec-sync c -- echo still
  expect 'stop lets it end by itself' 0 '' ./cri stop --timeout 10 "$(cat /run/c.id)"
  expect 'its own exit code' 0 '"exit_code": 5' ask status c
  expect 'remove' 0 '' ask remove c
  # The shim begins to watch the cgroup when the container runs already; what happens before then is lost.
  expect 'a container that eats memory' 0 '' container p hungry --memory 16777216 -- sh -c 'sleep 2; dd if=/dev/zero of=/dev/null bs=64M count=1; sleep 1'
  expect_soon 20 'it is reported as killed for memory' 'OOMKilled' ask status hungry
  expect_soon 20 'it has ended' '"state": 2' ask status hungry
  expect 'the pod is stopped and removed' 0 '' sh -c './cri pod-stop "$(cat /run/p.id)" && ./cri pod-remove "$(cat /run/p.id)"'
}
