#!/bin/bash
# measure.sh: all workloads, in a room (see room.sh). Times go to /srv/LAYOUT.jsonl, one line a hyperfine result; what
# does not depend on time goes to /srv/LAYOUT.footprint, one line a runtime and command.
#
#   measure.sh LAYOUT [WORKLOAD...]
#
# Runs are interleaved: each of $ROUNDS rounds measures every runtime $RUNS times, so that a slow minute of the machine
# falls on all of them. The workloads are the functions work_NAME; add one, and its name to WORKLOADS.
# shellcheck disable=SC2016  # dollars in single quotes are jq's, or of a script that is written
set -euo pipefail

layout=$1
shift
WORKLOADS=(run lifecycle exec state kill pause hundred eight probes seccomp limits maps cpus mounts containers resident)
((!$#)) || WORKLOADS=("$@")
runtimes=(husk crun runc)
[ "$layout" = unified ] || runtimes=(husk runc) # crun refuses a hybrid host

# The cgroup that all containers lie in, in each hierarchy.
parents=()
make_parents() {
  local hierarchy file
  if [ -f /sys/fs/cgroup/cgroup.procs ]; then parents=(/sys/fs/cgroup/husk-bench); fi
  for hierarchy in /sys/fs/cgroup/*/; do
    hierarchy=${hierarchy%/}
    if [ "$layout" = host ] && [ -f "$hierarchy/cgroup.procs" ] && [ ! -L "$hierarchy" ] &&
      [ "$hierarchy" != /sys/fs/cgroup/husk-bench ] && [ ! -f /sys/fs/cgroup/cgroup.procs ]; then
      parents+=("$hierarchy/husk-bench")
    fi
  done
  mkdir -p "${parents[@]}"
  for hierarchy in "${parents[@]}"; do
    for file in cpuset.cpus cpuset.mems; do # a v1 cpuset takes no process until it is filled
      [ ! -f "$hierarchy/$file" ] || [ -f "$hierarchy/cgroup.type" ] || cat "${hierarchy%/*}/$file" >"$hierarchy/$file"
    done
  done
}

cgroups_of() { printf '%s ' "${parents[@]/%//$1}"; } # NAME: its cgroup in each hierarchy

bundle() { # NAME CGROUP [JQ-FILTER]: runc's default config without a terminal, on the common root
  mkdir -p "/mnt/bundles/$1"
  (cd "/mnt/bundles/$1" && rm -f config.json && runc spec)
  jq --arg cgroup "/husk-bench/$2" --slurpfile docker /mnt/bench/docker.json \
    '.process.terminal = false | .process.args = ["/bin/true"] | .root.path = "/mnt/rootfs"
     | .linux.cgroupsPath = $cgroup | '"${3:-.}" "/mnt/bundles/$1/config.json" >"/mnt/bundles/$1/new"
  mv "/mnt/bundles/$1/new" "/mnt/bundles/$1/config.json"
}

make_bundles() {
  local number
  mkdir -p /mnt/rootfs/{bin,dev,proc,sys,etc}
  cp "$(command -v busybox)" /mnt/rootfs/bin/busybox
  ln -s busybox /mnt/rootfs/bin/true
  ln -s busybox /mnt/rootfs/bin/sleep
  bundle plain plain
  bundle seccomp seccomp '.linux.seccomp = $docker[0].linux.seccomp'
  bundle limits limits '.linux.resources.memory.limit = 67108864 | .linux.resources.pids.limit = 100
    | .linux.resources.cpu = {quota: 50000, period: 100000, shares: 512}'
  for number in {0..7}; do bundle "eight$number" "eight$number"; done
  bundle_maps
  bundle_cpus
  for number in "${runtimes[@]}"; do bundle "sleep-$number" "sleep-$number" '.process.args = ["/bin/sleep", "1000000"]'; done
}

# A user namespace and 40 bind mounts, plain (maps) or with its ids (idmaps). The root belongs to the user namespace's.
bundle_maps() {
  local number ids='{containerID: 0, hostID: 100000, size: 65536}' user
  mkdir -p /mnt/mapped/{bin,dev,proc,sys,etc} /mnt/sources
  cp /mnt/rootfs/bin/busybox /mnt/mapped/bin && ln -s busybox /mnt/mapped/bin/true
  for number in {0..39}; do mkdir "/mnt/sources/$number" "/mnt/mapped/$number"; done
  chown -R 100000:100000 /mnt/mapped
  user='.root.path = "/mnt/mapped" | .linux.namespaces += [{type: "user"}] | .linux.uidMappings = ['"$ids"'] | .linux.gidMappings = ['"$ids"']'
  bundle maps maps "$user"' | .mounts += [range(40) | {destination: "/\(.)", source: "/mnt/sources/\(.)", type: "bind", options: ["bind"]}]'
  bundle idmaps idmaps "$user"' | .mounts += [range(40) | {destination: "/\(.)", source: "/mnt/sources/\(.)", type: "bind", options: ["bind"],
    uidMappings: ['"$ids"'], gidMappings: ['"$ids"']}]'
}

# The paths that Kubernetes masks, on a machine of 128 processors: its /sys is a part of the root here.
bundle_cpus() {
  local number
  mkdir -p /mnt/cpus
  cp -a /mnt/rootfs/. /mnt/cpus
  for number in {0..127}; do mkdir -p "/mnt/cpus/sys/devices/system/cpu/cpu$number/thermal_throttle"; done
  bundle cpus cpus '.root.path = "/mnt/cpus" | .mounts |= map(select(.destination | startswith("/sys") | not))
    | .linux.maskedPaths += [range(128) | "/sys/devices/system/cpu/cpu\(.)/thermal_throttle"]'
}

# Measure commands against each other: WORKLOAD, then NAME COMMAND pairs. No shell stands between hyperfine and COMMAND.
measure() {
  local workload=$1 commands=() round
  shift
  while (($#)); do
    commands+=(-n "$1" "$2")
    shift 2
  done
  for ((round = 0; round < ROUNDS; round++)); do
    hyperfine -N --style none --warmup 1 ${PREPARE:+--prepare "$PREPARE"} --runs "${runs:-$RUNS}" --export-json /tmp/times.json "${commands[@]}" >/dev/null 2>/tmp/hyperfine.log ||
      { cat /tmp/hyperfine.log >&2; return 1; }
    jq -c --arg workload "$workload" '
      .results[] | {workload: $workload, runtime: .name, times: [.measurements[].time_wall_clock.value],
        user: ([.measurements[].time_user.value] | add / length), system: ([.measurements[].time_system.value] | add / length)}
      ' /tmp/times.json >>"/srv/$layout.jsonl"
  done
  printf '%s: %s\n' "$layout" "$workload" >&2
}

floor_run() { printf 'floor run /mnt/rootfs %s' "$(cgroups_of "$1")"; } # what goes before `-- /bin/true`

run_pairs() { # BUNDLE FLOOR-OPTIONS: fills the array pairs
  local runtime
  pairs=()
  for runtime in "${runtimes[@]}"; do pairs+=("$runtime" "$runtime run -b /mnt/bundles/$1 $1"); done
  pairs+=(floor "$(floor_run "$1") $2 -- /bin/true")
}

work_run() {
  run_pairs plain ''
  measure 'run /bin/true' "${pairs[@]}"
}

work_lifecycle() {
  local runtime
  pairs=()
  for runtime in "${runtimes[@]}"; do
    cat >"/mnt/bin/lifecycle-$runtime" <<S
#!/bin/sh -e
$runtime create -b /mnt/bundles/plain --pid-file /tmp/pid plain
$runtime start plain
read -r pid </tmp/pid || :
while kill -0 "\$pid" 2>/dev/null; do :; done
$runtime delete plain
S
    chmod +x "/mnt/bin/lifecycle-$runtime"
    pairs+=("$runtime" "lifecycle-$runtime")
  done
  measure 'create, start, wait, delete' "${pairs[@]}"
}

sleepers_up() {
  local runtime
  for runtime in "${runtimes[@]}"; do
    "$runtime" run -d -b "/mnt/bundles/sleep-$runtime" "sleep-$runtime" </dev/null >/dev/null 2>&1
  done
}
sleepers_down() {
  local runtime
  for runtime in "${runtimes[@]}"; do "$runtime" delete -f "sleep-$runtime"; done
}

work_exec() {
  local runtime
  sleepers_up
  pairs=()
  for runtime in "${runtimes[@]}"; do pairs+=("$runtime" "$runtime exec sleep-$runtime /bin/true"); done
  pairs+=(floor "floor exec $(husk state sleep-husk | jq .pid) $(cgroups_of sleep-husk) -- /bin/true")
  measure 'exec /bin/true' "${pairs[@]}"
  sleepers_down
}

work_state() {
  local runtime
  sleepers_up
  pairs=()
  for runtime in "${runtimes[@]}"; do pairs+=("$runtime" "$runtime state sleep-$runtime"); done
  measure 'state' "${pairs[@]}"
  sleepers_down
}

# For scripts of commands: CODE is the body, in which $1 is the runtime. NAME, LABEL, CODE.
script_pairs() {
  local runtime
  pairs=()
  for runtime in "${runtimes[@]}"; do
    printf '#!/bin/sh -e\nset -- %s\n%s\n' "$runtime" "$2" >"/mnt/bin/$1-$runtime"
    chmod +x "/mnt/bin/$1-$runtime"
    pairs+=("$runtime" "$1-$runtime")
  done
}

work_kill() {
  sleepers_up
  script_pairs kill 'exec $1 kill sleep-$1 CONT'
  measure 'kill' "${pairs[@]}"
  sleepers_down
}

work_pause() {
  sleepers_up
  script_pairs pause '$1 pause sleep-$1
exec $1 resume sleep-$1'
  measure 'pause, resume' "${pairs[@]}"
  sleepers_down
}

work_hundred() {
  script_pairs hundred 'for number in $(seq 100); do $1 run -b /mnt/bundles/plain plain; done'
  runs=1 measure 'run, 100 in sequence' "${pairs[@]}"
}

work_eight() {
  script_pairs eight 'for number in 0 1 2 3 4 5 6 7; do $1 run -b /mnt/bundles/eight$number eight$number & done
wait'
  measure 'run, 8 at once' "${pairs[@]}"
}

# What 50 containers with a probe a second cost in a second: user and sys are shares of one processor, times 1000. Once
# one after the other, and once a probe each 20 ms for two seconds, with the caches as cold as they are by then.
work_probes() {
  local runtime number
  for runtime in "${runtimes[@]}"; do
    for number in {1..50}; do
      bundle probe "probe-$runtime-$number" '.process.args = ["/bin/sleep", "1000000"]'
      "$runtime" run -d -b /mnt/bundles/probe "probe-$number" </dev/null >/dev/null 2>&1
    done
  done
  script_pairs probes 'for number in $(seq 50); do $1 exec probe-$number /bin/true; done'
  runs=1 measure 'exec in each of 50 containers' "${pairs[@]}"
  mkfifo /tmp/never
  for runtime in "${runtimes[@]}"; do
    cat >"/mnt/bin/paced-$runtime" <<S
#!/bin/bash -e
start=\${EPOCHREALTIME/./}
for ((done = 1; done <= 100; done++)); do
  $runtime exec "probe-\$((done % 50 + 1))" /bin/true
  left=\$((start + done * 20000 - \${EPOCHREALTIME/./}))
  if ((left > 0)); then
    printf -v left 0.%06d "\$left"
    read -rt "\$left" <>/tmp/never || :
  fi
done
S
    chmod +x "/mnt/bin/paced-$runtime"
  done
  pairs=()
  for runtime in "${runtimes[@]}"; do pairs+=("$runtime" "paced-$runtime"); done
  runs=1 measure 'a probe a second in each of 50 containers, for two seconds' "${pairs[@]}"
  for runtime in "${runtimes[@]}"; do
    for number in {1..50}; do "$runtime" delete -f "probe-$number"; done
  done
}

# Where the host has the controllers: under cgroup v2 alone on a hybrid host nobody can limit anything.
work_limits() {
  [ "$layout" = host ] || grep -qw memory /sys/fs/cgroup/cgroup.controllers || return 0
  script_pairs limits 'exec $1 run -b /mnt/bundles/limits limits'
  measure 'run, with memory, cpu and pids limits' "${pairs[@]}"
}

work_maps() {
  script_pairs maps 'exec $1 run -b /mnt/bundles/maps maps'
  measure 'run, user namespace, 40 bind mounts' "${pairs[@]}"
  script_pairs idmaps 'exec $1 run -b /mnt/bundles/idmaps idmaps'
  measure 'run, user namespace, 40 idmapped bind mounts' "${pairs[@]}"
}

work_cpus() {
  script_pairs cpus 'exec $1 run -b /mnt/bundles/cpus cpus'
  measure 'run, masked paths of 128 processors' "${pairs[@]}"
}

# husk's containers for all: what grows with them grows in the kernel, or in husk.
work_containers() {
  local number=0 count
  for count in 100 500; do
    for ((; number < count; number++)); do
      bundle many "many-$number" '.process.args = ["/bin/sleep", "1000000"]'
      husk run -d -b /mnt/bundles/many "many-$number" </dev/null >/dev/null 2>&1
    done
    run_pairs plain ''
    measure "run, $count containers running" "${pairs[@]}"
  done
  for ((number = 0; number < 500; number++)); do husk delete -f "many-$number"; done
}

told() { # WORKLOAD RUNTIME: seconds on stdin, as their programs tell them
  jq -sc --arg workload "$1" --arg runtime "$2" '{workload: $workload, runtime: $runtime, times: ., user: 0, system: 0}' >>"/srv/$layout.jsonl"
}

# A large caller: how long husk-core's create takes in it, and how much of that is the kernel's copy of its page tables,
# which the floor tells, from the clone to the end.
work_resident() {
  local mib run times=$((ROUNDS * 2))
  for mib in 10 1000; do
    embedder /mnt/bundles/plain "$times" "$mib" | told "create, by a caller of $mib MiB" husk
    for ((run = 0; run < times; run++)); do
      # shellcheck disable=SC2046  # words
      $(floor_run plain) --resident "$mib" -- /bin/true
    done | told "clone, by a caller of $mib MiB" floor
  done
  embedder /mnt/bundles/plain "$times" 1000 --dont-fork | told 'create, by a caller of 1000 MiB with MADV_DONTFORK' husk
}

# The floor takes the filter that crun has compiled and cached. Without crun there is no floor here.
work_seccomp() {
  local cached=''
  if [[ " ${runtimes[*]} " == *' crun '* ]]; then
    crun run -b /mnt/bundles/seccomp seccomp
    # A copy, since the cache is emptied below.
    find /run/crun/.cache/seccomp -type f -size +0 -exec cp {} /tmp/filter \;
    cached=/tmp/filter
  fi
  run_pairs seccomp "${cached:+--filter $cached}"
  [ -n "$cached" ] || pairs=("${pairs[@]:0:${#pairs[@]}-2}")
  PREPARE='rm -rf /run/crun/.cache /run/husk/@filters' measure "run, Docker's seccomp profile for the first time" "${pairs[@]}"
  measure "run, Docker's seccomp profile again" "${pairs[@]}"
}

# A tree of 11 mounts, bound again and again: 1,001 and 4,004 mounts. Each runtime has a container up, as hosts with so
# many mounts do: what a runtime keeps for further containers is there.
work_mounts() {
  local number copies made=1
  sleepers_up
  mkdir /mnt/many
  mount -t tmpfs tmpfs /mnt/many
  mkdir -p /mnt/many/0
  mount -t tmpfs tmpfs /mnt/many/0
  for number in {0..9}; do
    mkdir "/mnt/many/0/$number"
    mount --bind "/mnt/many/0/$number" "/mnt/many/0/$number"
  done
  for copies in 91 364; do
    for ((; made < copies; made++)); do
      mkdir "/mnt/many/$made"
      mount --rbind /mnt/many/0 "/mnt/many/$made"
    done
    run_pairs plain ''
    measure "run, $((copies * 11)) more host mounts" "${pairs[@]}"
  done
  umount -l /mnt/many
  sleepers_down
}

# What does not change with the load: RUNTIME, COMMAND, peak memory, page faults, system calls.
footprint() { # RUNTIME LABEL COMMAND...
  local runtime=$1 label=$2 faults=() calls
  shift 2
  command time -f '%M %R' -o /tmp/time "$@" </dev/null >/dev/null 2>&1
  read -ra faults </tmp/time
  [[ $label != create ]] || "$runtime" delete -f plain
  strace -f -c -S calls -o /tmp/calls "$@" </dev/null >/dev/null 2>&1 &
  if [ "$label" = create ]; then # strace stays as long as the init that waits
    until [ "$("$runtime" state plain 2>/dev/null | jq -r .status)" = created ]; do :; done
    "$runtime" delete -f plain
  fi
  wait "$!"
  calls=$(awk '$NF == "total" { print $4 }' /tmp/calls)
  printf '%s\t%s\t%s\t%s\t%s\n' "$runtime" "$label" "${faults[0]}" "${faults[1]}" "$calls" >>"/srv/$layout.footprint"
  cp /tmp/calls "/srv/$layout.calls.$runtime.$label"
}

footprints() {
  local runtime
  sleepers_up
  for runtime in "${runtimes[@]}"; do
    footprint "$runtime" run "$runtime" run -b /mnt/bundles/plain plain
    footprint "$runtime" create "$runtime" create -b /mnt/bundles/plain plain
    footprint "$runtime" exec "$runtime" exec "sleep-$runtime" /bin/true
    footprint "$runtime" state "$runtime" state "sleep-$runtime"
  done
  # shellcheck disable=SC2046  # words
  footprint floor run $(floor_run plain) -- /bin/true
  # shellcheck disable=SC2046
  footprint floor exec floor exec "$(husk state sleep-husk | jq .pid)" $(cgroups_of sleep-husk) -- /bin/true
  sleepers_down
}

make_parents
make_bundles
cut -d' ' -f1 /proc/loadavg >"/srv/$layout.load"
for workload in "${WORKLOADS[@]}"; do "work_$workload"; done
footprints
cut -d' ' -f1 /proc/loadavg >>"/srv/$layout.load"
