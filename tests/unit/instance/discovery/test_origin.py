"""discovery.origin: command lines as the programs themselves write them.

Taken from their sources and from logs that users published; those of
libvirt are from a real domain.
"""

import shlex

import pytest

from qemu_cli.instance.discovery.origin import origin

LINES = {
    "libvirt": (
        "/usr/bin/qemu-system-x86_64 -name guest=web,debug-threads=on -S"
        " -chardev socket,id=charmonitor,fd=29,server=on,wait=off"
        " -mon chardev=charmonitor,id=monitor,mode=control"
    ),
    "lima": (
        "qemu-system-x86_64 -m 4096 -chardev socket,id=char-qmp,"
        "path=/home/u/lima/default/qmp.sock,server=on,wait=off"
        " -qmp chardev:char-qmp -name lima-default"
        " -pidfile /home/u/lima/default/qemu.pid"
    ),
    "proxmox": (
        "/usr/bin/kvm -id 114 -name pve,debug-threads=on -no-shutdown"
        " -chardev socket,id=qmp,path=/var/run/qemu-server/114.qmp,"
        "server=on,wait=off -mon chardev=qmp,mode=control"
        " -chardev socket,id=qmp-event,path=/var/run/qmeventd.sock,"
        "reconnect=5 -mon chardev=qmp-event,mode=control -daemonize"
    ),
    "incus": (
        "/opt/incus/bin/qemu-system-x86_64 -S -name web -uuid 0 -daemonize"
        " -readconfig /run/incus/web/qemu.conf"
        " -pidfile /run/incus/web/qemu.pid"
    ),
    "lxd": (
        "qemu-system-x86_64 -S -name web -readconfig"
        " /var/snap/lxd/common/lxd/logs/web/qemu.conf -daemonize"
    ),
    "multipass": (
        "qemu-system-x86_64 -drive file=/var/snap/multipass/common/data/"
        "multipassd/vault/instances/primary/disk.img -qmp stdio"
    ),
    "podman": (
        "qemu-system-x86_64 -m 2048 -qmp unix:/run/user/1000/podman/"
        "qmp_podman-machine-default.sock,server=on,wait=off"
    ),
    "quickemu": (
        "qemu-system-x86_64 -name ubuntu,process=ubuntu"
        " -monitor unix:ubuntu/ubuntu-monitor.socket,server,nowait"
        " -serial unix:ubuntu/ubuntu-serial.socket,server,nowait"
    ),
    "vng": (
        "qemu-system-x86_64 -qmp tcp::3636,server,nowait"
        " -append 'panic=-1 init=/usr/lib/virtme/guest/bin/virtme-ng-init'"
    ),
    "qemu-cli": (
        "qemu-system-x86_64 -name guest=a -pidfile"
        " /home/u/.local/share/qemu-cli/instances/a/qemu.pid -chardev"
        " file,id=l,path=/home/u/.local/share/qemu-cli/instances/a/serial.log"
    ),
    "hand": "qemu-system-x86_64 -name libvirt -qmp unix:/tmp/q,server",
}


@pytest.mark.parametrize("name", LINES)
def test_by_the_command_line(name):
    assert origin(shlex.split(LINES[name]), "0::/user.slice\n") == name


@pytest.mark.parametrize(
    ("cgroup", "name"),
    [
        ("0::/machine.slice/machine-qemu\\x2d1\\x2dweb.scope\n", "libvirt"),
        ("0::/system.slice/docker-0123.scope\n", "container"),
        ("0::/user.slice/libpod-0123.scope/container\n", "container"),
        ("0::/kubepods.slice/kubepods-pod1.slice\n", "container"),
        ("0::/user.slice/user-0.slice/session-1.scope\n", "hand"),
        ("", "hand"),
    ],
)
def test_by_the_control_group(cgroup, name):
    assert origin(("qemu-system-arm", "-S"), cgroup) == name
