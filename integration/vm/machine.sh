# machine.sh: a Debian machine on one disk image, made once, started for one job, and thrown away.
#
# Each engine has its own disk: one of the trees of ../lib/root.sh with its kernel's modules, and with what is in guest/
# laid over it. The kernels and what runs them come from such trees as well, so that nothing of this machine's own
# versions matters: User Mode Linux is executed in the tree that it was built in, and so is QEMU. A job goes in as a tar
# archive on a second disk and comes back as one on a third; its output is the first serial line. Sourced.
# shellcheck shell=bash disable=SC2154  # vm is where this file lies

# The machine: systemd and its sessions, the runtimes to compare with, what tests look at things with.
VM_PACKAGES="systemd systemd-sysv libpam-systemd dbus dbus-user-session udev kmod procps iproute2 jq busybox-static
  uidmap strace apparmor apparmor-utils secilc keyutils crun runc e2fsprogs"
# Debian's kernel for clouds would be smaller, but has no RDMA.
declare -A KERNEL_PACKAGES=([uml]=user-mode-linux [qemu]=linux-image-amd64)
QEMU_PACKAGES="qemu-system-x86"
VM_SIZE=3G

vm_dir() { printf '%s/vm-%s' "$HUSK_CACHE" "$1"; } # ENGINE

machine_make() { # ENGINE
  local engine=$1 tree=machine-$1 dir stamp part
  [ "$(uname -m)" = x86_64 ] || die "the machine is one for x86_64; this one is $(uname -m)"
  dir=$(vm_dir "$engine") part=$(vm_dir "$engine").part
  mkdir -p "$HUSK_CACHE/roots"
  (
    flock 9 # two runs at once share the cache
    root_base
    # Nobody needs an initrd here; the tool that would make one is only asked to be there.
    mkdir -p "$(root_path base)/etc/initramfs-tools"
    echo 'update_initramfs=no' >"$(root_path base)/etc/initramfs-tools/update-initramfs.conf"
    root_with "$tree" "$VM_PACKAGES ${KERNEL_PACKAGES[$engine]}"
    [ "$engine" != qemu ] || root_with qemu "$QEMU_PACKAGES"
    stamp=$(cat "$(root_path "$tree.stamp")" "$vm/machine.sh" "$vm"/guest/* | sha256sum)
    [ "$(cat "$dir/stamp" 2>/dev/null)" != "$stamp" ] || exit 0
    say "making the machine's disk (once)"
    rm -rf --one-file-system "$dir" "$part"
    mkdir -p "$part"
    cp -a --reflink=auto "$(root_path "$tree")" "$part/root"
    machine_furnish "$part/root"
    if [ "$engine" = qemu ]; then
      initrd_make "$part/root" "$part/initrd"
      kernel_unpack "$part/root" "$part/vmlinux"
    fi
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
  # The policy of the tests, for where SELinux is on. There is none from the start.
  install -m 644 "$vm/guest/selinux.cil" "$tree/etc/test-policy.cil"
  chroot "$tree" secilc --policyvers=33 --output=/etc/test-policy --filecontext=/etc/test-policy.files /etc/test-policy.cil
  ln -sf job.target "$tree/etc/systemd/system/default.target"
  # What costs time at every start and does nothing for a machine of one job. AppArmor is on all the same: that unit
  # only compiles the distribution's profiles.
  while read -r unit; do
    ln -sf /dev/null "$tree/etc/systemd/system/$unit"
  done <"$vm/guest/masked-units"
  printf '[Journal]\nStorage=volatile\n' >"$tree/etc/systemd/journald.conf"
  mkdir -p "$tree/usr/lib/modules"
  # User Mode Linux has its modules elsewhere. Packed ones would be unpacked each time that they are loaded.
  for modules in "$tree"/usr/lib/uml/modules/*/; do
    [ ! -d "$modules" ] || mv "$modules" "$tree/usr/lib/modules/"
  done
  find "$tree/usr/lib/modules" -name '*.ko.xz' -exec xz -d {} +
  for modules in "$tree"/usr/lib/modules/*/; do chroot "$tree" depmod "$(basename "$modules")"; done
  rm -rf "$tree/var/lib/apt/lists" "$tree/var/cache" "$tree/usr/share/"{doc,man,locale,info} "$tree/usr/bin/linux.uml"
}

# What the kernel cannot start without: the drivers of the disk and of its file system, and who loads them.
initrd_make() { # TREE FILE
  local tree=$1 initrd=$1/initrd version module
  version=$(basename "$tree"/usr/lib/modules/*)
  mkdir -p "$initrd"/{bin,dev,proc,root,modules}
  cp "$tree/bin/busybox" "$initrd/bin/"
  {
    printf '#!/bin/busybox sh\n'
    chroot "$tree" modprobe -S "$version" --show-depends -a virtio_pci virtio_blk ext4 | sed -n 's/^insmod //p' | awk '!seen[$1]++' |
      while read -r module; do
        cp "$tree$module" "$initrd/modules/"
        printf '/bin/busybox insmod /modules/%s\n' "$(basename "$module")"
      done
    printf '/bin/busybox %s\n' 'mount -t devtmpfs dev /dev' 'mount -t ext4 /dev/vda /root' 'mount --move /dev /root/dev'
    printf 'exec /bin/busybox switch_root /root /sbin/init\n'
  } >"$initrd/init"
  chmod 755 "$initrd/init"
  (cd "$initrd" && find . | "$tree/bin/busybox" cpio -o -H newc 2>/dev/null) >"$2"
  rm -rf "$initrd"
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
  cmdline='rw quiet panic=-1 audit=0 systemd.show_status=false '
  # The kernel takes one of those that label processes.
  cmdline+="lsm=landlock,lockdown,yama,integrity,$MAJOR_LSM,bpf"
  "run_$engine" "$limit" "$cmdline" || status=$?
  mkdir "$WORK/back"
  tar -C "$WORK/back" -xf "$WORK/out.disk" 2>/dev/null || true
  if [ -n "$out" ]; then mkdir -p "$out" && cp -a "$WORK/back/." "$out/"; fi
  [ ! -s "$WORK/back/status" ] || return "$(cat "$WORK/back/status")"
  tail -n 30 "$WORK/console" >&2 || true
  [ "$status" != 124 ] || die "the machine was ended after $limit s"
  die "the machine ended without a word about its job ($engine: status $status)"
}

# In a tree, with the directories of the machine and of its run as /mnt/vm and /mnt/work.
in_tree() { # TREE VM COMMAND...
  # shellcheck disable=SC2016  # expanded by the inner shell
  unshare --mount --propagation private bash -euc '
    tree=$1 vm=$2 work=$3; shift 3
    mount -t proc proc "$tree/proc"; mount --rbind /dev "$tree/dev"
    mount -t tmpfs tmpfs "$tree/mnt"; mkdir "$tree/mnt/vm" "$tree/mnt/work"
    mount --bind "$vm" "$tree/mnt/vm"; mount --bind "$work" "$tree/mnt/work"
    TMPDIR=/mnt/work exec chroot "$tree" "$@"' in_tree "$1" "$2" "$WORK" "${@:3}"
}

run_uml() { # LIMIT CMDLINE
  local arguments
  read -ra arguments <<<"$2"
  # Lines are fds: the output is 1, the console's log 3. What is written to the first disk goes to a file of its own.
  in_tree "$(root_path machine-uml)" "$(vm_dir uml)" timeout --foreground --kill-after=10 "$1" \
    /usr/bin/linux.uml mem=2048M umid=vm uml_dir=/mnt/work seccomp=auto \
    ubd0=/mnt/work/changes,/mnt/vm/disk ubd1r=/mnt/work/in ubd2=/mnt/work/out.disk root=/dev/ubda rootfstype=ext4 \
    con=null con0=null,fd:3 ssl=null ssl0=null,fd:1 job.in=/dev/ubdb job.out=/dev/ubdc "${arguments[@]}" \
    </dev/null 3>>"$WORK/console" 2>&3 | cat
  return "${PIPESTATUS[0]}"
}

# Debian's kernel. Emulated, 128 bit atomics and a fifth level of page tables would cost much and are of no use here.
run_qemu() { # LIMIT CMDLINE
  local accelerator=tcg,thread=multi,tb-size=1024 cpu=max,-la57,-cx16 disk=if=virtio,format=raw
  if kvm_works; then accelerator=kvm cpu=host; else say "no KVM here that works: the machine is emulated"; fi
  in_tree "$(root_path qemu)" "$(vm_dir qemu)" timeout --foreground --kill-after=10 "$1" \
    qemu-system-x86_64 -accel "$accelerator" -cpu "$cpu" -smp 2 -m 2048 -M q35 -nodefaults -no-user-config -no-reboot \
    -display none -nic none -kernel /mnt/vm/vmlinux -initrd /mnt/vm/initrd \
    -append "console=ttyS1 nokaslr mitigations=off job.in=/dev/vdb job.out=/dev/vdc $2" \
    -drive "$disk,snapshot=on,file=/mnt/vm/disk" \
    -drive "$disk,readonly=on,file=/mnt/work/in" -drive "$disk,file=/mnt/work/out.disk" \
    -serial stdio -serial file:/mnt/work/console </dev/null 2>>"$WORK/console" | cat
  return "${PIPESTATUS[0]}"
}

# There are machines with a /dev/kvm that interprets every instruction: slower than emulation, and it does not know all
# that a kernel uses. So it gets the time that a real one needs, several times, for a boot sector that leaves by a
# port: mov al, 1; out 0xf4, al.
kvm_works() {
  [ -w /dev/kvm ] || return 1
  printf '\xb0\x01\xe6\xf4\xeb\xfe' >"$WORK/sector"
  truncate -s 510 "$WORK/sector"
  printf '\x55\xaa' >>"$WORK/sector"
  local status=0
  in_tree "$(root_path qemu)" "$(vm_dir qemu)" timeout --kill-after=1 2 qemu-system-x86_64 -accel kvm -cpu host -m 16 -display none \
    -nodefaults -no-user-config -drive if=ide,format=raw,file=/mnt/work/sector \
    -device isa-debug-exit,iobase=0xf4,iosize=1 >/dev/null 2>&1 || status=$?
  [ "$status" = 3 ]
}
