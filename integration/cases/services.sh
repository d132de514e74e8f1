# services.sh: two real servers straight on the runtime, no engine: nginx as root with few capabilities,
# redis-server as its own user with none. Each has a Debian root and a network namespace that the
# runtime makes; it is asked over loopback by a client started with `exec`. Sourced by run.
# shellcheck shell=bash disable=SC2016  # dollars belong to the shell in the cell

services() {
  local before
  before=$(cell_inventory)
  service_bundle nginx '.process.args = ["nginx", "-g", "daemon off; error_log stderr;"]'
  service_bundle redis '.process.args = ["redis-server", "--save", "", "--dir", "/tmp"]
    | .process.user = { uid: $uid, gid: $gid } | .process.capabilities = { bounding: [], effective: [], permitted: [] }'

  service_start nginx
  service_start redis
  expect 'list shows both running' 0 'nginx.*running.*redis.*running' cell sh -c '"$RUNTIME" list'

  expect_soon 10 'nginx answers inside its network' 'Welcome to nginx' service_exec nginx curl -sS http://127.0.0.1/
  expect 'nginx sees only its own processes' 0 '^1 nginx' service_exec nginx sh -c 'cd /proc && for p in [0-9]*; do echo "$p $(cat "$p/comm")"; done'
  expect 'nginx has a network of its own' 0 '^lo$' service_exec nginx sh -c 'ls /sys/class/net'
  expect 'nginx is not reachable from outside' 7 '' cell curl -sS http://127.0.0.1/

  expect_soon 10 'redis answers inside its network' '^PONG$' service_exec redis redis-cli ping
  expect 'redis keeps a value' 0 '^OK$' service_exec redis redis-cli set answer 42
  expect 'redis returns the value' 0 '^42$' service_exec redis redis-cli get answer
  expect 'redis runs as its user without capabilities' 0 'Uid:.[1-9].*CapEff:.0000000000000000.CapBnd:.0000000000000000' \
    service_exec redis sh -c 'grep -E "^(Uid|CapEff|CapBnd)" /proc/1/status'
  expect 'exec returns the exit code' 3 '' service_exec redis sh -c 'exit 3'

  service_stop nginx QUIT
  service_stop redis TERM
  expect 'state of a deleted container fails' 1 'does not exist' cell sh -c '"$RUNTIME" state nginx'
  cell sh -c 'umount /run/bundles/*/rootfs && rm -r /run/bundles'
  expect_same 'nothing is left of either' "$before"
}

service_bundle() { # NAME FILTER: a bundle whose root is a throwaway layer over the services root
  cell sh -euc '
    dir=/run/bundles/$1; mkdir -p "$dir/rootfs" "$dir/layer/upper" "$dir/layer/work"
    mount -t overlay overlay "$dir/rootfs" \
      -o "lowerdir=/srv/services,upperdir=$dir/layer/upper,workdir=$dir/layer/work"
    uid=$(awk -F: "\$1 == \"redis\" { print \$3 }" /srv/services/etc/passwd)
    gid=$(awk -F: "\$1 == \"redis\" { print \$4 }" /srv/services/etc/passwd)
    jq --argjson uid "$uid" --argjson gid "$gid" ".linux.cgroupsPath = \"/$1\" | $2" >"$dir/config.json"' \
    bundle "$1" "$2" <"$HERE/services/config.json"
}

service_start() { # NAME
  expect "create $1" 0 '' cell sh -c '"$RUNTIME" create --bundle "/run/bundles/$1" --pid-file "/run/bundles/$1/pid" "$1" \
    >"/run/bundles/$1/log" 2>&1 </dev/null || { cat "/run/bundles/$1/log"; exit 1; }' create "$1"
  expect "$1 waits for its start" 0 '"status": *"created"' cell sh -c '"$RUNTIME" state "$1"' state "$1"
  expect "start $1" 0 '' cell sh -c '"$RUNTIME" start "$1"' start "$1"
  expect "$1 runs under the pid of its pid file" 0 '^same$' cell sh -c '
    state=$("$RUNTIME" state "$1"); file=$(cat "/run/bundles/$1/pid")
    [ "$(echo "$state" | jq -r "\"\(.status) \(.pid)\"")" = "running $file" ] && echo same || echo "$state, file: $file"' state "$1"
}

service_exec() { # NAME COMMAND...
  cell sh -c '"$RUNTIME" exec "$@"' exec "$@"
}

service_stop() { # NAME SIGNAL
  expect "kill $1 $2" 0 '' cell sh -c '"$RUNTIME" kill "$1" "$2"' kill "$1" "$2"
  expect_soon 10 "$1 is stopped" '"status": *"stopped"' cell sh -c '"$RUNTIME" state "$1"' state "$1"
  expect "delete $1" 0 '' cell sh -c '"$RUNTIME" delete "$1"' delete "$1"
}
