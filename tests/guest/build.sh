#!/bin/bash
# Build the tiny test guest out of Debian packages: vmlinuz and initrd.gz,
# and the same with another kernel: vmlinuz-amd64 and initrd-amd64.gz.
#
#   tests/guest/build.sh DIRECTORY PACKAGE-CACHE
#
# The kernel is linux-image-cloud-amd64's, the other one linux-image-amd64's,
# which boots more slowly and knows 9p and AHCI; the initramfs holds busybox,
# qemu-guest-agent and dropbear with the libraries they load, virtio
# modules, and the files of tests/guest/rootfs, whose init says GUEST-READY
# on the console (6 s under TCG).  An ssh server runs when the kernel's
# command line says sshd; who may log in, /root/.ssh says.  It powers off
# on ACPI and on the agent's word, gets an address by DHCP, mounts /dev/vda
# on /mnt if it can, and has a shell on ttyS0 with the prompt "guest# ".
#
# Needs: apt-get, dpkg-deb, cpio, gzip, xz.  No root.
set -euo pipefail
export LC_ALL=C

usage="usage: build.sh DIRECTORY PACKAGE-CACHE"
out=$(realpath -m "${1:?$usage}")
cache=$(realpath -m "${2:?$usage}")
here=$(realpath "$(dirname "$0")")
mkdir -p "$out" "$cache/partial"
work=$(mktemp -d "$out/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
user=$work/user initrd=$work/initrd

# Two kernels: the one for clouds boots sooner, and the other one knows 9p.
flavours="cloud-amd64 amd64"

# The modules to load, and what they depend on, in this order.
modules="virtio_pci virtio_mmio virtio_blk virtio_scsi sd_mod sr_mod virtio_net
    virtio_console virtio_balloon virtio_rng virtio_mem pvpanic_mmio
    pvpanic_pci button evdev ata_piix ahci isofs vfat nls_ascii nls_cp437
    qemu_fw_cfg shpchp nvme e1000 fuse virtiofs 9pnet_virtio 9p"

download() {
    # apt resolves against an empty dpkg status, so that it fetches the
    # libraries too which this host has already.
    : >"$cache/status"
    apt-get -qq -y --no-install-recommends --download-only \
        -o Debug::NoLocking=1 -o APT::Sandbox::User=root \
        -o Dir::State::status="$cache/status" \
        -o Dir::Cache::archives="$cache" \
        install qemu-guest-agent busybox-static dropbear-bin >/dev/null
    # The meta packages name the versioned kernels.
    local flavour image
    for flavour in $flavours; do
        image=$(apt-cache depends "linux-image-$flavour" |
            awk '/Depends: linux-image-[0-9]/ { print $2; exit }')
        (cd "$cache" && apt-get -qq download \
            -o APT::Sandbox::User=root "${image:?not known to apt}")
    done
}

package_of() { # FLAVOUR
    find "$cache" -name "linux-image-*-$1_*.deb" |
        case $1 in
        amd64) grep -v -e -cloud- ;;
        *) cat ;;
        esac | sort | tail -1
}

unpack() {
    local package
    for package in "$cache"/*.deb; do
        case ${package##*/} in
        linux-image-*) ;; # see add_kernel
        libperl* | *-perl_*) ;; # the agent's package wants it, qemu-ga not
        busybox-static_* | qemu-guest-agent_* | dropbear-bin_* | \
            lib*.deb | zlib1g_*)
            dpkg-deb -x "$package" "$user" ;;
        esac
    done
}

add_programs() {
    local library_path loader agent dropbear program library
    mkdir -p "$initrd"/{bin,sbin,dev,proc,sys,tmp,run,var/run,mnt,root} \
        "$initrd"/{etc,usr/sbin,usr/bin,lib64,lib/x86_64-linux-gnu}
    busybox=$(find "$user" -type f -path '*bin/busybox' | head -1)
    agent=$(find "$user" -type f -name qemu-ga | head -1)
    dropbear=$(find "$user" -type f -path '*sbin/dropbear')
    loader=$(find "$user" -path '*x86_64-linux-gnu/ld-linux-x86-64.so.2' |
        head -1)
    install -m755 "$busybox" "$initrd/bin/busybox"
    install -m755 "$agent" "$initrd/usr/sbin/qemu-ga"
    install -m755 "$dropbear" "$initrd/usr/sbin/dropbear"
    install -m755 "$(realpath "$loader")" \
        "$initrd/lib64/ld-linux-x86-64.so.2"
    library_path=$user/lib/x86_64-linux-gnu:$user/usr/lib/x86_64-linux-gnu
    for program in "$agent" "$dropbear"; do
        "$loader" --library-path "$library_path" --list "$program"
    done | awk '$3 ~ /^\// { print $3 }' | sort -u | while read -r library; do
        install -m755 "$(realpath "$library")" \
            "$initrd/lib/x86_64-linux-gnu/${library##*/}"
    done
}

add_module() { # PATH, relative to the kernel's module directory
    local needed
    [ -z "${added[$1]:-}" ] || return 0
    added[$1]=1
    # shellcheck disable=SC2013 # words are what is wanted
    for needed in $(grep -m1 "^$1:" "$tree/modules.dep" | cut -d: -f2); do
        add_module "$needed"
    done
    cp "$tree/$1" "$part/mod/"
    echo "${1##*/}" >>"$part/mod/order"
}

pack() { # DIRECTORY
    (cd "$1" && find . | sort |
        cpio -o -H newc --owner=0:0 --quiet | gzip -9n)
}

add_kernel() { # FLAVOUR
    local kernel=$work/kernel-$1 part=$work/part-$1 name path
    local -A added=()
    mkdir -p "$kernel" "$part/mod" "$work/depmod/lib/modules"
    # What no guest here has makes up most of it.
    dpkg-deb --fsys-tarfile "$(package_of "$1")" |
        tar -x -C "$kernel" --exclude '*/drivers/gpu' --exclude '*/sound' \
            --exclude '*/drivers/media' --exclude '*/net/wireless' \
            --exclude '*/net/ethernet/mellanox' --exclude '*/usr/share'
    # Debian 12 has them in /lib, 13 in /usr/lib, both one version only.
    tree=$(find "$kernel" -path '*/lib/modules/*' -prune -print)
    find "$tree" -name '*.ko.xz' -exec unxz {} +
    ln -s "$tree" "$work/depmod/lib/modules/${tree##*/}"
    "$busybox" depmod -b "$work/depmod" "${tree##*/}"
    for name in $modules; do
        # A module that is built into this kernel has no file.
        path=$(cut -d: -f1 "$tree/modules.dep" |
            grep -m1 -E "(^|/)${name//_/[-_]}\.ko$" || true)
        [ -z "$path" ] || add_module "$path"
    done
    pack "$part" >"$work/modules-$1.gz"
    cp "$kernel"/boot/vmlinuz-* "$out/vmlinuz-$1"
    rm -rf "$kernel"
}

if [ -z "$(package_of cloud-amd64)" ] || [ -z "$(package_of amd64)" ] ||
    ! compgen -G "$cache/dropbear-bin_*.deb" >/dev/null; then
    download
fi
unpack
add_programs
cp -R "$here/rootfs/." "$initrd/"
pack "$initrd" >"$work/programs.gz"
for flavour in $flavours; do
    add_kernel "$flavour"
    # The kernel unpacks one archive after another.
    cat "$work/programs.gz" "$work/modules-$flavour.gz" \
        >"$out/initrd-$flavour.gz"
done
mv "$out/vmlinuz-cloud-amd64" "$out/vmlinuz"
mv "$out/initrd-cloud-amd64.gz" "$out/initrd.gz" # last: all is there
