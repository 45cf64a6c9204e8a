#!/bin/bash
# The life of one VM, each command shown before its output.
#
#   doc/tutorial/demo.sh GUEST
#
# GUEST is a directory with vmlinuz and initrd.gz, a guest that says
# GUEST-READY on its first serial port.  Everything is done in a directory
# of its own, which is gone at the end, whatever happens.
set -euo pipefail

guest=${1:?usage: demo.sh GUEST}
QEMU_CLI_HOME=$(mktemp -d -t qemu-demo.XXXXXX)
export QEMU_CLI_HOME
home=$QEMU_CLI_HOME/instances/demo

leave_nothing() {
    code=$?
    # QEMU removes its pid file when it ends, so there is one to end.
    [ ! -e "$home/qemu.pid" ] || kill "$(<"$home/qemu.pid")" || true
    rm -rf "$QEMU_CLI_HOME"
    [ $code = 0 ] || echo "demo: failed (exit code $code)" >&2
}
trap leave_nothing EXIT
trap 'exit 130' INT TERM

run() {
    printf '\n$ %s\n' "${*@Q}" | sed "s/'\([A-Za-z0-9_./:=,+-]*\)'/\1/g"
    "$@" 2>&1
}

wait_for() { # TEXT, in what the guest writes to its first serial port
    for _ in {1..600}; do
        ! grep -q "$1" "$home/serial.log" || return 0
        sleep 0.2
    done
    echo "demo: the guest never said $1" >&2
    return 1
}

cd "$guest"
run qemu create demo --kernel vmlinuz --initrd initrd.gz \
    --append 'console=ttyS0 quiet' --disk 64M --memory 256M
run qemu start demo
run qemu list
run qemu show demo

wait_for GUEST-READY
run qemu log demo --serial -n 5

run qemu pause demo
run qemu list
run qemu resume demo

run qemu shutdown demo
run qemu list
run qemu log demo
run qemu delete demo --yes
run qemu list
