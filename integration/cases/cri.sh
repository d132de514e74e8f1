# cri.sh: containerd's CRI plugin, asked over its socket as a kubelet asks, with the runtime under test
# as its default handler. Sourced by run.
# shellcheck shell=bash disable=SC2016  # dollars belong to the shell in the cell

cri() {
  local before
  if ! cell_has_nat; then
    skip 'all of it' 'this kernel cannot translate addresses'
    return
  fi
  expect 'containerd with CRI starts' 0 '' cri_up
  last_passed || return 0
  # The first pod brings what the engine keeps: the bridge, its address files, the parents of cgroups.
  expect 'a first pod' 0 '^[0-9a-f]{64}$' cri_pod first
  cri_pod_gone first
  before=$(cell_inventory)
  expect_doctor containerd 'ok +kubernetes +handler (by-class, test|test, by-class)'
  cri_pods
  cri_exec
  cri_limits
  cri_security
  cri_users
  cri_devices
  expect 'no container is left' 0 '^$' cell cri containers
  expect 'no pod is left' 0 '^$' cell cri pods
  expect_same 'nothing is left of any' "$before" '^cgroup .*/k8s.io$'
}

# The id of a pod or container is kept under its name in the cell.
cri_pod() { # NAME FLAGS...
  cell sh -c 'mkdir -p /run/ids "/var/log/pods/$1"; cri pod-run --logs "/var/log/pods/$1" "$@" | tee "/run/ids/$1"
    [ -s "/run/ids/$1" ]' pod "$@"
}

cri_container() { # POD NAME FLAGS... -- COMMAND...: made and started
  cell sh -c 'pod=$1 name=$2; shift 2
    cri create "$(cat "/run/ids/$pod")" "$name" "$@" >"/run/ids/$name" &&
    cri start "$(cat "/run/ids/$name")"' container "$@"
}

# A command of the client with @NAME in place of an id.
cri_ask() {
  cell sh -c 'for word; do
      shift
      case $word in @*) word=$(cat "/run/ids/${word#@}") ;; esac
      set -- "$@" "$word"
    done; cri "$@"' ask "$@"
}

cri_container_gone() { # NAME
  expect "container $1 is stopped and removed" 0 '' cell sh -c 'id=$(cat "/run/ids/$1"); cri stop --timeout 1 "$id" && cri remove "$id"' gone "$1"
}

cri_pod_gone() { # NAME
  expect "pod $1 is stopped and removed" 0 '' cell sh -c 'id=$(cat "/run/ids/$1"); cri pod-stop "$id" && cri pod-remove "$id"' gone "$1"
}

cri_log() { # POD CONTAINER: what it said, without the time and the stream's name
  cell sh -c 'cut -d" " -f4- "/var/log/pods/$1/$2.log"' log "$1" "$2"
}

cri_pods() {
  expect 'a pod with a port of the host' 0 '^[0-9a-f]{64}$' cri_pod web --hostname shop --port 8088:80 --sysctl net.ipv4.ip_unprivileged_port_start=0
  last_passed || return 0
  expect 'the pod is ready and has an address' 0 '"ip": "10\.77\.' cri_ask pod-status @web
  expect 'a web server in it' 0 '' cri_container web httpd -- sh -c 'echo a page >/var/www/index.html; exec httpd -f -p 80 -h /var/www'
  expect_soon 5 'it answers on the pod address' 'a page' cell sh -c \
    'curl -sS "http://$(cri pod-status "$(cat /run/ids/web)" | jq -r .network.ip)/"'
  expect 'it answers on the port of the host' 0 'a page' cell sh -c 'curl -sS "http://$(ip -4 -o addr show cni0 | awk "{ sub(\"/.*\", \"\", \$4); print \$4 }"):8088/"'
  expect 'port-forward reaches it' 0 'a page' cell sh -c 'printf "GET / HTTP/1.0\r\n\r\n" | cri forward "$(cat /run/ids/web)" 80'
  expect 'a second container shares network and host name' 0 '' cri_container web peer -- sh -c 'hostname; wget -qO- http://127.0.0.1/; sleep 100'
  expect_soon 5 'what it saw is in its log' 'shop.a page' cri_log web peer
  expect 'each has its own processes' 0 '^1 sleep$' cri_ask exec-sync @peer -- sh -c 'echo 1 $(cat /proc/1/comm)'
  expect 'a container over the processes of another' 0 '' cri_container web debugger --target "$(cell cat /run/ids/peer)" -- sleep 100
  expect 'it sees them' 0 'wget|sleep 100' cri_ask exec-sync @debugger -- ps
  expect 'it can be reopened: the log' 0 '' cell sh -c 'mv /var/log/pods/web/peer.log /var/log/pods/web/old.log && cri reopen-log "$(cat /run/ids/peer)" && [ -f /var/log/pods/web/peer.log ]'
  cri_container_gone debugger
  cri_container_gone peer
  cri_container_gone httpd
  cri_pod_gone web
  expect 'its network is gone' 7 '' cell curl -sS --max-time 5 http://127.0.0.1:8088/

  expect 'a pod in the network of the host' 0 '' cri_pod host --host-network
  expect 'a container in it' 0 '' cri_container host one -- sleep 100
  expect 'it sees the bridge of the host' 0 'cni0' cri_ask exec-sync @one -- ls /sys/class/net
  cri_pod_gone host
  expect 'a pod by a handler of its own (RuntimeClass)' 0 '' cri_pod class --handler by-class
  expect 'its handler is told' 0 '"runtime_handler": "by-class"' cri_ask pod-status @class
  cri_pod_gone class
  expect 'a handler that does not exist is refused' 1 'no runtime for' cri_pod none --handler no-such-class
  expect 'a pod whose containers share a pid namespace' 0 '' cri_pod shared --share-pid
  expect 'a container in it' 0 '' cri_container shared inner --share-pid -- sleep 100
  expect 'it sees the sandbox as process 1' 0 '^tail' cri_ask exec-sync @inner -- cat /proc/1/comm
  cri_pod_gone shared
}

cri_exec() {
  expect 'a pod to look into' 0 '' cri_pod box
  expect 'a container with a variable and a working directory' 0 '' cri_container box c --env WORD=yes --cwd /tmp -i -- \
    sh -c 'trap "exit 5" TERM; while read -r line; do echo "got $line"; done; while :; do sleep 0.1; done'
  expect 'its state' 0 '"state": 1' cri_ask status @c
  expect 'exec-sync' 0 '^yes /tmp$' cri_ask exec-sync @c -- sh -c 'echo $WORD $PWD'
  expect 'exec-sync tells the exit code, as a probe needs' 3 '' cri_ask exec-sync @c -- sh -c 'exit 3'
  expect 'exec-sync of a missing command' 1 'not found in \$PATH' cri_ask exec-sync @c -- no-such-program
  expect 'exec-sync ends at its time-out' 1 'DeadlineExceeded|timeout.*exceeded' cri_ask exec-sync --timeout 1 @c -- sleep 50
  expect_soon 5 'and leaves no process' '^0$' cri_ask exec-sync @c -- sh -c 'ps | grep -c "[s]leep 50" || true'
  expect 'exec streams both outputs' 0 'out.*err|err.*out' cri_ask exec @c -- sh -c 'echo out; echo err >&2'
  expect 'exec tells the exit code' 4 '' cri_ask exec @c -- sh -c 'exit 4'
  expect 'exec -i reads stdin' 0 '^hello$' cell sh -c 'echo hello | cri exec -i "$(cat /run/ids/c)" -- head -n 1'
  # Without -i the engine sends nothing of a terminal, whatever the runtime.
  expect 'exec -it has a terminal' 0 '/dev/pts/' cri_ask exec -i -t @c -- sh -c 'tty; sleep 0.5'
  expect 'attach' 0 'got a line' cell sh -c '{ sleep 0.5; echo a line; sleep 1; } | timeout 5 cri attach -i "$(cat /run/ids/c)" || [ $? = 124 ]'
  expect 'what it said is in the log too' 0 'got a line' cri_log box c
  expect 'twenty probes' 0 '^20$' cell sh -c 'for i in $(seq 20); do cri exec-sync "$(cat /run/ids/c)" -- echo ok; done | grep -c ok'
  expect 'stop lets it end by itself' 0 '' cri_ask stop --timeout 10 @c
  expect 'its own exit code' 0 '"exit_code": 5' cri_ask status @c
  expect 'remove' 0 '' cri_ask remove @c
  expect 'a container whose command is missing does not start' 1 'not found in \$PATH' cri_container box missing -- no-such-program
  expect 'and is removed' 0 '' cri_ask remove @missing
  expect 'a container that ends' 0 '' cri_container box ended -- sh -c 'exit 7'
  expect_soon 5 'its exit code' '"exit_code": 7' cri_ask status @ended
  cri_container_gone ended
  cri_pod_gone box
}

cri_limits() {
  local cgroup
  expect 'a pod with a limited container' 0 '' cri_pod limits --cgroup-parent /pods/limits
  expect 'memory, cpu quota and shares' 0 '' cri_container limits c --memory 67108864 --quota 50000 --shares 512 -- sh -c 'while :; do sleep 0.1; done'
  cgroup=/pods/limits/$(cell cat /run/ids/c)
  expect_limit 'memory on the cgroup' '^67108864$' "$cgroup" memory limit_in_bytes max
  expect_limit 'the quota on the cgroup' '^50000( 100000)?$' "$cgroup" cpu cfs_quota_us max
  expect 'stats' 0 '"working_set_bytes": \{[^}]*"value": [1-9]' cri_ask stats @c
  expect 'stats of the pod' 0 '"process_count"' cri_ask pod-stats @limits
  expect 'update' 0 '' cri_ask update @c --memory 134217728 --quota 20000
  expect_limit 'the new memory limit' '^134217728$' "$cgroup" memory limit_in_bytes max
  expect_limit 'the new quota' '^20000( 100000)?$' "$cgroup" cpu cfs_quota_us max
  cri_container_gone c
  if cell sh -c '[ -d /sys/fs/cgroup/memory ] || grep -qw memory /sys/fs/cgroup/cgroup.controllers'; then
    expect 'a container that eats memory' 0 '' cri_container limits hungry --memory 16777216 -- sh -c 'dd if=/dev/zero of=/dev/null bs=64M count=1; sleep 1'
    expect_soon 10 'it is reported as killed for memory' 'OOMKilled' cri_ask status @hungry
    expect_soon 10 'it has ended' '"state": 2' cri_ask status @hungry
    cri_container_gone hungry
  else
    skip 'a container that eats memory' 'no memory controller'
  fi
  cri_pod_gone limits
  # The parent is the kubelet's to make and to remove.
  cell sh -c 'find /sys/fs/cgroup -depth -type d -path "*/pods*" -exec rmdir {} +'
}

cri_security() {
  expect 'a pod for security contexts' 0 '' cri_pod safe
  expect 'user, group, groups' 0 '' cri_container safe who --user 1000 --group 1001 --groups 2000 -- sh -c 'echo $(id -u) $(id -g) $(id -G); sleep 100'
  expect_soon 5 'are what it has' '^1000 1001 1001 2000$' cri_log safe who
  expect 'a read-only root' 0 '' cri_container safe ro --read-only -- sleep 100
  expect 'is read-only' 1 'Read-only file system' cri_ask exec-sync @ro -- touch /file
  expect 'no capability but one, no new privileges, the default profile' 0 '' cri_container safe few \
    --cap-drop ALL --cap-add NET_ADMIN --no-new-privs --seccomp -- sleep 100
  expect 'is what it has' 0 'CapEff:.0000000000001000.NoNewPrivs:.1.Seccomp:.2' cri_ask exec-sync @few -- grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/1/status
  expect 'masked and read-only paths' 0 '' cri_container safe masked --mask /proc/timer_list --mask /sys/firmware --read-only-path /proc/sys -- sleep 100
  expect 'are masked and read-only' 0 '^0 0 1$' cri_ask exec-sync @masked -- sh -c \
    'echo $(wc -c </proc/timer_list) $(ls /sys/firmware | wc -l) $( (echo x >/proc/sys/kernel/hostname) 2>/dev/null; echo $?)'
  cell sh -c 'mkdir -p /srv/volume/sub && mountpoint -q /srv/volume/sub || mount -t tmpfs tmpfs /srv/volume/sub; echo kept >/srv/volume/file'
  expect 'mounts: writable, read-only, recursively read-only' 0 '' cri_container safe mounts \
    --mount /srv/volume:/rw --mount /srv/volume:/ro:ro --mount /srv/volume:/rro:rro -- sleep 100
  expect 'the first is writable' 0 '' cri_ask exec-sync @mounts -- touch /rw/new
  expect 'the second is not' 1 'Read-only file system' cri_ask exec-sync @mounts -- touch /ro/new2
  expect 'but below it is' 0 '' cri_ask exec-sync @mounts -- touch /ro/sub/new
  expect 'the third is not writable below either' 1 'Read-only file system' cri_ask exec-sync @mounts -- touch /rro/sub/new
  expect 'a privileged container needs a privileged pod' 1 'no privileged container allowed in sandbox' cri_container safe big --privileged -- sleep 100
  cri_pod_gone safe
  cell sh -c 'umount /srv/volume/sub; rm -r /srv/volume'
  expect 'a privileged pod' 0 '' cri_pod big --privileged
  expect 'a privileged container' 0 '' cri_container big all --privileged -- sleep 100
  expect 'has every capability' 0 "$(cell awk '/CapBnd/ { print $2 }' /proc/self/status)" cri_ask exec-sync @all -- grep CapEff /proc/1/status
  cri_pod_gone big
}

# A card of the workload gpu, given as a device plugin gives one: by its CDI name.
cri_devices() {
  if ! cell test -c /dev/fuse; then
    skip 'a device by CDI' 'no /dev/fuse on this machine'
    return
  fi
  cell sh -c 'mkdir -p /etc/cdi && cat >/run/card-hook && chmod 755 /run/card-hook' <"$HERE/workloads/gpu/card-hook"
  sed 's,HOOK,/run/card-hook,' "$HERE/workloads/gpu/card.json" | cell tee /etc/cdi/card.json >/dev/null
  expect 'a pod with devices' 0 '' cri_pod cards
  expect 'a container with a device by CDI' 0 '' cri_container cards c --device example.com/card=0 -- sleep 100
  expect 'it opens it, has its variable, and its hook has been here' 0 '^opened given made by the hook$' cri_ask exec-sync @c -- \
    sh -c '[ -c /dev/card0 ] && (: <>/dev/card0) && echo opened $CARD $(cat /etc/card)'
  expect 'a container without' 0 '' cri_container cards other --cap-add MKNOD -- sleep 100
  expect 'is denied it' 1 'Operation not permitted' cri_ask exec-sync @other -- sh -c 'mknod /dev/forged c 10 229 && (: <>/dev/forged)'
  expect 'a device that there is not is refused' 1 'example.com/card=9' cri_container cards none --device example.com/card=9 -- sleep 100
  cri_pod_gone cards
  cell rm /etc/cdi/card.json /run/card-hook
}

cri_users() {
  if ! cell unshare --user true; then
    skip 'a pod in a user namespace' 'no user namespaces on this machine'
    return
  fi
  expect 'a pod in a user namespace' 0 '' cri_pod users --users 100000:65536
  last_passed || return 0
  expect 'a container in it' 0 '' cri_container users c --users 100000:65536 -- sh -c 'touch /mine; sleep 100'
  expect 'its map' 0 '0 +100000 +65536' cri_ask exec-sync @c -- cat /proc/self/uid_map
  expect 'root of it owns its files' 0 '^0 0$' cri_ask exec-sync @c -- stat -c '%u %g' /mine
  cri_pod_gone users
}
