# load.sh: many containers at once, and the worst in the middle of it: the engine killed, the runtime killed. The
# engine has to come back, to know what runs, and to be able to remove all of it. Sourced by run.
# shellcheck shell=bash disable=SC2016  # dollars belong to the shell in the cell

LOAD=100

load() {
  local before HUSK_TIMEOUT=300
  expect 'containerd starts' 0 '' containerd_up
  last_passed || return 0
  expect 'run --rm prints its output' 0 '^Hello World$' cell ctr run --rm --runc-binary "$(cell_runtime)" "$IMAGE" load-0 echo Hello World
  before=$(cell_inventory)
  load_tools
  load_at_once
  expect_same 'nothing is left of them' "$before"
  load_engine_killed
  load_forgotten
  expect_same 'nothing is left of those' "$before"
  load_runtime_killed
  load_forgotten
  expect_same 'nothing is left of those either' "$before"
  load_docker
  load_podman
}

# What the checks do in the cell, as one file that each of them sources: /run/load.
load_tools() {
  cell sh -c 'cat >/run/load' <<'S'
mkdir -p /tmp/load
say() { printf '%s\n' "$*"; }

start() { # NAME: one container of containerd, and its client's exit status in a file
  ctr run -d --runc-binary "$RUNTIME" "$IMAGE" "$1" sleep 1000 >"/tmp/load/$1.log" 2>&1
  echo $? >"/tmp/load/$1.status"
}

start_all() { # COUNT: all at once
  local i
  rm -f /tmp/load/*
  for i in $(seq "$1"); do start "load-$i" & done
}

running() { ctr task ls | awk '$3 == "RUNNING" { print $1 }' | sort; }

# Those in which a command can be run. What it says is not looked at: on a machine that
# has far more to do than it can, an engine was seen to lose a line, with husk and with crun.
in_each() { running | xargs -P 10 -I{} sh -c 'ctr task exec --exec-id e {} true && echo {}' | sort; }

started() { # those whose client was told that they run
  grep -lx 0 /tmp/load/*.status 2>/dev/null | sed 's,.*/,,; s,\.status$,,' | sort
}

until_some_run() { # COUNT
  local i
  for i in $(seq 1200); do
    [ "$(pgrep -fxc 'sleep 1000')" -lt "$1" ] || return 0
    sleep 0.05
  done
  return 1
}

# What the runtime calls itself, in all its processes, killed one at a time as chance has it until /tmp/load/enough.
kill_runtimes() {
  local victims count=0
  while [ ! -e /tmp/load/enough ]; do
    victims=$(pgrep "^$(basename "$RUNTIME")" | shuf -n 1)
    if [ -n "$victims" ] && kill -9 "$victims" 2>/dev/null; then count=$((count + 1)); fi
    sleep 0.02
  done
  echo "$count" >/tmp/load/killed
}

# As a person cleans up: by the engine.
remove_all() {
  ctr container ls -q | xargs -r -P 4 -I{} sh -c 'ctr task rm -f {} >/dev/null 2>&1; ctr container rm {} >/dev/null 2>&1'
  [ -z "$(ctr container ls -q)$(ctr task ls -q)" ] || { ctr task ls; return 1; }
}

containerd_again() {
  local i
  setsid containerd >>/var/log/containerd.log 2>&1 </dev/null &
  for i in $(seq 300); do ctr version >/dev/null 2>&1 && return 0; sleep 0.1; done
  return 1
}

kill_named() { # NAME: and wait until it is gone
  pkill -9 -x "$1"
  while pgrep -x "$1" >/dev/null; do sleep 0.05; done
}
S
}

load_do() { cell bash -c '. /run/load; '"$1" load "${@:2}"; }

load_at_once() {
  expect "$LOAD containers started at once" 0 '' load_do "start_all $LOAD; wait"
  expect 'all of them run' 0 "^$LOAD\$" load_do 'running | wc -l'
  expect 'and take an exec each, ten at once' 0 '^$' load_do 'diff <(running) <(in_each)'
  expect 'all are removed' 0 '' load_do remove_all
}

load_engine_killed() {
  expect "containerd is killed while $LOAD start, and started again" 0 '' load_do "
    start_all $LOAD; clients=\$(jobs -p)
    until_some_run $((LOAD / 4)) && kill_named containerd && containerd_again; status=\$?; wait \$clients; exit \$status"
  # A client may have been told before the engine died, or wait for nobody: what counts is what runs.
  expect 'what a client was told to run, does' 0 '^$' load_do 'comm -23 <(started) <(running)'
  expect 'each takes an exec' 0 '^$' load_do 'diff <(running) <(in_each)'
  expect "$LOAD more" 0 "^$LOAD\$" load_do "ctr container ls -q | wc -l >/tmp/kept; for i in \$(seq $LOAD); do start more-\$i & done
    wait; running | grep -c ^more"
  expect 'all are removed' 0 '' load_do remove_all
}

load_runtime_killed() {
  expect "the runtime is killed here and there while $LOAD start" 0 '' load_do "start_all $LOAD; clients=\$(jobs -p)
    kill_runtimes & wait \$clients; touch /tmp/load/enough; wait"
  expect 'more than ten times' 0 '^[1-9][0-9]+$' load_do 'cat /tmp/load/killed'
  expect 'some did start' 0 '^[1-9]' load_do 'started | wc -l'
  expect 'and some did not' 0 '^[1-9]' load_do 'grep -Lx 0 /tmp/load/*.status | wc -l'
  # It may have been killed between the start and its first instruction.
  expect 'what a client was told to run, containerd knows' 0 '^$' load_do 'comm -23 <(started) <(ctr task ls -q | sort)'
  expect 'all are removed' 0 '' load_do remove_all
}

load_docker() {
  local before
  if ! cell_has_nat; then
    skip 'dockerd' 'this kernel cannot translate addresses'
    return
  fi
  expect 'dockerd starts' 0 '' docker_up
  last_passed || return 0
  expect 'docker run --rm' 0 '^Hello World$' cell docker run --rm --network none busybox echo Hello World
  before=$(cell_inventory)
  expect 'dockerd and containerd are killed while 40 start' 0 '' load_do 'rm -f /tmp/load/*
    for i in $(seq 40); do docker run -d --name "load-$i" --network none busybox sleep 1000 >/dev/null 2>&1 & done
    until_some_run 10 && kill_named dockerd && kill_named containerd; status=$?; wait; rm -f /run/docker.pid; exit $status'
  expect 'containerd is started again' 0 '' load_do containerd_again
  expect 'and dockerd' 0 '' docker_up
  expect 'what Docker says to run, takes an exec' 0 '^$' load_do 'diff <(docker ps -q | wc -l) <(docker ps -q | xargs -P 4 -I{} docker exec {} echo in it | wc -l)'
  expect 'forty more, four at a time' 0 '^40$' load_do 'seq 40 | xargs -P 4 -I{} docker run -d --name more-{} --network none busybox sleep 1000 | wc -l'
  expect 'all are removed' 0 '^$' load_do 'docker ps -aq | xargs docker rm -f >/dev/null; docker ps -aq'
  load_forgotten
  expect_same 'nothing is left of them' "$before" '^cgroup .*/docker$'
  expect 'dockerd ends' 0 '' docker_down
}

# An engine that dies while it makes a container may never hear of it again, whatever the runtime. The runtime has not
# forgotten it, and removes it; the shim is then ended as a person would.
load_forgotten() {
  expect 'what the engine has forgotten, the runtime removes' 0 '^$' load_do '
    for root in /run/containerd/runc/default /run/docker/runtime-runc/moby "/run/$(basename "$RUNTIME")"; do
      [ -d $root ] || continue
      "$RUNTIME" --root $root list -q | xargs -r -n 1 "$RUNTIME" --root $root delete --force || exit
      "$RUNTIME" --root $root list -q
    done
    pkill containerd-shim || true'
}

load_podman() {
  local before
  expect 'podman is set up' 0 '' podman_up
  expect 'podman run --rm' 0 '^Hello World$' cell podman run --rm --network none "$IMAGE" echo Hello World
  before=$(cell_inventory)
  expect 'podman is killed here and there while 40 start' 0 '^[1-9][0-9]*$' load_do 'rm -f /tmp/load/*; exec 2>/dev/null
    for i in $(seq 40); do podman run -d --name "load-$i" --network none "$IMAGE" sleep 1000 >/dev/null 2>&1 & done; clients=$(jobs -p)
    { for i in $(seq 15); do sleep 0.3; kill -9 $(pgrep -x podman | shuf -n 1) 2>/dev/null && echo one; done | wc -l >/tmp/load/killed; } &
    wait $clients; wait; cat /tmp/load/killed'
  expect 'it lists them' 0 '^[1-9]' load_do 'podman ps -q | wc -l'
  expect 'what it says to run, does' 0 '^$' load_do 'diff <(podman ps -q | wc -l) <(for c in $(podman ps -q); do podman exec $c echo in it; done | wc -l)'
  expect 'all are removed' 0 '^$' load_do 'podman rm -f -t 0 -a >/dev/null; podman ps -aq'
  load_forgotten
  expect_same 'nothing is left of them' "$before" '^cgroup .*/libpod_parent(/[0-9a-f]{64}|/conmon)?$|^mount /run/netns$'
}
