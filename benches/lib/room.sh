#!/bin/bash
# room.sh: the first process of a room, in which all runtimes are measured alike. Runs as root in new mount and pid
# namespaces, still on the host's file system; builds the room's own, pivots into it and becomes the measurement.
#
#   room.sh LAYOUT ROOT PLACE BIN SCRIPTS OUT COMMAND...
#
# LAYOUT is the cgroup layout that is visible inside:
#   unified   cgroup v2 alone, as crun wants it; on a hybrid host it has no controllers
#   v1        of a hybrid host the hierarchies of v1, which have the controllers; of a host with v2 alone, that
#   host      what the host has
# Tools come from ROOT, read-only. Everything measured (BIN, bundles, state) lies on one tmpfs, and the mount table
# holds nothing but the room, so that its length is ours to choose. Results are written to OUT, which is /srv here.
set -euo pipefail
layout=$1 root=$2 place=$3 bin=$4 scripts=$5 out=$6
shift 6

mount --bind "$root" "$place"
mount -o remount,bind,ro "$place"
mount -t proc proc "$place/proc"
mount -t sysfs sysfs "$place/sys"
mount --rbind /dev "$place/dev"
mount -t tmpfs -o mode=755 tmpfs "$place/run"
mount -t tmpfs -o mode=755 tmpfs "$place/mnt"
mount -t tmpfs -o mode=1777 tmpfs "$place/tmp"
mount --bind "$out" "$place/srv"
if [ "$layout" = unified ]; then
  mount -t cgroup2 cgroup2 "$place/sys/fs/cgroup"
elif [ "$layout" = v1 ] && [ -d /sys/fs/cgroup/unified ]; then
  mount -t tmpfs -o mode=755 tmpfs "$place/sys/fs/cgroup"
  for hierarchy in /sys/fs/cgroup/*/; do
    name=${hierarchy#/sys/fs/cgroup/} name=${name%/}
    [ "$name" != unified ] || continue
    mkdir "$place/sys/fs/cgroup/$name"
    mount --bind "$hierarchy" "$place/sys/fs/cgroup/$name"
  done
else
  mount --rbind /sys/fs/cgroup "$place/sys/fs/cgroup"
fi
mkdir "$place"/mnt/{bin,bench,host}
cp "$bin"/* "$place/mnt/bin"
cp -r "$scripts"/. "$place/mnt/bench"

cd "$place"
pivot_root . mnt/host
cd /
umount -l mnt/host
exec env -i HOME=/root LANG=C ROUNDS="${ROUNDS:-}" RUNS="${RUNS:-}" PATH=/mnt/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
