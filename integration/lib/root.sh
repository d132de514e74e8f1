# root.sh: the Debian trees that everything runs in, made once by debootstrap and kept in the cache. Sourced.
#
#   base      minbase, nothing else; the other two are copies of it with packages added
#   engines   containerd, Docker, Podman, Buildah, runc and crun: the lower layer of every cell
#   services  nginx and redis-server: the root file system of the services case
#
# A tree is built under another name and renamed when complete. Its stamp is its suite and package
# list: another list makes another tree. Nothing ever runs in a tree but the installation of packages.
# shellcheck shell=bash

ENGINE_PACKAGES="runc crun containerd docker.io docker-cli docker-buildx docker-compose
  podman conmon netavark aardvark-dns catatonit buildah containers-storage golang-github-containers-common
  systemd-standalone-sysusers containernetworking-plugins tini busybox-static iptables nftables iproute2
  procps ca-certificates jq curl bsdutils docker-registry uidmap passt rootlesskit fuse-overlayfs openssl"
SERVICE_PACKAGES="nginx-light redis-server curl"

root_path() { printf '%s/roots/%s' "$HUSK_CACHE" "$1"; }

roots_install() {
  mkdir -p "$HUSK_CACHE/roots"
  (
    flock 9 # two runs at once share the cache
    root_base
    root_with engines "$ENGINE_PACKAGES"
    root_with services "$SERVICE_PACKAGES"
  ) 9>"$HUSK_CACHE/roots/.lock"
}

root_base() {
  local root part stamp
  root=$(root_path base) part=$(root_path base.part)
  stamp="$HUSK_SUITE $(mirror)"
  [ "$(cat "$root.stamp" 2>/dev/null)" != "$stamp" ] || return 0
  say "debootstrap $HUSK_SUITE (once)"
  command -v debootstrap >/dev/null || install_debootstrap
  rm -rf --one-file-system "$root" "$part" "$root.stamp"
  debootstrap --variant=minbase --keyring="$(keyring)" "$HUSK_SUITE" "$part" "$(mirror)" >"$HUSK_CACHE/debootstrap.log" ||
    die "debootstrap failed, see $HUSK_CACHE/debootstrap.log"
  # Packages must not start services here.
  printf '#!/bin/sh\nexit 101\n' >"$part/usr/sbin/policy-rc.d"
  chmod 755 "$part/usr/sbin/policy-rc.d"
  # A tree that can be made again needs no fsync for each of its files.
  echo force-unsafe-io >"$part/etc/dpkg/dpkg.cfg.d/90husk"
  # A mirror may serve an old snapshot of the suite, whose Release file counts as expired.
  printf '%s\n' 'APT::Install-Recommends "0";' 'Acquire::Languages "none";' 'Acquire::Check-Valid-Until "false";' \
    >"$part/etc/apt/apt.conf.d/90husk"
  root_command "$part" apt-get -q update >"$HUSK_CACHE/apt-update.log" 2>&1 ||
    die "apt-get update failed, see $HUSK_CACHE/apt-update.log"
  mv "$part" "$root"
  echo "$stamp" >"$root.stamp"
}

root_with() { # NAME PACKAGES: the base and these packages
  local root part stamp
  root=$(root_path "$1") part=$(root_path "$1.part")
  stamp="$(cat "$(root_path base.stamp)") $(tr -s '[:space:]' ' ' <<<"$2")"
  [ "$(cat "$root.stamp" 2>/dev/null)" != "$stamp" ] || return 0
  say "installing the $1 root (once)"
  rm -rf --one-file-system "$root" "$part" "$root.stamp"
  cp -a --reflink=auto "$(root_path base)" "$part"
  # shellcheck disable=SC2086  # a list of words
  root_command "$part" apt-get -qy install $2 >"$HUSK_CACHE/apt-$1.log" 2>&1 ||
    die "installing packages failed, see $HUSK_CACHE/apt-$1.log"
  rm -f "$part"/var/cache/apt/archives/*.deb
  mv "$part" "$root"
  echo "$stamp" >"$root.stamp"
}

root_command() { # ROOT COMMAND...: only for installing packages
  # shellcheck disable=SC2016  # expanded by the inner shell
  unshare --mount --propagation private bash -euc '
    root=$1; shift
    mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"
    exec chroot "$root" env -i HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
      PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"' root_command "$@"
}

mirror() { # the one that apt uses for this machine's own release
  if [ -n "$HUSK_MIRROR" ]; then echo "$HUSK_MIRROR"; return; fi
  local found=
  if command -v apt-get >/dev/null; then
    # shellcheck disable=SC2016  # the dollars are apt's
    found=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m1 '/debian/*$') || true
  fi
  [ -n "$found" ] || die "apt on this machine knows no Debian mirror; set HUSK_MIRROR to the URL of one"
  echo "$found"
}

keyring() {
  local file=/usr/share/keyrings/debian-archive-keyring.gpg
  [ -f "$file" ] || file=/usr/share/keyrings/debian-archive-keyring.pgp
  [ -f "$file" ] || die "no Debian archive keyring; install the package debian-archive-keyring"
  echo "$file"
}

install_debootstrap() {
  command -v apt-get >/dev/null || die "debootstrap is needed; install the package debootstrap"
  { apt-get -qy update && apt-get -qy install debootstrap; } >/dev/null || die "cannot install debootstrap"
}
