"""What the kernel tells of one socket: sock_diag(7), over netlink."""

import socket
import struct

_NETLINK_SOCK_DIAG = 4
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
_REQUEST = 1  # NLM_F_REQUEST

# linux/unix_diag.h: what to show, and the attribute that has it.
_SHOW_VFS, _VFS = 2, 1
_SHOW_PEER, _PEER = 4, 2


def peer_inode(inode: int) -> int | None:
    """Ask the kernel for the other end of a connected unix socket.

    :param inode: of one end, from /proc/PID/net/unix
    :return: the inode of the other end; None when it is closed
    """
    return _ask(inode, _SHOW_PEER, _PEER)


def file_inode(inode: int) -> int | None:
    """Ask the kernel for the file that a unix socket is bound to.

    :param inode: of the socket, in our network namespace
    :return: the inode of the file; None when it has none
    """
    return _ask(inode, _SHOW_VFS, _VFS)


def _ask(inode: int, show: int, wanted: int) -> int | None:
    """Ask about one socket; returns the first 32 bits of an attribute."""
    # struct nlmsghdr, then struct unix_diag_req (linux/unix_diag.h)
    request = struct.pack(
        "=BBHIIIII", socket.AF_UNIX, 0, 0, 0xFFFFFFFF, inode,
        show, 0xFFFFFFFF, 0xFFFFFFFF,
    )  # fmt: skip
    header = struct.pack(
        "=IHHII", 16 + len(request), _BY_FAMILY, _REQUEST, 1, 0
    )
    family = _NETLINK_SOCK_DIAG
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family) as kernel:
        kernel.send(header + request)
        reply = kernel.recv(4096)
    kind = struct.unpack_from("=H", reply, 4)[0]
    if kind != _BY_FAMILY:
        return None  # NLMSG_ERROR: no such socket any more
    at = 16 + 16  # behind nlmsghdr and struct unix_diag_msg
    while at + 4 <= len(reply):
        length, attribute = struct.unpack_from("=HH", reply, at)
        if attribute == wanted:
            value: int = struct.unpack_from("=I", reply, at + 4)[0]
            return value
        at += (length + 3) & ~3
    return None
