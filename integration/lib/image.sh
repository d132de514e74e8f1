# image.sh: the images that the engine cases use, made here instead of pulled. Sourced.
#
# busybox in the docker-archive form, which docker load, podman and ctr images import all read: a tar
# of layer.tar, a config and a manifest. A second image of the same layer does nothing for ever: a pod's sandbox. The applets are hard links, not symlinks: masking one
# symlinked applet would mask busybox itself.
# shellcheck shell=bash

IMAGE=localhost/busybox:latest
PAUSE=localhost/pause:latest

image_path() { printf '%s/busybox.tar' "$HUSK_CACHE"; }

image_make() {
  local work layer arch applet
  [ "$(image_path)" -ot "$(root_path engines.stamp)" ] || [ "$(image_path)" -ot "$HERE/lib/image.sh" ] || return 0
  work=$(mktemp -d "$HUSK_CACHE/image.XXXXXX") layer=$work/layer
  mkdir -p "$layer"/{bin,dev,etc,home/user,proc,root,sys,var/www}
  mkdir -m 1777 "$layer/tmp"
  cp "$(root_path engines)/bin/busybox" "$layer/bin/busybox"
  for applet in $("$layer/bin/busybox" --list); do
    [ "$applet" = busybox ] || ln "$layer/bin/busybox" "$layer/bin/$applet"
  done
  printf '%s\n' root:x:0:0:root:/root:/bin/sh user:x:1000:1000:user:/home/user:/bin/sh >"$layer/etc/passwd"
  printf '%s\n' root:x:0: user:x:1000: extra:x:2000:user >"$layer/etc/group"
  echo 'not a program' >"$layer/etc/not-executable"
  tar -C "$layer" --sort=name --owner=0 --group=0 --numeric-owner -cf "$work/layer.tar" .
  arch=$(uname -m)
  case $arch in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; esac
  image_config "$arch" '["sh"]' "$work/layer.tar" >"$work/config.json"
  image_config "$arch" '["tail", "-f", "/dev/null"]' "$work/layer.tar" >"$work/pause.json"
  cat >"$work/manifest.json" <<J
[ { "Config": "config.json", "RepoTags": ["$IMAGE"], "Layers": ["layer.tar"] },
  { "Config": "pause.json", "RepoTags": ["$PAUSE"], "Layers": ["layer.tar"] } ]
J
  tar -C "$work" -cf "$(image_path).part" manifest.json config.json pause.json layer.tar
  mv "$(image_path).part" "$(image_path)"
  rm -rf "$work"
}

image_config() { # ARCHITECTURE COMMAND LAYER
  cat <<J
{ "architecture": "$1", "os": "linux",
  "config": { "Env": ["PATH=/bin"], "Cmd": $2 },
  "rootfs": { "type": "layers", "diff_ids": ["sha256:$(sha256sum <"$3" | cut -d' ' -f1)"] } }
J
}
