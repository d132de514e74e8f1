# docker_daemon.sh: the daemon's own life: killed and started again under running containers, with its users mapped
# away. Sourced by run.
# shellcheck shell=bash disable=SC2016  # dollars belong to the shell in the cell

docker_daemon() {
  docker_live_restore
  docker_userns_remap
}

docker_live_restore() {
  docker_begin --live-restore || return 0
  expect 'a container, and one that restarts' 0 '' cell sh -c 'docker run -d --name box -p 127.0.0.1:8091:80 busybox sh -c "echo a page >/var/www/index.html; exec httpd -f -p 80 -h /var/www" &&
    docker run -d --name again --restart always --network none busybox sh -c "sleep 100"'
  expect 'its process' 0 '^[0-9]+$' cell docker inspect -f '{{.State.Pid}}' box
  cell sh -c 'docker inspect -f "{{.State.Pid}}" box >/tmp/pid'
  expect 'dockerd is killed' 0 '' docker_down KILL
  expect 'the container still runs' 0 '^httpd$' cell sh -c 'cat /proc/$(cat /tmp/pid)/comm'
  expect 'dockerd starts again' 0 '' docker_up --live-restore
  expect 'it is the same process' 0 '^same$' cell sh -c '[ "$(docker inspect -f "{{.State.Pid}}" box)" = "$(cat /tmp/pid)" ] && echo same'
  expect 'exec' 0 '^in it$' cell docker exec box echo in it
  expect_soon 5 'the published port' 'a page' cell curl -sS http://127.0.0.1:8091/
  expect 'dockerd is ended in good order' 0 '' docker_down
  expect 'the container still runs' 0 '^httpd$' cell sh -c 'cat /proc/$(cat /tmp/pid)/comm'
  expect 'dockerd without live-restore stops nothing that it finds' 0 '' docker_up --live-restore
  expect 'stop' 0 '' cell docker stop -t 1 box
  expect 'a container that is killed behind its back is restarted' 0 '' cell sh -c 'kill -9 $(docker inspect -f "{{.State.Pid}}" again)'
  expect_soon 10 'and runs' '^1 running$' cell docker inspect -f '{{.RestartCount}} {{.State.Status}}' again
  expect 'all are removed' 0 '' cell docker rm -f box again
  expect 'dockerd ends' 0 '' docker_down
}

docker_userns_remap() {
  if ! cell unshare --user true; then
    skip 'userns-remap' 'no user namespaces on this machine'
    return
  fi
  cell sh -c 'for file in /etc/subuid /etc/subgid; do grep -q ^dockremap: $file 2>/dev/null || echo dockremap:300000:65536 >>$file; done
    grep -q ^dockremap: /etc/passwd || { echo dockremap:x:990:990::/:/bin/false >>/etc/passwd; echo dockremap:x:990: >>/etc/group; }'
  docker_begin --userns-remap default || return 0
  expect 'root in the container is nobody outside' 0 '0 +300000 +65536' cell docker run --rm busybox cat /proc/self/uid_map
  expect 'it owns its root file system' 0 '^0$' cell docker run --rm busybox stat -c %u /etc
  expect 'a volume' 0 '^kept$' cell sh -c 'docker run --rm -v box:/data busybox sh -c "echo kept >/data/word && cat /data/word"; docker volume rm box >/dev/null'
  expect 'its network can be configured' 0 'eth0' cell docker run --rm --cap-add NET_ADMIN busybox sh -c 'ip link set eth0 mtu 1400; ip link'
  expect 'a terminal' 0 '/dev/pts/0' cell script -qec 'docker run --rm -it busybox tty' /dev/null
  expect '--user' 0 '^1000$' cell docker run --rm --user 1000 busybox id -u
  expect 'limits' 0 '^running$' cell sh -c 'docker run -d --name box --memory 64m --pids-limit 20 busybox sleep 100 >/dev/null; docker inspect -f "{{.State.Status}}" box'
  expect 'exec' 0 '^0$' cell docker exec box id -u
  expect '--userns host' 0 '0 +0 +4294967295' cell docker run --rm --userns host busybox cat /proc/self/uid_map
  expect 'a build' 0 '' cell sh -c 'mkdir -p /tmp/b && printf "%s\n" "FROM busybox" "RUN cat /proc/self/uid_map | grep 300000" >/tmp/b/Dockerfile && docker build -t b /tmp/b'
  expect 'rm' 0 '' cell docker rm -f box
  expect 'dockerd ends' 0 '' docker_down
}
