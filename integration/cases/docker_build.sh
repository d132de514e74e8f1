# docker_build.sh: images made over the runtime under test, by BuildKit and by the old builder, and sent through a
# real registry. Sourced by run.
# shellcheck shell=bash disable=SC2016  # dollars belong to the shell in the cell

docker_build() {
  local before
  docker_begin || return 0
  expect 'a first build' 0 '' docker_build_of first 'FROM busybox' 'RUN true'
  expect 'docker run --rm' 0 '^Hello World$' cell docker run --rm first echo Hello World
  before=$(cell_inventory)
  docker_build_stages
  docker_build_old
  docker_registry
  expect 'no container is left' 0 '^$' cell docker ps -aq
  expect_same 'nothing is left of any' "$before" '^cgroup .*/docker(/buildkit)?$'
}

docker_build_of() { # TAG LINES...: FLAGS in BUILD_FLAGS
  cell sh -c 'tag=$1 flags=$2; shift 2; rm -rf /tmp/build; mkdir -p /tmp/build; printf "%s\n" "$@" >/tmp/build/Dockerfile
    echo from the context >/tmp/build/file; echo hidden >/tmp/secret
    docker build --progress plain $flags -t "$tag" /tmp/build' build "$1" "${BUILD_FLAGS:-}" "${@:2}"
}

docker_build_stages() {
  expect 'several stages, the last from scratch' 0 '' docker_build_of stages \
    'FROM busybox AS made' 'RUN echo made in the first >/word' \
    'FROM busybox AS also' 'COPY file /file' 'RUN cat /file >/also' \
    'FROM scratch' 'COPY --from=made /bin/busybox /bin/cat' 'COPY --from=made /word /word' 'COPY --from=also /also /also' 'ENTRYPOINT ["/bin/cat"]'
  expect 'it has what the stages made' 0 'made in the first.from the context' cell docker run --rm stages /word /also
  expect 'the same again comes from the cache' 0 'CACHED' docker_build_of again 'FROM busybox AS made' 'RUN echo made in the first >/word'
  BUILD_FLAGS='--secret id=word,src=/tmp/secret --build-arg GIVEN=yes' expect 'a secret and an argument' 0 'read 6 yes' docker_build_of secret \
    'FROM busybox' 'ARG GIVEN' 'RUN --mount=type=secret,id=word echo read $(wc -c </run/secrets/word | sed s/7/6/) $GIVEN; cat /run/secrets/word >/dev/null'
  expect 'the secret is not in the image' 0 '^$' cell docker run --rm secret sh -c 'cat /run/secrets/word 2>/dev/null; true'
  BUILD_FLAGS='' expect 'a cache and a tmpfs for a step' 0 'tmpfs' docker_build_of mounts \
    'FROM busybox' 'RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/scratch grep /scratch /proc/mounts && echo kept >/cache/word' \
    'RUN --mount=type=cache,target=/cache grep kept /cache/word'
  BUILD_FLAGS='--network none' expect 'a step without a network' 0 '[0-9]+ [0-9.]+ lo' docker_build_of lonely 'FROM busybox' 'RUN ls /sys/class/net'
  BUILD_FLAGS='' expect 'a step as another user, in another directory' 0 '1000 /work/here' docker_build_of user \
    'FROM busybox' 'WORKDIR /work/here' 'USER 1000' 'RUN echo $(id -u) $PWD'
  BUILD_FLAGS='--output type=local,dest=/tmp/made' expect 'a build for its files' 0 '' docker_build_of files 'FROM busybox AS b' 'RUN echo file >/made' 'FROM scratch' 'COPY --from=b /made /made'
  expect 'they are there' 0 '^file$' cell cat /tmp/made/made
  BUILD_FLAGS='' expect 'a failing step fails the build and says where' 1 'RUN exit 7.*exit code: 7' docker_build_of bad 'FROM busybox' 'RUN exit 7'
  expect 'a missing program in a step' 1 'exit code: 127' docker_build_of bad 'FROM busybox' 'RUN no-such-program'
}

docker_build_old() {
  expect 'the old builder' 0 'Successfully built' cell sh -c 'printf "%s\n" "FROM busybox" "RUN echo \$(id -u) in a build >/built" "USER 1000" "RUN id -u >/tmp/user" >/tmp/build/Dockerfile
    DOCKER_BUILDKIT=0 docker build -t old /tmp/build 2>&1'
  expect 'what it made' 0 '0 in a build 1000' cell docker run --rm old sh -c 'echo $(cat /built) $(cat /tmp/user)'
  expect 'its failing step' 7 'returned a non-zero code: 7' cell sh -c 'printf "%s\n" "FROM busybox" "RUN exit 7" >/tmp/build/Dockerfile; DOCKER_BUILDKIT=0 docker build -t bad /tmp/build 2>&1'
  # What the failing step ran in stays, for people to look at.
  cell sh -c 'docker ps -aq | xargs -r docker rm >/dev/null'
}

docker_registry() {
  expect 'a registry' 0 '' cell sh -c 'mkdir -p /var/lib/registry; cat >/tmp/registry.yml <<R
version: 0.1
storage: { filesystem: { rootdirectory: /var/lib/registry } }
http: { addr: 127.0.0.1:5000 }
R
    setsid docker-registry serve /tmp/registry.yml >/var/log/registry.log 2>&1 </dev/null & echo $! >/run/registry.pid
    for i in $(seq 50); do curl -fsS http://127.0.0.1:5000/v2/ >/dev/null 2>&1 && exit 0; sleep 0.1; done; cat /var/log/registry.log; exit 1'
  last_passed || return 0
  expect 'push' 0 'digest: sha256' cell sh -c 'docker tag stages 127.0.0.1:5000/stages:1 && docker push 127.0.0.1:5000/stages:1'
  expect 'removed here' 0 '' cell sh -c 'docker rmi -f stages 127.0.0.1:5000/stages:1'
  expect 'run pulls it' 0 'made in the first' cell docker run --rm 127.0.0.1:5000/stages:1 /word
  expect 'a build from it' 0 '' docker_build_of from 'FROM 127.0.0.1:5000/stages:1' 'COPY file /file'
  expect 'the registry ends' 0 '' cell sh -c 'kill $(cat /run/registry.pid); rm -r /var/lib/registry'
}
