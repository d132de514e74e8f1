# buildah.sh: Buildah by itself, as root and as an ordinary user: what a step of a build is given, and what it makes.
# Sourced by run.
# shellcheck shell=bash disable=SC2016  # dollars belong to the shell in the cell

buildah() {
  local before
  expect 'podman is set up' 0 '' podman_up
  last_passed || return 0
  before=$(cell_inventory)
  buildah_as root cell
  # What it made is run by Podman, which keeps the parents of its cgroups.
  expect_same 'nothing is left of any' "$before" '^cgroup .*/libpod_parent(/conmon)?$'
  if ! cell unshare --user true; then
    skip 'as an ordinary user' 'no user namespaces on this machine'
    return
  fi
  expect 'an ordinary user' 0 '' user_up
  expect 'has the image' 0 '' cell_user podman load -q -i /srv/busybox.tar
  before=$(cell_inventory)
  buildah_as user cell_user
  expect_same 'nothing is left of any' "$before" '^process (catatonit|podman)$'
}

buildah_as() { # WHO COMMAND-THAT-RUNS-AS-THEM
  local who=$1 as=$2
  buildah_steps
  buildah_files
  expect "$who: no working container is left" 0 '^$' "$as" buildah ps -q
}

# A step in the working container b.
step() { "$as" env "BUILDAH_RUNTIME=$(cell_runtime)" buildah run --network none "$@"; }

buildah_steps() {
  expect "$who: from" 0 '^b$' "$as" buildah from --name b "$IMAGE"
  expect "$who: run" 0 '^0$' step b id -u
  expect "$who: run returns the exit code" 6 '' step b sh -c 'exit 6'
  expect "$who: a missing command" 1 'not found in \$PATH' step b no-such-program
  expect "$who: run -t has a terminal" 0 '/dev/pts/' "$as" env "BUILDAH_RUNTIME=$(cell_runtime)" script -qec 'buildah run --network none -t b sh -c "tty; sleep 0.5"' /dev/null
  expect "$who: run reads a pipe" 0 '^piped$' "$as" env "BUILDAH_RUNTIME=$(cell_runtime)" sh -c 'echo piped | buildah run --network none b cat'
  expect "$who: --user, --workingdir, --env" 0 '^1000 /tmp yes$' step --user 1000 --workingdir /tmp --env WORD=yes b sh -c 'echo $(id -u) $PWD $WORD'
  expect "$who: --cap-add NET_ADMIN and --cap-drop CHOWN" 0 '^1 0$' step --cap-add CAP_NET_ADMIN --cap-drop CAP_CHOWN b \
    sh -c 'caps=0x$(sed -n "s/CapEff:.//p" /proc/self/status); echo $((caps >> 12 & 1)) $((caps & 1))'
  expect "$who: -v, read-only" 1 'Read-only file system' step -v /srv:/data:ro b touch /data/file
  expect "$who: --mount of a tmpfs and a cache" 0 '^tmpfs kept$' step --mount type=tmpfs,dst=/scratch --mount type=cache,dst=/cache b \
    sh -c 'echo kept >/cache/word; echo $(grep -o "^tmpfs /scratch" /proc/mounts | cut -d" " -f1) $(cat /cache/word)'
  expect "$who: a network of its own" 0 '^lo$' step b ls /sys/class/net
  expect "$who: --pid host" 0 'tini$' step --pid host b cat /proc/1/comm
  expect "$who: filters and masks" 0 'Seccomp:.2.0$' step b sh -c 'grep ^Seccomp: /proc/self/status; wc -c </proc/timer_list'
  expect "$who: what a step writes, copy and config make an image" 0 '' "$as" env "BUILDAH_RUNTIME=$(cell_runtime)" sh -euc 'echo copied >/tmp/copied.$$
    buildah copy -q b /tmp/copied.$$ /copied; buildah run --network none b sh -c "echo written >/written"
    buildah config --user 1000 --env WORD=set --cmd "cat /written /copied" b; buildah commit -q b made; rm /tmp/copied.$$'
  expect "$who: it runs" 0 '^written.copied$' "$as" podman run --rm --network none made
  expect "$who: rm" 0 '' "$as" buildah rm b
}

buildah_files() {
  expect "$who: build: stages, a secret, a cache, a user, from scratch" 0 'hidden.*1000 /work' "$as" env "BUILDAH_RUNTIME=$(cell_runtime)" sh -euc 'rm -rf /tmp/build; mkdir /tmp/build; cd /tmp/build
    echo hidden >secret; echo from the context >file
    printf "%s\n" "FROM $IMAGE AS first" "ARG GIVEN" "RUN echo \$GIVEN >/word" "RUN --mount=type=secret,id=word cat /run/secrets/word" \
      "RUN --mount=type=cache,target=/cache echo kept >/cache/word" "WORKDIR /work" "COPY file /file" "USER 1000" "RUN echo \$(id -u) \$PWD" \
      "FROM scratch" "COPY --from=first /bin/busybox /bin/cat" "COPY --from=first /word /file /" "CMD [\"/bin/cat\", \"/word\", \"/file\"]" >Dockerfile
    buildah build --network none --secret id=word,src=secret --build-arg GIVEN=given -t stages . 2>&1'
  expect "$who: what it made" 0 '^given.from the context$' "$as" podman run --rm --network none stages
  expect "$who: a failing step fails the build with its code" 7 'exit status 7' "$as" env "BUILDAH_RUNTIME=$(cell_runtime)" sh -c \
    'printf "%s\n" "FROM $IMAGE" "RUN exit 7" >/tmp/build/Dockerfile; buildah build --network none /tmp/build 2>&1'
  expect "$who: an image goes to a directory and comes back" 0 '^given.from the context$' "$as" sh -euc 'buildah push -q stages oci:/tmp/build/image; buildah rmi stages >/dev/null
    buildah pull -q oci:/tmp/build/image >/tmp/build/id; podman run --rm --network none "$(cat /tmp/build/id)"; rm -r /tmp/build'
}
