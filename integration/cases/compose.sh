# compose.sh: several services that need one another, by docker compose. Sourced by run.
# shellcheck shell=bash disable=SC2016  # dollars belong to the shell in the cell

compose() {
  local before
  docker_begin || return 0
  expect 'docker run --rm' 0 '^Hello World$' cell docker run --rm busybox echo Hello World
  before=$(cell_inventory)
  cell sh -c 'mkdir -p /tmp/shop/pages && cat >/tmp/shop/compose.yaml && echo a page >/tmp/shop/pages/index.html && echo hidden >/tmp/shop/word' <<'Y'
name: shop
services:
  store:
    image: busybox
    command: sh -c 'echo stored >>/data/count; wc -l </data/count >/data/index.html; exec httpd -f -p 80 -h /data'
    volumes: ["data:/data"]
    networks: [inside]
    healthcheck: { test: ["CMD", "wget", "-qO", "/dev/null", "http://127.0.0.1/"], interval: 300ms, retries: 20 }
  web:
    image: busybox
    command: httpd -f -p 80 -h /pages
    depends_on: { store: { condition: service_healthy } }
    volumes: ["./pages:/pages:ro"]
    networks: [inside, outside]
    ports: ["127.0.0.1:8090:80"]
    environment: { WORD: yes-it-is }
    secrets: [word]
    read_only: true
    cap_drop: [ALL]
    cap_add: [NET_BIND_SERVICE]
    mem_limit: 64m
  worker:
    image: busybox
    command: sh -c 'trap "exit 0" TERM; while :; do sleep 0.1; done'
    networks: [inside]
    init: true
  job:
    image: busybox
    command: sh -c 'exit 6'
    profiles: [jobs]
    networks: [inside]
networks:
  inside: { internal: true }
  outside: {}
volumes:
  data: {}
secrets:
  word: { file: ./word }
Y
  expect 'up, in the order of their needs' 0 'store.*Healthy.*web.*Started' compose_do up -d --quiet-pull
  expect 'the published page' 0 '^a page$' cell curl -sS http://127.0.0.1:8090/
  expect 'one service reaches another by its name' 0 '^1$' compose_do exec -T web wget -qO- http://store/
  expect 'the environment' 0 '^yes-it-is$' compose_do exec -T web sh -c 'echo $WORD'
  expect 'the secret' 0 '^hidden$' compose_do exec -T web cat /run/secrets/word
  expect 'read-only, with one capability' 0 'CapEff:.0000000000000400' compose_do exec -T web grep CapEff /proc/1/status
  expect 'the inner network leads nowhere' 0 '^no$' compose_do exec -T worker sh -c 'ip route | grep -q default && echo yes || echo no'
  expect 'scale up' 0 '' compose_do up -d --scale worker=3 --no-recreate
  expect 'three of it' 0 '^3$' cell sh -c 'docker compose -f /tmp/shop/compose.yaml ps -q worker | wc -l'
  expect 'scale down' 0 '' compose_do up -d --scale worker=1 --no-recreate
  expect 'a job tells its exit code' 6 '' compose_do run --rm job
  expect 'logs' 0 '' compose_do logs web
  expect 'restart of one' 0 'Started' compose_do restart -t 1 store
  expect_soon 10 'the volume has outlived it' '^2$' compose_do exec -T web wget -qO- http://store/
  expect 'pause and unpause' 0 '' cell sh -c 'cd /tmp/shop && docker compose pause && docker compose unpause'
  expect 'down, with the volume' 0 'data.*Removed' compose_do down -v -t 1
  cell rm -r /tmp/shop
  expect 'no container is left' 0 '^$' cell docker ps -aq
  expect_same 'nothing is left of any' "$before" '^cgroup .*/docker$'
}

compose_do() { cell docker compose -f /tmp/shop/compose.yaml "$@"; }
