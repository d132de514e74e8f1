# containerd.sh: containerd through `ctr`, whose shim calls the runtime under test. Sourced by run.
# shellcheck shell=bash disable=SC2016  # dollars belong to the shell in the cell

containerd() {
  local before
  expect 'containerd starts' 0 '' containerd_up
  last_passed || return 0
  expect 'run --rm prints its output' 0 '^Hello World$' ctr_run --rm -- echo Hello World
  before=$(cell_inventory)

  expect 'exit code 0' 0 '' ctr_run --rm -- true
  expect 'exit code 3' 3 '' ctr_run --rm -- sh -c 'exit 3'
  expect 'a missing command is named' 1 'no-such-program.*not found in \$PATH' ctr_run --rm -- no-such-program
  expect 'a file that cannot be executed is refused' 1 '[Pp]ermission denied|not executable' ctr_run --rm -- /etc/not-executable
  expect 'a failed run leaves no container' 0 '^$' cell ctr container ls -q
  expect 'run -t has a terminal' 0 '/dev/pts/0.*first word' cell sh -c \
    'echo first word | script -qec "ctr run --rm -t --runc-binary $RUNTIME $IMAGE c sh -c \"tty; head -n 1\"" /dev/null | tr "\n" " "'
  expect '--user' 0 '^1000:1000$' ctr_run --rm --user 1000:1000 -- sh -c 'echo $(id -u):$(id -g)'
  expect '--read-only' 1 'Read-only file system' ctr_run --rm --read-only -- touch /file
  expect '--cwd and --env' 0 '^/tmp yes$' ctr_run --rm --cwd /tmp --env WORD=yes -- sh -c 'echo $PWD $WORD'
  expect '--mount, read-only' 1 'Read-only file system' ctr_run --rm --mount type=bind,src=/srv,dst=/tmp,options=rbind:ro -- touch /tmp/file
  expect 'a network of its own' 0 '^lo$' ctr_run --rm -- ls /sys/class/net
  expect '--net-host sees the host network' 0 "^$(cell readlink /proc/self/ns/net | sed 's/[][]/\\&/g')\$" \
    ctr_run --rm --net-host -- readlink /proc/self/ns/net
  expect '--seccomp' 0 'Seccomp:.2' ctr_run --rm --seccomp -- grep ^Seccomp: /proc/self/status
  expect '--privileged has every capability' 0 "$(cell awk '/CapBnd/ { print $2 }' /proc/self/status)" \
    ctr_run --rm --privileged -- grep CapEff /proc/self/status

  expect 'run -d' 0 '' ctr_run -d --memory-limit 67108864 -- sh -c 'trap "exit 5" TERM; while :; do sleep 0.1; done'
  expect 'the task runs' 0 'RUNNING' cell ctr task ls
  expect_limit '--memory-limit on the cgroup' '^67108864$' /default/c memory limit_in_bytes max
  expect 'task exec' 0 '^sh$' cell ctr task exec --exec-id e1 c cat /proc/1/comm
  expect 'task exec returns the exit code' 4 '' cell ctr task exec --exec-id e2 c sh -c 'exit 4'
  expect 'task exec of a missing command' 1 'not found in \$PATH' cell ctr task exec --exec-id e3 c no-such-program
  expect 'task exec -t has a terminal' 0 '/dev/pts/' cell script -qec 'ctr task exec -t --exec-id e4 c tty' /dev/null
  expect 'task ps' 0 'PID' cell ctr task ps c
  expect 'task pause' 0 '' cell ctr task pause c
  expect 'the task is paused' 0 'PAUSED' cell ctr task ls
  expect 'a paused task takes no exec' 1 '' cell ctr task exec --exec-id e5 c true
  expect 'task resume' 0 '' cell ctr task resume c
  expect 'the task runs again' 0 'RUNNING' cell ctr task ls
  expect 'task kill TERM' 0 '' cell ctr task kill --signal SIGTERM c
  expect_soon 10 'the task has stopped' 'STOPPED' cell ctr task ls
  expect 'task delete tells the exit code' 0 'non-zero exit code 5' cell ctr task delete c
  expect 'container delete' 0 '' cell ctr container delete c

  expect 'a task that ignores TERM' 0 '' ctr_run -d -- sh -c 'trap "" TERM; while :; do sleep 0.1; done'
  expect 'task kill KILL' 0 '' cell ctr task kill --signal SIGKILL c
  expect_soon 10 'it is killed' 'STOPPED' cell ctr task ls
  expect 'its exit code is 128 + signal' 0 'non-zero exit code 137' cell ctr task delete c
  expect 'its container is deleted' 0 '' cell ctr container delete c
  containerd_watched
  containerd_users
  containerd_namespaces
  containerd_crashes
  # The parents of a namespace's containers are containerd's own; it keeps them.
  expect_same 'nothing is left of any' "$before" '^cgroup .*/other$|^state /run/containerd/runc/other$'
}

containerd_watched() {
  expect 'run -d with limits of memory and processor' 0 '' ctr_run -d --memory-limit 33554432 --cpus 0.5 --hostname named -- sleep 100
  expect_limit '--cpus on the cgroup' '^50000( 100000)?$' /default/c cpu cfs_quota_us max
  expect '--hostname' 0 '^named$' cell ctr task exec --exec-id e1 c hostname
  # One line a value; the names differ between v1 and v2.
  expect 'task metrics' 0 'memory.(usage_in_bytes|current) +[1-9].*pids.current +1|pids.current +1.*memory.(usage_in_bytes|current|usage) +[1-9]' cell ctr task metrics c
  containerd_gone
  if ! cell sh -c '[ -d /sys/fs/cgroup/memory ] || grep -qw memory /sys/fs/cgroup/cgroup.controllers'; then
    skip 'an out-of-memory kill is an event' 'no memory controller'
    return
  fi
  # The shim begins to watch the cgroup when the task has started already; what happens before then is lost.
  expect 'an out-of-memory kill is an event between start and exit' 0 '/tasks/start.*/tasks/oom.*/tasks/exit' cell sh -c '
    timeout 20 ctr events >/tmp/events & listener=$!
    sleep 0.5
    ctr run --rm --runc-binary "$RUNTIME" --memory-limit 16777216 "$IMAGE" c sh -c "sleep 1; dd if=/dev/zero of=/dev/null bs=64M count=1; sleep 1" >/dev/null 2>&1
    for i in $(seq 50); do grep -q /tasks/delete /tmp/events && break; sleep 0.1; done
    kill $listener; cat /tmp/events; rm /tmp/events'
}

containerd_users() {
  if ! cell unshare --user true; then
    skip 'a user namespace' 'no user namespaces on this machine'
    return
  fi
  expect 'a user namespace' 0 '0 +100000 +65536' ctr_run --rm --uidmap 0:100000:65536 --gidmap 0:100000:65536 --remap-labels -- cat /proc/self/uid_map
  expect 'its files belong to its root' 0 '^0$' ctr_run --rm --uidmap 0:100000:65536 --gidmap 0:100000:65536 --remap-labels -- stat -c %u /bin
}

containerd_namespaces() {
  expect 'a container' 0 '' ctr_run -d -- sleep 100
  cell ctr -n other images import /srv/busybox.tar >/dev/null
  expect 'one of the same name in another namespace of containerd' 0 '' cell ctr -n other run -d --runc-binary "$(cell_runtime)" "$IMAGE" c sh -c 'exec sleep 200'
  expect 'each is its own' 0 '^sleep 100.sleep 200$' cell sh -c \
    'for n in default other; do ctr -n $n task exec --exec-id e c tail -n 1 /proc/1/cmdline | tr "\0" " " | sed "s/ $//"; echo; done'
  expect 'it is removed there' 0 '' cell sh -c 'ctr -n other task rm -f c && ctr -n other container rm c && ctr -n other images rm "$IMAGE" "$PAUSE"'
  expect 'and the first still runs' 0 'c .*RUNNING' cell ctr task ls
  containerd_gone
}

containerd_crashes() {
  expect 'a container' 0 '' ctr_run -d -- sleep 100
  expect 'containerd is killed and started again' 0 '' cell sh -c '
    kill -9 $(pgrep -x containerd)
    while pgrep -x containerd >/dev/null; do sleep 0.05; done
    setsid containerd >>/var/log/containerd.log 2>&1 </dev/null &
    for i in $(seq 100); do ctr version >/dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1'
  expect 'the container still runs' 0 'c .*RUNNING' cell ctr task ls
  expect 'and takes an exec' 0 '^in it$' cell ctr task exec --exec-id e1 c echo in it
  expect 'its shim is killed' 0 '' cell sh -c 'kill -9 $(pgrep -f "shim-runc-v2.*[-]id c ")'
  # containerd sees the shim go, and has the runtime kill and delete what it left.
  expect_soon 10 'its process is gone' '^none$' cell sh -c 'pgrep -fx "sleep 100" || echo none'
  expect_soon 10 'the runtime has forgotten the container' '^(null|\[\])?$' cell sh -c '"$RUNTIME" --root /run/containerd/runc/default list -q'
  containerd_gone
  # Of a task that its list no longer has, containerd was seen to keep the name a moment longer, with runc as well.
  expect_soon 10 'the name can be used again' '^again$' ctr_run --rm -- echo again
}

containerd_gone() {
  expect 'its container is removed' 0 '' cell sh -c 'ctr task rm -f c >/dev/null 2>&1; ctr container rm c'
}

ctr_run() { # FLAGS... -- COMMAND...: the container is always called c
  local flags=()
  while [ "$1" != -- ]; do flags+=("$1"); shift; done
  shift
  cell ctr run --runc-binary "$(cell_runtime)" "${flags[@]}" "$IMAGE" c "$@"
}
