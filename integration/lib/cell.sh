# cell.sh: a cell is a private set of mount, pid, network, ipc, uts and cgroup namespaces over a
# writable overlay of the engines root. Daemons and containers live in it: ending its first process
# ends them all and takes mounts and network along; only its cgroups and its directory remain to remove.
#
# On the host a cell is $HUSK_CACHE/run/NAME (overlay, engine data, logs, pid, owner) and one cgroup
# husk-cell-NAME in each hierarchy. Nothing else on the host is touched. Sourced.
# shellcheck shell=bash

CELL=${HUSK_CELL:-look}

cell_dir() { printf '%s/run/%s' "$HUSK_CACHE" "$CELL"; }

# The cell's cgroup on the host: one directory with pure cgroup v2, one per hierarchy otherwise.
cell_cgroups() {
  local procs
  if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then
    echo "/sys/fs/cgroup/husk-cell-$CELL"
    return
  fi
  for procs in /sys/fs/cgroup/*/cgroup.procs; do
    [ -L "${procs%/*}" ] || echo "${procs%/*}/husk-cell-$CELL"
  done
}

cell_pid() { # the host's pid of the cell's first process, if it lives
  local pid
  pid=$(cat "$(cell_dir)/pid" 2>/dev/null) && [ -d "/proc/$pid" ] && echo "$pid"
}

# Move the calling process into the cell's cgroups.
cell_join_cgroups() {
  local cgroup
  for cgroup in $(cell_cgroups); do
    [ ! -d "$cgroup/init" ] || cgroup=$cgroup/init
    echo "$BASHPID" >"$cgroup/cgroup.procs"
  done
}

# Pure v2: the kernel lets a cgroup give controllers to its children only when it holds no process
# itself. So the cell's own processes move one level down, after its namespace has fixed the root.
cell_delegate() {
  local cgroup pid controller
  cgroup=$(cell_cgroups)
  [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] || return 0
  mkdir "$cgroup/init"
  while read -r pid <"$cgroup/cgroup.procs"; do # one may end before it can be moved
    echo "$pid" 2>/dev/null >"$cgroup/init/cgroup.procs" || true
  done
  for controller in $(<"$cgroup/cgroup.controllers"); do
    echo "+$controller" >"$cgroup/cgroup.subtree_control"
  done
}

cell_runtime() { # the path of the runtime under test as the cell sees it
  printf '/opt/runtime/%s' "${RECORDER:-$(basename "$RUNTIME")}"
}

cell_up() {
  local dir cgroup controller unshare pid
  dir=$(cell_dir)
  ! cell_pid >/dev/null || die "cell $CELL is already up"
  [[ $RUNTIME != */* || -x $RUNTIME ]] || die "no runtime at $RUNTIME: build it first, or set RUNTIME (an absolute path, or runc, or crun)"
  mkdir -p "$dir"/{upper,work,data,root}
  [ -z "${CELL_OWNED:-}" ] || echo $$ >"$dir/owner"
  for cgroup in $(cell_cgroups); do
    mkdir -p "$cgroup"
    # What the host's root does not hand down, the cell cannot have; an init system may refuse to share it.
    if [ "${cgroup%/*}" = /sys/fs/cgroup ]; then
      for controller in $(</sys/fs/cgroup/cgroup.controllers); do
        echo "+$controller" 2>/dev/null >/sys/fs/cgroup/cgroup.subtree_control || true
      done
    fi
    # A v1 cpuset is empty, and takes no process, until it is given processors and memory nodes.
    if [ -f "$cgroup/cpuset.cpus" ] && [ -f "$cgroup/cgroup.clone_children" ]; then
      cat "${cgroup%/*}/cpuset.cpus" >"$cgroup/cpuset.cpus"
      cat "${cgroup%/*}/cpuset.mems" >"$cgroup/cpuset.mems"
      echo 1 >"$cgroup/cgroup.clone_children"
    fi
  done
  (
    cell_join_cgroups
    exec setsid unshare --mount --net --pid --ipc --uts --cgroup --fork --kill-child --propagation private \
      "$HERE/lib/cell-init" "$dir" "$(root_path engines)" "$(root_path services)" "$(image_path)" "$RUNTIME" "$HUSK_CGROUPS" \
      >"$dir/init.log" 2>&1 </dev/null
  ) &
  unshare=$!
  for _ in $(seq 100); do
    pid=$(awk '{ print $1 }' "/proc/$unshare/task/$unshare/children" 2>/dev/null) || true
    if [ -n "$pid" ]; then
      echo "$pid" >"$dir/pid"
      if [ -e "/proc/$pid/root/run/cell-ready" ]; then cell_delegate; disown; return; fi
    fi
    [ -d "/proc/$unshare" ] || break
    sleep 0.1
  done
  cat "$dir/init.log" >&2
  cell_down
  die "cell $CELL did not start"
}

# Run a command in the cell, as root, with a clean environment.
cell() {
  local pid
  pid=$(cell_pid) || die "cell $CELL is not up"
  (
    cell_join_cgroups
    limit=(timeout --kill-after=5 "$HUSK_TIMEOUT")
    [ "$HUSK_TIMEOUT" != 0 ] || limit=() # for somebody who types: timeout would take the terminal away
    exec "${limit[@]}" \
      nsenter -t "$pid" --mount --uts --ipc --net --pid --cgroup --root --wd -- \
      env -i HOME=/root TERM="${TERM:-dumb}" LANG=C.UTF-8 RUNTIME="$(cell_runtime)" IMAGE="$IMAGE" PAUSE="$PAUSE" \
      PODMAN_IGNORE_CGROUPSV1_WARNING=1 \
      PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
  )
}

# Start a daemon in the cell and wait until a command answers. Its output: /var/log/NAME.log there.
cell_daemon() { # NAME PROBE COMMAND...
  local name=$1 probe=$2
  shift 2
  # shellcheck disable=SC2016  # expanded by the inner shell
  if ! cell sh -c 'log=$1 probe=$2; shift 2
      setsid "$@" >"$log" 2>&1 </dev/null & daemon=$!
      for _ in $(seq 300); do
        $probe >/dev/null 2>&1 && exit 0
        [ -d "/proc/$daemon" ] || exit 1
        sleep 0.1
      done; exit 1' daemon "/var/log/$name.log" "$probe" "$@"; then
    cell tail -n 20 "/var/log/$name.log" >&2
    return 1
  fi
}

# Whether this kernel can translate addresses: Docker does not start without, Podman's bridge needs it.
cell_has_nat() {
  cell nft -f - <<<'table ip probe { chain probe { type nat hook postrouting priority 100; }; }; delete table ip probe' 2>/dev/null
}

# Everything that a container leaves when it is not taken away completely. Equal before and after.
# State under a name that no container has is the runtime's own (a cache, a lock).
cell_inventory() {
  # shellcheck disable=SC2016  # expanded by the inner shell
  cell sh -c '
    ps -e -o pid=,comm= | awk "\$2 !~ /^(sh|ps|awk|sort|timeout)$/ { print \"process\", \$2 }"
    cut -d" " -f5 /proc/self/mountinfo | sed "s/^/mount /"
    find /sys/fs/cgroup -type d | sed "s/^/cgroup /"
    find /run/runc /run/crun /run/husk /run/containerd/runc /run/docker/runtime-runc \
      -mindepth 1 -not -path "*/.*" -not -path "*/@*" 2>/dev/null | sed "s/^/state /"
    find /run/netns /run/docker/netns -type f 2>/dev/null | sed "s/^/network /"
  ' | sort
}

cell_down() {
  local dir pid cgroup
  dir=$(cell_dir)
  if pid=$(cell_pid); then
    kill -9 "$pid"
    for _ in $(seq 100); do [ -d "/proc/$pid" ] || break; sleep 0.1; done
  fi
  for cgroup in $(cell_cgroups); do
    for _ in $(seq 50); do # the last processes take a moment to leave
      [ -d "$cgroup" ] || break
      find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
    done
  done
  rm -rf --one-file-system "$dir"
}

# End cells whose run was killed too hard to do so. A cell made by hand has no owner.
cells_sweep() {
  local dir owner
  for dir in "$HUSK_CACHE"/run/*/; do
    owner=$(cat "$dir/owner" 2>/dev/null) || continue
    [ -d "/proc/$owner" ] || CELL=$(basename "$dir") cell_down
  done
}

# A container's limit as the cgroup file says it: PATH CONTROLLER V1-FILE V2-FILE (the files without the controller's name).
cell_limit() {
  # shellcheck disable=SC2016
  cell sh -c 'if [ -d "/sys/fs/cgroup/$2" ]; then cat "/sys/fs/cgroup/$2$1/$2.$3"; else cat "/sys/fs/cgroup$1/$2.$4"; fi' limit "$@"
}
