# swarm.sh: services over one node, and over three that are dockerds in networks of their own. Sourced by run.
# shellcheck shell=bash disable=SC2016,SC2086  # dollars belong to the shell in the cell; SERVICE is a list of words

# The images have no registry to be looked for in, and without IPVS a service's name has to lead to the tasks themselves.
SERVICE='docker service create --no-resolve-image --network wide --endpoint-mode dnsrr --update-monitor 500ms'

swarm() {
  docker_begin || return 0
  swarm_one_node
  expect 'dockerd ends' 0 '' docker_down
  swarm_three_nodes
}

swarm_one_node() {
  local before
  expect 'docker run --rm' 0 '^Hello World$' cell docker run --rm busybox echo Hello World
  expect 'a swarm of one node' 0 'is now a manager' cell docker swarm init --advertise-addr 127.0.0.1
  last_passed || return 0
  expect 'an overlay network, also for single containers' 0 '' cell docker network create -d overlay --attachable --subnet 10.66.0.0/24 wide
  expect 'docker run --network overlay' 0 '10\.66\.0\.[0-9]+/24' cell docker run --rm --network wide busybox ip addr
  before=$(cell_inventory)
  expect 'a secret and a config' 0 '' cell sh -c 'echo hidden | docker secret create word - && echo seen | docker config create page -'
  expect 'a service of two tasks' 0 'converged' cell $SERVICE --name web --replicas 2 --secret word \
    --config source=page,target=/www/index.html,mode=0444 --publish mode=host,target=80 --limit-memory 64m --limit-pids 20 \
    --cap-drop CAP_CHOWN --read-only --hostname 'web-{{.Task.Slot}}' --user 0 --sysctl net.ipv4.conf.lo.tag=7 \
    busybox httpd -f -p 80 -h /www
  expect 'each task is named after its slot' 0 '^web-1 web-2 $' swarm_in_tasks web hostname
  expect 'each has the secret' 0 '^hidden hidden $' swarm_in_tasks web cat /run/secrets/word
  expect 'in memory, not on a disk' 0 '^(tmpfs /run/secrets/word )+$' swarm_in_tasks web sh -c 'grep -o "^tmpfs /run/secrets/word" /proc/mounts'
  expect 'its root is read-only' 0 '^read-only read-only $' swarm_in_tasks web sh -c '(: >/file) 2>/dev/null || echo read-only'
  expect 'its sysctl' 0 '^7 7 $' swarm_in_tasks web cat /proc/sys/net/ipv4/conf/lo/tag
  expect 'it answers by its name' 0 'seen' cell docker run --rm --network wide busybox wget -qO- http://web/
  expect 'a port of the host' 0 'seen' cell sh -c \
    'curl -sS "http://127.0.0.1:$(docker inspect -f "{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}" $(docker ps -qf name=web.1))/"'
  swarm_meshed
  expect 'scale' 0 'converged' cell docker service scale web=3
  expect 'three tasks' 0 '^web-1 web-2 web-3 $' swarm_in_tasks web hostname
  expect 'a rolling update, one task at a time' 0 'converged' cell docker service update --update-parallelism 1 --update-delay 0s \
    --update-monitor 500ms --env-add WORD=new --limit-memory 32m web
  expect 'every task is new' 0 '^new new new $' swarm_in_tasks web sh -c 'echo $WORD'
  # What its client prints of it depends on when it looks.
  expect 'an update that fails is rolled back' 0 'rollback_completed' cell sh -c 'docker service update --quiet \
    --update-failure-action rollback --update-monitor 2s --rollback-monitor 500ms --args no-such-program web
    docker service inspect --format "{{.UpdateStatus.State}}" web'
  expect_soon 20 'and the service goes on as it was' '^httpd httpd httpd $' swarm_in_tasks web cat /proc/1/comm
  expect 'a task that is killed is replaced' 0 '' cell sh -c 'docker kill $(docker ps -qf name=web.2) >/dev/null'
  expect_soon 20 'by a new one of the same slot' '^web-1 web-2 web-3 $' swarm_in_tasks web hostname
  expect 'a job runs to its end' 0 'job complete' cell docker service create --no-resolve-image --name job --mode replicated-job --replicas 2 busybox sh -c 'echo done once'
  expect_soon 10 'its logs' 'done once.*done once' cell docker service logs job
  expect 'a stack of a composition' 0 '' cell sh -c 'printf "%s\n" "services:" "  page:" "    image: busybox" "    command: sleep 100" \
    "    networks: [wide]" "    deploy: { replicas: 2, endpoint_mode: dnsrr }" "networks:" "  wide: { external: true }" >/tmp/stack.yaml
    docker stack deploy --detach=true --resolve-image never -c /tmp/stack.yaml shop'
  expect_soon 20 'its tasks run' '^sleep sleep $' swarm_in_tasks shop_page cat /proc/1/comm
  expect 'all are removed' 0 '' cell docker service rm web job shop_page
  # What a finished job ran in stays until its service is gone.
  expect_soon 20 'no container is left' '^$' cell docker ps -aq
  expect 'secret and config are removed' 0 '' cell sh -c 'docker secret rm word && docker config rm page'
  expect_same 'nothing is left of any task' "$before" '^cgroup .*/docker$|^network .*/(lb_|1-).*$|^mount .*/netns/(lb_|1-).*$'
  expect 'the network goes' 0 '' cell docker network rm wide
  expect 'the node leaves' 0 'left the swarm' cell docker swarm leave --force
}

# Three machines as far as Docker can tell: each has a network, a host name and a /run of its own, and a disk in common.
swarm_three_nodes() {
  local n token
  # Where the kernel filters what bridges forward, the rules of the first dockerd would stop what goes between the nodes.
  expect 'three nodes over one bridge' 0 '' cell sh -euc 'ip link add nodes type bridge; ip link set nodes up
    filtered=/proc/sys/net/bridge/bridge-nf-call-iptables; [ ! -e "$filtered" ] || echo 0 >"$filtered"'
  for n in 1 2 3; do expect "dockerd starts on node $n" 0 '' swarm_node_up "$n"; done
  last_passed || return 0
  expect 'the first makes a swarm' 0 'is now a manager' node 1 docker swarm init --advertise-addr 10.67.0.1
  token=$(node 1 docker swarm join-token -q worker) || true
  for n in 2 3; do expect "node $n joins" 0 'joined a swarm' node "$n" docker swarm join --token "$token" --advertise-addr "10.67.0.$n" 10.67.0.1:2377; done
  expect_soon 10 'all are ready' 'node1 Ready.node2 Ready.node3 Ready' node 1 sh -c 'docker node ls --format "{{.Hostname}} {{.Status}}" | sort'
  expect 'an overlay network and a secret' 0 '' node 1 sh -c 'docker network create -d overlay --attachable wide && echo hidden | docker secret create word -'
  expect 'a service on every node' 0 'converged' node 1 $SERVICE --name web --mode global --secret word --hostname '{{.Node.Hostname}}' busybox \
    sh -c 'mkdir /www; hostname >/www/index.html; exec httpd -f -p 80 -h /www'
  expect 'each node has one task, and the secret' 0 '^node1 hidden node2 hidden node3 hidden $' swarm_on_nodes web sh -c 'echo $(hostname) $(cat /run/secrets/word)'
  expect_soon 10 'all are reached from the first, over the overlay' 'node1.node2.node3' swarm_reached
  expect_soon 10 'a container on node 3 reaches the service too' '^node[123]$' node 3 docker run --rm --network wide busybox wget -qO- http://web/
  expect 'a rolling update over the nodes' 0 'converged' node 1 docker service update --update-parallelism 1 --update-delay 0s --update-monitor 500ms --env-add WORD=new web
  expect 'every node has the new one' 0 '^new new new $' swarm_on_nodes web sh -c 'echo $WORD'
  swarm_moving
  expect 'the service is removed' 0 '' node 1 docker service rm web
  for n in 1 2 3; do expect_soon 20 "no container is left on node $n" '^$' node "$n" docker ps -aq; done
}

# Tasks leave a node that is drained, and one whose dockerd dies.
swarm_moving() {
  expect 'a service that is anywhere but on the manager' 0 'converged' node 1 $SERVICE --name mover --replicas 2 --constraint node.role==worker \
    --hostname '{{.Node.Hostname}}' busybox sleep 1000
  expect 'node 2 is drained' 0 '' node 1 docker node update --availability drain node2
  expect_soon 30 'both tasks are on node 3' '^node3 node3 $' swarm_on_nodes mover hostname
  expect 'node 2 comes back' 0 '' node 1 docker node update --availability active node2
  expect 'dockerd of node 3 is killed' 0 '' node 3 sh -c 'kill -9 $(cat /run/docker.pid)'
  expect_soon 50 'both tasks are started on node 2' '^node2 node2 $' swarm_on_nodes mover hostname
  expect 'dockerd starts again on node 3' 0 '' swarm_dockerd 3
  expect_soon 40 'it has only what belongs there' '^web node3$' node 3 sh -c 'for task in $(docker ps --format "{{.Names}}"); do echo ${task%%.*} $(docker exec $task hostname); done'
  expect 'the service is removed' 0 '' node 1 docker service rm mover
}

swarm_node_up() { # NUMBER: a process that holds the namespaces, and dockerd in them
  cell sh -euc '
    unshare --mount --net --uts sh -c "mount -t tmpfs tmpfs /run; hostname node$1; touch /run/ready; exec sleep infinity" >/dev/null 2>&1 &
    echo $! >/srv/node$1
    until [ -e /proc/$!/root/run/ready ]; do sleep 0.1; done
    ip link add port$1 type veth peer name eth0 netns $!
    ip link set port$1 master nodes up' up "$1" &&
    node "$1" sh -euc 'ip addr add "10.67.0.$1/24" dev eth0; ip link set eth0 up; ip link set lo up' up "$1" &&
    swarm_dockerd "$1" && node "$1" docker load -q -i /srv/busybox.tar && node "$1" docker tag "$IMAGE" busybox:latest
}

swarm_dockerd() { # NUMBER
  node "$1" sh -c 'rm -f /run/docker.pid
    setsid dockerd --add-runtime "test=$RUNTIME" --default-runtime test --data-root "/var/lib/docker/node$1" >>"/var/log/node$1.log" 2>&1 </dev/null &
    for i in $(seq 300); do docker info >/dev/null 2>&1 && exit 0; [ -d "/proc/$!" ] || exit 1; sleep 0.1; done; exit 1' dockerd "$1"
}

node() { # NUMBER COMMAND...
  cell sh -c 'number=$1; shift; exec nsenter --mount --net --uts -t "$(cat "/srv/node$number")" "$@"' node "$@"
}

# What a command says in each task of a service, in the order of their names.
SWARM_IN_TASKS='service=$1; shift
  for task in $(docker ps --format "{{.Names}}" --filter "name=^$service\\." | sort); do docker exec "$task" "$@" || exit; done | tr "\n" " "'

swarm_in_tasks() { # SERVICE COMMAND...
  cell sh -c "$SWARM_IN_TASKS" tasks "$@"
}

swarm_on_nodes() { # SERVICE COMMAND...: of those nodes whose dockerd answers
  local n
  for n in 1 2 3; do node "$n" sh -c "docker version >/dev/null 2>&1 || exit 0; $SWARM_IN_TASKS" tasks "$@" || return; done
}

swarm_reached() { # what the tasks say by the addresses that the name of the service has
  node 1 docker run --rm --network wide busybox sh -c \
    'for address in $(nslookup -type=a tasks.web | sed -n "s/^Address: *\(10[0-9.]*\)$/\1/p"); do wget -qO- -T 3 "http://$address/"; done | sort'
}

# The routing mesh is IPVS' work.
swarm_meshed() {
  if ! cell test -e /proc/net/ip_vs; then
    skip 'a port on the routing mesh' 'this kernel has no IPVS'
    return
  fi
  expect 'a service on the routing mesh' 0 'converged' cell docker service create --no-resolve-image --name mesh --publish 8093:80 busybox \
    sh -c 'mkdir /www; echo meshed >/www/index.html; exec httpd -f -p 80 -h /www'
  expect_soon 10 'it answers' '^meshed$' cell curl -sS http://127.0.0.1:8093/
  expect 'it is removed' 0 '' cell docker service rm mesh
}
