#!/bin/bash
# Put QEMU 10 of Debian 13 beside the host's own: tools/qemu10.sh DIRECTORY
#
# DIRECTORY/bin then holds qemu-system-x86_64, qemu-img … and the virtiofsd in
# Rust, which run on this host: same pids, same paths, same /proc/PID/cmdline, no wrapper process.
# They come out of a debootstrap of trixie.  Each program is told, in its
# ELF header, to use trixie's loader and libraries; its data directory it
# finds by itself, since QEMU looks relative to where it lies.
#
# Needs: root (debootstrap), debootstrap, debian-archive-keyring, patchelf.
set -euo pipefail

directory=$(realpath -m "${1:?usage: qemu10.sh DIRECTORY}")
root=$directory/root
bin=$directory/bin
libraries=$root/usr/lib/x86_64-linux-gnu
packages=qemu-system-x86,qemu-system-arm,qemu-utils,ovmf,qemu-efi-aarch64
# A module that is missing there is taken from the host, whose are of another
# build: QEMU aborts.
packages+=,qemu-system-modules-opengl,qemu-system-modules-spice
packages+=,virtiofsd

"$bin/qemu-system-x86_64" --version >/dev/null 2>&1 &&
    [ -x "$bin/virtiofsd" ] && exit 0
rm -rf "$root" "$bin"
mkdir -p "$directory"
ln -sfn "$libraries/qemu" "$directory/modules" # for QEMU_MODULE_DIR

# The mirror is whichever one this host's apt uses.
# shellcheck disable=SC2016 # apt's own variable
mirror=$(apt-get indextargets --format '$(SITE)' \
    'Created-By: Packages' 'Label: Debian' | head -1)
if [ -z "$mirror" ]; then
    echo "qemu10.sh: apt knows no Debian mirror: apt-get update" >&2
    exit 1
fi
if ! debootstrap --variant=minbase --include="$packages" \
    trixie "$root" "$mirror" >"$directory/debootstrap.log" 2>&1; then
    tail -n 20 "$directory/debootstrap.log" >&2
    rm -rf "$root"
    exit 1
fi

loader=$root/lib64/ld-linux-x86-64.so.2
mkdir -p "$bin.new"
for program in "$root"/usr/bin/qemu-* "$root/usr/libexec/virtiofsd"; do
    # Some names are symbolic links to, or scripts around, another.
    if [ ! -L "$program" ] && [ "$(head -c4 "$program")" = $'\x7fELF' ]; then
        patchelf --set-interpreter "$loader" "$program"
        # RPATH, not RUNPATH: it also counts for libraries of libraries.
        patchelf --force-rpath --set-rpath "$libraries" "$program"
    fi
    ln -s "$program" "$bin.new/${program##*/}"
done
mv "$bin.new" "$bin"
"$bin/qemu-system-x86_64" --version
