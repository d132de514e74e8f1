#!/bin/bash
# systemd.sh: run /bin/true with the runtime's own cgroups and with systemd's, in the virtual machine of the tests, which
# has a systemd to ask. Lies in /job there, beside husk and hyperfine; a line a hyperfine result goes to out/times.jsonl.
# shellcheck disable=SC2016  # the dollars are jq's
set -euo pipefail
export PATH=/job:$PATH
mount -t tmpfs tmpfs /mnt
mkdir -p /mnt/rootfs/{bin,dev,proc,sys,etc}
cp "$(command -v busybox)" /mnt/rootfs/bin/busybox
ln -s busybox /mnt/rootfs/bin/true

bundle() { # NAME CGROUPS-PATH
  mkdir "/mnt/$1"
  (cd "/mnt/$1" && runc spec)
  jq --arg cgroup "$2" '.process.terminal = false | .process.args = ["/bin/true"] | .root.path = "/mnt/rootfs"
    | .linux.cgroupsPath = $cgroup | .linux.resources.memory.limit = 67108864 | .linux.resources.pids.limit = 100' \
    "/mnt/$1/config.json" >"/mnt/$1/new"
  mv "/mnt/$1/new" "/mnt/$1/config.json"
}

bundle own /bench/own
bundle systemd system.slice:bench:one
for ((round = 0; round < ROUNDS; round++)); do
  for manager in own systemd; do
    option='' workload='run, limits, own cgroups'
    [ $manager = own ] || option=--systemd-cgroup workload="run, limits, systemd's cgroups"
    commands=()
    for runtime in husk crun runc; do commands+=(-n "$runtime" "$runtime $option run -b /mnt/$manager bench"); done
    hyperfine -N --style none --warmup 1 --runs "$RUNS" --export-json /mnt/times "${commands[@]}" >/dev/null 2>/mnt/log ||
      { cat /mnt/log; exit 1; }
    jq -c --arg workload "$workload" '
      .results[] | {workload: $workload, runtime: .name, times: [.measurements[].time_wall_clock.value],
        user: ([.measurements[].time_user.value] | add / length), system: ([.measurements[].time_system.value] | add / length)}
      ' /mnt/times >>out/times.jsonl
  done
done
