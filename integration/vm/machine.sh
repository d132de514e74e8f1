# machine.sh: a Debian machine on one disk image, made once, started for one job, and thrown away.
#
# The disk is one of the trees of ../lib/root.sh, with what is in guest/ laid over it. The kernels and what runs them
# come from such trees as well, so that nothing of this machine's own versions matters: User Mode Linux is executed in
# the tree that it was built in, and so is QEMU. A job goes in as a tar archive on a second disk and comes back as one
# on a third; its output is the first serial line. Sourced.
# shellcheck shell=bash disable=SC2154  # vm is where this file lies

# The machine: systemd and its sessions, the runtimes to compare with, what tests look at things with.
VM_PACKAGES="systemd systemd-sysv libpam-systemd dbus dbus-user-session udev kmod procps iproute2 jq busybox-static
  uidmap strace apparmor apparmor-utils crun runc user-mode-linux linux-image-cloud-amd64 e2fsprogs"
QEMU_PACKAGES="qemu-system-x86"
VM_SIZE=3G

vm_dir() { printf '%s/vm' "$HUSK_CACHE"; }

machine_make() { # ENGINE
  local dir stamp part
  [ "$(uname -m)" = x86_64 ] || die "the machine is one for x86_64; this one is $(uname -m)"
  dir=$(vm_dir) part=$(vm_dir).part
  mkdir -p "$HUSK_CACHE/roots"
  (
    flock 9 # two runs at once share the cache
    root_base
    # Nobody needs an initrd here; the tool that would make one is only asked to be there.
    mkdir -p "$(root_path base)/etc/initramfs-tools"
    echo 'update_initramfs=no' >"$(root_path base)/etc/initramfs-tools/update-initramfs.conf"
    root_with machine "$VM_PACKAGES"
    [ "$1" != qemu ] || root_with qemu "$QEMU_PACKAGES"
    stamp=$(cat "$(root_path machine.stamp)" "$vm/machine.sh" "$vm"/guest/* | sha256sum)
    [ "$(cat "$dir/stamp" 2>/dev/null)" != "$stamp" ] || exit 0
    say "making the machine's disk (once)"
    rm -rf --one-file-system "$dir" "$part"
    mkdir -p "$part"
    cp -a --reflink=auto "$(root_path machine)" "$part/root"
    machine_furnish "$part/root"
    kernel_unpack "$part/root" "$part/vmlinux"
    truncate -s "$VM_SIZE" "$part/disk"
    mke2fs -qF -t ext4 -O ^has_journal -m 0 -E lazy_itable_init=1 -d "$part/root" "$part/disk" 2>"$part/log" ||
      die "mke2fs failed: $(cat "$part/log")"
    rm -rf --one-file-system "$part/root"
    echo "$stamp" >"$part/stamp"
    mv "$part" "$dir"
  ) 9>"$HUSK_CACHE/roots/.lock" || die "the machine could not be made"
}

# What makes a tree of packages a machine that comes up by itself, fast, and for one job.
machine_furnish() { # TREE
  local tree=$1 unit modules
  rm -f "$tree/usr/sbin/policy-rc.d"
  echo husk-vm >"$tree/etc/hostname"
  printf '127.0.0.1 localhost husk-vm\n' >"$tree/etc/hosts"
  : >"$tree/etc/fstab"
  # One that is there already is no first boot, for which systemd would set the whole machine up.
  printf '%032x\n' 4242 >"$tree/etc/machine-id"
  # The account that the tests of users are about: further ids, and a systemd of its own from the start.
  grep -q '^tester:' "$tree/etc/passwd" || chroot "$tree" useradd --create-home --uid 4242 --shell /bin/bash tester
  grep -qs '^tester:' "$tree/etc/subuid" || echo 'tester:100000:65536' | tee -a "$tree/etc/subuid" >>"$tree/etc/subgid"
  install -d "$tree/var/lib/systemd/linger" "$tree/etc/systemd/system/user@.service.d" "$tree/job"
  : >"$tree/var/lib/systemd/linger/tester"
  printf '[Service]\nDelegate=cpu cpuset io memory pids\n' >"$tree/etc/systemd/system/user@.service.d/delegate.conf"
  install -m 644 "$vm/guest/job.service" "$vm/guest/job.target" "$tree/etc/systemd/system/"
  install -m 755 "$vm/guest/job" "$tree/usr/local/sbin/job"
  ln -sf job.target "$tree/etc/systemd/system/default.target"
  # What costs time at every start and does nothing for a machine of one job. AppArmor is on all the same: that unit
  # only compiles the distribution's profiles.
  while read -r unit; do
    ln -sf /dev/null "$tree/etc/systemd/system/$unit"
  done <"$vm/guest/masked-units"
  printf '[Journal]\nStorage=volatile\n' >"$tree/etc/systemd/journald.conf"
  # User Mode Linux has its modules elsewhere. Packed ones would be unpacked each time that they are loaded.
  for modules in "$tree"/usr/lib/uml/modules/*/; do
    [ ! -d "$modules" ] || mv "$modules" "$tree/usr/lib/modules/"
  done
  find "$tree/usr/lib/modules" -name '*.ko.xz' -exec xz -d {} +
  for modules in "$tree"/usr/lib/modules/*/; do chroot "$tree" depmod "$(basename "$modules")"; done
  rm -rf "$tree/var/lib/apt/lists" "$tree/var/cache" "$tree/usr/share/"{doc,man,locale,info} "$tree/usr/bin/linux.uml"
}

# The kernel without the shell that unpacks it, which takes long under emulation; QEMU starts such a file, too.
kernel_unpack() { # TREE FILE
  local image magic unpack offset
  image=$(find "$1/boot" -name 'vmlinuz-*' -type f | head -n 1)
  [ -n "$image" ] || die "there is no kernel among the packages"
  while read -r magic unpack; do
    for offset in $(LC_ALL=C grep -obUaP "$magic" "$image" | cut -d: -f1 | head -n 9); do
      tail -c "+$((offset + 1))" "$image" | $unpack 2>/dev/null >"$2" || true
      if [ "$(head -c 4 "$2" | tail -c 3)" = ELF ]; then rm -rf "${1:?}/boot"; return; fi
    done
  done <<'MAGICS'
\x28\xb5\x2f\xfd zstd -dcq
\xfd7zXZ\x00 xz -dcq
\x1f\x8b\x08 gzip -dcq
MAGICS
  cp "$image" "$2"
}

machine_run() { # ENGINE LIMIT OUT
  local engine=$1 limit=$2 out=$3 status=0 cmdline
  tar -C "$WORK/job" --owner=0 --group=0 -cf "$WORK/in" .
  truncate -s 64M "$WORK/out.disk"
  cmdline='rw quiet panic=-1 audit=0 systemd.show_status=false lsm=landlock,lockdown,yama,integrity,apparmor,bpf'
  "run_$engine" "$limit" "$cmdline" || status=$?
  mkdir "$WORK/back"
  tar -C "$WORK/back" -xf "$WORK/out.disk" 2>/dev/null || true
  if [ -n "$out" ]; then mkdir -p "$out" && cp -a "$WORK/back/." "$out/"; fi
  [ ! -s "$WORK/back/status" ] || return "$(cat "$WORK/back/status")"
  tail -n 30 "$WORK/console" >&2 || true
  [ "$status" != 124 ] || die "the machine was ended after $limit s"
  die "the machine ended without a word about its job ($engine: status $status)"
}

# In the tree TREE, with the machine's directories under the names that they have here.
in_tree() { # TREE COMMAND...
  # shellcheck disable=SC2016  # expanded by the inner shell
  unshare --mount --propagation private bash -euc '
    tree=$1 vm=$2 work=$3; shift 3
    mount -t proc proc "$tree/proc"; mount --rbind /dev "$tree/dev"
    mount -t tmpfs tmpfs "$tree/mnt"; mkdir "$tree/mnt/vm" "$tree/mnt/work"
    mount --bind "$vm" "$tree/mnt/vm"; mount --bind "$work" "$tree/mnt/work"
    exec chroot "$tree" "$@"' in_tree "$1" "$(vm_dir)" "$WORK" "${@:2}"
}

run_uml() { # LIMIT CMDLINE
  local arguments
  read -ra arguments <<<"$2"
  # Lines are fds: the output is 1, the console's log 3. What is written to the first disk goes to a file of its own.
  in_tree "$(root_path machine)" timeout --foreground --kill-after=10 "$1" \
    /usr/bin/linux.uml mem=2048M umid=vm uml_dir=/mnt/work seccomp=auto \
    ubd0=/mnt/work/changes,/mnt/vm/disk ubd1r=/mnt/work/in ubd2=/mnt/work/out.disk root=/dev/ubda rootfstype=ext4 \
    con=null con0=null,fd:3 ssl=null ssl0=null,fd:1 job.in=/dev/ubdb job.out=/dev/ubdc "${arguments[@]}" \
    </dev/null 3>>"$WORK/console" 2>&3 | cat
  return "${PIPESTATUS[0]}"
}

run_qemu() { # LIMIT CMDLINE
  local accelerator=tcg,thread=multi cpu=max disk=if=virtio,format=raw
  if [ -w /dev/kvm ]; then accelerator=kvm cpu=host; fi
  # The first disk is of the kind that Debian's kernels have the driver of built in.
  in_tree "$(root_path qemu)" timeout --foreground --kill-after=10 "$1" \
    qemu-system-x86_64 -accel "$accelerator" -cpu "$cpu" -smp 2 -m 2048 -M q35 -nodefaults -no-user-config -no-reboot \
    -display none -nic none -kernel /mnt/vm/vmlinux \
    -append "root=/dev/nvme0n1 rootfstype=ext4 console=ttyS1 nokaslr mitigations=off job.in=/dev/vda job.out=/dev/vdb $2" \
    -drive if=none,id=root,format=raw,snapshot=on,file=/mnt/vm/disk -device nvme,drive=root,serial=root \
    -drive "$disk,readonly=on,file=/mnt/work/in" -drive "$disk,file=/mnt/work/out.disk" \
    -serial stdio -serial file:/mnt/work/console </dev/null 2>>"$WORK/console" | cat
  return "${PIPESTATUS[0]}"
}
